"""Intakes as they are asked for and shown: every file becomes an image, a second name of one, or a refusal.

The work itself is a plan (`planning`), shares of it (`taking`) and an end (`settling`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import func, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import jobs
from app.catalog import reading
from app.catalog.tables import Catalog, Image, Intake, SourceFile
from app.database import recordset
from app.errors import NotFound, Refused
from app.intake import describing, refused_before
from app.intake.folders import holds_none
from app.intake.metadata import is_metadata
from app.intake.sources.entry import Entry
from app.intake.sources.naming import holds_many
from app.intake.table_rows import KINDS, holds_addresses
from app.jobs import Job
from app.people import Person


class Tell(Protocol):
    """Tells how far the work is; may raise to stop it."""

    def __call__(self, done: int | None = None, total: int | None = None, note: str | None = None) -> None: ...


class NoPictures(Refused):
    """There is nothing to take in; `refused` is the first file that was looked at and refused, and why."""

    def __init__(self, where: str, refused: str = "") -> None:
        super().__init__(f"There are no pictures {where}." + (f" {refused}" if refused else ""))
        self.refused = refused


def request_intake(session: Session, catalog: Catalog, source: Path, person: Person) -> Intake:
    """Ask for a source to be taken in: an Intake and its job `intake.take_in`.

    A source is a folder, or one file that holds or names many: an archive, a Parquet file, a table of photos. Raises
    Refused when the path is not absolute, not there or not readable, or a folder without picture files; metadata and
    caption files alone will do where the catalog has photos that they can be for, or where they name web addresses.
    """
    if not source.is_absolute():
        raise Refused(f"{source} is not a full path; start it with /.")
    # Unlike those of Path, these answer no to a name that is too long for the file system.
    if os.path.isfile(source):  # noqa: PTH113
        if not (holds_many(source.name) or source.suffix.lower() in KINDS):
            raise Refused(f"{source} is one file; name a folder, a ZIP or TAR archive, or a table of photos.")
        if not os.access(source, os.R_OK):
            raise Refused(f"The file {source} cannot be read: permission denied.")
    elif not os.path.isdir(source):  # noqa: PTH112
        raise Refused(f"There is no folder {source} on this machine.")
    elif not os.access(source, os.R_OK | os.X_OK):
        raise Refused(f"The folder {source} cannot be read: permission denied.")
    else:
        _refuse_without_pictures(session, catalog, source)
    try:
        str(source).encode()
    except UnicodeEncodeError:
        raise Refused("The folder's name is not UTF-8 text; rename it first.") from None
    intake = Intake(catalog_id=catalog.id, folder=str(source))
    session.add(intake)
    session.flush()
    intake.job_id = jobs.request(session, "intake.take_in", {"intake_id": intake.id}, person).id
    session.flush()
    return intake


def _refuse_without_pictures(session: Session, catalog: Catalog, folder: Path) -> None:
    has_photos = session.scalar(select(Image.id).where(Image.catalog_id == catalog.id).limit(1)) is not None
    refused: list[str] = []

    def is_wanted(met: Entry) -> bool:
        if met.reason and not refused:
            refused.append(f"{met.name}: {met.reason}")
        if met.kind in ("picture", "archive") or (has_photos and describing.can_correct(met)):
            return True
        return is_metadata(met) and holds_addresses(met)

    if holds_none(folder, is_wanted):
        raise NoPictures(f"in {folder}", *refused)


def waiting(session: Session, catalog: Catalog, folder: Path) -> Intake | None:
    """The intake of this folder that waits for a worker: asked for again, it is the same. Held until the commit."""
    session.execute(select(Catalog.id).where(Catalog.id == catalog.id).with_for_update(key_share=True))
    return session.scalars(
        select(Intake)
        .join(Job, Job.id == Intake.job_id)
        .where(Intake.catalog_id == catalog.id, Intake.folder == str(folder), Job.state == "queued")
    ).first()


def source_file(
    intake: tuple[int, int],
    name: str,
    sha256: str = "",
    image_id: int | None = None,
    reason: str | None = None,
    outcome: str = "refused",
    thumb_sha256: str | None = None,
) -> dict[str, Any]:
    """The columns of a source file; `intake` are the ids of its catalog and of the intake."""
    return {
        "catalog_id": intake[0], "intake_id": intake[1], "file_name": name, "sha256": sha256, "image_id": image_id,
        "outcome": outcome, "reason": reason, "thumb_sha256": thumb_sha256,
    }  # fmt: skip


def record_source_files(session: Session, rows: Iterable[dict[str, Any]]) -> None:
    """A file met again stays one row as it was; only a refusal is replaced by the newest word about that file.

    Rows go in in the order of their keys, so that two intakes into one catalog never wait for each other in a circle.
    """
    files = {(row["file_name"], row["sha256"]): row for row in rows}
    if not files:
        return
    sorted_rows = [files[key] for key in sorted(files)]
    new = insert(SourceFile).from_select(list(sorted_rows[0]), select(recordset(SourceFile, sorted_rows)))
    changed = {name: new.excluded[name] for name in ("intake_id", "image_id", "outcome", "reason", "thumb_sha256")}
    session.execute(
        new.on_conflict_do_update(
            index_elements=["catalog_id", "file_name", "sha256"], set_=changed, where=SourceFile.outcome == "refused"
        )
    )
    refused_before.forget_replaced(session, next(iter(files.values()))["intake_id"], list(files))


def count(session: Session, intake_id: int, accepted: int = 0, already_there: int = 0, refused: int = 0) -> None:
    """Count entries that were brought to their outcome in this transaction. Last in it: others wait for the row."""
    session.execute(
        update(Intake)
        .where(Intake.id == intake_id)
        .values(
            accepted=Intake.accepted + accepted,
            already_there=Intake.already_there + already_there,
            refused=Intake.refused + refused,
        )
    )


def describe_removal(at: datetime, reason: str) -> str:
    """Why a photo that an owner removed is not taken in."""
    why = f": {reason}" if reason else ""
    return f"An owner removed this photo on {at:%d %B %Y}{why}. On the Storage page an owner may allow it again."


def get(session: Session, intake_id: int) -> Intake:
    """The intake with this id. Raises NotFound."""
    intake = session.get(Intake, intake_id)
    if intake is None:
        raise NotFound(f"There is no intake {intake_id}.")
    return intake


def noted(session: Session, intake_id: int) -> dict[str, int]:
    """What was assumed of the photos that this intake added: how many have each note."""
    name = func.unnest(Image.notes).table_valued("name").render_derived("noted")
    query = (
        select(name.c.name, func.count())
        .select_from(Image)
        .join(name, true())
        .where(Image.intake_id == intake_id)
        .group_by(name.c.name)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def met_again(session: Session, asked: Intake) -> int:
    """How many files that this intake refused a later one met too: their rows are that one's now."""
    query = select(func.count()).where(SourceFile.intake_id == asked.id, SourceFile.outcome == "refused")
    return max(0, asked.refused - (session.scalar(query) or 0))


def catalog_for(session: Session, catalog_id: int | None, name: str) -> Catalog:
    """The catalog with this number, or the one of this name, made where there is none. Names are trimmed.

    Raises NotFound for an unknown number, Refused for a name that is empty or over 100 characters.
    """
    if catalog_id is not None:
        return reading.get(session, catalog_id)
    name = " ".join(name.split())
    if not name or len(name) > 100:
        raise Refused("Give the new catalog a name of at most 100 characters.")
    session.execute(insert(Catalog).values(name=name).on_conflict_do_nothing())
    return session.scalars(select(Catalog).where(Catalog.name == name)).one()


def recent(session: Session, limit: int = 20) -> list[tuple[Intake, Catalog, Job | None]]:
    """The newest intakes with their catalogs and jobs."""
    query = (
        select(Intake, Catalog, Job)
        .join(Catalog, Catalog.id == Intake.catalog_id)
        .outerjoin(Job, Job.id == Intake.job_id)
        .order_by(Intake.id.desc())
        .limit(limit)
    )
    return [(row[0], row[1], row[2]) for row in session.execute(query)]
