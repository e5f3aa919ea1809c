"""Decisions on the real database: history, conflicts, bulk, undo, and rules that never overrule a person."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, text
from sqlalchemy.orm import Session

from app.bulk import operations
from app.bulk.undoing import undo
from app.captions import writing
from app.captions.tables import Caption
from app.catalog.tables import Catalog, Image
from app.database import transaction, utc_now
from app.errors import Conflict, Refused
from app.people import Person
from app.review import rule_sets
from app.review.decisions import (
    Applied,
    accept,
    apply_rules,
    current,
    decide,
    history,
    in_batches,
    reconsider,
)
from app.review.rules import RuleSettings
from app.review.tables import Decision, Operation
from app.selection.query import Selection, parse
from app.selection.tables import PhotoIndex
from tests import cast


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session)


@pytest.fixture
def ana(session: Session) -> Person:
    return cast.person(session, "Ana")


@pytest.fixture
def mei(session: Session) -> Person:
    return cast.person(session, "Mei")


def decide_selection(
    session: Session, chosen: Selection, person: Person, verdict: str, expected_count: int | None = None
) -> Operation:
    value = {"verdict": verdict}
    operation = operations.begin(session, chosen, person, "decide", value, chosen.query, expected_count)
    operations.carry_out(session, operation, person)
    return operation


def accept_selection(
    session: Session, chosen: Selection, person: Person, expected_count: int | None = None
) -> Operation:
    operation = operations.begin(session, chosen, person, "accept", {}, chosen.query, expected_count)
    operations.carry_out(session, operation, person)
    return operation


def index_row(session: Session, image: Image) -> tuple[str, str | None, str]:
    session.flush()
    row = session.get_one(PhotoIndex, image.id, populate_existing=True)
    return row.verdict, row.rule, row.captioned_by


def suggested(session: Session, image: Image) -> str | None:
    session.flush()
    return session.get_one(PhotoIndex, image.id, populate_existing=True).suggested


def test_a_decision_supersedes_the_one_before_and_keeps_it(session: Session, pile: Catalog, ana: Person) -> None:
    kettle = cast.red_kettle(session, pile)
    first = decide(session, kettle, ana, "kept")
    second = decide(session, kettle, ana, "rejected", " badly  lit ", expected_id=first.id)
    assert second.parent_id == first.id
    assert [(one.verdict, one.reason, who) for one, who in history(session, kettle.id)] == [
        ("rejected", "badly lit", "Ana"),
        ("kept", None, "Ana"),
    ]
    assert index_row(session, kettle)[0] == "rejected"


def test_the_same_key_twice_is_one_decision(session: Session, pile: Catalog, ana: Person) -> None:
    kettle = cast.red_kettle(session, pile)
    assert decide(session, kettle, ana, "kept").id == decide(session, kettle, ana, "kept").id
    assert len(history(session, kettle.id)) == 1


def test_an_unknown_verdict_is_refused(session: Session, pile: Catalog, ana: Person) -> None:
    with pytest.raises(Refused, match="maybe"):
        decide(session, cast.red_kettle(session, pile), ana, "maybe")


def test_the_second_of_two_people_is_told(session: Session, pile: Catalog, ana: Person, mei: Person) -> None:
    kettle = cast.red_kettle(session, pile)
    hers = decide(session, kettle, ana, "kept", expected_id=0)
    hers.created_at = utc_now() - timedelta(minutes=2, seconds=5)
    session.flush()
    with pytest.raises(Conflict, match=r"Ana kept this photo two minutes ago\.") as conflict:
        decide(session, kettle, mei, "rejected", expected_id=0)
    assert conflict.value.other == "kept"
    agreed = decide(session, kettle, mei, "kept", expected_id=0)
    assert agreed.id == hers.id  # the same verdict is no conflict, and hers stays
    assert decide(session, kettle, mei, "rejected", expected_id=hers.id).person_id == mei.id


def test_a_new_reason_takes_the_place_of_the_old_one(session: Session, pile: Catalog, ana: Person, mei: Person) -> None:
    kettle = cast.red_kettle(session, pile)
    hers = decide(session, kettle, ana, "rejected", "blurred")
    assert decide(session, kettle, mei, "rejected", expected_id=0).id == hers.id
    assert decide(session, kettle, mei, "rejected", "blurred", expected_id=0).id == hers.id
    with pytest.raises(Conflict, match="Ana rejected this photo a moment ago: blurred"):
        decide(session, kettle, mei, "rejected", "badly lit", expected_id=0)
    seen = decide(session, kettle, mei, "rejected", "badly lit", expected_id=hers.id)
    assert (seen.person_id, seen.reason, seen.parent_id) == (mei.id, "badly lit", hers.id)
    assert "is rejected again" in undo(session, mei).sentence
    now = current(session, kettle.id)
    assert now is not None and (now.id, now.reason) == (hers.id, "blurred")


def test_a_rules_decision_never_conflicts(session: Session, pile: Catalog, ana: Person) -> None:
    shoe = cast.blurred_shoe(session, pile)
    apply_rules(session, [shoe.id])
    assert decide(session, shoe, ana, "kept", expected_id=0).person_id == ana.id


def test_bulk_decides_by_filter_as_one_act(session: Session, pile: Catalog, ana: Person, mei: Person) -> None:
    photos = [cast.red_kettle(session, pile) for _ in range(3)]
    outside = cast.blurred_shoe(session, pile)
    hers = decide(session, photos[0], mei, "kept")
    was = decide(session, photos[1], mei, "rejected")
    decided = decide_selection(session, parse("category:Kettles", pile.id), ana, "kept", expected_count=3)
    assert (decided.changed, decided.already) == (2, 1)
    assert [index_row(session, photo)[0] for photo in photos] == ["kept"] * 3
    assert index_row(session, outside)[0] == "unseen"
    kept = current(session, photos[0].id)
    assert kept is not None and kept.id == hers.id
    undone = undo(session, ana)
    assert undone.count == 2 and "2 photos" in undone.sentence
    assert [index_row(session, photo)[0] for photo in photos] == ["kept", "rejected", "unseen"]
    back = current(session, photos[1].id)
    assert back is not None and back.id == was.id


def test_bulk_refuses_when_the_filter_moved_meanwhile(session: Session, pile: Catalog, ana: Person) -> None:
    cast.red_kettle(session, pile)
    with pytest.raises(Conflict, match="1 photos now, not 2"):
        decide_selection(session, parse("", pile.id), ana, "rejected", expected_count=2)
    assert session.scalars(select(Decision)).all() == []


def test_taking_back_reads_no_table_through(session: Session, pile: Catalog, ana: Person) -> None:
    """Among a million captions and as many decisions that would take half a second."""
    decide(session, cast.image(session, pile), ana, "kept")
    session.flush()
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *rest: Any) -> None:
        asked.append((statement, parameters))

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    undo(session, ana)
    event.remove(connection, "before_cursor_execute", note)
    # The test has few rows, of which any way is short.
    for way in ("seqscan", "bitmapscan", "sort"):
        session.execute(text(f"set local enable_{way} = off"))
    by_person = [each for each in asked if "caption.person_id =" in each[0] or "decision.created_at =" in each[0]]
    assert len(by_person) == 2
    plans = [
        "\n".join(connection.exec_driver_sql(f"explain {statement}", parameters).scalars())
        for statement, parameters in by_person
    ]
    assert "ix_caption_person_id_id" in plans[0]
    assert "ix_decision_person_id_created_at" in plans[1]


def test_undo_goes_back_step_by_step(session: Session, pile: Catalog, ana: Person) -> None:
    kettle, shoe = cast.red_kettle(session, pile), cast.blurred_shoe(session, pile)
    apply_rules(session, [shoe.id])
    decide(session, kettle, ana, "kept")
    decide(session, kettle, ana, "rejected")
    decide(session, shoe, ana, "kept")
    assert undo(session, ana).sentence == "Brown shoe is not decided any more; a rule suggests to reject it."
    assert index_row(session, shoe)[:2] == ("unseen", "blurred")
    assert undo(session, ana).sentence == "Red kettle is kept again."
    assert undo(session, ana).sentence == "Red kettle is not decided any more."
    assert undo(session, ana).image_id is None
    assert current(session, kettle.id) is None
    assert len(history(session, kettle.id)) == 2  # what was undone stays in the history


def test_undo_leaves_what_somebody_decided_since(session: Session, pile: Catalog, ana: Person, mei: Person) -> None:
    kettle = cast.red_kettle(session, pile)
    mine = decide(session, kettle, ana, "kept")
    decide(session, kettle, mei, "rejected", expected_id=mine.id)
    assert undo(session, ana).image_id is None
    assert index_row(session, kettle)[0] == "rejected"


def test_undo_puts_an_earlier_caption_back(session: Session, pile: Catalog, ana: Person) -> None:
    kettle = cast.image(session, pile, caption="Green kettle on a pure white background.")
    apply_rules(session, [kettle.id])
    assert index_row(session, kettle) == ("unseen", "contradicted", "captioner")
    machine = writing.current(session, [kettle.id])[kettle.id]
    decide(session, cast.red_kettle(session, pile), ana, "kept")
    writing.rewrite(session, kettle.id, "Red kettle on a pure white background.", ana, machine.id)
    reconsider(session, kettle.id)
    assert index_row(session, kettle) == ("unseen", "clean", "person")
    assert "earlier caption" in undo(session, ana).sentence
    assert writing.current(session, [kettle.id])[kettle.id].id == machine.id
    assert index_row(session, kettle) == ("unseen", "contradicted", "captioner")
    assert "not decided" in undo(session, ana).sentence


def test_undo_of_a_first_caption_leaves_none(session: Session, pile: Catalog, ana: Person) -> None:
    bare = cast.image(session, pile)
    writing.rewrite(session, bare.id, "Red kettle.", ana, None)
    undo(session, ana)
    assert index_row(session, bare)[2] == "none"
    assert session.scalars(select(Caption.text).where(Caption.image_id == bare.id)).all() == ["Red kettle."]


def test_rules_suggest_for_the_rest_and_never_overrule_a_person(session: Session, pile: Catalog, ana: Person) -> None:
    kettle, shoe = cast.red_kettle(session, pile), cast.blurred_shoe(session, pile)
    bare = cast.image(session, pile)
    decide(session, bare, ana, "kept")
    ids = [one for batch in in_batches(session, pile.id, 2) for one in batch]
    applied = apply_rules(session, ids)
    assert (applied.kept, applied.rejected, applied.needs_work, applied.left_to_people) == (1, 1, 0, 1)
    assert index_row(session, kettle)[:2] == ("unseen", "clean")
    assert index_row(session, shoe)[:2] == ("unseen", "blurred")
    assert [suggested(session, photo) for photo in (kettle, shoe, bare)] == ["kept", "rejected", None]
    assert index_row(session, bare)[:2] == ("kept", None)


def test_applying_again_changes_only_what_differs(session: Session, pile: Catalog) -> None:
    kettle, shoe = cast.red_kettle(session, pile), cast.blurred_shoe(session, pile)
    apply_rules(session, [kettle.id, shoe.id])
    session.delete(session.scalars(select(Caption).where(Caption.image_id == kettle.id)).one())
    session.flush()
    applied = apply_rules(session, [kettle.id, shoe.id])
    assert (applied.needs_work, applied.unchanged) == (1, 1)
    assert len(history(session, kettle.id)) == 2
    assert len(history(session, shoe.id)) == 1


def test_accepting_makes_the_suggestion_a_persons_decision(session: Session, pile: Catalog, ana: Person) -> None:
    kettle, shoe, bare = cast.red_kettle(session, pile), cast.blurred_shoe(session, pile), cast.image(session, pile)
    apply_rules(session, [kettle.id, shoe.id])
    seen = current(session, shoe.id)
    assert seen is not None
    accepted = accept(session, shoe, ana, seen.id)
    assert (accepted.verdict, accepted.person_id, accepted.parent_id) == ("rejected", ana.id, seen.id)
    assert accepted.reason == "Blurred: sharpness 0.020, under the limit."
    assert index_row(session, shoe)[0] == "rejected" and suggested(session, shoe) is None
    assert accept(session, shoe, ana, seen.id) is accepted, "sent twice, the answer of the first was lost"
    assert accept(session, kettle, ana).reason is None
    with pytest.raises(Refused, match="suggests anything"):
        accept(session, bare, ana)


def test_a_suggestion_that_changed_or_was_decided_is_not_accepted_unseen(
    session: Session, pile: Catalog, ana: Person, mei: Person
) -> None:
    kettle = cast.image(session, pile, caption="Green kettle.")
    apply_rules(session, [kettle.id])
    seen = current(session, kettle.id)
    assert seen is not None
    machine = writing.current(session, [kettle.id])[kettle.id]
    writing.rewrite(session, kettle.id, "Red kettle.", mei, machine.id)
    reconsider(session, kettle.id)
    with pytest.raises(Conflict, match="suggests to keep it now"):
        accept(session, kettle, ana, seen.id)
    decide(session, kettle, mei, "rejected")
    with pytest.raises(Conflict, match="Mei rejected this photo"):
        accept(session, kettle, ana, seen.id)


def test_suggestions_are_accepted_by_filter_as_one_act(
    session: Session, pile: Catalog, ana: Person, mei: Person
) -> None:
    kettles, shoe = [cast.red_kettle(session, pile) for _ in range(3)], cast.blurred_shoe(session, pile)
    photos = [*kettles, shoe]
    apply_rules(session, [photo.id for photo in photos])
    decide(session, kettles[0], mei, "rejected")
    everything = parse("", pile.id)
    with pytest.raises(Conflict, match="4 photos now, not 3"):
        accept_selection(session, everything, ana, expected_count=3)
    decided = accept_selection(session, everything, ana, expected_count=4)
    assert (decided.changed, decided.already) == (3, 1)
    assert [index_row(session, photo)[0] for photo in photos] == ["rejected", "kept", "kept", "rejected"]
    with pytest.raises(Refused, match="nothing was changed"):
        accept_selection(session, everything, ana)
    undone = undo(session, ana)
    assert (undone.count, undone.sentence) == (3, "Took back on 3 photos: accepted 3 suggestions.")
    assert [index_row(session, photo)[0] for photo in photos] == ["rejected", "unseen", "unseen", "unseen"]
    assert [suggested(session, photo) for photo in photos] == [None, "kept", "kept", "rejected"]


def test_what_an_undo_brings_back_follows_the_rules_of_now(session: Session, pile: Catalog, ana: Person) -> None:
    shoe = cast.blurred_shoe(session, pile)
    apply_rules(session, [shoe.id])
    decide(session, shoe, ana, "kept")
    rule_sets.save(session, pile.id, ana, RuleSettings(blurred_below=0.01))
    applied = apply_rules(session, [shoe.id])
    assert applied == Applied(left_to_people=1)
    undo(session, ana)
    assert (suggested(session, shoe), index_row(session, shoe)[1]) == ("needs_work", "contradicted")


def test_a_suggestion_is_withdrawn_where_no_rule_speaks_any_more(session: Session, pile: Catalog, ana: Person) -> None:
    kettle = cast.red_kettle(session, pile)
    apply_rules(session, [kettle.id])
    rule_sets.save(session, pile.id, ana, RuleSettings(off=frozenset({"clean"})))
    assert apply_rules(session, [kettle.id]) == Applied(withdrawn=1)
    assert current(session, kettle.id) is None and len(history(session, kettle.id)) == 1
    assert apply_rules(session, [kettle.id]) == Applied()


def test_the_second_of_two_who_set_rules_is_told(session: Session, pile: Catalog, ana: Person, mei: Person) -> None:
    first = rule_sets.save(session, pile.id, ana, RuleSettings("scenes"), expected_id=0)
    assert first is not None and rule_sets.save(session, pile.id, mei, RuleSettings("scenes"), expected_id=0) is None
    with pytest.raises(Conflict, match="Ana set other rules"):
        rule_sets.save(session, pile.id, mei, RuleSettings("both"), expected_id=0)
    rule_sets.save(session, pile.id, mei, RuleSettings("both"), expected_id=first.id)
    assert [(kept.settings["wants"], name) for kept, name in rule_sets.history(session, pile.id)] == [
        ("both", "Mei"), ("scenes", "Ana"),
    ]  # fmt: skip
    job = rule_sets.under_way(session, pile.id)
    assert job is not None and job.kind == "review.apply_rules"


def test_two_people_deciding_at_the_same_moment_both_get_an_answer(engine: Engine, emptied: None) -> None:
    """On two connections: one wins, the other is told; never a broken index."""
    with transaction(engine) as session:
        pile = cast.catalog(session)
        kettle = cast.red_kettle(session, pile)
        people = [cast.person(session, name) for name in ("Ana", "Mei")]
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def work(person: Person, verdict: str) -> None:
        with transaction(engine) as session:
            start.wait()
            try:
                decide(session, session.get_one(Image, kettle.id), person, verdict, expected_id=0)
                outcomes.append("decided")
            except Conflict:
                outcomes.append("told")

    threads = [threading.Thread(target=work, args=pair) for pair in zip(people, ("kept", "rejected"), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with transaction(engine) as session:
        assert len(history(session, kettle.id)) == 1
    assert sorted(outcomes) == ["decided", "told"]
