"""Taking back: a person's newest act, whatever it was, and what is said of an operation and of its undo."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.orm import Session

from app.bulk import operations
from app.bulk.acts import stay
from app.captions.tables import CaptionText
from app.catalog import corrections
from app.catalog.correction_tables import Correction
from app.catalog.tables import Image
from app.jobs import Job
from app.labels import giving
from app.labels.tables import Labelling
from app.people import Person
from app.review import decisions, duplicates, undoing
from app.review.tables import Decision, GroupRuling, Operation
from app.review.undoing import Undone

Undoable = Operation | Labelling | Correction | GroupRuling | Decision | CaptionText


def undo(session: Session, person: Person) -> Undone:
    """Take back the newest act of this person that still stands, as far as nobody changed it since, and put back what
    was before it. Undoing again goes further back.

    Raises Refused while a worker is busy with that act.
    """
    act = newest(session, person)
    return _undo(session, act, person) if act else Undone("There is nothing of yours to undo.")


def newest(session: Session, person: Person) -> Undoable | None:
    """The newest act of this person that still stands."""
    # Of one moment are an operation and its rows, and a ruling and its decisions: the whole comes first.
    acts: list[Undoable | None] = [
        operations.newest_of(session, person),
        giving.newest(session, person),
        corrections.newest(session, person),
        duplicates.newest(session, person),
        undoing.newest_decision(session, person),
        undoing.newest_caption(session, person),
    ]
    return max((act for act in acts if act is not None), key=lambda act: act.created_at, default=None)


def was_said(row: Labelling | Decision | CaptionText | None, person: Person, since: datetime) -> bool:
    """Whether a row is what this person said since then. What stood there before, whoever said it, is nothing that an
    undo offered beside it would take back: that would be the person's act before."""
    return row is not None and row.person_id == person.id and row.created_at >= since


def undone(session: Session, operation: Operation, job: Job | None) -> Undone:
    """What an undo of an operation did, or does, in words."""
    what = operations.act_of(operation).said(operation, operation.changed)
    what = f"{what[0].lower()}{what[1:]}"
    if job is not None:
        return Undone(f"Taking back what was done: {what}.", None, operation.changed, job=job)
    image = operations.only_photo(session, operation)
    if image is not None and operation.taken_back and operations.act_of(operation).table is Decision:
        return undoing.of_one(session, image)
    sentence = f"Took back on {operations.act_of(operation).counted(operation.taken_back)}: {what}"
    if operation.stayed:
        sentence += f"; {operation.stayed:,} changed since and {stay(operation.stayed)}"
    return Undone(f"{sentence}.", image.id if image else None, operation.taken_back)


def said(operation: Operation) -> str:
    """What an operation did so far, in words: "Kept 1,200 photos; 3 were so already"."""
    act = operations.act_of(operation)
    nothing = "Nothing was changed yet" if operation.state == "open" else "Nothing was changed"
    sentence = act.said(operation, operation.changed) if operation.changed else nothing
    if operation.already:
        sentence += f"; {act.said_already(operation.already)}"
    if operation.passed_over:
        sentence += f"; {act.said_passed_over(operation.passed_over)}"
    return sentence


def _undo(session: Session, act: Undoable, person: Person) -> Undone:
    if isinstance(act, Operation):
        return undone(session, act, operations.undo(session, act.id, person))
    if isinstance(act, Labelling):
        return giving.undo(session, act)
    if isinstance(act, Correction):
        return _undo_correction(session, act)
    if isinstance(act, GroupRuling):
        return duplicates.undo(session, act)
    return undoing.undo_act(session, act) if isinstance(act, Decision) else undoing.undo_caption(session, act)


def _undo_correction(session: Session, act: Correction) -> Undone:
    decisions.lock(session, session.get_one(Image, act.image_id).catalog_id, func.pg_advisory_xact_lock_shared)
    image = corrections.undo(session, act)
    now = corrections.value_of(image, act.fact)
    return Undone(f"The {act.fact} is “{now}” again." if now else f"There is no {act.fact} again.", image.id, 1)
