"""What a safetensors file says of itself: facts as text in its header, beside the tensors.

A safetensors file is 8 bytes with the header's length (little endian), the header as JSON, then the tensors' bytes,
whose offsets count from the header's end (https://github.com/huggingface/safetensors, "Format"). So the facts can be
changed without reading a tensor. The library writes them in an order of chance; here the same facts are the same file.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LENGTH_BYTES = 8
# Tensors begin at a multiple of this; the header is filled up with spaces.
_ALIGNMENT = 8


def read(file: Path) -> dict[str, str]:
    """The facts of a safetensors file. Raises `OSError` or `ValueError` when it is none."""
    return dict(_header(file)[0].get("__metadata__", {}))


def write(file: Path, facts: Mapping[str, str]) -> None:
    """Put `facts` beside those that the file tells already; the file is replaced whole."""
    header, tensors_from = _header(file)
    told = {**header.pop("__metadata__", {}), **facts}
    text = json.dumps({"__metadata__": dict(sorted(told.items())), **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with file.open("rb") as old, temporary.open("wb") as new:
        old.seek(tensors_from)
        new.write(len(text).to_bytes(_LENGTH_BYTES, "little") + text)
        shutil.copyfileobj(old, new, 1 << 24)
    temporary.replace(file)


def _header(file: Path) -> tuple[dict[str, Any], int]:
    """The header, and where the tensors begin."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(_LENGTH_BYTES), "little")
        if length > file.stat().st_size:
            raise ValueError(f"{file} is no safetensors file")
        return json.loads(opened.read(length)), _LENGTH_BYTES + length
