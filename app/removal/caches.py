"""The cache of encoded photos and captions: how large it is, emptying it, and what it holds of a photo.

What is deleted is only made again, as long as its photo is there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit
from app.datasets.tables import Member
from app.errors import Refused
from app.jobs import Job
from app.people import Person, needs_owner
from app.removal import files
from app.removal.consequences import Consequences
from app.storage import Storage
from app.units import bytes_

# Where what is to be deleted waits for the job that does it.
SET_ASIDE: Final = ".removed"
USERS: Final = ("run.preflight", "run.train")
_ALL_NAMED: Final = ".pictures-by-photo"
_SHA256: Final = re.compile("[0-9a-f]{64}")
_HEAD_BYTES: Final = 1 << 20


def size_bytes(folder: Path) -> int:
    """Bytes of the files below a folder; 0 where it is not there. Files that vanish meanwhile count as nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(Path(place) / name).st_size
            except OSError:
                continue
    return total


def consequences(session: Session, storage: Storage) -> Consequences:
    """What depends on the cache."""
    goes = (f"{bytes_(size_bytes(storage.cache_folder))} of encoded photos and captions",)
    stays = ("every photo, caption, version, run and model; the next run encodes its photos again",)
    return Consequences(goes, stays, _obstacle(session))


def empty(session: Session, storage: Storage, by: Person) -> None:
    """Empty the cache: set aside at once, deleted by a job.

    Raises NotAllowed for anybody but an owner, and Refused while a run or a preflight may be reading it.
    """
    needs_owner(by, "empty the cache")
    if sentence := _obstacle(session):
        raise Refused(sentence)
    audit.record(session, "cache_emptied", by.id)
    aside = storage.cache_folder / SET_ASIDE
    if storage.cache_folder.is_dir():
        aside.mkdir(exist_ok=True)
        for place in storage.cache_folder.iterdir():
            if place.name != SET_ASIDE:
                place.rename(aside / f"{uuid4().hex}-{place.name}")
        files.request_deletion(session, (), by, [aside.relative_to(storage.root).as_posix()])


def folders_of(session: Session, storage: Storage, files_of_photos: Iterable[str]) -> list[str]:
    """Where the cache holds something made of these files, relative to the data folder; not of what a version holds."""
    digests = {digest for file in files_of_photos if _SHA256.fullmatch(digest := Path(file).stem)}
    held = set(session.scalars(select(Member.sha256).where(Member.sha256.in_(digests)).distinct()))
    folders = (storage.encoded_folder(digest) for digest in sorted(digests - held))
    return [folder.relative_to(storage.root).as_posix() for folder in folders]


def drop_unnamed(storage: Storage) -> None:
    """Delete encoded pictures that do not tell of which photo they are, as versions before 30 November 2026 kept them.

    No run finds them any more. Looked for once: a file says that there are none.
    """
    done = storage.cache_folder / _ALL_NAMED
    if done.exists() or not storage.cache_folder.is_dir():
        return
    for path in storage.cache_folder.glob("[0-9a-f][0-9a-f]/*.safetensors"):
        if _is_picture(path):
            path.unlink(missing_ok=True)
    done.touch()


def _is_picture(path: Path) -> bool:
    """Whether a file of tensors is an encoded picture: its head, JSON behind 8 bytes of length, names `clean`."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            return "clean" in json.loads(file.read(min(length, _HEAD_BYTES)))
    except (OSError, ValueError):
        return False


def _obstacle(session: Session) -> str | None:
    using = select(Job.id).where(Job.kind.in_(USERS), Job.state == "running").limit(1)
    return None if session.scalar(using) is None else "A run or a preflight may be reading it. Try again afterwards."
