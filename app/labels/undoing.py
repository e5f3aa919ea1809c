"""Taking back a person's newest act, whatever it was: labels, a correction, or what reviewing did."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.captions.tables import Caption
from app.catalog import corrections
from app.catalog.correction_tables import Correction
from app.catalog.tables import Image
from app.labels import giving
from app.labels.tables import Labelling
from app.people import Person
from app.review import decisions, duplicates, operations
from app.review.tables import Decision, GroupRuling
from app.review.undoing import Undone


def undo(session: Session, person: Person) -> Undone:
    """Take back the newest act of this person that still stands; undoing again goes further back."""
    labelling, correction = giving.newest(session, person), corrections.newest(session, person)
    acts = [act for act in (labelling, correction) if act is not None]
    act = max(acts, key=lambda each: each.created_at, default=None)
    if act is None or _reviewed_since(session, person, act):
        return duplicates.undo(session, person)
    if isinstance(act, Labelling):
        return giving.undo(session, act)
    decisions.lock(session, session.get_one(Image, act.image_id).catalog_id, func.pg_advisory_xact_lock_shared)
    image = corrections.undo(session, act)
    now = corrections.value_of(image, act.fact)
    return Undone(f"The {act.fact} is “{now}” again." if now else f"There is no {act.fact} again.", image.id, 1)


def _reviewed_since(session: Session, person: Person, act: Labelling | Correction) -> bool:
    """Whether this person decided, ruled or wrote something after an act that still stands."""
    operation = operations.newest_of(session, person)
    return (operation is not None and operation.created_at > act.created_at) or any(
        session.scalar(
            select(table.id)
            .where(table.person_id == person.id, table.superseded_at.is_(None), table.created_at > act.created_at)
            .limit(1)
        )
        is not None
        for table in (Decision, Caption, GroupRuling)
    )
