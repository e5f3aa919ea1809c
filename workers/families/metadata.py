"""Safetensors files written a tensor at a time, and what each says of itself: facts as text in its header.

A safetensors file is 8 bytes with the header's length (little endian), the header as JSON, then the tensors' bytes,
whose offsets count from the header's end (https://github.com/huggingface/safetensors, "Format"). So the facts can be
changed without reading a tensor. The library writes them in an order of chance; here the same facts are the same file.

The library also has all tensors of a file in main memory before it writes the first one, and tells nothing until the
last is written.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from workers import disk

_LENGTH_BYTES = 8
# Tensors begin at a multiple of this; the header is filled up with spaces.
_ALIGNMENT = 8
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def read(file: Path) -> dict[str, str]:
    """The facts of a safetensors file. Raises `OSError` or `ValueError` when it is none."""
    return dict(_header(file)[0].get("__metadata__", {}))


def kinds(file: Path) -> dict[str, tuple[torch.dtype, list[int]]]:
    """Dtype and shape of each tensor in a safetensors file. Raises `ValueError` for unknown kinds of numbers."""
    header, _ = _header(file)
    known = {code: dtype for dtype, code in _DTYPES.items()}
    entries = {
        name: (known.get(entry["dtype"]), entry["shape"]) for name, entry in header.items() if name != "__metadata__"
    }
    if odd := sorted(name for name, (dtype, _) in entries.items() if dtype is None):
        raise ValueError(f"{file} holds numbers of the kind {header[odd[0]]['dtype']}")
    return {name: (dtype, shape) for name, (dtype, shape) in entries.items() if dtype is not None}


def write(file: Path, facts: Mapping[str, str]) -> None:
    """Put `facts` beside those that the file tells already; the file is replaced whole."""
    header, tensors_from = _header(file)
    all_facts = {**header.pop("__metadata__", {}), **facts}
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    disk.write(temporary, chain([_head(all_facts, header)], disk.pieces(file, tensors_from)))
    temporary.replace(file)


def save(file: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, str]) -> None:
    """Write `tensors`, wherever they are, into `file`, one by one: only one of them at a time is in main memory."""
    save_made(
        file, {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()}, tensors.__getitem__, facts
    )


def save_made(
    file: Path,
    kinds: Mapping[str, tuple[torch.dtype, Sequence[int]]],
    make: Callable[[str], torch.Tensor],
    facts: Mapping[str, str],
) -> None:
    """Write tensors that are made when it is their turn: dtype and shape of each by name, and what makes it."""
    # The widest numbers first, as the library has it, so that each begins at a multiple of its own width.
    ordered = sorted(kinds, key=lambda name: (-kinds[name][0].itemsize, name))
    header: dict[str, Any] = {}
    end = 0
    for name in ordered:
        dtype, shape = kinds[name]
        begin, end = end, end + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": _DTYPES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
    disk.write(file, chain([_head(facts, header)], (_bytes(make(name)) for name in ordered)))


def _bytes(tensor: torch.Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _head(facts: Mapping[str, str], tensors: Mapping[str, Any]) -> bytes:
    """What a file begins with, before the first tensor's bytes."""
    text = json.dumps({"__metadata__": dict(sorted(facts.items())), **tensors}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def _header(file: Path) -> tuple[dict[str, Any], int]:
    """The header, and where the tensors begin."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(_LENGTH_BYTES), "little")
        if length > file.stat().st_size:
            raise ValueError(f"{file} is no safetensors file")
        return json.loads(opened.read(length)), _LENGTH_BYTES + length
