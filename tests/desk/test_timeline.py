"""The board over time: who decided how much in which quarter of an hour, where they are now, how fast queues are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, Image
from app.desk import holding, queues, timeline
from app.desk.tables import QueueAnswer, ReviewQueue
from app.desk.timeline import QUARTERS
from app.people import Person
from app.review import decisions
from app.review.tables import Decision
from app.selection.query import parse
from tests import cast

NOW = datetime(2026, 11, 30, 15, 7, tzinfo=UTC)


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session)


@pytest.fixture
def photos(session: Session, pile: Catalog) -> list[Image]:
    return [cast.image(session, pile) for _ in range(6)]


@pytest.fixture
def ben(session: Session) -> Person:
    return cast.person(session, "Ben", "annotator")


def twice(session: Session, me: Person, pile: Catalog) -> ReviewQueue:
    return queues.make(session, me, parse("", pile.id), "Twice", overlap=2)


def decided(session: Session, photo: Image, person: Person, ago: timedelta) -> None:
    decision = decisions.decide(session, photo, person, "kept")
    session.execute(update(Decision).where(Decision.id == decision.id).values(created_at=NOW - ago))


def test_decisions_fall_into_quarters_of_the_clock(
    session: Session, pile: Catalog, photos: list[Image], me: Person, ben: Person
) -> None:
    for photo, person, ago in zip(
        photos, (me, me, me, ben, ben, ben),
        (timedelta(minutes=1), timedelta(minutes=6), timedelta(minutes=8), timedelta(hours=5), timedelta(hours=7),
         timedelta(minutes=2)),
        strict=True,
    ):  # fmt: skip
        decided(session, photo, person, ago)
    drawn = timeline.read(session, pile.id, me, NOW)
    assert drawn.begins[-1] == NOW.replace(minute=0) and drawn.begins[0] == NOW.replace(hour=9, minute=15)
    rows = {row.person.name: row for row in drawn.rows if row.person is not None}
    assert rows[me.name].counts[-2:] == (1, 2) and rows[me.name].total == 3
    assert rows["Ben"].counts[-1] == 1 and rows["Ben"].total == 2, "seven hours ago is out of sight"
    assert rows["Ben"].newest_at == NOW - timedelta(minutes=2) and drawn.most == 2


def test_blind_answers_count_and_acts_on_many_do_not(
    session: Session, pile: Catalog, photos: list[Image], me: Person, ben: Person
) -> None:
    queue = twice(session, me, pile)
    for person in (me, ben):
        holding.decide(session, queue, photos[0], person, "kept")
    session.execute(update(QueueAnswer).values(created_at=NOW))
    session.execute(update(Decision).values(created_at=NOW))
    decided(session, photos[1], ben, timedelta(0))
    session.execute(update(Decision).where(Decision.image_id == photos[1].id).values(operation_id=7))
    drawn = timeline.read(session, pile.id, me, NOW)
    assert {row.person.name: row.total for row in drawn.rows if row.person} == {me.name: 1, "Ben": 1}


def test_who_is_where_now_is_told_without_a_decision(
    session: Session, pile: Catalog, photos: list[Image], me: Person, ben: Person
) -> None:
    queue = twice(session, me, pile)
    assert holding.ahead(session, queue, ben)[0] in {photo.id for photo in photos}
    (row,) = timeline.read(session, pile.id, me, NOW).rows
    assert row.person == ben and row.held is not None and row.held.queue == "Twice" and row.total == 0
    assert row.counts == (0,) * QUARTERS


def test_how_much_one_does_is_theirs_and_the_leads_to_know(
    session: Session, pile: Catalog, photos: list[Image], me: Person, ben: Person
) -> None:
    mei = cast.person(session, "Mei", "annotator")
    for photo, person in zip(photos, (me, me, mei, ben), strict=False):
        decided(session, photo, person, timedelta(0))
    rows = timeline.read(session, pile.id, ben, NOW).rows
    assert [(row.person.name if row.person else None, row.total) for row in rows] == [("Ben", 1), (None, 3)]
    assert len(timeline.read(session, pile.id, me, NOW).rows) == 3


def test_a_queues_pace_is_counted_by_the_minute(
    session: Session, pile: Catalog, photos: list[Image], me: Person, ben: Person
) -> None:
    queue = twice(session, me, pile)
    for photo, minutes in zip(photos, (0, 0, 3, 14, 20), strict=False):
        holding.decide(session, queue, photo, ben, "kept")
        at = NOW - timedelta(minutes=minutes, seconds=5)
        session.execute(update(QueueAnswer).where(QueueAnswer.image_id == photo.id).values(created_at=at))
    paces = timeline.paces(session, [queue.id], NOW)[queue.id]
    assert paces == (2, 0, 0, 1, *(0,) * 10, 1)
    assert timeline.paces(session, [], NOW) == {}
