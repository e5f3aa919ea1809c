"""A device by its name and memory, told without importing torch: a worker that waits loads nothing heavy."""

from __future__ import annotations

import re
from typing import Final

from app.host.devices import Device, nvidia_smi

_MIB: Final = 1 << 20
_GB: Final = 10**9
_SLICE: Final = re.compile(r"\.(\d+)gb")


def describe(device: Device | None) -> tuple[str, int | None]:
    """The device's name and its memory in bytes; the processor has none of its own. None: the first GPU, if any."""
    if device is not None and device.is_cpu:
        return "CPU", None
    if device is not None and device.is_slice:
        size = _SLICE.search(device.name)
        return device.name, int(size[1]) * _GB if size else None
    which = ["-i", device.key] if device is not None else []
    lines = nvidia_smi(*which, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits").splitlines()
    name, _, mebibytes = lines[0].rpartition(",") if lines else ("", "", "")
    return (name.strip(), int(mebibytes) * _MIB) if mebibytes.strip().isdigit() else ("CPU", None)
