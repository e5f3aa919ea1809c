"""The end of an intake: names and words that any order of its shares leaves the same, counts, and what comes next."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from sqlalchemy import ColumnElement, case, func, select, true, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import InstrumentedAttribute, Session

from app import jobs
from app.catalog.tables import Image, Intake, SourceFile
from app.intake import describing, ingest, staging
from app.intake.describing import KINDS, Begin, IntakeRemarks, facts_of
from app.intake.metadata import PhotoMetadata
from app.intake.tables import IntakeFile
from app.jobs import Job

# What of the listing the job's result tells.
_LISTED: Final = ("other_files", "metadata_files", "metadata_rows", "metadata_rows_without_picture")


def settled(begin: Begin, intake_id: int) -> dict[str, Any]:
    """What an intake that was brought to its end came to; empty for another.

    It is not done again: its folder may be gone by now.
    """
    with begin() as session:
        return _job(session, ingest.get(session, intake_id)).result


def settle(begin: Begin, intake_id: int) -> dict[str, Any]:
    """Bring an intake to its end once all its shares are taken in; returns the job's result.

    Killed, it goes on where it was. Signals are asked for: they find what was not measured on the way.
    """
    if result := settled(begin, intake_id):
        return result
    remarks = describe(begin, intake_id)
    with begin() as session:
        result = _result(session, intake_id, remarks)
        staging.drop(session, intake_id)
    return result


def describe(begin: Begin, intake_id: int, first: int = 0) -> IntakeRemarks:
    """Give what was taken in so far its names and words, in the order in which it was listed.

    `first`: entries before the one with this id have theirs. Killed, it goes on where it was. Returns what was
    remarked.
    """
    with begin() as session:
        _name_after_the_first(session, intake_id, first)
        listed = ingest.get(session, intake_id).listed
        counts = Counter(listed.get("remarks", {}))
        if "described" not in listed:
            counts["changed"] += describing.changes_kept(session, intake_id)  # what servers said
    remarks = IntakeRemarks(intake_id, counts)
    after: int | None = listed.get("described", 0)
    while after is not None:
        with begin() as session:
            after = describing.describe_next(session, remarks, after)
            if after is not None:
                intake = ingest.get(session, intake_id)
                intake.listed = {**intake.listed, "described": after, "remarks": dict(remarks.counts)}
    return remarks


def _name_after_the_first(session: Session, intake_id: int, since: int) -> None:
    """Call each new image what the first of its files is called, whichever share was quicker.

    Files of the same bytes may lie in two shares, and the one that is recorded first names the image. Only images that
    entries from the id `since` on are of may be called otherwise.
    """
    changed = select(IntakeFile.image_id).where(IntakeFile.intake_id == intake_id, IntakeFile.id >= since)
    first = (
        select(IntakeFile.image_id, IntakeFile.id, IntakeFile.name, IntakeFile.said)
        .where(IntakeFile.intake_id == intake_id, IntakeFile.kind == "picture", IntakeFile.image_id.is_not(None))
        .where(IntakeFile.image_id.in_(changed) if since else true())
        .ext(distinct_on(IntakeFile.image_id))
        .order_by(IntakeFile.image_id, IntakeFile.id)
        .subquery()
    )
    query = (
        select(Image, first.c.name, first.c.said)
        .join(first, first.c.image_id == Image.id)
        .where(Image.intake_id == intake_id, Image.file_name != first.c.name)
        .order_by(Image.id)
    )
    for image, name, said in session.execute(query).all():
        # An image that an earlier attempt of another intake named so keeps its source file as it is.
        for fact, value in facts_of(name, PhotoMetadata(**said) if said else None).items():
            setattr(image, fact, value)
        for table, own_name in ((IntakeFile, IntakeFile.name), (SourceFile, SourceFile.file_name)):
            mine = (table.intake_id == intake_id, table.image_id == image.id)
            session.execute(update(table).where(*mine).values(outcome=_outcome_of(own_name, name)))


def _outcome_of(own_name: InstrumentedAttribute[str], main_name: str) -> ColumnElement[str]:
    return case((own_name == main_name, "accepted"), else_="same_bytes")


def _result(session: Session, intake_id: int, remarks: IntakeRemarks) -> dict[str, Any]:
    """Count, ask for signals, and keep the job's result before the job ends.

    A worker that is killed in between may have removed an upload's folder.
    """
    intake = ingest.get(session, intake_id)
    listed = intake.listed
    counts = remarks.counts
    result = {key: listed[key] for key in _LISTED if key in listed} | {
        "captions_given": describing.captions_given(session, intake_id),
        "remarks": {kind: counts[kind] for kind in KINDS if counts[kind]},
        **_counted(session, intake),
    }
    job = _job(session, intake)
    arguments = {"catalog_id": intake.catalog_id, "image_ids": None}
    jobs.request_once(session, "signals.measure", arguments, jobs.asker(session, job.id))
    job.result = result
    return result


def _counted(session: Session, intake: Intake) -> dict[str, int]:
    """The counts of an intake, from the outcomes of its staged entries.

    An archive may hold one file twice under the same name: it is one photo, and the second is the same bytes.
    """
    outcomes = (
        select(IntakeFile.outcome, func.count(), func.count(IntakeFile.image_id.distinct()))
        .where(IntakeFile.intake_id == intake.id, IntakeFile.kind.in_(("picture", "refused")))
        .group_by(IntakeFile.outcome)
    )
    by_outcome = {outcome: (files, photos) for outcome, files, photos in session.execute(outcomes)}
    files, intake.accepted = by_outcome.get("accepted", (0, 0))
    intake.already_there = by_outcome.get("same_bytes", (0, 0))[0] + files - intake.accepted
    intake.refused = by_outcome.get("refused", (0, 0))[0]
    return {"accepted": intake.accepted, "already_there": intake.already_there, "refused": intake.refused}


def _job(session: Session, intake: Intake) -> Job:
    return session.scalars(select(Job).where(Job.id == intake.job_id)).one()
