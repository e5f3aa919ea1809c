"""Queue, rules and what there is to freeze, asked of the catalog in memory: the same as in SQL."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import Engine, event, text, update
from sqlalchemy.orm import Session

from app.database import transaction
from app.datasets import freezing
from app.desk import queue
from app.people import Person
from app.review.rules import NAMES, RuleSettings
from app.selection import rulings
from app.selection.tables import PhotoIndex
from tests import cast
from tests.review.test_rulings import SETTINGS
from tests.selection.test_columns import write_unseen
from tests.selection.test_every_key import fill

MEASURES = (
    "contrast", "longest_px", "shortest_px", "sharpness", "confidence", "brightness", "clipped_light", "shadow",
    "blockiness", "detail", "chroma", "border", "seam", "clipped_dark", "background_delta_e", "fill", "text_share",
)  # fmt: skip


@pytest.fixture
def catalog_id(engine: Engine, emptied: None) -> int:
    """Thirty photos whose index rows say anything at all."""
    chance = random.Random(5)
    with transaction(engine) as session:
        catalog, ana = cast.catalog(session), cast.person(session)
        fill(session, catalog, ana)
        for number in session.scalars(text("select image_id from photo_index")).all():
            values = {name: chance.choice((None, 0.0, chance.random(), 60 * chance.random())) for name in MEASURES}
            values |= {
                "parts": chance.choice((None, 1, 2)), "cropped": chance.choice(("yes", "no", "cannot tell")),
                "is_contradicted": chance.random() < 0.2, "rule": chance.choice((None, "contradicted", *NAMES)),
                "background": chance.choice(("white", "plain", "scene", "cannot tell")),
                "lettering": chance.choice(("beside", "product", "not read")),
                "suggested": chance.choice((None, "kept", "rejected", "needs_work")),
                "captioned_by": chance.choice(("none", "captioner", "person")),
                "verdict": chance.choice(("unseen", "unseen", "kept", "rejected", "needs_work")),
                "decided_by": chance.choice(("person", "rule", "none")),
            }  # fmt: skip
            session.execute(update(PhotoIndex).where(PhotoIndex.image_id == number).values(values))
        session.execute(text("update image set extra = jsonb_build_object('opt_out', 'yes') where id % 3 = 0"))
        return catalog.id


def test_rules_are_counted_the_same(engine: Engine, catalog_id: int) -> None:
    with Session(engine) as session, Session(engine) as plain:
        write_unseen(plain)
        for settings in (*SETTINGS, RuleSettings("scenes", unsure_below=0.0, small_below=0.5)):
            counted = rulings.changes(session, catalog_id, settings)
            assert counted == rulings.changes(plain, catalog_id, settings), settings
            assert counted.undecided
        bars = rulings.histograms(session, catalog_id)
        assert bars == rulings.histograms(plain, catalog_id)
        assert sum(bars["blurred_below"])


def test_the_queue_is_walked_the_same(engine: Engine, catalog_id: int) -> None:
    with Session(engine, expire_on_commit=False) as session, Session(engine) as plain:
        write_unseen(plain)
        photos = list(session.scalars(text("select image_id from photo_index")))
        assert queue.waiting(session, catalog_id) == queue.waiting(plain, catalog_id)
        for number in range(1, 6):
            person = Person(id=number)
            for after in (None, *photos, 10**9):
                ahead = queue.upcoming(session, catalog_id, person, after, 4)
                assert ahead == queue.upcoming(plain, catalog_id, person, after, 4), (number, after)
        every = queue.upcoming(session, catalog_id, Person(id=1), count=100)
        assert len(every) == queue.waiting(session, catalog_id).total
        assert queue.upcoming(session, catalog_id + 1, Person(id=1)) == []


@pytest.mark.parametrize(
    "query", ["", "decision:kept", "decision:kept by:rule", "optout:yes", "background:white -by:person"]
)
def test_what_there_is_to_freeze_is_counted_the_same(engine: Engine, catalog_id: int, query: str) -> None:
    with Session(engine) as session, Session(engine) as plain:
        write_unseen(plain)
        offered = freezing.offer(session, catalog_id, query)
        assert offered == freezing.offer(plain, catalog_id, query)
        assert offered.seen + offered.unseen + offered.opted_out


def test_none_of_it_visits_each_photo_in_sql(engine: Engine, catalog_id: int) -> None:
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    with Session(engine) as session:
        session.scalar(text("select 1"))
        queue.upcoming(session, catalog_id, Person(id=1))
        queue.waiting(session, catalog_id)
        rulings.changes(session, catalog_id, RuleSettings())
        rulings.histograms(session, catalog_id)
        freezing.offer(session, catalog_id)
    assert asked
    assert not [statement for statement in asked if "FROM photo_index" in statement]
