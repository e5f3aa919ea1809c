"""Acts on many photos on the real database: what was chosen is what is changed, and an undo gives it back exactly."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.bulk import operations, undoing
from app.catalog.tables import Catalog, Image, Signals
from app.database import utc_now
from app.errors import Conflict, NotFound, Refused
from app.people import Person
from app.review import rule_sets
from app.review.decisions import accept, apply_rules, current, decide, history
from app.review.rules import RuleSettings
from app.review.tables import Decision, OperationBatch
from app.selection import browse
from app.selection.query import parse
from app.selection.tables import PhotoIndex
from tests import cast
from tests.bulk.acting import KEEP, act, begin


def verdicts(session: Session, photos: list[Image]) -> list[str]:
    session.flush()
    return [session.get_one(PhotoIndex, photo.id, populate_existing=True).verdict for photo in photos]


def standing(session: Session, photos: list[Image]) -> list[int | None]:
    """The number of the decision that is current on each photo."""
    now = [current(session, photo.id) for photo in photos]
    return [decision.id if decision else None for decision in now]


def test_an_undo_gives_back_exactly_what_was_before(session: Session, pile: Catalog, ana: Person, mei: Person) -> None:
    photos = [cast.red_kettle(session, pile) for _ in range(5)]
    shoe = cast.blurred_shoe(session, pile)
    apply_rules(session, [photos[3].id, shoe.id])
    decide(session, photos[0], mei, "kept")
    decide(session, photos[1], mei, "rejected", "blurred")
    before = standing(session, [*photos, shoe])
    operation = act(session, pile, ana, "decide", KEEP)
    assert (operation.state, operation.count, operation.changed, operation.already) == ("done", 6, 5, 1)
    assert verdicts(session, photos) == ["kept"] * 5
    assert undoing.said(operation) == "Kept 5 photos; 1 was so already"
    # By somebody else, who may decide too.
    operations.undo(session, operation.id, mei)
    assert standing(session, [*photos, shoe]) == before
    assert (operation.state, operation.taken_back, operation.stayed) == ("undone", 5, 0)
    assert operation.undone_by_id == mei.id
    with pytest.raises(Refused, match="nothing left"):
        operations.undo(session, operation.id, ana)


def test_what_somebody_decided_since_stays_and_is_counted(
    session: Session, pile: Catalog, ana: Person, mei: Person
) -> None:
    photos = [cast.red_kettle(session, pile) for _ in range(3)]
    operation = act(session, pile, ana, "decide", KEEP)
    decide(session, photos[1], mei, "rejected")
    operations.undo(session, operation.id, ana)
    assert verdicts(session, photos) == ["unseen", "rejected", "unseen"]
    assert (operation.taken_back, operation.stayed) == (2, 1)
    assert undoing.undone(session, operation, None).sentence == (
        "Took back on 2 photos: kept 3 photos; 1 changed since and stays as it is."
    )
    # Taken back later, hers lets this act's decision stand again, which can be taken back then.
    undoing.undo(session, mei)
    assert verdicts(session, photos)[1] == "kept"
    operations.undo(session, operation.id, ana)
    assert verdicts(session, photos)[1] == "unseen"
    assert (operation.taken_back, operation.stayed) == (3, 0)


def test_the_photos_are_those_that_were_chosen(session: Session, pile: Catalog, ana: Person, mei: Person) -> None:
    photos = [cast.red_kettle(session, pile) for _ in range(4)]
    operation = begin(session, pile, ana, "decide", KEEP, "decision:unseen")
    assert operations.do_next(session, operation.id) == 2
    late = cast.red_kettle(session, pile)
    # Decided after the act was asked for: the newer word stands.
    decide(session, photos[3], mei, "rejected")
    while operations.do_next(session, operation.id):
        pass
    assert verdicts(session, [*photos, late]) == ["kept"] * 3 + ["rejected", "unseen"]
    assert (operation.changed, operation.passed_over) == (3, 1)
    assert undoing.said(operation) == "Kept 3 photos; 1 changed meanwhile and stays as it is"


def test_of_two_acts_the_one_asked_for_later_stands(session: Session, pile: Catalog, ana: Person, mei: Person) -> None:
    photos = [cast.red_kettle(session, pile) for _ in range(4)]
    first = begin(session, pile, ana, "decide", KEEP)
    operations.do_next(session, first.id)
    act(session, pile, mei, "decide", {"verdict": "rejected", "reason": None})
    while operations.do_next(session, first.id):
        pass
    assert verdicts(session, photos) == ["rejected"] * 4
    assert (first.changed, first.passed_over) == (2, 2)


def test_an_act_that_was_stopped_half_way_is_taken_back_or_goes_on(
    session: Session, pile: Catalog, ana: Person
) -> None:
    photos = [cast.red_kettle(session, pile) for _ in range(4)]
    operation = begin(session, pile, ana, "decide", KEEP)
    operations.do_next(session, operation.id)
    row = operations.row_of(session, operation)
    assert (row.is_half_done, row.may_be_undone) == (True, True)
    assert verdicts(session, photos) == ["kept", "kept", "unseen", "unseen"]
    operations.undo(session, operation.id, ana)
    assert verdicts(session, photos) == ["unseen"] * 4
    assert operations.do_next(session, operation.id) == 0, "a worker that comes late does nothing"
    again = begin(session, pile, ana, "decide", KEEP)
    operations.do_next(session, again.id)
    job = operations.go_on(session, again.id, ana)
    assert (job.kind, job.total) == ("operation.do", 2)
    with pytest.raises(Refused, match="still busy"):
        operations.undo(session, again.id, ana)
    with pytest.raises(Refused, match="still busy"):
        undoing.undo(session, ana)
    assert verdicts(session, photos) == ["kept", "kept", "unseen", "unseen"]


def test_many_photos_are_a_job(session: Session, pile: Catalog, ana: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "AT_ONCE", 2)
    photos = [cast.red_kettle(session, pile) for _ in range(3)]
    operation = begin(session, pile, ana, "decide", KEEP)
    job = operations.carry_out(session, operation, ana)
    assert job is not None and (job.kind, job.total) == ("operation.do", 3)
    assert verdicts(session, photos) == ["unseen"] * 3
    assert [row.operation.id for row in operations.under_way(session, pile.id)] == [operation.id]


def test_photos_that_are_gone_meanwhile_are_passed_over(session: Session, pile: Catalog, ana: Person) -> None:
    photos = [cast.image(session, pile) for _ in range(3)]
    operation = begin(session, pile, ana, "decide", KEEP)
    session.delete(session.get_one(Signals, photos[1].id))
    session.flush()
    session.delete(photos[1])
    session.flush()
    while operations.do_next(session, operation.id):
        pass
    assert (operation.changed, operation.passed_over) == (2, 1)
    operations.undo(session, operation.id, ana)
    assert (operation.taken_back, operation.stayed) == (2, 0)


def test_accepting_takes_what_was_suggested_when_it_was_asked_for(session: Session, pile: Catalog, ana: Person) -> None:
    kettle, shoe, plain = cast.red_kettle(session, pile), cast.blurred_shoe(session, pile), cast.image(session, pile)
    apply_rules(session, [kettle.id, shoe.id])
    before = standing(session, [kettle, shoe, plain])
    operation = act(session, pile, ana, "accept", {})
    assert (operation.changed, operation.already) == (2, 1)
    assert verdicts(session, [kettle, shoe, plain]) == ["kept", "rejected", "unseen"]
    operations.undo(session, operation.id, ana)
    assert standing(session, [kettle, shoe, plain]) == before
    with pytest.raises(Refused, match="No rule suggests"):
        begin(session, pile, ana, "accept", {}, f"id:{plain.id}")


def test_rules_set_meanwhile_speak_after_an_undo(session: Session, pile: Catalog, ana: Person) -> None:
    shoe = cast.blurred_shoe(session, pile)
    apply_rules(session, [shoe.id])
    operation = act(session, pile, ana, "decide", KEEP)
    rule_sets.save(session, pile.id, ana, RuleSettings(blurred_below=0.0))
    operations.undo(session, operation.id, ana)
    now = current(session, shoe.id)
    assert now is not None and now.is_suggestion and now.rule != "blurred"


def test_a_photo_is_assigned_and_found_by_its_person(session: Session, pile: Catalog, ana: Person, mei: Person) -> None:
    photos = [cast.image(session, pile) for _ in range(3)]
    operation = act(session, pile, ana, "assign", {"person_id": mei.id}, f"id:{photos[0].id},{photos[1].id}")
    assert undoing.said(operation) == "Assigned 2 photos to Mei"

    def assigned(q: str) -> list[int]:
        return [tile.id for tile in browse.page(session, parse(q, pile.id), "oldest")]

    hers = [photos[0].id, photos[1].id]
    assert assigned("assigned:mei") == assigned(f"assigned:{mei.email}") == hers
    assert assigned("assigned:none") == assigned("-assigned:Mei") == [photos[2].id]
    moved = act(session, pile, ana, "assign", {"person_id": ana.id})
    assert (moved.changed, moved.already) == (3, 0)
    freed = act(session, pile, ana, "assign", {"person_id": None}, f"id:{photos[0].id}")
    assert undoing.said(freed) == "Assigned 1 photo to nobody"
    assert assigned("assigned:ana") == [photos[1].id, photos[2].id]
    assert undoing.undo(session, ana).count == 1
    assert undoing.undo(session, ana).count == 3
    assert assigned("assigned:mei") == hers and assigned("assigned:none") == [photos[2].id]
    mei.deleted_at = utc_now()
    with pytest.raises(NotFound, match="not on the team"):
        begin(session, pile, ana, "assign", {"person_id": mei.id})


def test_undo_goes_back_through_acts_and_single_decisions(session: Session, pile: Catalog, ana: Person) -> None:
    photos = [cast.image(session, pile) for _ in range(2)]
    act(session, pile, ana, "decide", KEEP)
    decide(session, photos[0], ana, "rejected")
    assert undoing.undo(session, ana).count == 1
    assert verdicts(session, photos) == ["kept", "kept"]
    assert undoing.undo(session, ana).count == 2
    assert verdicts(session, photos) == ["unseen", "unseen"]
    assert undoing.undo(session, ana).sentence == "There is nothing of yours to undo."


def test_what_makes_no_sense_is_refused_and_changes_nothing(session: Session, pile: Catalog, ana: Person) -> None:
    cast.image(session, pile)
    with pytest.raises(Refused, match="not an act"):
        begin(session, pile, ana, "paint", {})
    with pytest.raises(Refused, match="maybe"):
        begin(session, pile, ana, "decide", {"verdict": "maybe"})
    with pytest.raises(Conflict, match="1 photos now, not 2; nothing was changed"), session.begin_nested():
        operations.begin(session, parse("", pile.id), ana, "decide", KEEP, "", expected_count=2)
    assert session.scalars(select(Decision)).all() == []


def test_acts_are_listed_newest_first(session: Session, pile: Catalog, ana: Person, mei: Person) -> None:
    cast.image(session, pile)
    first = act(session, pile, ana, "decide", KEEP)
    second = act(session, pile, mei, "assign", {"person_id": ana.id})
    rows = operations.recent(session, pile.id)
    assert [(row.operation.id, row.person, row.undone_by) for row in rows] == [
        (second.id, "Mei", None),
        (first.id, "Ana", None),
    ]
    assert [row.operation.id for row in operations.recent(session, pile.id, before=second.id)] == [first.id]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("decide", KEEP), ("accept", {}), ("assign", {"person_id": None}), ("recaption", {"model": None})],
)
def test_an_act_on_nothing_is_refused_and_leaves_no_line(
    kind: str, value: dict[str, Any], session: Session, pile: Catalog, ana: Person
) -> None:
    with pytest.raises(Refused, match="The filter gives no photo, so nothing was changed"):
        act(session, pile, ana, kind, value)
    assert operations.recent(session, pile.id) == []
    assert session.scalars(select(OperationBatch)).all() == []


def test_an_act_that_found_nothing_to_change_says_so_and_leaves_no_line(
    session: Session, pile: Catalog, ana: Person
) -> None:
    photos = [cast.image(session, pile) for _ in range(2)]
    first = act(session, pile, ana, "decide", KEEP)
    again = act(session, pile, ana, "decide", KEEP)
    assert undoing.said(again) == "Nothing was changed; 2 were so already"
    assert [row.operation.id for row in operations.recent(session, pile.id)] == [first.id]
    assert undoing.undo(session, ana).count == 2 and verdicts(session, photos) == ["unseen", "unseen"]


def test_a_new_reason_takes_the_place_of_the_old_one_and_an_undo_brings_it_back(
    session: Session, pile: Catalog, ana: Person, mei: Person
) -> None:
    photos = [cast.image(session, pile) for _ in range(4)]
    decide(session, photos[0], mei, "rejected", "blurred")
    decide(session, photos[1], ana, "rejected", "badly lit")
    decide(session, photos[2], mei, "rejected")
    decide(session, photos[3], mei, "rejected", "cropped")
    before = standing(session, photos)
    plain = act(session, pile, ana, "decide", {"verdict": "rejected", "reason": None})
    assert (plain.changed, plain.already) == (0, 4) and standing(session, photos) == before
    operation = act(session, pile, ana, "decide", {"verdict": "rejected", "reason": "cropped"})
    assert (operation.changed, operation.already) == (3, 1)
    assert [_reason(session, photo) for photo in photos] == ["cropped"] * 4
    assert [was.reason for was, _ in history(session, photos[0].id)] == ["cropped", "blurred"]
    operations.undo(session, operation.id, mei)
    assert standing(session, photos) == before


def _reason(session: Session, photo: Image) -> str | None:
    now = current(session, photo.id)
    return now.reason if now else None


def test_an_act_whose_catalog_was_removed_meanwhile_ends_in_a_sentence(
    session: Session, pile: Catalog, ana: Person
) -> None:
    photos = [cast.image(session, pile) for _ in range(4)]
    operation = begin(session, pile, ana, "decide", KEEP)
    operations.do_next(session, operation.id)
    pile.removed_at = utc_now()
    with pytest.raises(NotFound, match="This catalog was removed"):
        operations.do_next(session, operation.id)
    assert (operation.state, operation.changed) == ("open", 2)
    operations.undo(session, operation.id, ana)
    assert standing(session, photos) == [None] * 4


def test_a_person_who_left_meanwhile_gets_no_more_photos(
    session: Session, pile: Catalog, ana: Person, mei: Person
) -> None:
    for _ in range(4):
        cast.image(session, pile)
    operation = begin(session, pile, ana, "assign", {"person_id": mei.id})
    operations.do_next(session, operation.id)
    mei.deleted_at = utc_now()
    with pytest.raises(NotFound, match="Mei is not on the team any more"):
        operations.do_next(session, operation.id)
    with pytest.raises(NotFound, match="Mei is not on the team any more"):
        operations.go_on(session, operation.id, ana)
    assert (operation.state, operation.changed) == ("open", 2)
    operations.undo(session, operation.id, ana)
    assert operation.taken_back == 2


@pytest.mark.parametrize("kind", ["decide", "accept", "assign", "recaption"])
def test_a_photo_that_an_owner_hid_meanwhile_is_passed_over(
    kind: str, session: Session, pile: Catalog, ana: Person
) -> None:
    photos = [cast.blurred_shoe(session, pile) for _ in range(2)]
    apply_rules(session, [photo.id for photo in photos])
    value = {"decide": KEEP, "assign": {"person_id": ana.id}, "recaption": {"model": None}}.get(kind, {})
    operation = begin(session, pile, ana, kind, value)
    photos[1].catalog_id = cast.catalog(session).id
    session.flush()
    while operations.do_next(session, operation.id):
        pass
    assert (operation.changed, operation.passed_over) == (1, 1)


def test_an_accepted_suggestion_is_no_longer_one(session: Session, pile: Catalog, ana: Person) -> None:
    shoe = cast.blurred_shoe(session, pile)
    apply_rules(session, [shoe.id])
    accept(session, shoe, ana)
    with pytest.raises(Refused, match="No rule suggests"):
        act(session, pile, ana, "accept", {})
