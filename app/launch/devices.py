"""The device that runs will be on, as the gpu worker told of it when it started: a small file in the data folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from app.launch.facts import DeviceFacts
from app.settings import Settings
from app.storage import atomic_file

FILE: Final = "device.json"


def tell(data_dir: Path, name: str, memory_bytes: int | None, count: int = 1) -> None:
    """Write down what a gpu worker found: its device's name, its memory unless it is the processor, and how many
    devices it can put to work on one run."""
    with atomic_file(data_dir / FILE) as file:
        file.write(json.dumps({"name": name, "memory_bytes": memory_bytes, "count": count}).encode())


def known(settings: Settings) -> DeviceFacts:
    """The device, its name empty while no worker has told of one."""
    threads = settings.worker_threads
    # A person who says how many threads there are means processes too. Otherwise one core is left free only for what
    # loses its pace without it.
    is_set = "worker_threads" in settings.model_fields_set
    cores = threads if is_set else max(threads, os.cpu_count() or 1)
    try:
        record = json.loads((settings.data_dir / FILE).read_text())
        count = int(record.get("count", 1))
        return DeviceFacts(str(record["name"]), record["memory_bytes"], threads, count, cores)
    except (OSError, ValueError, KeyError, TypeError):
        return DeviceFacts("", None, threads, cores=cores)
