"""Uploads: files on their way from a browser to an intake, in a folder of their own below the data folder.

A browser sends many small requests, one for a few files each, so that a large catalogue needs no large request and can
be told how far it is. The intake takes the folder in like any other, and then it is removed. Files keep the names that
they have at home, for rows of a metadata file name them so; what no file system of Linux can hold lies under another
name, and the true one in a list beside it (see `folders.NAMES`).
"""

from __future__ import annotations

import filecmp
import hashlib
import json
import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, Image, Intake, SourceFile
from app.errors import NotFound, Refused
from app.intake import folders, ingest, staging
from app.intake.metadata import is_metadata
from app.intake.sources import listing
from app.intake.sources.entry import MAX_FILE_BYTES
from app.jobs import Job
from app.people import Person
from app.storage import Storage, atomic_file, saying_full

FOLDER: Final = "uploads"
FORGOTTEN_AFTER_S: Final = 2 * 24 * 3600
# What was refused stays longer, to be tried again; it counts against an uploader's quota all that time.
REFUSED_FORGOTTEN_AFTER_S: Final = 30 * 24 * 3600
# Lies in the folder of an upload that was taken in and of which only refused files are left.
_IS_TAKEN_IN: Final = ".\x01taken-in"
# A name on Linux has at most 255 bytes and a path 4,096; numbers for names met again, and the data folder's own path,
# need room too.
MAX_PART_BYTES: Final = 245
MAX_PATH_BYTES: Final = 2_000
_CHUNK_BYTES: Final = 1 << 20
_BLOCK_BYTES: Final = 4096


class OverQuota(Refused):
    """A lead's uploads would take more of the disk than a lead has."""

    title = "Over your quota"


def refuse_without_room(
    session: Session, storage: Storage, person: Person, quota_bytes: int, wanted_bytes: int = 0
) -> None:
    """Raises DiskFull when so many bytes more would touch the disk's reserve, OverQuota when they exceed the person's.

    A lead's quota counts files on their way, photos taken in from them, and what was made of these: a render may take
    many times what its original does. Owners may take in any folder anyway.
    """
    storage.refuse_below_reserve(wanted_bytes)
    if person.role == "owner":
        return
    uploads_of = f"{storage.root / FOLDER}/{person.id}-"
    taken_in: int = session.scalar(
        select(func.coalesce(func.sum(Image.size_bytes + Image.made_bytes), 0))
        .join(Intake, Intake.id == Image.intake_id)
        .where(Intake.folder.startswith(uploads_of, autoescape=True))
    )  # type: ignore[assignment]
    used_bytes = int(taken_in) + _on_their_way(storage, person)
    if used_bytes + wanted_bytes > quota_bytes:
        raise OverQuota(
            f"Your uploads take {used_bytes >> 20:,} of the {quota_bytes >> 20:,} MB that a lead has, and these "
            f"files {max(1, wanted_bytes >> 20):,} MB more. Ask an owner to take the folder in, or to raise the quota."
        )


def _on_their_way(storage: Storage, person: Person) -> int:
    """Bytes of the person's uploads that are not taken in yet; a folder or a small file counts as a block of a disk."""
    folders = (storage.root / FOLDER).glob(f"{person.id}-*")
    return sum(max(_BLOCK_BYTES, size) for folder in folders for size in _sizes(folder))


def _sizes(folder: Path) -> Iterator[int]:
    """The size of a folder and of everything in it; what is just being removed has none."""
    with suppress(FileNotFoundError):
        for path in (folder, *folder.rglob("*")):
            with suppress(FileNotFoundError):
                yield path.lstat().st_size


def begin(session: Session, storage: Storage, person: Person) -> str:
    """A new, empty upload of this person; returns its name. Uploads that nobody touched for two days are
    removed, and refused files of one that was taken in after thirty; none that is to be taken in."""
    root = storage.root / FOLDER
    root.mkdir(parents=True, exist_ok=True)
    # However long that takes, or how long the machine was off.
    wanted = select(Intake.folder).join(
        Job, (Job.id == Intake.job_id) | (Job.arguments["intake_id"].as_integer() == Intake.id)
    )
    waiting = set(session.scalars(wanted.where(Job.state.in_(("queued", "running")))))
    for old in root.iterdir():
        if str(old) in waiting:
            continue
        # Another request may be removing the same one.
        with suppress(FileNotFoundError):
            kept_s = REFUSED_FORGOTTEN_AFTER_S if (old / _IS_TAKEN_IN).exists() else FORGOTTEN_AFTER_S
            if old.stat().st_mtime < time.time() - kept_s:
                discard(storage, old)
    upload = f"{person.id}-{secrets.token_hex(16)}"
    with saying_full(root):
        (root / upload).mkdir()
    return upload


def folder_of(storage: Storage, upload: str, person: Person) -> Path:
    """The folder of this person's upload. Raises NotFound for one that is unknown, another's, or taken in already."""
    folder = storage.root / FOLDER / upload
    if not re.fullmatch(rf"{person.id}-[0-9a-f]{{32}}", upload) or not folder.is_dir():
        raise NotFound("This upload is not there any more; choose the files again.")
    return folder


def keep(storage: Storage, upload: str, person: Person, name: str, source: BinaryIO) -> str:
    """Keep one file of an upload under its name, and return that; `name` may lead through folders.

    A name met again gets a number, and so does a folder whose name a file has; the same bytes under the same name are
    the same file, sent again by a browser that did not hear the answer.

    Raises NotFound, and Refused for a file over `intake.MAX_FILE_BYTES` or a full disk.
    """
    folder = folder_of(storage, upload, person)
    tame = tame_name(name)
    kept_as = _stored_name(tame)
    *above, last = kept_as.split("/")
    place = folder
    for part in above:
        place = _numbered(place / part, lambda path: path.exists() and not path.is_dir())
    target = _numbered(place / last, Path.exists)
    size_bytes = 0
    with atomic_file(target) as file:
        while chunk := source.read(_CHUNK_BYTES):
            size_bytes += len(chunk)
            if size_bytes > MAX_FILE_BYTES:
                limit = MAX_FILE_BYTES // 1024**2
                raise Refused(f"{tame} has more than {limit} MB, the limit of one file. Leave it out and go on.")
            file.write(chunk)
    folder.touch()
    same = next((path for path in _before(place / last, target) if filecmp.cmp(path, target, shallow=False)), None)
    if same is not None:
        target.unlink()
        target = same
    kept = target.relative_to(folder).as_posix()
    if kept_as == tame or same is not None:
        return kept if kept_as == tame else tame
    with saying_full(folder), (folder / folders.NAMES).open("a", encoding="utf-8") as names:
        names.write(json.dumps([kept, tame]) + "\n")
    return tame


def _numbered(path: Path, is_taken: Callable[[Path], bool]) -> Path:
    """The path itself, or with the first number that makes it free: "a (2).jpg"."""
    free = path
    for number in range(2, 100_000):
        if not is_taken(free):
            break
        free = path.with_stem(f"{path.stem} ({number})")
    return free


def _before(first: Path, last: Path) -> Iterator[Path]:
    """The files that `_numbered` met on the way from the first path to the last."""
    path, number = first, 1
    while path != last:
        if path.is_file():
            yield path
        number += 1
        path = first.with_stem(f"{first.stem} ({number})")


def tame_name(name: str) -> str:
    """A relative path that stays in its folder: no part of dots alone, and no control characters."""
    parts = []
    for part in name.split("/"):
        kept = "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in part)
        if kept.strip(" ."):
            parts.append(kept)
    return "/".join(parts) or "unnamed"


def place_of(folder: Path, tame: str) -> Path:
    """Where the first file of this tame name lies in an upload's folder."""
    return folder / _stored_name(tame)


def _stored_name(tame: str) -> str:
    """The name that a file lies under: its own, or a short one where that is too long for a file system."""
    parts = tame.split("/")
    if max(len(part.encode()) for part in parts) <= MAX_PART_BYTES and len(tame.encode()) <= MAX_PATH_BYTES:
        return tame
    suffix = PurePosixPath(tame).suffix
    return hashlib.sha256(tame.encode()).hexdigest() + (suffix if len(suffix) <= 10 else "")


def request_intake(session: Session, storage: Storage, catalog: Catalog, upload: str, person: Person) -> Intake:
    """Ask for an upload to be taken in. Raises NotFound, and Refused when it holds no pictures; then it is removed."""
    folder = folder_of(storage, upload, person)
    try:
        return ingest.request_intake(session, catalog, folder, person)
    except Refused as refusal:
        discard(storage, folder)
        refused = refusal.refused if isinstance(refusal, ingest.NoPictures) else ""
        raise ingest.NoPictures("among these files", refused) from None


def is_upload(storage: Storage, folder: Path) -> bool:
    """Whether a folder that was taken in was an upload, and is ours to remove."""
    return folder.parent == storage.root / FOLDER


def discard(storage: Storage, folder: Path) -> None:
    """Remove an upload's folder; leaves every other folder alone."""
    if is_upload(storage, folder):
        shutil.rmtree(folder, ignore_errors=True)


def refused_names(session: Session, intake: Intake) -> set[str]:
    """The names of the files that this intake refused, and that may be tried again."""
    mine = (SourceFile.intake_id == intake.id, SourceFile.outcome == "refused")
    return set(session.scalars(select(SourceFile.file_name).where(*mine)))


def discard_taken(storage: Storage, folder: Path, refused: Collection[str]) -> None:
    """Remove what was taken in of an upload: all but the refused files of these names and what describes them.

    Where nothing was refused the whole folder goes. Leaves every other folder alone.
    """
    if not is_upload(storage, folder) or not folder.is_dir():
        return
    entries = list(listing.walk(str(folder))) if refused else []
    # Of an archive that holds a refused file all is kept.
    kept = {entry.path for entry in entries if entry.name in refused}
    if not kept:
        discard(storage, folder)
        return
    kept |= {entry.path for entry in entries if is_metadata(entry) or staging.is_caption(entry)}
    for path in folder.rglob("*"):
        if path.is_file() and path not in kept and path.name != folders.NAMES:
            path.unlink(missing_ok=True)
    (folder / _IS_TAKEN_IN).touch()
