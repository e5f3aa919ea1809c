"""The tokenizers of text encoders that lie on this machine, in the folders of base models, and counting with them.

Most are a `tokenizer.json`, which the small library `tokenizers` reads; transformers is loaded for those that are older
files, and where a chat stands around the text.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from app.captions.token_counts import ENCODERS
from app.settings import PROJECT, Settings

Count = Callable[[Sequence[str]], list[int]]
"""Tokens of each text, marks of beginning and end included, as the trainer counts them."""

_OF_CLASS: Final = {"CLIPTokenizer": "clip", "T5Tokenizer": "t5", "GemmaTokenizer": "gemma", "Qwen2Tokenizer": "qwen"}
_NANO: Final = PROJECT / "models" / "nano"


@dataclass(frozen=True, slots=True)
class EncoderTokenizer:
    """The tokenizer of a text encoder: its folder, and a version that changes with its files."""

    encoder: str
    folder: Path
    version: str

    @property
    def count(self) -> Count:
        """What counts with it; loaded once."""
        return _loaded(self.encoder, self.folder, self.version)


def on_this_machine(settings: Settings) -> list[EncoderTokenizer]:
    """The tokenizer of each encoder that some base on this machine brings, the first that is found."""
    own = settings.data_dir.resolve() / "models"
    home = Path(os.environ.get("HF_HOME", str(Path.home() / ".cache" / "huggingface")))
    hub = Path(os.environ.get("HF_HUB_CACHE", str(home / "hub")))
    bases = [PROJECT / settings.base_model, *sorted((PROJECT / "models").glob("*")), *sorted(own.glob("*"))]
    folders: dict[str, Path] = {}
    for encoder, folder in _among([*bases, *sorted(hub.glob("models--*/snapshots/*"))]):
        folders.setdefault(encoder, folder)
    return [EncoderTokenizer(name, folders[name], _version(folders[name])) for name in ENCODERS if name in folders]


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


def _version(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        whole.update(path.name.encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()[:8]


@lru_cache(maxsize=16)
def _loaded(encoder: str, folder: Path, version: str) -> Count:
    """`version` changes with the files, so that a folder is read again when it was written anew."""
    file = folder / "tokenizer.json"
    if encoder == "qwen" or not file.is_file():
        return _of_transformers(encoder, folder)
    from tokenizers import Tokenizer  # loaded by the workers that count, and by no other

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda texts: [len(each.ids) for each in tokenizer.encode_batch([_clean(encoder, text) for text in texts])]


def _of_transformers(encoder: str, folder: Path) -> Count:
    from transformers import AutoTokenizer  # of seconds, for old files alone

    tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)

    def said(text: str) -> str:
        if encoder != "qwen":
            return _clean(encoder, text)
        chat = [{"role": "user", "content": text}]  # as FLUX.2 klein reads it, see `workers/families/flux2.py`
        return str(
            tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True, enable_thinking=False)
        )

    return lambda texts: [len(tokenizer(said(text))["input_ids"]) for text in texts]


def _clean(encoder: str, text: str) -> str:
    """As PRX's pipeline cleans a prompt before it is parted; the other pipelines take it as it is."""
    return html.unescape(html.unescape(text)).strip() if encoder in ("gemma", "nano") else text
