"""Labels and tags on many photos: an operation like any other, in which nobody's answer is lost in silence."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.bulk import operations, undoing
from app.catalog.tables import Catalog, Image
from app.errors import Conflict, NotFound, Refused
from app.labels import giving, sets
from app.labels.giving import LabelAct
from app.labels.tables import LabelSet
from app.people import Person
from app.selection.query import parse
from tests import cast
from tests.bulk.acting import KEEP, act, begin


@pytest.fixture
def photos(session: Session, pile: Catalog) -> list[Image]:
    return [cast.image(session, pile) for _ in range(4)]


@pytest.fixture
def fit(session: Session, pile: Catalog, ana: Person) -> LabelSet:
    return sets.define(session, pile.id, ana, "Fit", "one", ["slim", "wide"])


@pytest.fixture
def faults(session: Session, pile: Catalog, ana: Person) -> LabelSet:
    return sets.define(session, pile.id, ana, "Faults", "many", ["creases", "stain"])


def value(label_set: LabelSet, place: int | None, is_taken: bool = False, replaces: bool = False) -> dict[str, Any]:
    number = label_set.values[place].id if place is not None else None
    return {"set_id": label_set.id, "value_id": number, "is_taken": is_taken, "replaces": replaces}


def chosen(session: Session, pile: Catalog, q: str) -> list[int]:
    return sorted(session.scalars(parse(q, pile.id).select(Image.id)))


def test_a_selection_is_labelled_and_others_keep_what_they_said(
    session: Session, pile: Catalog, ana: Person, mei: Person, photos: list[Image], fit: LabelSet
) -> None:
    giving.give(session, photos[0], mei, LabelAct(fit, fit.values[1]))
    giving.give(session, photos[1], ana, LabelAct(fit, fit.values[0]))
    done = act(session, pile, ana, "label", value(fit, 0))
    assert (done.state, done.changed, done.already, done.passed_over) == ("done", 2, 1, 1)
    assert undoing.said(done) == ("Gave Fit “slim” to 2 photos; 1 was so already; 1 keeps what somebody else said")
    assert chosen(session, pile, "label:fit=slim") == [photo.id for photo in photos[1:]]
    assert undoing.undo(session, ana).sentence == "Took back on 2 photos: gave Fit “slim” to 2 photos."
    assert chosen(session, pile, "label:fit=slim") == [photos[1].id]
    assert chosen(session, pile, "label:fit=wide") == [photos[0].id]
    replaced = act(session, pile, ana, "label", value(fit, 0, replaces=True))
    assert replaced.changed == 3
    operations.undo(session, replaced.id, mei)
    assert chosen(session, pile, "label:fit=wide") == [photos[0].id]


def test_where_a_set_takes_many_they_are_added_to_and_taken_one_by_one(
    session: Session, pile: Catalog, ana: Person, mei: Person, photos: list[Image], faults: LabelSet
) -> None:
    giving.give(session, photos[0], mei, LabelAct(faults, faults.values[1]))
    act(session, pile, ana, "label", value(faults, 0))
    assert chosen(session, pile, "label:faults=stain") == [photos[0].id]
    assert len(chosen(session, pile, "label:faults=creases")) == 4
    taken = act(session, pile, mei, "label", value(faults, 0, is_taken=True, replaces=True))
    assert undoing.said(taken) == "Took Faults “creases” from 4 photos"
    assert chosen(session, pile, "label:faults=stain") == [photos[0].id]
    operations.undo(session, taken.id, mei)
    assert len(chosen(session, pile, "label:faults=creases")) == 4
    cleared = act(session, pile, mei, "label", value(faults, None, is_taken=True, replaces=True))
    assert (cleared.changed, chosen(session, pile, "label:faults")) == (4, [])


def test_what_was_labelled_since_stays_when_the_act_is_done_and_when_it_is_taken_back(
    session: Session, pile: Catalog, ana: Person, mei: Person, photos: list[Image], fit: LabelSet
) -> None:
    operation = begin(session, pile, ana, "label", value(fit, 0, replaces=True))
    assert operations.do_next(session, operation.id) == 2
    giving.give(session, photos[0], mei, LabelAct(fit, fit.values[1]))
    giving.give(session, photos[3], mei, LabelAct(fit, fit.values[1]))
    while operations.do_next(session, operation.id):
        pass
    assert (operation.changed, operation.passed_over) == (3, 1)
    operations.undo(session, operation.id, ana)
    assert (operation.taken_back, operation.stayed) == (2, 1)
    assert chosen(session, pile, "label:fit=wide") == [photos[0].id, photos[3].id]
    assert chosen(session, pile, "label:fit=slim") == []


@pytest.mark.parametrize("gone", ["set", "label", "label deleted"])
def test_each_batch_looks_again_whether_the_label_may_be_given(
    gone: str, session: Session, pile: Catalog, ana: Person, photos: list[Image], fit: LabelSet
) -> None:
    operation = begin(session, pile, ana, "label", value(fit, 0))
    operations.do_next(session, operation.id)
    if gone == "set":
        sets.retire(session, fit, ana)
    elif gone == "label":
        sets.retire_label(session, fit, fit.values[0].id, ana)
    else:
        session.delete(fit.values[0])
        session.flush()
    why = {"set": "“Fit” is retired; bring it", "label": "“slim” of “Fit” is retired; bring it"}
    for step in (
        lambda: operations.do_next(session, operation.id),
        lambda: operations.go_on(session, operation.id, ana),
    ):
        with pytest.raises((Refused, NotFound), match=why.get(gone, "“Fit” has no such label")):
            step()
    row = operations.row_of(session, operation)
    assert (row.is_half_done, row.may_be_undone, operation.changed) == (True, True, 2)
    if gone == "set":
        sets.retire(session, fit, ana, is_back=True)
        assert operations.do_next(session, operation.id) == 2
        sets.retire(session, fit, ana)
    operations.undo(session, operation.id, ana)
    assert (operation.taken_back, operation.state) == (operation.changed, "undone")
    assert chosen(session, pile, "label:fit") == []


def test_a_tag_is_made_by_being_given(session: Session, pile: Catalog, ana: Person, photos: list[Image]) -> None:
    with pytest.raises(Refused, match="No photo of this catalog has a tag yet"):
        sets.tag(session, pile.id, ana, "summer", is_new=False)
    label_set, tag = sets.tag(session, pile.id, ana, " Summer  sale ")
    assert (label_set.name, label_set.kind, tag.name) == ("Tags", "many", "Summer sale")
    assert sets.tag(session, pile.id, ana, "summer SALE")[1].id == tag.id
    given = {"set_id": label_set.id, "value_id": tag.id, "is_taken": False}
    act(session, pile, ana, "label", given, f"id:{photos[0].id}")
    assert chosen(session, pile, 'label:"tags=summer sale"') == [photos[0].id]
    with pytest.raises(Refused, match="is no label of “Tags”"):
        sets.tag(session, pile.id, ana, "winter", is_new=False)
    with pytest.raises(Refused, match="needs a letter"):
        sets.tag(session, pile.id, ana, "  ")


def test_a_set_of_tags_that_people_made_otherwise_is_refused(session: Session, pile: Catalog, ana: Person) -> None:
    sets.retire(session, sets.tag(session, pile.id, ana, "summer")[0], ana)
    with pytest.raises(Refused, match="“Tags” is retired"):
        act(session, pile, ana, "label", _tagged(session, pile, ana))
    other = cast.catalog(session)
    sets.define(session, other.id, ana, "TAGS", "text")
    with pytest.raises(Refused, match="tags want a set that takes many"):
        sets.tag(session, other.id, ana, "summer")


def _tagged(session: Session, pile: Catalog, ana: Person) -> dict[str, Any]:
    label_set, tag = sets.tag(session, pile.id, ana, "summer")
    return {"set_id": label_set.id, "value_id": tag.id, "is_taken": False}


def test_what_makes_no_sense_is_refused_and_labels_nothing(
    session: Session, pile: Catalog, ana: Person, photos: list[Image], fit: LabelSet, faults: LabelSet
) -> None:
    with pytest.raises(Conflict, match="4 photos now, not 5"), session.begin_nested():
        operations.begin(session, parse("", pile.id), ana, "label", value(fit, 0), "", expected_count=5)
    with pytest.raises(NotFound, match="no such label"):
        begin(session, pile, ana, "label", {**value(fit, 0), "value_id": faults.values[0].id})
    with pytest.raises(NotFound, match="another catalog"):
        begin(session, cast.catalog(session), ana, "label", value(fit, 0))
    sets.retire(session, fit, ana)
    with pytest.raises(Refused, match="retired"):
        begin(session, pile, ana, "label", value(fit, 0))
    assert chosen(session, pile, "label:fit") == []


def test_undo_goes_back_through_labels_and_decisions(
    session: Session, pile: Catalog, ana: Person, photos: list[Image], fit: LabelSet
) -> None:
    act(session, pile, ana, "label", value(fit, 0))
    act(session, pile, ana, "decide", KEEP)
    giving.give(session, photos[0], ana, LabelAct(fit, fit.values[1]))
    assert "earlier labels of “Fit”" in undoing.undo(session, ana).sentence
    assert "kept 4 photos" in undoing.undo(session, ana).sentence
    assert "gave Fit “slim” to 4 photos" in undoing.undo(session, ana).sentence
    assert undoing.undo(session, ana).sentence == "There is nothing of yours to undo."
