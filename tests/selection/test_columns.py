"""The catalog in memory answers as SQL and as plain Python do, also while others write."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.review.rules import RuleSettings
from app.selection import browse, near, rulings
from app.selection.columns import asking, labels, memory, numbers, room, rows
from app.selection.columns.orders import SORTED_BY
from app.selection.columns.shape import SHAPES
from app.selection.keys import ASKED, MEASURES
from app.selection.kinds import Measure, SomeOf
from app.selection.query import Selection
from app.selection.when import When, Who
from tests import cast
from tests.emptying import empty
from tests.selection.test_every_key import SHARED, Shelf, facets_agree, fill


@pytest.fixture(scope="module")
def shelf(engine: Engine) -> Iterator[Shelf]:
    """Thirty photos that other connections see."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "NEAREST", 8)
        with Session(engine, expire_on_commit=False) as session:
            catalog, ana = cast.catalog(session), cast.person(session)
            fill(session, catalog, ana)
            cast.red_kettle(session, cast.catalog(session))
            session.commit()
            shelf = Shelf(session, catalog, ana)
        yield shelf
    empty(engine)


@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(list(ASKED)), min_size=1, max_size=4))
@settings(SHARED, max_examples=25)
def test_columns_answer_as_plain_python(engine: Engine, shelf: Shelf, chance: random.Random, keys: list[str]) -> None:
    chosen = Selection(shelf.catalog_id)
    if chance.random() < 0.5:
        chosen = shelf.tree(chance, keys)
    else:
        for key in keys:
            chosen = shelf.drawn(chance, key, chance.random() < 0.4, chosen)
    ids = shelf.ids(chosen)
    with Session(engine) as session, Session(engine) as plain:
        write_unseen(plain)
        facets_agree(shelf, chosen, browse.facets(session, chosen))
        answers_agree(session, plain, chosen, [photo.image.id for photo in shelf.photos])
        assert browse.count(session, chosen) == len(ids), chosen.query


def test_every_measure_has_bars_that_are_the_same_in_sql(engine: Engine, shelf: Shelf) -> None:
    every = MEASURES
    chosen = Selection(shelf.catalog_id)
    with Session(engine) as session, Session(engine) as plain:
        write_unseen(plain)
        counted = browse.facets(session, chosen, every)
        assert counted == browse.facets(plain, chosen, every)
        assert counted.bars.keys() == every.keys()
    measured = [
        photo.signals.contrast for photo in shelf.photos if photo.signals and photo.signals.contrast is not None
    ]
    assert sum(counted.bars["contrast"]) == len(measured)


def write_unseen(session: Session) -> None:
    """Have a session write: what it is asked is answered in SQL from now on."""
    assert session.scalar(text("select pg_current_xact_id()::text"))


def answers_agree(session: Session, plain: Session, chosen: Selection, photos: list[int]) -> None:
    """Every question has the same answer from columns and in SQL."""
    for sort in SORTED_BY:
        shown = [tile.id for tile in browse.page(session, chosen, sort, size=100)]
        assert shown == [tile.id for tile in browse.page(plain, chosen, sort, size=100)], (chosen.query, sort)
        for photo in (photos[0], photos[-2]):
            here = browse.neighbours(session, chosen, sort, photo, 5, 5)
            assert here == browse.neighbours(plain, chosen, sort, photo, 5, 5), (chosen.query, sort)
            place = browse.position(session, chosen, sort, photo)
            assert place == browse.position(plain, chosen, sort, photo), (chosen.query, sort)
            assert browse.at(session, chosen, sort, place) == browse.at(plain, chosen, sort, place)
            assert browse.holds(session, chosen, photo) == browse.holds(plain, chosen, photo)
    assert browse.at(session, chosen, "name", 1000) is None
    assert browse.count(session, chosen) == browse.count(plain, chosen), chosen.query
    assert browse.facets(session, chosen) == browse.facets(plain, chosen), chosen.query


@pytest.mark.parametrize("most_codes", [3, numbers.MOST_CODES], ids=["too many numbers", "few numbers"])
def test_numbers_in_two_bytes_or_more_answer_the_same(
    engine: Engine, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, most_codes: int
) -> None:
    """Also read in blocks of a few rows."""
    monkeypatch.setattr(numbers, "MOST_CODES", most_codes)
    monkeypatch.setattr(rows, "_BLOCK_ROWS", 7)
    memory.kept_catalogs(engine).forget()
    chance = random.Random(most_codes)
    for key in [name for name, key in ASKED.items() if isinstance(key, Measure | When | Who | SomeOf)]:
        chosen = shelf.drawn(chance, key, False, Selection(shelf.catalog_id))
        with Session(engine) as session:
            assert browse.count(session, chosen) == len(shelf.ids(chosen)), chosen.query
    with Session(engine) as session, Session(engine) as plain:
        write_unseen(plain)
        everything = Selection(shelf.catalog_id)
        answers_agree(session, plain, everything, [photo.image.id for photo in shelf.photos])
        assert browse.facets(session, everything, MEASURES) == browse.facets(plain, everything, MEASURES)
        tried = RuleSettings(blurred_below=0.5)
        assert rulings.changes(session, shelf.catalog_id, tried) == rulings.changes(plain, shelf.catalog_id, tried)
        assert rulings.histograms(session, shelf.catalog_id) == rulings.histograms(plain, shelf.catalog_id)
    memory.kept_catalogs(engine).forget()


@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(list(ASKED)), min_size=1, max_size=4))
@settings(SHARED, max_examples=12)
def test_what_was_let_go_answers_the_same(engine: Engine, shelf: Shelf, chance: random.Random, keys: list[str]) -> None:
    """Nothing may stay but what each page asks for: all else goes behind every answer and comes again."""
    kept, chosen = memory.kept_catalogs(engine), Selection(shelf.catalog_id)
    for key in keys:
        chosen = shelf.drawn(chance, key, chance.random() < 0.4, chosen)
    with no_room(engine), Session(engine) as session, Session(engine) as plain:
        write_unseen(plain)
        for _ in range(2):
            assert browse.count(session, chosen) == len(shelf.ids(chosen)), chosen.query
            assert browse.facets(session, chosen, MEASURES) == browse.facets(plain, chosen, MEASURES), chosen.query
            held, _ = kept._kept[shelf.catalog_id]
            assert not list(held.parts())
            assert held.columns._kept.keys() == held.columns.staying


@contextmanager
def no_room(engine: Engine) -> Iterator[None]:
    """Nothing that can go by itself stays longer than an answer; read in blocks of a few rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory.kept_catalogs(engine), "most_bytes", 0)
        patch.setattr(room, "STAYS_S", -1.0)
        patch.setattr(labels, "_PHOTOS_AT_ONCE", 7)
        patch.setattr(asking, "_AT_ONCE", 7)
        yield


def test_a_column_is_as_narrow_as_its_values() -> None:
    """Bytes a photo of every column there is. Those that nobody asks for are not read; the grid asks for a third."""
    assert sum(each.kept_as.itemsize for each in SHAPES.values()) <= 120
