"""Encoded pictures and captions kept on disk, known by what they were made from.

A name is the SHA-256 of everything that decides the content: the picture's bytes or the caption's words, the size, the
files of the encoder, and what it computes in where that is not always the same. So nothing can go stale: another
encoder, another size or another word is another name. A file appears whole or not at all, and one that cannot be read
is made again. What is kept of a picture lies in one folder, called by the SHA-256 of its file (`picture_name`), so that
all of it goes when the photo is removed: `app.storage.Storage.encoded_folder`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError

from workers import disk

_READ_AT_ONCE = 1 << 22
_ALIKE = "alike"


class TensorCache:
    """Named tensors by name, one file each, under `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> dict[str, torch.Tensor] | None:
        """What was kept under `name`, or None when it is not there or not whole."""
        try:
            tensors: dict[str, torch.Tensor] = safetensors.torch.load_file(self._path(name))
        except (OSError, SafetensorError):
            return None
        return tensors

    def has(self, name: str) -> bool:
        """Whether there is a file of this name; only `get` tells whether it is whole."""
        return self._path(name).exists()

    def put(self, name: str, tensors: Mapping[str, torch.Tensor]) -> None:
        """Keep tensors under `name`. Raises OSError when the disk is full, DiskFull when only its reserve is left."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        disk.refuse_below_reserve(path.parent)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_bytes(safetensors.torch.save({n: t.contiguous() for n, t in tensors.items()}))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        picture, _, own = name.rpartition("/")
        if picture:
            return self._folder / "pictures" / picture[:2] / picture / f"{own}.safetensors"
        return self._folder / own[:2] / f"{own}.safetensors"


def packed(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors, rows at the end of `tokens` [L, width] that are all alike kept once: padding, mostly zeros.

    How many there were is told beside them; `unpacked` puts them back to the bit. An encoder that reads its padding
    makes rows that differ, and those are kept.
    """
    tokens = tensors["tokens"]
    differing = (tokens != tokens[-1:]).any(dim=1).nonzero() if len(tokens) else tokens.new_zeros(0)
    alike = len(tokens) - (int(differing[-1]) + 1 if len(differing) else 0)
    if alike < 2:
        return dict(tensors)
    return {**tensors, "tokens": tokens[: len(tokens) - alike + 1], _ALIKE: torch.tensor(alike)}


def unpacked(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What `packed` was given."""
    whole = dict(tensors)
    if (alike := whole.pop(_ALIKE, None)) is not None:
        tokens = whole["tokens"]
        whole["tokens"] = torch.cat([tokens, tokens[-1:].expand(int(alike) - 1, -1)])
    return whole


def name_of(*facts: object) -> str:
    """The name for something made from `facts`, plain JSON values: SHA-256, hex."""
    return hashlib.sha256(json.dumps(facts, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def identity(folders: Sequence[Path]) -> str:
    """SHA-256 (hex) of all files in `folders`, or that are among them, names and bytes: equal for equal encoders."""
    digest = hashlib.sha256()
    for number, folder in enumerate(folders):
        for file in sorted(path for path in (folder, *folder.rglob("*")) if path.is_file()):
            digest.update(f"{number}/{file.relative_to(folder).as_posix()}\0".encode())
            with file.open("rb") as opened:
                while chunk := opened.read(_READ_AT_ONCE):
                    digest.update(chunk)
            digest.update(b"\0")
    return digest.hexdigest()
