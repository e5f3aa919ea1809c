"""The hub's cache as its client lays it out on this machine: data sets that are read without asking anybody."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def lay_out(cache: Path, name: str, files: Mapping[str, bytes], commit: str = COMMIT) -> Path:
    """Keep a data set at a commit, which its branch `main` means from now on; the folder of the data set."""
    place = cache / f"datasets--{name.replace('/', '--')}"
    (place / "refs").mkdir(parents=True, exist_ok=True)
    (place / "refs" / "main").write_text(commit)
    (place / "blobs").mkdir(exist_ok=True)
    for own, data in files.items():
        blob = place / "blobs" / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        target = place / "snapshots" / commit / own
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(blob)
    return place
