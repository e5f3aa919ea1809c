"""Ranges over photos that no browser has seen, told by whichever photos are fewer: they, or all the others."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, Image
from app.errors import NotFound, Refused
from app.people import Person
from app.review.decisions import decide
from app.selection import ranges
from app.selection.query import Selection, parse
from app.selection.ranges import IdRange, between
from tests import cast


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session)


@pytest.fixture
def photos(session: Session, pile: Catalog) -> list[Image]:
    """Ten, the newest first, as the grid lists them."""
    made = [cast.red_kettle(session, pile) for _ in range(10)][::-1]
    session.flush()
    return made


def ids(photos: list[Image]) -> tuple[int, ...]:
    return tuple(photo.id for photo in photos)


@pytest.mark.parametrize(("one", "other"), [(2, 6), (6, 2), (0, 9), (4, 4), (8, 9)])
def test_both_ends_are_in_it_in_either_direction(
    session: Session, pile: Catalog, photos: list[Image], one: int, other: int
) -> None:
    low, high = sorted((one, other))
    expected = ids(photos[low : high + 1])
    assert between(session, Selection(pile.id), "newest", photos[one].id, photos[other].id) == IdRange(
        expected, False, len(expected)
    )
    backwards = between(session, Selection(pile.id), "oldest", photos[one].id, photos[other].id)
    assert sorted(backwards.ids) == sorted(expected)


def test_only_what_the_filter_gives_lies_between(session: Session, pile: Catalog, photos: list[Image]) -> None:
    ana: Person = cast.person(session)
    for photo in photos[3:5]:
        decide(session, photo, ana, "kept")
    session.flush()
    unseen = parse("decision:unseen", pile.id)
    assert between(session, unseen, "newest", photos[1].id, photos[6].id).ids == ids(photos[1:3] + photos[5:7])
    # An end that has left the filter since it was listed is still meant.
    assert between(session, unseen, "newest", photos[3].id, photos[6].id).ids == ids([photos[3], *photos[5:7]])
    assert between(session, unseen, "newest", photos[1].id, photos[4].id).ids == ids([*photos[1:3], photos[4]])


def test_a_long_range_is_told_by_what_is_not_in_it(
    session: Session, pile: Catalog, photos: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "MOST", 4)
    id_range = between(session, Selection(pile.id), "newest", photos[1].id, photos[8].id)
    assert id_range == IdRange((photos[0].id, photos[9].id), True, 8)
    everything = between(session, Selection(pile.id), "newest", photos[9].id, photos[0].id)
    assert everything == IdRange((), True, 10)
    with pytest.raises(Refused, match=r"5 photos of 10\. One by one, at most 4"):
        between(session, Selection(pile.id), "newest", photos[2].id, photos[6].id)


def test_an_unknown_photo_or_order_is_refused(session: Session, pile: Catalog, photos: list[Image]) -> None:
    with pytest.raises(NotFound):
        between(session, Selection(pile.id), "newest", photos[0].id, 999_999)
    with pytest.raises(Refused):
        between(session, Selection(pile.id), "best", photos[0].id, photos[1].id)
