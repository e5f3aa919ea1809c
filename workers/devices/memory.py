"""What a trainer's end left on the machine: device memory that is still held, and what the kernel ended."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.host.devices import memory_holders

_LOOKS_EVERY_S: Final = 0.2


def wait_until_released(pids: Collection[int], within_s: float) -> bool:
    """Wait until no GPU holds memory of these processes, which are gone; whether that came within so many seconds."""
    deadline = time.monotonic() + within_s
    while memory_holders() & set(pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOKS_EVERY_S)
    return True


def out_of_memory_kills(own: Path = Path("/proc/self/cgroup"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """How many processes of this control group the kernel has ended for want of main memory; None: cannot be told."""
    for counts in _memory_counts(own, groups):
        with suppress(OSError, ValueError, KeyError):
            lines = (line.split() for line in counts.read_text().splitlines())
            return int(dict(pair for pair in lines if len(pair) == 2)["oom_kill"])
    return None


def _memory_counts(own: Path, groups: Path) -> list[Path]:
    """The files that may count them: those of this group, or of the whole container, in both versions of groups."""
    files: list[Path] = []
    with suppress(OSError, ValueError):
        for line in own.read_text().splitlines():
            _, controllers, inside = line.split(":", 2)
            if controllers == "":
                files += [groups / inside.strip("/") / "memory.events", groups / "memory.events"]
            elif "memory" in controllers.split(","):
                folder = groups / "memory"
                files += [folder / inside.strip("/") / "memory.oom_control", folder / "memory.oom_control"]
    return files
