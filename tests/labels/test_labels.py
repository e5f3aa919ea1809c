"""Labels: sets that a team defines, labels given and taken, asked for by filters; nothing is lost in silence."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, Image
from app.errors import Conflict, Refused
from app.labels import giving, sets
from app.labels.giving import LabelAct
from app.labels.tables import LabelSet
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
def photos(session: Session, pile: Catalog) -> list[Image]:
    return [cast.image(session, pile) for _ in range(4)]


@pytest.fixture
def fit(session: Session, pile: Catalog, ana: Person) -> LabelSet:
    return sets.define(session, pile.id, ana, "Fit", "one", ["slim", "wide"])


@pytest.fixture
def faults(session: Session, pile: Catalog, ana: Person) -> LabelSet:
    return sets.define(session, pile.id, ana, "Faults", "many", ["creases", "stain", "hanger"])


def act(label_set: LabelSet, name: str | None, is_taken: bool = False) -> LabelAct:
    return LabelAct(label_set, next((value for value in label_set.values if value.name == name), None), is_taken)


def chosen(session: Session, pile: Catalog, query: str) -> list[int]:
    return sorted(session.scalars(parse(query, pile.id).select(Image.id)))


def test_what_is_given_is_found_and_what_is_taken_is_not(
    session: Session, pile: Catalog, ana: Person, photos: list[Image], fit: LabelSet, faults: LabelSet
) -> None:
    one, two, three, four = photos
    for photo, label in ((one, "slim"), (two, "wide"), (three, "slim")):
        giving.give(session, photo, ana, act(fit, label))
    for photo, label in ((one, "creases"), (one, "stain"), (two, "stain")):
        giving.give(session, photo, ana, act(faults, label))
    assert chosen(session, pile, "label:fit=slim") == [one.id, three.id]
    assert chosen(session, pile, "label:FIT=Slim,fit=wide") == [one.id, two.id, three.id]
    assert chosen(session, pile, "label:fit=slim,faults=stain") == [one.id], "sets are asked for together"
    assert chosen(session, pile, "label:faults") == [one.id, two.id]
    assert chosen(session, pile, "-label:faults") == [three.id, four.id]
    assert chosen(session, pile, "label:none") == [four.id]
    assert chosen(session, pile, "label:fit=unheard-of") == []
    giving.give(session, one, ana, act(faults, "stain", is_taken=True))
    assert chosen(session, pile, "label:faults=stain") == [two.id]
    assert chosen(session, pile, "label:faults=creases") == [one.id]
    giving.give(session, one, ana, act(fit, "wide"))
    assert chosen(session, pile, "label:fit=slim") == [three.id]
    assert [said.labels for said in giving.history(session, one.id) if said.set_name == "Fit"] == [("wide",), ("slim",)]


def test_another_name_or_a_retirement_loses_nothing(
    session: Session, pile: Catalog, ana: Person, photos: list[Image], fit: LabelSet
) -> None:
    giving.give(session, photos[0], ana, act(fit, "slim"))
    sets.rename(session, fit, ana, "Cut", "c")
    sets.rename_label(session, fit, fit.values[0].id, ana, "narrow")
    assert chosen(session, pile, "label:cut=narrow") == [photos[0].id]
    assert chosen(session, pile, "label:fit=slim") == []
    sets.retire_label(session, fit, fit.values[0].id, ana)
    with pytest.raises(Refused, match="retired"):
        giving.give(session, photos[1], ana, act(sets.get(session, fit.id), "narrow"))
    sets.retire(session, fit, ana)
    with pytest.raises(Refused, match="retired"):
        giving.give(session, photos[1], ana, act(fit, "wide"))
    assert sets.of(session, pile.id) == []
    assert chosen(session, pile, "label:cut=narrow") == [photos[0].id]
    sets.retire(session, fit, ana, is_back=True)
    assert [each.name for each in sets.of(session, pile.id)] == ["Cut"]


@pytest.mark.parametrize(
    ("name", "key", "why"),
    [("FIT ", None, "“Fit” is there already"), ("none", None, "without labels"), ("a=b", None, "cannot hold “=”"),
     (" \t", None, "needs a letter"), ("x" * 61, None, "at most 60"), ("Cut", "s", "S is needed"),
     ("Cut", "i", "key of “Fit”")],
)  # fmt: skip
def test_a_name_or_key_that_is_taken_is_refused_with_what_is_free(
    session: Session, pile: Catalog, ana: Person, fit: LabelSet, name: str, key: str | None, why: str
) -> None:
    assert fit.key == "i", "the first letter of its name that is free"
    with pytest.raises(Refused, match=why):
        sets.define(session, pile.id, ana, name, "one", ["a"], key)


def test_the_later_of_two_people_sees_what_the_earlier_said(
    session: Session, ana: Person, photos: list[Image], fit: LabelSet, faults: LabelSet
) -> None:
    bob = cast.person(session, "Bob")
    giving.give(session, photos[0], ana, act(fit, "slim"), expected_id=0)
    with pytest.raises(Conflict, match="Ana said slim in “Fit” meanwhile"):
        giving.give(session, photos[0], bob, act(fit, "wide"), expected_id=0)
    seen = giving.current(session, photos[0].id, fit.id)
    assert seen is not None
    giving.give(session, photos[0], bob, act(fit, "wide"), expected_id=seen.id)
    # Where a set takes many, both are heard.
    giving.give(session, photos[0], ana, act(faults, "creases"), expected_id=0)
    giving.give(session, photos[0], bob, act(faults, "stain"), expected_id=0)
    assert giving.history(session, photos[0].id)[0].labels == ("creases", "stain")


def test_free_text_is_one_label_however_it_is_spelled(
    session: Session, pile: Catalog, ana: Person, photos: list[Image]
) -> None:
    note = sets.define(session, pile.id, ana, "Supplier’s note", "text")
    for photo, text in zip(photos, ("Second choice", "second  CHOICE", "sample; colour = off"), strict=False):
        giving.give(session, photo, ana, LabelAct(note, sets.value_of_text(session, note, text)))
    assert chosen(session, pile, 'label:"supplier’s note=second choice"') == [photos[0].id, photos[1].id]
    assert chosen(session, pile, 'label:"supplier’s note=sample; colour = off"') == [photos[2].id]
    with pytest.raises(Refused, match="Write something"):
        sets.value_of_text(session, note, " ")
    asked = sets.define(session, pile.id, ana, "On a person", "yes_no")
    with pytest.raises(Refused, match="Labels are: yes, no"):
        sets.value_of_text(session, asked, "perhaps")


def test_sets_and_labels_are_put_in_another_order(session: Session, pile: Catalog, ana: Person, fit: LabelSet) -> None:
    view = sets.define(session, pile.id, ana, "View", "one", ["front", "back"])
    sets.move(session, view, ana, -1)
    assert [each.name for each in sets.of(session, pile.id)] == ["View", "Fit"]
    sets.move_label(session, fit, fit.values[0].id, ana, 1)
    assert [value.name for value in sets.get(session, fit.id).values] == ["wide", "slim"]


def test_labels_go_with_their_photo_and_their_catalog(
    session: Session, pile: Catalog, ana: Person, photos: list[Image], fit: LabelSet
) -> None:
    giving.give(session, photos[0], ana, act(fit, "slim"))
    giving.give(session, photos[0], ana, act(fit, "wide"))
    session.delete(photos[0])
    session.flush()
    assert session.scalars(select(giving.Labelling)).all() == []
