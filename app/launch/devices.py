"""The device that runs will be on, as the gpu worker told of it when it started: a small file in the data folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from app.launch.facts import DeviceFacts
from app.storage import atomic_file

FILE: Final = "device.json"


def tell(data_dir: Path, name: str, memory_bytes: int | None, count: int = 1) -> None:
    """Write down what a gpu worker found: its device's name, its memory unless it is the processor, and how many
    devices it can put to work on one run."""
    with atomic_file(data_dir / FILE) as file:
        file.write(json.dumps({"name": name, "memory_bytes": memory_bytes, "count": count}).encode())


def known(data_dir: Path, threads: int) -> DeviceFacts:
    """The device, its name empty while no worker has told of one."""
    try:
        record = json.loads((data_dir / FILE).read_text())
        return DeviceFacts(str(record["name"]), record["memory_bytes"], threads, int(record.get("count", 1)))
    except (OSError, ValueError, KeyError, TypeError):
        return DeviceFacts("", None, threads)
