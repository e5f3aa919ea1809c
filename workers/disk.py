"""Bytes on their way from and to a disk, piece by piece; whoever wants to know hears of each piece that has arrived.

Writing and copying a large model takes minutes, in which nothing else can show that the work goes on. So files are
read, copied, hashed and flushed here. A disk that hangs is not covered up: where no byte moves, nobody is told.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_PIECE_BYTES = 1 << 24
# Written bytes wait in main memory. Left until the end, all of them would be flushed at once and in silence.
_WAITING_BYTES = 1 << 28

_listener: ContextVar[Callable[[], None]] = ContextVar("listener", default=lambda: None)


@contextmanager
def heard(listener: Callable[[], None]) -> Iterator[None]:
    """`with heard(listener):` inside the block, and in this thread, `listener` is called after each piece."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


def pieces(file: Path, first: int = 0) -> Iterator[bytes]:
    """The file's bytes from the one at `first` on."""
    with file.open("rb") as opened:
        opened.seek(first)
        while piece := opened.read(_PIECE_BYTES):
            yield piece
            _listener.get()()


def write(file: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write `parts`, one after the other, as `file`."""
    waiting = 0
    with file.open("wb") as opened:
        for part in parts:
            for start in range(0, len(part), _PIECE_BYTES):
                waiting += opened.write(part[start : start + _PIECE_BYTES])
                if waiting >= _WAITING_BYTES:
                    opened.flush()
                    os.fsync(opened.fileno())
                    waiting = 0
                _listener.get()()


def copy(source: str | Path, target: str | Path) -> None:
    """Write the bytes of one file as another."""
    write(Path(target), pieces(Path(source)))


def sha256(file: Path) -> str:
    """SHA-256 of a file, hex."""
    digest = hashlib.sha256()
    for piece in pieces(file):
        digest.update(piece)
    return digest.hexdigest()


def flush(path: Path) -> None:
    """Have a file or a folder on the disk, not only on its way there."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    _listener.get()()
