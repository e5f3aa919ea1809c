"""Corrections of what a catalogue says: with history, taken back, asked for before they are lost."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.bulk import undoing
from app.catalog import corrections
from app.catalog.tables import Catalog, Image
from app.errors import Conflict, Refused
from app.people import Person
from app.selection.query import parse
from tests import cast


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session)


@pytest.fixture
def ana(session: Session) -> Person:
    return cast.person(session)


@pytest.fixture
def kettle(session: Session, pile: Catalog) -> Image:
    return cast.image(session, pile, "Red ketle", product="K-1", category="Pots")


def chosen(session: Session, query: str, image: Image) -> bool:
    return image.id in session.scalars(parse(query, image.catalog_id).select(Image.id)).all()


def test_search_and_facets_follow_a_correction_and_its_undo(session: Session, ana: Person, kettle: Image) -> None:
    for fact, value in (("title", "Red  kettle"), ("category", "Kettles"), ("product", ""), ("brand", "Alba")):
        corrections.correct(session, kettle, ana, fact, value)
    assert chosen(session, 'category:kettles product:none "red kettle"', kettle)
    assert kettle.extra == {"brand": "Alba"}
    corrections.correct(session, kettle, ana, "brand", "Alba & Co")
    past = [(row.fact, row.before, row.value) for row, _ in corrections.history(session, kettle.id)]
    assert past[:3] == [("brand", "Alba", "Alba & Co"), ("brand", None, "Alba"), ("product", "K-1", None)]
    assert undoing.undo(session, ana).sentence == "The brand is “Alba” again."
    assert undoing.undo(session, ana).sentence == "There is no brand again."
    assert kettle.extra == {}
    for _ in range(3):
        undoing.undo(session, ana)
    assert (kettle.title, kettle.category, kettle.product) == ("Red ketle", "Pots", "K-1")
    assert chosen(session, "category:pots ketle product:k-1", kettle)


def test_the_later_of_two_people_is_shown_what_the_earlier_put(session: Session, ana: Person, kettle: Image) -> None:
    bob = cast.person(session, "Bob")
    first = corrections.correct(session, kettle, ana, "title", "Red kettle", expected_id=0)
    assert first is not None and corrections.correct(session, kettle, bob, "title", "Red kettle", 0) is first
    with pytest.raises(Conflict, match="Ana corrected title meanwhile"):
        corrections.correct(session, kettle, bob, "title", "Kettle", expected_id=0)
    corrections.correct(session, kettle, bob, "title", "Kettle", expected_id=first.id)
    assert kettle.title == "Kettle"


@pytest.mark.parametrize(
    ("fact", "value", "why"),
    [("", "x", "has a name"), ("opt-out", "no", "what the photo’s owner said"), ("title", "x" * 2001, "at most 2,000")],
)
def test_what_cannot_be_kept_is_refused(
    session: Session, ana: Person, kettle: Image, fact: str, value: str, why: str
) -> None:
    with pytest.raises(Refused, match=why):
        corrections.correct(session, kettle, ana, fact, value)
    assert session.scalars(select(corrections.Correction)).all() == []
