"""The map as people use it: lassos become filters, what was found has counts, points follow the rows."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.catalog import embeddings
from app.catalog.embeddings import EmbedderFacts
from app.catalog.tables import Catalog, Image, MapSet
from app.errors import NotFound, Refused
from app.people import Person
from app.review.decisions import decide
from app.selection import browse, map_points, maps
from app.selection.maps import LaidOut, NewSet
from app.selection.query import Selection, parse
from tests import cast

SQUARE = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]


class Mapped:
    """Ten photos in a row from left to right, turning away from the first one, with a map."""

    def __init__(self, session: Session) -> None:
        self.catalog: Catalog = cast.catalog(session)
        self.ana: Person = cast.person(session)
        self.photos: list[Image] = [
            cast.image(
                session, self.catalog, category="Mugs" if n < 4 else "Lamps", caption="Red mug." if n < 4 else None
            )
            for n in range(10)
        ]
        self.ids = [photo.id for photo in self.photos]
        self.space = embeddings.space_of(session, EmbedderFacts("drawn", "1", "none", 2, False))
        angles = np.linspace(0, 1.5, 10)
        vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        embeddings.record(session, self.space, dict(zip(self.ids, vectors.tolist(), strict=True)))
        self.keep(session)

    def keep(self, session: Session) -> None:
        points = np.stack([np.linspace(0.05, 0.95, 10), np.full(10, 0.5)], axis=1).astype(np.float32)
        apart = np.linspace(0, 1, 10, dtype=np.float32)
        placed = LaidOut(self.space, self.ids, points, 10, "pca", 12, 9, 0.5, 0.8, 10, 1.0, apart)
        sets = [
            NewSet("cluster", self.ids[:4], "mug, red", self.ids[1]), NewSet("cluster", self.ids[4:9], "", self.ids[5]),
            NewSet("far", self.ids[9:]),
        ]  # fmt: skip
        maps.record(session, self.catalog.id, placed, sets)

    def chosen(self, query: str) -> Selection:
        return parse(query, self.catalog.id)


@pytest.fixture
def mapped(session: Session) -> Mapped:
    return Mapped(session)


def selected(session: Session, chosen: Selection) -> list[int]:
    return [tile.id for tile in browse.page(session, chosen, "oldest")]


def test_a_lasso_is_a_filter_like_any_other(session: Session, mapped: Mapped) -> None:
    lasso = maps.draw_lasso(session, mapped.chosen(""), SQUARE, mapped.ana)
    assert lasso.name == "lasso-1"
    assert selected(session, mapped.chosen("in:lasso-1")) == mapped.ids[:5]
    assert selected(session, mapped.chosen("in:lasso-1 category:lamps")) == mapped.ids[4:5]
    assert selected(session, mapped.chosen("-in:lasso-1")) == mapped.ids[5:]


def test_a_lasso_takes_what_the_filter_shows_adds_and_takes_away(session: Session, mapped: Mapped) -> None:
    only = maps.draw_lasso(session, mapped.chosen("category:mugs"), SQUARE, mapped.ana)
    assert only.image_ids == mapped.ids[:4]
    end = [(0.9, 0.0), (1.0, 0.0), (1.0, 1.0), (0.9, 1.0)]
    more = maps.draw_lasso(session, mapped.chosen("in:lasso-1"), end, mapped.ana, "add")
    assert more.image_ids == [*mapped.ids[:4], mapped.ids[9]]
    less = maps.draw_lasso(session, mapped.chosen("in:lasso-2"), SQUARE, mapped.ana, "take")
    assert (less.name, less.image_ids) == ("lasso-3", [mapped.ids[9]])


def test_a_lasso_around_nothing_is_refused(session: Session, mapped: Mapped) -> None:
    nowhere = [(0.4, 0.9), (0.5, 0.9), (0.5, 1.0)]
    with pytest.raises(Refused, match="inside"):
        maps.draw_lasso(session, mapped.chosen(""), nowhere, mapped.ana)
    with pytest.raises(Refused, match="corners"):
        maps.draw_lasso(session, mapped.chosen(""), [(0.0, 0.0), (1.0, float("nan")), (1.0, 1.0)], mapped.ana)
    with pytest.raises(Refused, match="corners"):
        maps.draw_lasso(session, mapped.chosen(""), SQUARE[:2], mapped.ana)
    with pytest.raises(NotFound):
        maps.draw_lasso(session, Selection(cast.catalog(session).id), SQUARE, mapped.ana)


def test_a_new_map_keeps_lassos_and_gives_no_name_twice(session: Session, mapped: Mapped) -> None:
    maps.draw_lasso(session, mapped.chosen(""), SQUARE, mapped.ana)
    mapped.keep(session)
    names = {row.name for row in session.query(MapSet).filter_by(catalog_id=mapped.catalog.id)}
    assert names == {"lasso-1", "cluster-3", "cluster-4", "far-2"}
    assert maps.unknown_sets(session, mapped.catalog.id, ("cluster-1", "lasso-1")) == ["cluster-1"]
    assert selected(session, mapped.chosen("in:cluster-1")) == []


def test_keeping_a_map_makes_no_copy_of_it_for_each_photo(session: Session, mapped: Mapped) -> None:
    # Sorted, as a large table is joined, 3,000 copies of this map would be 120 MB.
    for limit in ("work_mem = '64kB'", "temp_file_limit = '4MB'", "enable_hashjoin = off", "enable_nestloop = off"):
        session.execute(text(f"set local {limit}"))
    session.execute(text("discard plans"))
    ids = [*mapped.ids, *range(10**9, 10**9 + 2990)]
    spots, apart = np.zeros((3000, 2), dtype=np.float32), np.linspace(0, 1, 3000, dtype=np.float32)
    placed = LaidOut(mapped.space, ids, spots, 3000, "pca", 12, 9, 0.5, 0.8, 3000, 1.0, apart)
    maps.record(session, mapped.catalog.id, placed, [])
    assert maps.apart_of(session, mapped.ids[9]) == pytest.approx(9 / 2999)


def test_sets_tell_how_much_of_them_was_decided_least_first(session: Session, mapped: Mapped) -> None:
    decide(session, mapped.photos[0], mapped.ana, "kept")
    counts = maps.sets(session, mapped.catalog.id)
    assert [(one.name, one.photos, one.decided) for one in counts] == [
        ("cluster-2", 5, 0), ("far-1", 1, 0), ("cluster-1", 4, 1),
    ]  # fmt: skip
    assert counts[2].place == pytest.approx((0.15, 0.5))
    session.delete(mapped.photos[1])
    session.flush()
    assert maps.sets(session, mapped.catalog.id)[2].photos == 3


def test_the_pane_shows_the_middle_the_odd_and_what_lies_outside(session: Session, mapped: Mapped) -> None:
    looks = maps.looks(session, mapped.chosen("in:cluster-1"), middle=2, odd=1, outside=2)
    assert (looks.photos, looks.decisions) == (4, {"unseen": 4})
    assert set(looks.middle) == set(mapped.ids[1:3])
    assert set(looks.odd) <= {mapped.ids[0], mapped.ids[3]}
    assert list(looks.outside) == mapped.ids[4:6]
    assert {(word.word, word.share) for word in looks.words} == {(w, 1.0) for w in ("red", "kettle", "mugs", "mug")}


def test_a_selection_without_vectors_has_no_middle(session: Session) -> None:
    pile = cast.catalog(session)
    cast.red_kettle(session, pile)
    looks = maps.looks(session, Selection(pile.id))
    assert (looks.photos, looks.middle, looks.odd, looks.outside) == (1, (), (), ())


def test_points_follow_the_rows_and_leave_out_what_is_gone(session: Session, mapped: Mapped) -> None:
    decide(session, mapped.photos[1], mapped.ana, "rejected")
    session.delete(mapped.photos[0])
    session.flush()
    made = maps.of(session, mapped.catalog.id)
    assert made is not None
    points = map_points.points(session, made, mapped.chosen("category:lamps"), 10)
    assert points.ids.tolist() == [mapped.ids[n] for n in (1, 4, 2, 5, 3, 6, 7, 8, 9)], "in turn: a prefix has of both"
    assert points.is_chosen.tolist() == [0, 1] * 3 + [1] * 3
    decisions, categories, backgrounds = points.codes
    assert decisions.tolist() == [map_points.DECISIONS.index("rejected")] + [0] * 8
    assert [points.colourings[1].values[code] for code in categories] == ["Mugs", "Lamps"] * 3 + ["Lamps"] * 3
    assert set(backgrounds) == {map_points.BACKGROUNDS.index("white")}


def test_points_do_not_tell_what_was_decided_on_photos_of_a_blind_pass(session: Session, mapped: Mapped) -> None:
    decide(session, mapped.photos[1], mapped.ana, "rejected")
    made = maps.of(session, mapped.catalog.id)
    assert made is not None
    points = map_points.points(session, made, mapped.chosen(""), 10, {mapped.ids[1]})
    assert set(points.codes[0]) == {map_points.DECISIONS.index("unseen")}
    assert points.colourings[0].counts[map_points.DECISIONS.index("rejected")] == 0


def test_points_are_packed_as_the_browser_reads_them(session: Session, mapped: Mapped) -> None:
    made = maps.of(session, mapped.catalog.id)
    assert made is not None
    packed = map_points.points(session, made, mapped.chosen(""), 10).packed()
    count, length = np.frombuffer(packed, "<u4", 2)
    assert (count, length % 8) == (10, 0)
    assert [one["key"] for one in json.loads(packed[8 : 8 + length])] == ["decision", "category", "background"]
    ids = np.frombuffer(packed, "<f8", 10, offset=8 + length)
    places = np.frombuffer(packed, "<f4", 20, offset=8 + length + 80).reshape(-1, 2)
    assert ids.tolist() == mapped.ids
    assert places[0].tolist() == pytest.approx([0.05, 0.5])
    assert len(packed) == 8 + length + 80 + 80 + 40


def test_the_commonest_categories_have_colours_of_their_own() -> None:
    assert map_points.named({f"kind {n}": 10 - n for n in range(9)}) == (
        *(f"kind {n}" for n in range(7)), map_points.OTHERS, map_points.NONE,
    )  # fmt: skip
    assert map_points.named({}) == (map_points.NONE,)


def test_of_many_points_those_selected_are_drawn_and_a_lasso_takes_all(session: Session, mapped: Mapped) -> None:
    made = maps.of(session, mapped.catalog.id)
    assert made is not None
    lamps = mapped.chosen("category:lamps")
    points = map_points.points(session, made, lamps, at_most=7)
    assert points.ids.tolist() == [mapped.ids[0], *mapped.ids[4:]], "all six lamps, and the first of the others"
    assert points.is_chosen.tolist() == [0] + [1] * 6
    assert points.codes.shape == (3, 7)
    assert points.colourings[1].counts == (6, 4, 0), "of all on the map, drawn or not"
    fewer = map_points.points(session, made, lamps, at_most=3)
    assert fewer.ids.tolist() == mapped.ids[4:7]
    lasso = maps.draw_lasso(session, mapped.chosen(""), SQUARE, mapped.ana)
    assert lasso.image_ids == mapped.ids[:5], "though four of these were not drawn"


def test_the_order_by_likeness_begins_with_the_photo_itself(session: Session, mapped: Mapped) -> None:
    chosen = mapped.chosen(f"similar:{mapped.ids[3]}")
    order = [tile.id for tile in browse.page(session, chosen, "alike")]
    assert order[0] == mapped.ids[3]
    assert set(order[1:3]) == {mapped.ids[2], mapped.ids[4]}
    assert browse.position(session, chosen, "alike", order[4]) == 5
    before, after = browse.neighbours(session, chosen, "alike", order[2], 2, 2)
    assert (before, after) == (order[:2], order[3:5])
    assert [tile.id for tile in browse.page(session, chosen, "alike", after=order[2], size=3)] == order[3:6]
    away = mapped.chosen(f"like:{mapped.ids[4]} unlike:{mapped.ids[9]}")
    turned = [tile.id for tile in browse.page(session, away, "alike")]
    assert turned.index(mapped.ids[0]) < turned.index(mapped.ids[8])
    assert [tile.id for tile in browse.page(session, mapped.chosen(""), "alike", size=2)] == mapped.ids[:2]
