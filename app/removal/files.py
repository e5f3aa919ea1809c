"""Files of removed photos: which ones nobody needs any more, and deleting those.

Files are named by their bytes, so another photo, in this catalog or another, may have the very same. They are deleted
after the transaction that removed the rows, by a job that asks once more.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import jobs
from app.catalog.files import SUFFIXES, THUMB_FORMAT, view_path
from app.catalog.mend_tables import Mend
from app.catalog.tables import Image, SourceFile
from app.jobs import Job
from app.people import Person
from app.storage import Storage

KIND: Final = "files.delete"
# An intake keeps a picture's files before it writes its row; what is younger than this may be about to be needed.
SETTLED_AFTER_S: Final = 120.0


def of(storage: Storage, image: Image) -> list[str]:
    """The files of a photo, relative to the data folder, each once."""
    paths = (
        storage.path("originals", image.sha256, SUFFIXES[image.format]),
        storage.root / image.render_path,
        storage.path("thumbs", image.thumb_sha256, SUFFIXES[THUMB_FORMAT]),
        view_path(storage, image.view_sha256),
    )
    return sorted({path.relative_to(storage.root).as_posix() for path in paths})


def thumb(storage: Storage, sha256: str) -> str:
    """The file of a small picture, relative to the data folder."""
    return storage.path("thumbs", sha256, SUFFIXES[THUMB_FORMAT]).relative_to(storage.root).as_posix()


def request_deletion(
    session: Session,
    files: Collection[str],
    person: Person | None,
    folders: Collection[str] = (),
    is_takedown: bool = False,
) -> Job | None:
    """Ask for files and folders to be deleted once this transaction is kept. None where there are none.

    `is_takedown`: whatever there is to delete, the lists of removed photos beside backups are written anew.
    """
    if not files and not folders and not is_takedown:
        return None
    return jobs.request(session, KIND, {"files": sorted(files), "folders": sorted(folders)}, person, len(files))


def unneeded(session: Session, files: Iterable[str]) -> list[str]:
    """Those of these files that no photo of any catalog has, mended or not, nor a list of refused files."""
    # Several kinds of files may be called by the same bytes.
    names = {file: Path(file).stem for file in files}
    needed: set[str] = set()
    for column in (
        Image.sha256, Image.thumb_sha256, Image.view_sha256, SourceFile.thumb_sha256,
        Mend.thumb_sha256, Mend.view_sha256, Mend.mask_sha256, Mend.mended_mask_sha256,
    ):  # fmt: skip
        needed.update(session.scalars(select(column).where(column.in_(set(names.values())))))
    paths: set[str | None] = set()
    for path in (Image.render_path, Mend.render_path):
        paths.update(session.scalars(select(path).where(path.in_(names))))
    return [file for file, name in names.items() if name not in needed and file not in paths]


def delete(storage: Storage, files: Iterable[str], now: float | None = None) -> list[str]:
    """Delete these files of the data folder; those too young to be sure about are returned. Missing ones are passed."""
    now, young = now or time.time(), []
    for file in files:
        path = storage.root / file
        try:
            if now - path.stat().st_mtime < SETTLED_AFTER_S:
                young.append(file)
            else:
                path.unlink()
        except FileNotFoundError:
            continue
    return young
