"""Files by content: originals, renders, thumbnails, masks and samples, named by the SHA-256 of their bytes.

Layout under the data folder:

    files/<kind>/<first two hex digits>/<sha256><suffix>
    runs/<run id>/            a run's own folder: recipe, manifest, events, checkpoints, model
    datasets/<version id>/    a frozen version's manifest
    exports/<export id>/      a version in the format of another tool; what is deleted is only written again
    shipped/<checkpoint id>/  a checkpoint that was made live, written out for other tools; the same

Everything is written to a temporary name on the same file system, fsynced and renamed, so a reader never meets half a
file and a kill at any moment leaves at most temporary files, those of one batch, which `left_behind` finds.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal, Protocol
from uuid import uuid4

from app.errors import DiskFull, Refused, is_disk_full

Kind = Literal["originals", "renders", "thumbs", "views", "masks", "samples"]
OWN_FOLDERS = frozenset({
    "files", "runs", "datasets", "exports", "shipped", "cache", "uploads", "hub", "preflights", "logs", "run", "locks",
    "postgres",
})  # fmt: skip
"""What lies in a data folder and is Packshot's own; photos may lie beside it."""
KINDS: tuple[Kind, ...] = ("originals", "renders", "thumbs", "views", "masks", "samples")
_CHUNK_BYTES = 1 << 20
_FLUSHED_AT_ONCE = 8
# What the files of one batch may take before the disk is asked again how much is free.
_ASKED_AHEAD_BYTES = 16 << 20
_LEFT_BEHIND_AFTER_S = 3_600.0


class Keeper(Protocol):
    """Who keeps files by their content: at once, or together with others."""

    def put(self, kind: Kind, data: bytes, suffix: str, sha256: str = "") -> str:
        """Keep `data` and return its SHA-256 in hex. See `Storage.put`."""


class Storage:
    """Content-addressed files under one data folder. What is large leaves `reserve_bytes` of its disk free."""

    def __init__(self, data_dir: Path, reserve_bytes: int = 0) -> None:
        self.root = data_dir.resolve()
        self.reserve_bytes = reserve_bytes

    def refuse_below_reserve(self, wanted_bytes: int = 0) -> None:
        """Raises DiskFull when so many bytes more would not leave the disk what the database needs to go on."""
        if self.reserve_bytes:
            free_bytes = free_on(self.root)
            if free_bytes - wanted_bytes < self.reserve_bytes:
                raise DiskFull.below_reserve(self.root, free_bytes, self.reserve_bytes)

    def path(self, kind: Kind, sha256: str, suffix: str) -> Path:
        """Where the file with these bytes lies, whether or not it is there. `suffix` starts with a dot."""
        return self.root / self.place(kind, sha256, suffix)

    def place(self, kind: Kind, sha256: str, suffix: str) -> str:
        """The same, relative to the data folder, with forward slashes."""
        return f"files/{kind}/{sha256[:2]}/{sha256}{suffix}"

    def put(self, kind: Kind, data: bytes, suffix: str, sha256: str = "") -> str:
        """Keep `data` and return its SHA-256 in hex, `sha256` where the caller has just made it of the very bytes.

        Writing the same bytes again costs no disk. Raises DiskFull, also when only the reserve is left.
        """
        with self.together() as files:
            return files.put(kind, data, suffix, sha256)

    @contextmanager
    def together(self) -> Iterator[Keeper]:
        """Keep many files, put by any threads: all have their names, flushed, once the block ends.

        One by one, each waits for the disk twice. Together, what the first waits for is most of what the others do.
        Where it raises, or its process is killed, none of them has. Raises DiskFull, as `put` does.
        """
        files = _Together(self)
        try:
            yield files
            files.name_all()
        finally:
            files.drop_rest()

    def left_behind(self, now: float) -> list[str]:
        """Temporary files of writers that were killed, relative to the data folder: an hour old at `now`."""
        there = (self.root / "files").glob("*/*/.*.part")
        old = (path for path in there if now - path.stat().st_mtime > _LEFT_BEHIND_AFTER_S)
        return [path.relative_to(self.root).as_posix() for path in old]

    def put_file(self, kind: Kind, source: Path, sha256: str, suffix: str) -> Path:
        """Keep a copy of the bytes of `source`, whose SHA-256 the caller has just read. Returns where it lies.

        Raises DiskFull, also when only the reserve is left, and Refused when the file changed while it was read.
        """
        target = self.path(kind, sha256, suffix)
        if target.exists():
            os.utime(target)
            return target
        self.refuse_below_reserve(source.stat().st_size)
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

    def encoded_folder(self, sha256: str) -> Path:
        """What the cache holds of the picture file with these bytes, by whatever it was encoded."""
        return self.cache_folder / "pictures" / sha256[:2] / sha256

    @property
    def exports_folder(self) -> Path:
        """Exports of versions. What is deleted here is only written again."""
        return self.root / "exports"

    @property
    def shipped_folder(self) -> Path:
        """Checkpoints that were made live, written out. What is deleted here is only written again."""
        return self.root / "shipped"

    def dataset_folder(self, version_id: int) -> Path:
        """The folder of one frozen dataset version."""
        return self.root / "datasets" / str(version_id)


class _Together:
    """Files on their way: written under temporary names, with the names that they get. Paths are plain strings: of
    three files a photo, making `Path`s of them took as long as writing them."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._root = str(storage.root)
        self._lock = threading.Lock()
        self._temporary: dict[str, str] = {}
        self._may_write_bytes = 0

    def put(self, kind: Kind, data: bytes, suffix: str, sha256: str = "") -> str:
        sha256 = sha256 or hashlib.sha256(data).hexdigest()
        target = f"{self._root}/{self._storage.place(kind, sha256, suffix)}"
        with suppress(FileNotFoundError):
            # Whoever deletes files that nobody needs passes over young ones: see `app/removal/files.py`.
            os.utime(target)
            return sha256
        self._refuse_below_reserve(len(data))
        with saying_full(os.path.dirname(target)), _temporary_file(target) as (file, temporary):
            file.write(data)
        with self._lock:
            same = self._temporary.setdefault(target, temporary)
        if same is not temporary:
            os.unlink(temporary)
        return sha256

    def name_all(self) -> None:
        """Flush the files, give them their names, and flush those."""
        with saying_full(self._storage.root):
            _flush(list(self._temporary.values()))
            folders = {os.path.dirname(target) for target in self._temporary}
            for target, temporary in list(self._temporary.items()):
                # Young from now on: a batch may have taken long, and whoever deletes passes over young files.
                os.utime(temporary)
                os.replace(temporary, target)
                del self._temporary[target]
            _flush(list(folders))

    def drop_rest(self) -> None:
        """Delete what has no name yet."""
        for temporary in self._temporary.values():
            with suppress(FileNotFoundError):
                os.unlink(temporary)

    def _refuse_below_reserve(self, wanted_bytes: int) -> None:
        """As the storage's, asking the disk once for many small files."""
        with self._lock:
            if wanted_bytes > self._may_write_bytes:
                ahead_bytes = max(wanted_bytes, _ASKED_AHEAD_BYTES)
                try:
                    self._storage.refuse_below_reserve(ahead_bytes)
                except DiskFull:
                    self._storage.refuse_below_reserve(wanted_bytes)
                    ahead_bytes = wanted_bytes
                self._may_write_bytes = ahead_bytes
            self._may_write_bytes -= wanted_bytes


def _flush(paths: Sequence[str]) -> None:
    """Flush files or folders; of several, some at once: a journal writes down together what waits for it together.

    Each thread has a list of its own: handing over one path at a time took as long as flushing it.
    """
    shares = [paths[start::_FLUSHED_AT_ONCE] for start in range(min(_FLUSHED_AT_ONCE, len(paths)))]
    if len(shares) <= 1:
        _flush_each(paths)
        return
    with ThreadPoolExecutor(len(shares)) as flushing:
        list(flushing.map(_flush_each, shares))


def _flush_each(paths: Sequence[str]) -> None:
    for path in paths:
        fsync(path)


def is_data_folder(folder: Path) -> bool:
    """Whether this is a data folder of Packshot, this one's or another's: a copy, a backup."""
    if (folder / "postgres" / "PG_VERSION").is_file():
        return True
    # A shop may call a folder so too; ours holds folders of two hex digits, or nothing yet.
    try:
        names = [path.name for path in (folder / "files" / "originals").iterdir() if not path.name.startswith(".")]
    except OSError:
        return False
    return not names or any(re.fullmatch("[0-9a-f]{2}", name) for name in names)


def free_on(folder: Path) -> int:
    """Bytes that are free for us on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def saying_full(folder: Path | str) -> Iterator[None]:
    """Raises DiskFull with a sentence where what is written below `folder` finds the disk full."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise DiskFull(f"The disk with {folder} is full. Nothing was lost; free some space and go on.") from error


@contextmanager
def atomic_file(target: Path) -> Iterator[BinaryIO]:
    """Write a file whole or not at all: temporary name, fsync, rename, fsync of the folder.

    Raises DiskFull with a sentence.
    """
    with saying_full(target.parent), _temporary_file(str(target)) as (file, temporary):
        yield file
        file.flush()
        os.fsync(file.fileno())
        os.replace(temporary, target)
        fsync(target.parent)


@contextmanager
def _temporary_file(target: str) -> Iterator[tuple[BinaryIO, str]]:
    """A file beside `target` under a name that nobody reads, with its path; gone where the block raises."""
    temporary = os.path.join(os.path.dirname(target), f".{uuid4().hex}.part")
    try:
        with os.fdopen(_created(temporary), "wb") as file:
            yield file, temporary
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _created(file: str) -> int:
    """A descriptor of a new file, for this user alone, whose folder may be new too."""
    try:
        return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(file), exist_ok=True)
        return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def fsync(path: Path | str) -> None:
    """Make a file, or the names in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
