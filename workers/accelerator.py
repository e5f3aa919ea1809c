"""The accelerator of this machine by name, told without importing torch: a worker that waits loads nothing heavy."""

from __future__ import annotations

import shutil
import subprocess
from typing import Final

_ANSWERS_WITHIN_S: Final = 10.0
_MIB: Final = 1 << 20


def describe() -> tuple[str, int | None]:
    """The first NVIDIA GPU and its memory in bytes, or the processor, which has none of its own."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "CPU", None
    asked = [program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=_ANSWERS_WITHIN_S, check=True)
        name, _, mebibytes = done.stdout.splitlines()[0].rpartition(",")
        return name.strip(), int(mebibytes) * _MIB
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return "CPU", None
