"""How many photos a queue has and how many of them wait, kept by triggers: each decision asks, and counting a hundred
thousand rows each time took longer than the decision.

A queue's tally is the sum of some rows, one for each slot, and a writer adds to the slot of its own connection: two
people who decide at once do not wait for each other, and what one transaction changed is seen with it, not before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, BindParameter, Connection, MetaData, ScalarSelect, SmallInteger, event, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.database import Base

SLOTS: Final = 64


class QueueTally(Base):
    """What writers of one slot added to the photos of a queue, and to those that still wait for a pass. Slots may be
    below 0: their sum is the number."""

    __tablename__ = "queue_tally"

    queue_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    photos: Mapped[int]
    waiting: Mapped[int]


class QueueCount(NamedTuple):
    """How many photos a queue has, and how many of them wait for a pass."""

    photos: int
    left: int


def counts(session: Session, queue_ids: Iterable[int]) -> dict[int, QueueCount]:
    """The numbers of some queues, exact as of this session; queues without photos are left out."""
    rows = session.execute(
        select(QueueTally.queue_id, func.sum(QueueTally.photos), func.sum(QueueTally.waiting))
        .where(QueueTally.queue_id.in_(list(queue_ids)))
        .group_by(QueueTally.queue_id)
    )
    return {queue_id: QueueCount(photos, left) for queue_id, photos, left in rows}


def left_of(queue_id: int | BindParameter[int]) -> ScalarSelect[int]:
    """How many photos of a queue still wait for a pass, to be asked for beside other things."""
    waits = func.coalesce(func.sum(QueueTally.waiting), 0)
    return select(waits).where(QueueTally.queue_id == queue_id).correlate(None).scalar_subquery()


def photos_of(queue_id: int) -> ScalarSelect[int]:
    """How many photos a queue has, to be asked for beside other things."""
    photos = func.coalesce(func.sum(QueueTally.photos), 0)
    return select(photos).where(QueueTally.queue_id == queue_id).correlate(None).scalar_subquery()


# A queue that goes takes its photos along, and its tally is deleted by then.
_ADD = f"""
    insert into queue_tally as tally (queue_id, slot, photos, waiting)
    select queue_id, mod(pg_backend_pid(), {SLOTS}), sum(photos), sum(waits) from ({{}}) as changed
    where exists (select from review_queue where id = queue_id)
    group by queue_id having sum(photos) <> 0 or sum(waits) <> 0
    on conflict (queue_id, slot) do update
    set photos = tally.photos + excluded.photos, waiting = tally.waiting + excluded.waiting"""  # noqa: S608 (ours)
_WAITS = "(passes_left > 0)::int"
_NEW = f"select queue_id, 1 as photos, {_WAITS} as waits from fresh"  # noqa: S608 (names of ours)
_OLD = f"select queue_id, -1 as photos, -{_WAITS} as waits from earlier"  # noqa: S608 (names of ours)
_BODIES: Final = {"insert": _NEW, "delete": _OLD, "update": f"{_NEW} union all {_OLD}"}
_TABLES: Final = {
    "insert": "new table as fresh",
    "delete": "old table as earlier",
    "update": "old table as earlier new table as fresh",
}
TRIGGERS: tuple[str, ...] = (
    *(
        statement
        for when, body in _BODIES.items()
        for statement in (
            f"create or replace function tally_{when}_of_queue_photo() returns trigger language plpgsql as "
            f"$$ begin {_ADD.format(body)}; return null; end $$",
            f"create or replace trigger tally_{when} after {when} on queue_photo referencing {_TABLES[when]} "
            f"for each statement execute function tally_{when}_of_queue_photo()",
        )
    ),
    "create or replace function forget_tally_of_review_queue() returns trigger language plpgsql as "
    "$$ begin delete from queue_tally using gone where queue_tally.queue_id = gone.id; return null; end $$",
    "create or replace trigger forget_tally after delete on review_queue referencing old table as gone "
    "for each statement execute function forget_tally_of_review_queue()",
)


def _keep_tallies(_metadata: MetaData, connection: Connection, **_: object) -> None:
    for statement in TRIGGERS:
        connection.exec_driver_sql(statement)


event.listen(Base.metadata, "after_create", _keep_tallies)
