"""Uploads that go on where they were: what a browser means to send, what has arrived, and large files in pieces.

An upload's folder holds a list of what was chosen, so that whoever comes back is told what is missing and chooses the
same folder again; what is there is not sent twice. Of a large file its pieces lie in a hidden folder until it is whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.tables import Intake
from app.errors import Refused
from app.intake import folders, uploads
from app.intake.sources.entry import MAX_FILE_BYTES
from app.intake.sources.naming import shortened
from app.people import Person
from app.storage import Storage, atomic_file, saying_full

MAX_CHOSEN: Final = 200_000
MISSING_SHOWN: Final = 5
_CHOSEN: Final = ".\x01chosen.json"
_PIECES: Final = ".\x01pieces"
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Arrived:
    """What has arrived of an upload: whole files and the bytes of unfinished ones, by name. `chosen` are all files."""

    upload: str
    begun_at: datetime
    files: dict[str, int]
    pieces: dict[str, int]
    chosen: dict[str, int]

    @property
    def missing(self) -> list[str]:
        """The names of chosen files that have not arrived whole."""
        return [name for name, size_bytes in self.chosen.items() if self.files.get(name) != size_bytes]

    @property
    def size_bytes(self) -> int:
        """The bytes that have arrived."""
        return sum(self.files.values()) + sum(self.pieces.values())


def choose(storage: Storage, upload: str, person: Person, chosen: bytes) -> None:
    """Write down what is to be sent: JSON, a list of pairs of a name and its bytes. Raises Refused for all else."""
    try:
        pairs = [(_as_walked(str(name)), int(size_bytes)) for name, size_bytes in json.loads(chosen)]
    except (ValueError, TypeError, RecursionError):
        raise Refused("The list of chosen files cannot be read; choose them again.") from None
    if len(pairs) > MAX_CHOSEN:
        raise Refused(f"These are {len(pairs):,} files; a browser sends at most {MAX_CHOSEN:,} at once.")
    with atomic_file(uploads.folder_of(storage, upload, person) / _CHOSEN) as file:
        file.write(json.dumps(pairs).encode())


def _as_walked(name: str) -> str:
    """The name as a walk through the upload's folder has it."""
    return shortened(unicodedata.normalize("NFC", uploads.tame_name(name)))


def arrived(storage: Storage, upload: str, person: Person) -> Arrived:
    """What has arrived of this person's upload. Raises NotFound for one that is unknown, another's, or taken in."""
    folder = uploads.folder_of(storage, upload, person)
    files, pieces = {}, {}
    for met in folders.walk(folder):
        with suppress(OSError):
            files[met.name] = met.path.stat().st_size
    for path in (folder / _PIECES).glob("*.json"):
        with suppress(OSError, ValueError):
            pieces[_as_walked(json.loads(path.read_text())["name"])] = path.with_suffix(".part").stat().st_size
    chosen: dict[str, int] = {}
    if (folder / _CHOSEN).is_file():
        chosen = dict(json.loads((folder / _CHOSEN).read_text()))
    begun_at = datetime.fromtimestamp(folder.stat().st_ctime, UTC)
    return Arrived(upload, begun_at, files, pieces, chosen)


def unfinished(session: Session, storage: Storage, person: Person) -> list[Arrived]:
    """This person's uploads that something has arrived of and that were not asked to be taken in, newest first."""
    root = storage.root / uploads.FOLDER
    places = {str(place): place for place in root.glob(f"{person.id}-*") if place.is_dir()}
    taken = set(session.scalars(select(Intake.folder).where(Intake.folder.in_(places))))
    left = [arrived(storage, place.name, person) for name, place in places.items() if name not in taken]
    return sorted((some for some in left if some.chosen or some.files), key=lambda some: some.begun_at, reverse=True)


def keep_piece(
    storage: Storage, upload: str, person: Person, name: str, offset: int, size_bytes: int, source: BinaryIO
) -> int:
    """Keep a piece of a large file that begins at `offset` of its `size_bytes`; returns how many bytes are here.

    A piece that comes twice, or behind a gap, changes nothing: the sender goes on from the answer. A whole file is kept
    as `uploads.keep` does. Raises NotFound, and Refused for a file over the limit or a full disk.
    """
    folder = uploads.folder_of(storage, upload, person)
    tame = uploads.tame_name(name)
    if not 0 <= offset <= size_bytes or size_bytes > MAX_FILE_BYTES:
        limit = MAX_FILE_BYTES // 1024**2
        raise Refused(f"{tame} has more than {limit} MB, the limit of one file. Leave it out and go on.")
    part = folder / _PIECES / f"{hashlib.sha256(f'{size_bytes} {tame}'.encode()).hexdigest()}.part"
    with saying_full(folder):
        part.parent.mkdir(exist_ok=True)
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC), "r+b") as file:
            # Two tabs may send the same file: the one waits, and then goes on behind what the other brought.
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
            here = _grown(uploads.folder_of(storage, upload, person), tame, file, offset, size_bytes, source)
            folder.touch()
            if here < size_bytes:
                part.with_suffix(".json").write_text(json.dumps({"name": tame}))
                return here
            if not _is_whole(folder, tame, size_bytes):
                file.seek(0)
                uploads.keep(storage, upload, person, name, file)
            part.unlink(missing_ok=True)
            part.with_suffix(".json").unlink(missing_ok=True)
    return size_bytes


def _grown(folder: Path, tame: str, file: BinaryIO, offset: int, size_bytes: int, source: BinaryIO) -> int:
    """Put a piece behind those that are here; returns how many bytes are here then."""
    if _is_whole(folder, tame, size_bytes):
        return size_bytes
    here = file.seek(0, os.SEEK_END)
    if offset != here:
        return here
    while here < size_bytes and (chunk := source.read(min(size_bytes - here, _CHUNK_BYTES))):
        here += file.write(chunk)
    file.flush()
    return here


def _is_whole(folder: Path, tame: str, size_bytes: int) -> bool:
    """Whether the file has arrived, as the sender tells it: by its name and size."""
    with suppress(OSError):
        return uploads.place_of(folder, tame).stat().st_size == size_bytes
    return False


def forget(storage: Storage, upload: str, person: Person) -> None:
    """Remove an upload that is not to be taken in. Raises NotFound."""
    uploads.discard(storage, uploads.folder_of(storage, upload, person))
