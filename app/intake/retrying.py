"""Trying refused files again: only those are read, where they lie, as part of the intake that refused them.

Whoever mended a file finds it in the catalog, described by what stands beside it; the others are refused once more,
with the newest reason. Killed half-way and done again, it goes on with what is still refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session

from app import jobs
from app.catalog import reading
from app.catalog.tables import Image, Intake, SourceFile
from app.errors import Refused
from app.intake import describing, ingest, planning, staging
from app.intake.describing import Begin, IntakeRemarks
from app.intake.ingest import Tell
from app.intake.planning import Listed
from app.intake.quarantine import Which
from app.intake.tables import IntakeFile

GONE: Final = "The file is not in its folder any more."


def plan(begin: Begin, tell: Tell, asked: dict[str, Any]) -> Listed:
    """Stage refused files once more: of the intake `asked["intake_id"]`, of one `reason` or one `file_id` where named.

    The source is listed anew, for what is refused may be links, archives and what stands in tables, and words beside it
    are looked for; no other file is read. Raises Refused when the source is gone, NotFound when the catalog is.
    """
    with begin() as session:
        intake = ingest.get(session, int(asked["intake_id"]))
        source, catalog_id, intake_id = intake.folder, reading.get(session, intake.catalog_id).id, intake.id
        which = Which(catalog_id, intake_id, asked.get("reason"), asked.get("file_id"))
        session.execute(delete(IntakeFile).where(IntakeFile.intake_id == intake_id, IntakeFile.outcome.is_(None)))
    if not Path(source).exists():
        raise Refused(f"There is no folder {source} on this machine any more.")
    # What was remarked on the whole source was remarked when it was taken in.
    planning.put_together(begin, tell, IntakeRemarks(intake_id), source, catalog_id)
    names = select(SourceFile.file_name).where(*which.conditions)
    with begin() as session:
        _drop_others(session, intake_id, names)
        there = select(IntakeFile.name).where(IntakeFile.intake_id == intake_id)
        gone = [*which.conditions, SourceFile.file_name.not_in(there)]
        session.execute(
            update(SourceFile).where(*gone).values(reason=GONE).execution_options(synchronize_session=False)
        )
    planning.record_refused(begin, catalog_id, intake_id)
    return planning.listed(begin, tell, intake_id)


def _drop_others(session: Session, intake_id: int, names: Select[str]) -> None:
    """Forget what was staged and is not to be tried again."""
    wanted = IntakeFile.kind.in_(("picture", "refused")) & IntakeFile.name.in_(names)
    session.execute(delete(IntakeFile).where(IntakeFile.intake_id == intake_id, ~wanted))


def end(begin: Begin, intake_id: int) -> dict[str, int]:
    """Bring it to its end: words to new photos, counts, what comes next. Returns how many were taken in, and not."""
    remarks = IntakeRemarks(intake_id)
    after: int | None = 0
    while after is not None:
        with begin() as session:
            after = describing.describe_next(session, remarks, after)
    with begin() as session:
        refused = (SourceFile.intake_id == intake_id, SourceFile.outcome == "refused")
        intake = session.get_one(Intake, intake_id, with_for_update=True, populate_existing=True)
        tried = _counted(session, IntakeFile.intake_id == intake_id)
        taken_in = _counted(session, IntakeFile.intake_id == intake_id, IntakeFile.image_id.is_not(None))
        intake.accepted = _counted(session, Image.intake_id == intake_id)
        intake.refused = _counted(session, *refused)
        if taken_in:
            arguments = {"catalog_id": intake.catalog_id, "image_ids": None}
            jobs.request_once(session, "signals.measure", arguments, jobs.asker(session, intake.job_id or 0))
        staging.drop(session, intake_id)
    return {"taken_in": taken_in, "refused_again": tried - taken_in}


def _counted(session: Session, *conditions: Any) -> int:
    return session.scalar(select(func.count()).where(*conditions)) or 0
