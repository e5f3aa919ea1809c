"""Who decided how much when, who is where now, and how fast queues are: what the board draws over time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, cast, func, literal, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from app import people
from app.catalog.tables import Image
from app.desk import holding
from app.desk.forecast import PACE_MINUTES
from app.desk.holding import HeldPhoto
from app.desk.tables import QueueAnswer, ReviewQueue
from app.people import Person
from app.review.tables import Decision

QUARTER: Final = timedelta(minutes=15)
QUARTERS: Final = 24


@dataclass(frozen=True, slots=True)
class PersonTime:
    """What a person decided in each quarter of an hour, the oldest first, and what is in their hands now. Where the
    reader is no lead, `person` is None for all the others together."""

    person: Person | None
    counts: tuple[int, ...]
    held: HeldPhoto | None = None
    newest_at: datetime | None = None

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The last six hours on a catalog, by quarters of the clock; `most` is the highest count of any row."""

    begins_at: datetime
    rows: tuple[PersonTime, ...]

    @property
    def most(self) -> int:
        """The highest count, at least 1."""
        return max([1, *(count for row in self.rows for count in row.counts)])

    @property
    def begins(self) -> list[datetime]:
        """When each quarter begins."""
        return [self.begins_at + place * QUARTER for place in range(QUARTERS)]


def read(session: Session, catalog_id: int, reader: Person, now: datetime) -> Timeline:
    """The decisions of people that stand, and the blind answers beside them; what an act on many decided is left out.

    A lead sees everybody, others themselves, and all the others together: how much one person does is theirs to know.
    """
    begins_at = _quarter(now) - (QUARTERS - 1) * QUARTER
    counts, newest = _counted(session, catalog_id, begins_at)
    held = {each.person.id: each for each in holding.in_hands(session, catalog_id)}
    team = {person.id: person for person in people.everybody(session)}
    rows = [
        PersonTime(team[person_id], counts.get(person_id, (0,) * QUARTERS), held.get(person_id), newest.get(person_id))
        for person_id in sorted(counts.keys() | held.keys(), key=lambda each: (team[each].name.lower(), each))
    ]
    if people.at_least(reader, "lead"):
        return Timeline(begins_at, tuple(rows))
    own = [row for row in rows if row.person is not None and row.person.id == reader.id]
    others = [row.counts for row in rows if row not in own]
    together = [PersonTime(None, tuple(map(sum, zip(*others, strict=True))))] if others else []
    return Timeline(begins_at, (*own, *together))


def paces(session: Session, queue_ids: Collection[int], now: datetime) -> dict[int, tuple[int, ...]]:
    """How many passes were made in each of the last 15 minutes, the newest first; queues without any are left out."""
    rows = session.execute(
        select(QueueAnswer.queue_id, _step(now - QueueAnswer.created_at, 60).label("minute"), func.count())
        .where(
            QueueAnswer.queue_id.in_(queue_ids), QueueAnswer.created_at > now - timedelta(minutes=PACE_MINUTES),
            QueueAnswer.undone_at.is_(None), QueueAnswer.verdict.is_not(None),
        )
        .group_by(QueueAnswer.queue_id, "minute")
    )  # fmt: skip
    by_queue: dict[int, list[int]] = {}
    for queue_id, minute, count in rows:
        # A clock that is a little ahead of this one: its passes are of this minute.
        by_queue.setdefault(queue_id, [0] * PACE_MINUTES)[max(0, min(minute, PACE_MINUTES - 1))] += count
    return {queue_id: tuple(minutes) for queue_id, minutes in by_queue.items()}


def _counted(
    session: Session, catalog_id: int, begins_at: datetime
) -> tuple[dict[int, tuple[int, ...]], dict[int, datetime]]:
    """Of each person: how many in each quarter, and when the newest was."""

    def since(person: InstrumentedAttribute[Any], at: InstrumentedAttribute[datetime]) -> Any:
        return select(person.label("person_id"), at.label("at")).where(at >= begins_at)

    decided = (
        since(Decision.person_id, Decision.created_at)
        .join(Image, Image.id == Decision.image_id)
        .where(
            Image.catalog_id == catalog_id, Decision.superseded_at.is_(None), Decision.person_id.is_not(None),
            Decision.operation_id.is_(None),
        )
    )  # fmt: skip
    beside = (
        since(QueueAnswer.person_id, QueueAnswer.created_at)
        .join(ReviewQueue, ReviewQueue.id == QueueAnswer.queue_id)
        .where(
            ReviewQueue.catalog_id == catalog_id, QueueAnswer.is_blind, QueueAnswer.undone_at.is_(None),
            QueueAnswer.verdict.is_not(None),
        )
    )  # fmt: skip
    each = union_all(decided, beside).subquery()
    quarter = _step(each.c.at - literal(begins_at), int(QUARTER.total_seconds())).label("quarter")
    rows = session.execute(
        select(each.c.person_id, quarter, func.count(), func.max(each.c.at)).group_by(each.c.person_id, quarter)
    )
    counts: dict[int, list[int]] = {}
    newest: dict[int, datetime] = {}
    for person_id, place, count, at in rows:
        counts.setdefault(person_id, [0] * QUARTERS)[max(0, min(place, QUARTERS - 1))] += count
        newest[person_id] = max(at, newest.get(person_id, at))
    return {person_id: tuple(each) for person_id, each in counts.items()}, newest


def _step(since: ColumnElement[Any], seconds: int) -> ColumnElement[int]:
    return cast(func.floor(func.extract("epoch", since) / seconds), Integer)


def _quarter(now: datetime) -> datetime:
    seconds = int(QUARTER.total_seconds())
    return datetime.fromtimestamp(now.timestamp() // seconds * seconds, UTC)
