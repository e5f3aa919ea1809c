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

import numpy as np
from sqlalchemy import ColumnElement, Connection, case, func, literal, select, tuple_
from sqlalchemy.orm import Session

from app.people import Person
from app.review.tables import Decision
from app.selection.columns.catalog import CatalogInMemory
from app.selection.columns.memory import in_memory
from app.selection.query import Selection
from app.selection.tables import PhotoIndex
from app.selection.tallies import tally

GOLDEN: Final = 0.6180339887498949
TIERS: Final = ("contradicted", "doubted", "unseen", "needs_work")
_DOUBTS: Final = ("rejected", "needs_work")
_NAME: Final = case(
    (PhotoIndex.verdict != "unseen", PhotoIndex.verdict),
    (PhotoIndex.rule == "contradicted", "contradicted"),
    (PhotoIndex.suggested.in_(_DOUBTS), "doubted"),
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
    ahead = in_memory(session, catalog_id, lambda held, link: _walked(held, link, person, after, count))
    if ahead is not None:
        return ahead
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
    counts: Counter[str] = Counter()
    for values, photos in tally(
        session, Selection(catalog_id), (PhotoIndex.verdict, PhotoIndex.rule, PhotoIndex.suggested)
    ).items():
        counts[_tier_of(*values)] += photos
    waiting = {tier: counts[tier] for tier in TIERS}
    return Waiting(**waiting, photos=counts.total())


def waiting_after(before: Waiting, was: tuple[str, str | None, str | None], verdict: str) -> Waiting:
    """What waits once a photo that was so (its verdict, rule and suggestion) has this verdict of a person.

    Within its own transaction a decision would have the whole catalog counted again: what is kept in memory holds what
    was committed.
    """
    counts = {tier: getattr(before, tier) for tier in TIERS}
    for tier, step in ((_tier_of(*was), -1), (_tier_of(verdict, None, None), 1)):
        if tier in counts:
            counts[tier] += step
    return Waiting(**counts, photos=before.photos)


def state_of(session: Session, image_id: int) -> tuple[str, str | None, str | None]:
    """A photo's verdict, rule and suggestion, as its queue goes by."""
    row = session.execute(
        select(PhotoIndex.verdict, PhotoIndex.rule, PhotoIndex.suggested).where(PhotoIndex.image_id == image_id)
    ).one()
    return row.verdict, row.rule, row.suggested


def _tier_of(verdict: str, rule: str | None, suggested: str | None) -> str:
    """As `_NAME`, of one photo."""
    if verdict != "unseen":
        return verdict
    return "contradicted" if rule == "contradicted" else "doubted" if suggested in _DOUBTS else "unseen"


def _walked(held: CatalogInMemory, link: Connection, person: Person, after: int | None, count: int) -> list[int]:
    """As `upcoming`, from the catalog in memory."""
    unseen = TIERS.index("unseen")
    tiers = held.coded(link, PhotoIndex.verdict, lambda word: TIERS.index(word) if word in TIERS else len(TIERS))
    # Of what no person decided on, the first tier that the rule or its suggestion names.
    doubts = np.minimum(
        held.coded(link, PhotoIndex.rule, lambda word: 0 if word == "contradicted" else unseen),
        held.coded(link, PhotoIndex.suggested, lambda word: TIERS.index("doubted") if word in _DOUBTS else unseen),
    )
    tiers = np.where(tiers == unseen, doubts, tiers)
    ids = held.columns.ids
    if not len(ids):
        return []
    start = int(np.searchsorted(ids, _start(int(ids[0]), int(ids[-1]), person)))
    here = None if after is None else held.columns.place(after)
    at = len(TIERS) if here is None else int(tiers[here])
    ahead: list[int] = []
    for tier in range(0 if at == len(TIERS) else at, len(TIERS)):
        rows = np.flatnonzero(tiers == tier)
        turn = int(np.searchsorted(rows, start))
        ring = np.concatenate([rows[turn:], rows[:turn]])
        if tier == at:
            ring = ring[int(np.flatnonzero(ring == here)[0]) + 1 :]
        ahead += ids[ring[: count - len(ahead)]].tolist()
        if len(ahead) == count:
            break
    return ahead


def _start(first: int, last: int, person: Person) -> int:
    """The number of the photo at which this person starts, between the first and the last one of the catalog."""
    return first + int((person.id * GOLDEN % 1) * (last - first + 1))


def _ring(session: Session, catalog_id: int, person: Person) -> ColumnElement[Any]:
    """0 from this person's starting point on, 1 before it."""
    first, last = session.execute(
        select(func.min(PhotoIndex.image_id), func.max(PhotoIndex.image_id)).where(PhotoIndex.catalog_id == catalog_id)
    ).one()
    return case((PhotoIndex.image_id >= _start(first or 0, last or 0, person), 0), else_=1)
