"""Trying refused files again: only those are read, where they lie, as part of the intake that refused them.

Whoever mended a file finds it in the catalog, described by what stands beside it; the others are refused once more,
with the newest reason. Killed half-way and done again, it goes on with what is still refused.
"""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any, Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app import jobs
from app.catalog import reading
from app.catalog.tables import Image, Intake, SourceFile
from app.errors import Refused
from app.intake import describing, ingest, planning, staging
from app.intake.describing import Begin, IntakeRemarks
from app.intake.finding import Wanted
from app.intake.ingest import Tell
from app.intake.planning import Listed
from app.intake.quarantine import Which
from app.intake.tables import IntakeFile

_AT_ONCE: Final = 1_000
GONE: Final = "The file is not in its folder any more."


def plan(
    begin: Begin, tell: Tell, asked: dict[str, Any], folder: str | None = None, some: set[str] | None = None
) -> Listed:
    """Stage refused files once more: of the intake `asked["intake_id"]`, of one `reason` or one `file_id` where named.

    Only these, what lies below one that was refused whole, and the words beside them are looked for: see `finding`.
    `folder` holds them where the intake's own does not, and `some` are those of them that lie there now. Raises Refused
    when the source is gone, NotFound when the catalog is.
    """
    with begin() as session:
        intake = ingest.get(session, int(asked["intake_id"]))
        catalog_id, intake_id = reading.get(session, intake.catalog_id).id, intake.id
        source, which = folder or intake.folder, _which(intake, asked)
        tried = names(session, asked) if some is None else some
        session.execute(delete(IntakeFile).where(IntakeFile.intake_id == intake_id, IntakeFile.outcome.is_(None)))
    if not Path(source).exists():
        raise Refused(f"There is no folder {source} on this machine any more.")
    # What was remarked on the whole source was remarked when it was taken in.
    planning.put_together(begin, tell, IntakeRemarks(intake_id), source, catalog_id, Wanted(tried))
    _forget_what_is_gone(begin, which, intake_id, tried)
    planning.record_refused(begin, catalog_id, intake_id)
    return planning.listed(begin, tell, intake_id)


def names(session: Session, asked: dict[str, Any]) -> set[str]:
    """The names of the files that are asked to be tried again."""
    which = _which(ingest.get(session, int(asked["intake_id"])), asked)
    return set(session.scalars(select(SourceFile.file_name).where(*which.conditions)))


def _which(intake: Intake, asked: dict[str, Any]) -> Which:
    return Which(intake.catalog_id, intake.id, asked.get("reason"), asked.get("file_id"))


def _forget_what_is_gone(begin: Begin, which: Which, intake_id: int, tried: set[str]) -> None:
    """Say of files that were not found so; an archive or a folder that is opened now stands for itself no more."""
    with begin() as session:
        staged = (IntakeFile.intake_id == intake_id, IntakeFile.kind.in_(("picture", "refused")))
        met = set(session.scalars(select(IntakeFile.name).where(*staged)))
    above = set[str]()
    for name in met:
        while (name := posixpath.dirname(name)) and name not in above:
            above.add(name)
    missing = sorted(tried - met)
    for start in range(0, len(missing), _AT_ONCE):
        some = missing[start : start + _AT_ONCE]
        opened = [name for name in some if name in above]
        with begin() as session:
            for file_names, change in (
                (opened, delete(SourceFile)),
                (set(some).difference(opened), update(SourceFile).values(reason=GONE)),
            ):
                mine = [*which.conditions, SourceFile.file_name.in_(file_names)]
                session.execute(change.where(*mine).execution_options(synchronize_session=False))


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
        tried = _counted(session, IntakeFile.intake_id == intake_id, IntakeFile.kind.in_(("picture", "refused")))
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
