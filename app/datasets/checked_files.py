"""Which picture files were read whole and were what their names say, so that the next version need not read them again.

As in Git's index: a file counts as read while its size, its inode and the time of its last change are the ones it had
as it was read. That time (ctime) is the system's, no program sets it. A file that changed just before it was read is
not remembered, for another change within one tick of the clock would not show. `verifying` reads every file anyway.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.storage import Storage, atomic_file

SETTLED_NS: Final = 2_000_000_000
_STAMP: Final = np.dtype([("sha256", "V32"), ("size", "<i8"), ("changed_ns", "<i8"), ("inode", "<u8")])
Stamps = NDArray[np.void]
"""One for each file: the digest that is its name, size in bytes (0: missing or empty), last change, and inode."""


def stamps_of(files: Sequence[tuple[str, str]]) -> Stamps:
    """How files are now, given as (path, hex digest)."""
    made = np.zeros(len(files), _STAMP)
    if not files:
        return made
    rows = [_stamp(path) for path, _ in files]
    made["sha256"] = np.frombuffer(bytes.fromhex("".join(digest for _, digest in files)), "V32")
    made["size"], made["changed_ns"], made["inode"] = np.array(rows, object).reshape(-1, 3).T
    return made


def _stamp(path: str) -> tuple[int, int, int]:
    try:
        entry = os.stat(path)  # noqa: PTH116 (a third of the time, for 100,000 files)
    except OSError:
        return 0, 0, 0
    return (entry.st_size, entry.st_ctime_ns, entry.st_ino) if stat.S_ISREG(entry.st_mode) else (0, 0, 0)


def are_known(storage: Storage, stamps: Stamps) -> NDArray[np.bool_]:
    """Of each file whether it was read as it is now."""
    return np.isin(_whole(stamps), _whole(_read(storage)))


def remember(storage: Storage, stamps: Stamps) -> None:
    """Keep that these files were read whole, as they were before that, beside what was kept before."""
    settled = stamps[stamps["changed_ns"] < time.time_ns() - SETTLED_NS]
    before = _read(storage)
    others = before[~np.isin(before["sha256"].view("S32"), settled["sha256"].view("S32"))]
    with atomic_file(_file(storage)) as file:
        np.save(file, np.concatenate([others, settled]), allow_pickle=False)


def _file(storage: Storage) -> Path:
    return storage.cache_folder / "checked" / "pictures.npy"


def _read(storage: Storage) -> Stamps:
    """What was kept; nothing where there is no such file, or one that is not whole."""
    try:
        kept: Any = np.load(_file(storage), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return np.zeros(0, _STAMP)
    return kept if kept.dtype == _STAMP and kept.ndim == 1 else np.zeros(0, _STAMP)


def _whole(stamps: Stamps) -> NDArray[Any]:
    """Stamps as words that compare as one; a digest may end in zeros, so that a last byte stands behind all."""
    raw = np.ascontiguousarray(stamps).view(np.uint8).reshape(len(stamps), _STAMP.itemsize)
    return np.hstack([raw, np.ones((len(stamps), 1), np.uint8)]).view(f"S{_STAMP.itemsize + 1}").ravel()
