"""The review queue of a catalog: contradicted captions first, then what else rules doubt, then the other photos that no
person has seen, then those that need work.

Nobody's work is locked. Instead everybody walks the same ring of photos from another starting point, a golden-ratio
step apart from one person to the next, so that two people meet only when the queue is nearly empty; then a conflict
tells the second one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, case, func, literal, select, tuple_
from sqlalchemy.orm import Session

from app.people import Person
from app.review.tables import Decision
from app.selection.tables import PhotoIndex

GOLDEN: Final = 0.6180339887498949
TIERS: Final = ("contradicted", "doubted", "unseen", "needs_work")
_NAME: Final = case(
    (PhotoIndex.verdict != "unseen", PhotoIndex.verdict),
    (PhotoIndex.rule == "contradicted", "contradicted"),
    (PhotoIndex.suggested.in_(("rejected", "needs_work")), "doubted"),
    else_="unseen",
)
_TIER: Final = case({name: place for place, name in enumerate(TIERS)}, value=_NAME, else_=len(TIERS))
_WAITS: Final = PhotoIndex.verdict.in_(("unseen", "needs_work"))


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many photos wait in each tier, and how many the catalog has.

    Rules find a caption `contradicted` or a photo `doubted`; of the `unseen` they doubt nothing. No person has decided
    on any of the three.
    """

    contradicted: int
    doubted: int
    unseen: int
    needs_work: int
    photos: int

    @property
    def total(self) -> int:
        """All that wait."""
        return self.contradicted + self.doubted + self.unseen + self.needs_work


def upcoming(session: Session, catalog_id: int, person: Person, after: int | None = None, count: int = 12) -> list[int]:
    """Numbers of the next photos to review, in this person's order.

    Behind photo `after` where that one still waits; otherwise from the head of the queue.
    """
    order = (_TIER, _ring(session, catalog_id, person), PhotoIndex.image_id)
    statement = select(PhotoIndex.image_id).where(PhotoIndex.catalog_id == catalog_id, _WAITS)
    if after is not None:
        here = session.execute(select(*order).where(PhotoIndex.image_id == after, _WAITS)).one_or_none()
        if here is not None:
            statement = statement.where(tuple_(*order) > tuple_(*(literal(value) for value in here)))
        statement = statement.where(PhotoIndex.image_id != after)
    return list(session.scalars(statement.order_by(*order).limit(count)))


def recent(session: Session, catalog_id: int, person: Person, count: int = 5) -> list[int]:
    """Numbers of the photos that this person decided on last, the latest last."""
    ids = session.scalars(
        select(Decision.image_id)
        .join(PhotoIndex, PhotoIndex.image_id == Decision.image_id)
        .where(Decision.person_id == person.id, Decision.superseded_at.is_(None), PhotoIndex.catalog_id == catalog_id)
        .order_by(Decision.id.desc())
        .limit(count)
    )
    return list(ids)[::-1]


def waiting(session: Session, catalog_id: int) -> Waiting:
    """How much is left to review."""
    rows = session.execute(
        select(_NAME.label("tier"), func.count()).where(PhotoIndex.catalog_id == catalog_id).group_by("tier")
    )
    counts = Counter({row[0]: row[1] for row in rows})
    waiting = {tier: counts[tier] for tier in TIERS}
    return Waiting(**waiting, photos=counts.total())


def _ring(session: Session, catalog_id: int, person: Person) -> ColumnElement[Any]:
    """0 from this person's starting point on, 1 before it."""
    first, last = session.execute(
        select(func.min(PhotoIndex.image_id), func.max(PhotoIndex.image_id)).where(PhotoIndex.catalog_id == catalog_id)
    ).one()
    start = (first or 0) + int((person.id * GOLDEN % 1) * ((last or 0) - (first or 0) + 1))
    return case((PhotoIndex.image_id >= start, 0), else_=1)
