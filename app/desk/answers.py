"""What an answer in a queue reads and writes: a statement for the locks, one that reads, and parts of one that writes.

Fifty people answer twice a second each, and every statement is a way to the database and back: so they are few.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Select,
    and_,
    bindparam,
    delete,
    func,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app.catalog.tables import Image
from app.desk import tallies
from app.desk.tables import QueueAnswer, QueueHold, QueuePhoto, ReviewQueue
from app.errors import NotFound
from app.people import Person
from app.review import decisions
from app.review.tables import Decision


@dataclass(frozen=True, slots=True)
class AnswerState:
    """What stands on a photo of a queue: its decision, whether this person or others answered, when this person's turn
    with it began (None: it was not held), its passes left, and how many photos of the queue wait."""

    decision: Decision | None
    by_me: bool
    by_others: bool
    begun: datetime | None
    passes_left: int
    left: int


def _locked() -> Select[str | None]:
    return (
        select(QueuePhoto.known)
        .join(Image, Image.id == QueuePhoto.image_id)
        .join(decisions.shared_lock(_IMAGE), true())
        .where(QueuePhoto.queue_id == _QUEUE, QueuePhoto.image_id == _IMAGE)
        .with_for_update(key_share=True, of=[QueuePhoto, Image])
    )


def _read() -> Select[Any]:
    last = (
        select(QueueAnswer.created_at)
        .where(QueueAnswer.person_id == _PERSON, QueueAnswer.verdict.is_not(None))
        .order_by(QueueAnswer.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    mine = (QueueHold.queue_id == _QUEUE, QueueHold.image_id == _IMAGE, QueueHold.person_id == _PERSON)
    begun = select(func.greatest(QueueHold.held_since, last)).where(*mine).scalar_subquery()
    stands = (
        select(QueueAnswer.person_id)
        .where(QueueAnswer.queue_id == _QUEUE, QueueAnswer.image_id == _IMAGE, QueueAnswer.undone_at.is_(None))
        .where(QueueAnswer.verdict.is_not(None))
    )
    return (
        select(
            Decision,
            stands.where(QueueAnswer.person_id == _PERSON).exists().label("by_me"),
            stands.where(QueueAnswer.person_id != _PERSON).exists().label("by_others"),
            begun.label("begun"),
            QueuePhoto.passes_left,
            tallies.left_of(_QUEUE).label("left"),
        )
        .select_from(QueuePhoto)
        .outerjoin(Decision, and_(Decision.image_id == QueuePhoto.image_id, Decision.superseded_at.is_(None)))
        .where(QueuePhoto.queue_id == _QUEUE, QueuePhoto.image_id == _IMAGE)
    )


# Built once: putting such a statement together took longer than the database's answer to it.
# No name of a column: a statement inside another would take the value for one of its own.
_QUEUE: Final = bindparam("of_queue", type_=BigInteger())
_IMAGE: Final = bindparam("of_image", type_=BigInteger())
_PERSON: Final = bindparam("of_person", type_=BigInteger())
_LOCKED: Final = _locked()
_READ: Final = _read()


def lock(session: Session, queue: ReviewQueue, image: Image) -> str | None:
    """Hold the catalog's decisions (shared), the photo in the queue and the photo itself, in this order; gives the
    known answer. Raises NotFound where the photo is not in the queue."""
    row = session.execute(_LOCKED, {"of_queue": queue.id, "of_image": image.id}).one_or_none()
    if row is None:
        raise NotFound(f"{decisions.name_of(image)} is not in {queue.name}.")
    known: str | None = row.known
    return known


def read(session: Session, queue: ReviewQueue, image: Image, person: Person) -> AnswerState:
    """Read after `lock`, in a statement of its own: one that had waited for a lock would not see what it waited for.

    A photo's turn comes with the hold, or, held ahead, with the answer before it.
    """
    asked = {"of_queue": queue.id, "of_image": image.id, "of_person": person.id}
    row = session.execute(_READ, asked, execution_options={"populate_existing": True}).one()
    return AnswerState(*row)


def passed(queue: ReviewQueue, image: Image, person: Person, passes: int) -> tuple[CTE, CTE]:
    """So many passes fewer for a photo, and this person's hold of it at an end, to be done beside another statement."""
    gone = delete(QueueHold).where(hold_of(queue, image, person)).returning(QueueHold.id).cte("gone")
    counted = (
        update(QueuePhoto)
        .where(QueuePhoto.queue_id == queue.id, QueuePhoto.image_id == image.id)
        .values(
            passes_left=func.greatest(0, QueuePhoto.passes_left - passes),
            held=func.greatest(0, QueuePhoto.held - select(func.count()).select_from(gone).scalar_subquery()),
        )
        .returning(QueuePhoto.image_id)
        .cte("passed")
    )
    return gone, counted


def written(
    queue: ReviewQueue,
    image: Image,
    person: Person,
    verdict: str | None,
    reason: str | None,
    is_blind: bool,
    seconds: float | None,
    now: datetime,
) -> CTE:
    """A person's answer written down, in place of the one before; of one moment with the decision that it is."""
    said = {"verdict": verdict, "reason": reason, "is_blind": is_blind, "seconds": seconds, "created_at": now}
    fresh = upsert(QueueAnswer).values(
        queue_id=queue.id, image_id=image.id, person_id=person.id, undone_at=None, **said
    )  # fmt: skip
    changed = {name: fresh.excluded[name] for name in (*said, "undone_at")}
    statement = fresh.on_conflict_do_update(constraint="uq_queue_answer_one_each", set_=changed)
    return statement.returning(QueueAnswer.id).cte("written")


def forget_rows(session: Session) -> None:
    """What a session holds of holds, places in queues and answers is read again: statements changed it."""
    for row in list(session.identity_map.values()):
        if isinstance(row, QueuePhoto | QueueHold | QueueAnswer):
            session.expire(row)


def hold_of(queue: ReviewQueue, image: Image, person: Person) -> ColumnElement[bool]:
    """This person's hold of a photo in a queue."""
    return and_(
        QueueHold.queue_id == queue.id, QueueHold.image_id == image.id, QueueHold.person_id == person.id
    )  # fmt: skip
