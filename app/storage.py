"""Files by content: originals, renders, thumbnails and samples, named by the SHA-256 of their bytes.

Layout under the data folder:

    files/<kind>/<first two hex digits>/<sha256><suffix>
    runs/<run id>/            a run's own folder: recipe, manifest, events, checkpoints, model
    datasets/<version id>/    a frozen version's manifest

Everything is written to a temporary name on the same file system, fsynced and renamed, so a reader never meets half a
file and a kill at any moment leaves at most a stray temporary file.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from app.errors import DiskFull, Refused, is_disk_full

Kind = Literal["originals", "renders", "thumbs", "views", "samples"]
OWN_FOLDERS = frozenset({
    "files", "runs", "datasets", "cache", "uploads", "preflights", "logs", "run", "locks", "postgres",
})  # fmt: skip
"""What lies in a data folder and is Packshot's own; photos may lie beside it."""
KINDS: tuple[Kind, ...] = ("originals", "renders", "thumbs", "views", "samples")
_CHUNK_BYTES = 1 << 20


class Storage:
    """Content-addressed files under one data folder."""

    def __init__(self, data_dir: Path) -> None:
        self.root = data_dir.resolve()

    def path(self, kind: Kind, sha256: str, suffix: str) -> Path:
        """Where the file with these bytes lies, whether or not it is there. `suffix` starts with a dot."""
        return self.root / "files" / kind / sha256[:2] / f"{sha256}{suffix}"

    def put(self, kind: Kind, data: bytes, suffix: str) -> str:
        """Keep `data` and return its SHA-256 in hex. Writing the same bytes again costs no disk.

        Raises Refused when the disk is full.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        target = self.path(kind, sha256, suffix)
        if not target.exists():
            with atomic_file(target) as file:
                file.write(data)
        return sha256

    def put_file(self, kind: Kind, source: Path, sha256: str, suffix: str) -> Path:
        """Keep a copy of the bytes of `source`, whose SHA-256 the caller has just read. Returns where it lies.

        Raises Refused when the disk is full, or when the file changed while it was read.
        """
        target = self.path(kind, sha256, suffix)
        if target.exists():
            return target
        digest = hashlib.sha256()
        with source.open("rb") as reader, atomic_file(target) as writer:
            while chunk := reader.read(_CHUNK_BYTES):
                digest.update(chunk)
                writer.write(chunk)
            if digest.hexdigest() != sha256:
                raise Refused(f"{source.name} changed while it was read; take it in again.")
        return target

    def run_folder(self, run_id: int) -> Path:
        """The folder of one training run."""
        return self.root / "runs" / str(run_id)

    @property
    def cache_folder(self) -> Path:
        """Encoded pictures and captions, shared by all runs. What is deleted here is only made again."""
        return self.root / "cache"

    def dataset_folder(self, version_id: int) -> Path:
        """The folder of one frozen dataset version."""
        return self.root / "datasets" / str(version_id)


def is_data_folder(folder: Path) -> bool:
    """Whether this is a data folder of Packshot, this one's or another's: a copy, a backup."""
    return (folder / "files" / "originals").is_dir() or (folder / "postgres" / "PG_VERSION").is_file()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_file(target: Path) -> Iterator[BinaryIO]:
    """Write a file whole or not at all: temporary name, fsync, rename, fsync of the folder.

    Raises DiskFull with a sentence.
    """
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        temporary = None
        fsync_folder(target.parent)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull(
                f"The disk with {target.parent} is full. Nothing was lost; free some space and go on."
            ) from error
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def fsync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
