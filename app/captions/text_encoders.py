"""The tokenizers of text encoders that lie on this machine, in the folders of base models."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.captions.token_counts import ENCODERS
from app.settings import PROJECT, Settings

_OF_CLASS: Final = {"CLIPTokenizer": "clip", "T5Tokenizer": "t5", "GemmaTokenizer": "gemma", "Qwen2Tokenizer": "qwen"}
_NANO: Final = PROJECT / "models" / "nano"


@dataclass(frozen=True, slots=True)
class EncoderTokenizer:
    """The tokenizer of a text encoder: its folder, with the files that its maker published."""

    encoder: str
    folder: Path

    @property
    def version(self) -> str:
        """A version that changes with its files."""
        whole = hashlib.sha256()
        for path in sorted(path for path in self.folder.iterdir() if path.is_file()):
            whole.update(path.name.encode() + b"\0" + path.read_bytes())
        return whole.hexdigest()[:8]


def on_this_machine(settings: Settings) -> list[EncoderTokenizer]:
    """The tokenizer of each encoder that some base on this machine brings, the first that is found."""
    own = settings.data_dir.resolve() / "models"
    home = Path(os.environ.get("HF_HOME", str(Path.home() / ".cache" / "huggingface")))
    hub = Path(os.environ.get("HF_HUB_CACHE", str(home / "hub")))
    bases = [PROJECT / settings.base_model, *sorted((PROJECT / "models").glob("*")), *sorted(own.glob("*"))]
    folders: dict[str, Path] = {}
    for encoder, folder in _among([*bases, *sorted(hub.glob("models--*/snapshots/*"))]):
        folders.setdefault(encoder, folder)
    return [EncoderTokenizer(name, folders[name]) for name in ENCODERS if name in folders]


def named(tokenizers: Iterable[EncoderTokenizer]) -> str:
    """These tokenizers with their versions, in one line; "none" where there is none."""
    return " ".join(f"{each.encoder}@{each.version}" for each in tokenizers) or "none"


def _among(bases: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    for base in bases:
        try:
            index = json.loads((base / "model_index.json").read_bytes())
        except (OSError, ValueError):
            continue
        for part in ("tokenizer", "tokenizer_2", "tokenizer_3"):
            entry = index.get(part)
            kind = str(entry[1]).removesuffix("Fast") if isinstance(entry, list) and len(entry) == 2 else ""
            encoder = "nano" if base.resolve() == _NANO else _OF_CLASS.get(kind)
            if encoder is not None and (base / part).is_dir():
                yield encoder, base / part
