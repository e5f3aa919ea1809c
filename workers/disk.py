"""Bytes on their way from and to a disk, piece by piece; whoever wants to know hears of each piece that has arrived.

Writing and copying a large model takes minutes, in which nothing else can show that the work goes on. So files are
read, copied, hashed and flushed here. A disk that hangs is not covered up: where no byte moves, nobody is told.

And folders that are there whole or not at all: written beside their place, flushed, renamed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from app.errors import DiskFull, is_disk_full

_PIECE_BYTES = 1 << 24
# Written bytes wait in main memory. Left until the end, all of them would be flushed at once and in silence.
_WAITING_BYTES = 1 << 28
_LEFTOVER = re.compile(r"\.(?P<name>.+)\.\d+\.(new|old)")

_reserve_bytes: ContextVar[int] = ContextVar("reserve_bytes", default=0)
_listener: ContextVar[Callable[[], None]] = ContextVar("listener", default=lambda: None)


@contextmanager
def heard(listener: Callable[[], None]) -> Iterator[None]:
    """`with heard(listener):` inside the block, and in this thread, `listener` is called after each piece."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


@contextmanager
def leaving_free(reserve_bytes: int) -> Iterator[None]:
    """Inside the block, and in this thread, what is written leaves so many bytes of its disk free."""
    before = _reserve_bytes.set(reserve_bytes)
    try:
        yield
    finally:
        _reserve_bytes.reset(before)


def free_for_us(folder: Path) -> int:
    """Bytes of the folder's disk that may be written, without what is to be left free; negative when less is free."""
    return shutil.disk_usage(folder).free - _reserve_bytes.get()


def refuse_below_reserve(folder: Path, wanted_bytes: int = 0) -> None:
    """Raises DiskFull when so many bytes more would not leave free what is to be left free."""
    if (reserve_bytes := _reserve_bytes.get()) and free_for_us(folder) < wanted_bytes:
        raise DiskFull.below_reserve(folder, free_for_us(folder) + reserve_bytes, reserve_bytes)


def pieces(file: Path, first: int = 0) -> Iterator[bytes]:
    """The file's bytes from the one at `first` on."""
    with file.open("rb") as opened:
        opened.seek(first)
        while piece := opened.read(_PIECE_BYTES):
            yield piece
            _listener.get()()


def write(file: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write `parts`, one after the other, as `file`. Raises DiskFull before what is to be left free is written to."""
    waiting = 0
    refuse_below_reserve(file.parent)
    with file.open("wb") as opened:
        for part in parts:
            for start in range(0, len(part), _PIECE_BYTES):
                waiting += opened.write(part[start : start + _PIECE_BYTES])
                if waiting >= _WAITING_BYTES:
                    opened.flush()
                    os.fsync(opened.fileno())
                    waiting = 0
                    refuse_below_reserve(file.parent)
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


@contextmanager
def replaced_whole(folder: Path, size_bytes: int = 0) -> Iterator[Path]:
    """`with replaced_whole(folder) as temporary`: what is written in `temporary` becomes `folder`, whole or not at all.

    A folder already of that name stays until the new one is complete on disk. Raises `DiskFull` when the disk is full,
    or would not be left what `leaving_free` says by the `size_bytes` that will be written at least.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    # Process numbers come round again: a process killed here may have had this one's.
    _reconcile(folder, old, temporary)
    temporary.mkdir(parents=True)
    try:
        refuse_below_reserve(temporary, size_bytes)
        yield temporary
        for file in files(temporary):
            # safetensors writes for its own user alone; other roles of the installation read these files too.
            file.chmod(0o644)
            flush(file)
        for inner in _folders(temporary):
            flush(inner)
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
        flush(folder.parent)
    except Exception as error:
        # Libraries have errors of their own for a full disk.
        if is_disk_full(error) and not isinstance(error, DiskFull):
            raise DiskFull(f"The disk is full: {folder} could not be written.") from error
        raise
    finally:
        _reconcile(folder, old, temporary)


def clear_leftovers(out: Path) -> None:
    """Reconcile what processes killed inside `replaced_whole` left in `out` and its checkpoints.

    Only for who knows that no other process is at work in `out`: what one is still writing would be deleted.
    """
    for parent in (out, out / "checkpoints"):
        for left in sorted(parent.glob(".*")):
            if (named := _LEFTOVER.fullmatch(left.name)) is not None and left.is_dir():
                _reconcile(parent / named["name"], left.with_suffix(".old"), left.with_suffix(".new"))


def files(folder: Path) -> list[Path]:
    """Every file below a folder, sorted by path."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _reconcile(folder: Path, old: Path, temporary: Path) -> None:
    """Have `folder` again where only `old` is left of it, and nothing else beside it."""
    if old.exists() and not folder.exists():
        old.rename(folder)
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _folders(folder: Path) -> list[Path]:
    return [*(path for path in folder.rglob("*") if path.is_dir()), folder]
