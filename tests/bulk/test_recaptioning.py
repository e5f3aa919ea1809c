"""Asking the captioner anew for many photos: what it wrote before comes back; what people wrote never goes unasked."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from app.bulk import operations, recaptioning, undoing
from app.captions import writing
from app.captions.tables import Caption
from app.catalog.tables import Catalog, Image
from app.errors import Refused
from app.people import Person
from app.review.decisions import apply_rules, current
from tests import cast
from tests.bulk.acting import act, begin

FACTS = {"model": None, "replaces": False}
ALL = {"model": None, "replaces": True}


def standing(session: Session, photos: list[Image]) -> list[int | None]:
    """The number of the caption that is current on each photo."""
    session.expire_all()
    now = writing.current(session, [photo.id for photo in photos])
    return [now[photo.id].id if photo.id in now else None for photo in photos]


@pytest.fixture
def photos(session: Session, pile: Catalog, ana: Person) -> list[Image]:
    """By a machine, by a machine, by Ana, from a file, by nobody."""
    many = [cast.image(session, pile, caption="By a machine.") for _ in range(3)]
    many += [cast.image(session, pile), cast.image(session, pile)]
    before = standing(session, many)
    writing.rewrite(session, many[2].id, "Ana’s words.", ana, before[2])
    writing.give(session, many[3].id, "Given.", "captions.csv", 4)
    return many


def test_the_captioner_writes_anew_and_the_former_captions_come_back(
    session: Session, pile: Catalog, ana: Person, mei: Person, photos: list[Image]
) -> None:
    before = standing(session, photos)
    operation = act(session, pile, mei, "recaption", FACTS)
    assert (operation.state, operation.changed, operation.passed_over) == ("done", 3, 2)
    after = standing(session, photos)
    assert after[2:4] == before[2:4], "a person’s and a given caption stay"
    fresh = session.get_one(Caption, after[0])
    assert (fresh.captioner, fresh.parent_id, fresh.operation_id) == ("facts", before[0], operation.id)
    assert after[4] is not None
    assert undoing.said(operation).startswith("Captioned 3 photos anew; 2 keep their captions, by a person")
    again = act(session, pile, mei, "recaption", FACTS)
    assert (again.changed, again.already, again.passed_over) == (0, 3, 2)
    operations.undo(session, operation.id, ana)
    assert standing(session, photos) == before
    assert (operation.taken_back, operation.stayed) == (3, 0)


def test_told_so_it_takes_the_place_of_what_people_wrote_and_that_comes_back_too(
    session: Session, pile: Catalog, ana: Person, mei: Person, photos: list[Image]
) -> None:
    before = standing(session, photos)
    operation = begin(session, pile, mei, "recaption", ALL)
    assert operations.do_next(session, operation.id) == 1, "captions are fewer to a batch than decisions"
    late = writing.rewrite(session, photos[4].id, "Written meanwhile.", ana, None)
    while operations.do_next(session, operation.id):
        pass
    assert (operation.changed, operation.passed_over) == (4, 1)
    hers = writing.rewrite(session, photos[0].id, "Better words.", ana, standing(session, photos)[0])
    operations.undo(session, operation.id, mei)
    assert standing(session, photos) == [hers.id, *before[1:4], late.id]
    assert (operation.taken_back, operation.stayed) == (3, 1)


def test_of_two_the_one_asked_for_later_stands(
    session: Session, pile: Catalog, ana: Person, mei: Person, photos: list[Image]
) -> None:
    first = begin(session, pile, ana, "recaption", FACTS)
    later = begin(session, pile, mei, "recaption", {"model": "org/parrot", "replaces": False})
    says = {photo.id: ("A parrot.", {}) for photo in photos}
    recaptioning.write(session, later, list(says), "org/parrot", says)
    while operations.do_next(session, first.id):
        pass
    assert first.changed == 0
    stands = writing.current(session, [photo.id for photo in photos])
    assert [stands[photos[place].id].text for place in (0, 1, 4)] == ["A parrot."] * 3


def test_the_rules_look_again_after_the_act_and_after_its_undo(session: Session, pile: Catalog, ana: Person) -> None:
    kettle = cast.red_kettle(session, pile)
    wrong = writing.propose(session, kettle, "Green kettle.", "org/parrot", {})
    assert wrong is not None
    apply_rules(session, [kettle.id])
    said = current(session, kettle.id)
    assert said is not None and said.rule == "contradicted"
    operation = act(session, pile, ana, "recaption", FACTS)
    now = current(session, kettle.id)
    assert now is not None and now.rule != "contradicted"
    operations.undo(session, operation.id, ana)
    back = current(session, kettle.id)
    assert back is not None and back.rule == "contradicted"


def test_what_cannot_be_captioned_is_refused(session: Session, pile: Catalog, ana: Person, photos: list[Image]) -> None:
    with pytest.raises(Refused, match="each of these photos has one"):
        begin(session, pile, ana, "recaption", FACTS, f"id:{photos[2].id},{photos[3].id}")
    assert begin(session, pile, ana, "recaption", ALL, f"id:{photos[2].id}").count == 1
    with pytest.raises(Refused, match="gives no photo"):
        begin(session, pile, ana, "recaption", FACTS, "id:0")


def test_a_model_is_asked_by_a_worker_that_has_one(
    session: Session, pile: Catalog, ana: Person, photos: list[Image]
) -> None:
    operation = begin(session, pile, ana, "recaption", {"model": "org/parrot"})
    job = operations.carry_out(session, operation, ana)
    assert job is not None and (job.kind, job.queue, job.total) == ("operation.look", "gpu", 5)
    assert operations.open_batches(session, operation.id) == dict.fromkeys(range(5), 1)
