"""How much memory a model's weights take, counted from the headers of its safetensors files before any is loaded."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from app.units import bytes_

if TYPE_CHECKING:
    import torch

# Bytes of a number as it is stored; floats are loaded in the precision of the device, others as they are.
_FLOATS: Final = frozenset({"F64", "F32", "F16", "BF16"})
_WIDTHS: Final = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2}
_HEADER_AT_MOST: Final = 100_000_000  # the format's own limit


def numbers_of(files: Iterable[Path]) -> Counter[str]:
    """How many numbers of each dtype lie in safetensors files. Raises ValueError for what is no such file."""
    counts: Counter[str] = Counter()
    for file in files:
        with file.open("rb") as opened:
            begin = opened.read(8)
            length = struct.unpack("<Q", begin)[0] if len(begin) == 8 else 0
            if not 2 <= length <= _HEADER_AT_MOST:
                raise ValueError(f"{file.name} is no whole safetensors file")
            header = json.loads(opened.read(length))
        for name, tensor in header.items():
            if name != "__metadata__":
                size = 1
                for side in tensor["shape"]:
                    size *= int(side)
                counts[str(tensor["dtype"])] += size
    return counts


def weight_files(folder: Path) -> list[Path]:
    """The files that transformers would load: those of the index, or the one; some hubs put the same weights beside
    them once more. Raises ValueError for a broken index."""
    index, whole = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if whole.is_file():
        return [whole]
    if not index.is_file():
        return sorted(folder.glob("*.safetensors"))
    try:
        names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    except (KeyError, TypeError, AttributeError):
        raise ValueError(f"{index.name} is no index of weights") from None
    return [folder / str(name) for name in sorted(names)]


def loaded_bytes(numbers: Mapping[str, int], float_bytes: int) -> int:
    """What the weights take once they are loaded, floats in `float_bytes` each."""
    return sum(count * (float_bytes if dtype in _FLOATS else _WIDTHS.get(dtype, 1)) for dtype, count in numbers.items())


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device now; of the processor, main memory that can be had without swapping."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def refusal(model: str, needed: int, free: int) -> str:
    """Why a model is not loaded, in a sentence; "" where its weights fit. What it needs to think comes on top."""
    if needed <= free:
        return ""
    return (
        f"The caption model {model} needs {bytes_(needed)} of memory for its weights alone, and the device has "
        f"{bytes_(free)} free; choose a smaller one, or ask a server that has room for it."
    )
