"""The cache of encoded photos and captions: how large it is, and emptying it. What is deleted is only made again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit
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


def _obstacle(session: Session) -> str | None:
    using = select(Job.id).where(Job.kind.in_(USERS), Job.state == "running").limit(1)
    return None if session.scalar(using) is None else "A run or a preflight may be reading it. Try again afterwards."
