"""An export as one tar file, made while it is sent: nothing of it is written to a disk."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SENT_AT_ONCE: Final = 1 << 20
_END: Final = b"\0" * (2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True, slots=True)
class Archived:
    """A file in the archive: where it lies, its head, and its size in bytes."""

    path: Path
    head: bytes
    size_bytes: int

    @property
    def padding(self) -> bytes:
        """What fills its last block."""
        return b"\0" * (-self.size_bytes % tarfile.BLOCKSIZE)


def listed(folder: Path, name: str) -> list[Archived]:
    """The files of a folder, by their names, as they stand below `name` in the archive."""
    files = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        info = tarfile.TarInfo(f"{name}/{path.relative_to(folder).as_posix()}")
        info.size = path.stat().st_size
        files.append(Archived(path, info.tobuf(tarfile.GNU_FORMAT), info.size))
    return files


def size_bytes(files: list[Archived]) -> int:
    """How long the archive will be."""
    return sum(len(file.head) + file.size_bytes + len(file.padding) for file in files) + len(_END)


def pieces(files: list[Archived]) -> Iterator[bytes]:
    """The archive, piece by piece. Raises OSError where a file is gone, or is not as long as it was, by then."""
    for file in files:
        yield file.head
        left = file.size_bytes
        with file.path.open("rb") as reader:
            while left:
                piece = reader.read(min(left, _SENT_AT_ONCE))
                if not piece:
                    raise OSError(f"{file.path.name} became shorter while it was sent")
                left -= len(piece)
                yield piece
        yield file.padding
    yield _END
