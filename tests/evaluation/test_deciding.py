"""The verdict of a sheet: its gate set before votes, what is known of its columns, the candidate that leads."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict, NotAllowed, Refused
from app.evaluation import (
    column_metrics,
    deciding,
    evidence,
    gate_setting,
    hold_out,
    sheets,
    suites,
    usable,
    verdict_facts,
    voting,
)
from app.evaluation.columns import ColumnWish, drawn_columns
from app.evaluation.measure_tables import ColumnMetric, SampleMeasure
from app.evaluation.prompt_texts import PromptText
from app.evaluation.sheets import Cell
from app.evaluation.tables import Sheet
from app.evaluation.usable import SinglePicture
from app.evaluation.voting import VotePair, Voter
from app.people import Person
from tests import cast
from tests.evaluation.cast import finished_run, sheet_of

USUAL = gate_setting.usual()


@pytest.fixture
def sheet(session: Session) -> Sheet:
    return sheet_of(session, finished_run(session), 36)


@pytest.fixture
def lead(session: Session) -> Person:
    return cast.person(session, "Ana Lind", "lead")


def answer_all(session: Session, sheet: Sheet, checkpoint_id: int, good: int) -> None:
    """The first `good` pictures of a column are usable, the others not."""
    voter = Voter(person_id=cast.person(session, "Jonas").id)
    numbers = [n for cell, n in sorted(voting.drawn(session, sheet).items(), key=lambda row: row[1])
               if cell.checkpoint_id == checkpoint_id]  # fmt: skip
    for place, number in enumerate(numbers):
        usable.answer(session, sheet, voter, SinglePicture(number), place < good, 1.0)


def vote_all(
    session: Session, sheet: Sheet, winner_id: int, loser_id: int, name: str = "Ben", most: int = 1_000
) -> Voter:
    """On every prompt and seed of both, or the first `most`, the first wins, now left and now right."""
    voter = Voter(person_id=cast.person(session, name).id)
    cells = [(cell.prompt_id, cell.seed) for cell in voting.drawn(session, sheet) if cell.checkpoint_id == winner_id]
    for place, (prompt_id, seed) in enumerate(cells[:most]):
        left, right = (winner_id, loser_id) if place % 2 else (loser_id, winner_id)
        voting.vote(
            session, sheet, voter, VotePair(prompt_id, seed, left, right), "left" if place % 2 else "right", 1.0
        )
    return voter


def test_a_gate_is_set_before_votes_and_changed_with_a_note_alone(session: Session, sheet: Sheet, lead: Person) -> None:
    base, first, _ = drawn_columns(session, sheet)
    kept = gate_setting.put(session, sheet, lead, USUAL, base.id)
    assert (kept.answers_before, kept.note, kept.set_by, kept.baseline_id) == (0, "", "Ana Lind", base.id)
    vote_all(session, sheet, first.id, base.id)
    laxer = USUAL.model_copy(update={"usable": 0.5})
    with pytest.raises(Refused, match="needs a note"):
        gate_setting.put(session, sheet, lead, laxer, base.id, expected_id=kept.id)
    changed = gate_setting.put(session, sheet, lead, laxer, base.id, "The buyer asks for less.", kept.id)
    assert changed.limits.usable == 0.5 and changed.answers_before == 12
    assert [gate.note for gate in gate_setting.history(session, sheet)] == ["The buyer asks for less.", ""]
    assert gate_setting.put(session, sheet, lead, laxer, base.id).id == changed.id, "the same is kept once"


def test_two_leads_do_not_overwrite_each_other_and_nobody_else_sets_it(
    session: Session, sheet: Sheet, lead: Person
) -> None:
    base, *_ = drawn_columns(session, sheet)
    gate_setting.put(session, sheet, lead, USUAL, base.id)
    with pytest.raises(Conflict):
        gate_setting.put(session, sheet, lead, USUAL.model_copy(update={"usable": 0.6}), base.id, "", None)
    with pytest.raises(NotAllowed):
        gate_setting.put(session, sheet, cast.person(session, "Ben", "annotator"), USUAL, base.id)
    other = sheet_of(session, finished_run(session))
    with pytest.raises(Refused, match="one of the columns"):
        gate_setting.put(session, other, lead, USUAL, base.id)


def test_most_of_those_who_answer_decide_and_half_are_not_most(session: Session, sheet: Sheet) -> None:
    first, second, *_ = voting.drawn(session, sheet).values()
    for name, said in (("A", True), ("B", False), ("C", True)):
        voter = Voter(person_id=cast.person(session, name).id)
        usable.answer(session, sheet, voter, SinglePicture(first), said, 1.0)
        if name != "C":
            usable.answer(session, sheet, voter, SinglePicture(second), said, 1.0)
    assert dict(verdict_facts.read(session, sheet).usable) == {first: True, second: False}


def test_the_leader_is_judged_and_what_fails_says_train_more(session: Session, sheet: Sheet, lead: Person) -> None:
    base, first, last = drawn_columns(session, sheet)
    gate_setting.put(session, sheet, lead, USUAL, base.id)
    assert deciding.decide(session, sheet).candidate.checkpoint_id == first.id, "the lowest validation loss"  # type: ignore[union-attr]
    vote_all(session, sheet, last.id, base.id)
    answer_all(session, sheet, last.id, 2)
    verdict = deciding.decide(session, sheet)
    assert verdict.candidate is not None and verdict.candidate.checkpoint_id == last.id
    assert verdict.decision is not None and verdict.decision.kind == "train_more" and not verdict.ships
    assert verdict.duel == deciding.DuelCounts(12, 0, 0, 0) and verdict.ratings[last.id].difference > 0
    assert [point.share for point in verdict.track] == [1.0] * len(verdict.track) and verdict.track[-1].votes == 12
    failing = evidence.pictures(verdict.facts, last.id, "usable")
    assert [row.counts for row in failing] == ["against"] * 10 + ["for"] * 2


def test_nothing_ships_without_a_gate(session: Session, sheet: Sheet, lead: Person) -> None:
    base, first, _ = drawn_columns(session, sheet)
    vote_all(session, sheet, first.id, base.id)
    answer_all(session, sheet, first.id, 12)
    lax = USUAL.model_copy(
        update={"usable": 0.5, "best_of": 0.5, "category": None, "hard_fails": None, "copies": None, "margin": 0.4}
    )
    assert not deciding.decide(session, sheet).ships
    gate_setting.put(session, sheet, lead, lax, base.id, "Set late.")
    verdict = deciding.decide(session, sheet)
    assert verdict.ships, [line.sentence for line in verdict.decision.lines]  # type: ignore[union-attr]
    assert verdict.decision is not None and all(line.passes for line in verdict.decision.lines)


def test_what_is_not_measured_passes_nothing(session: Session, sheet: Sheet) -> None:
    facts = verdict_facts.read(session, sheet)
    asked = facts.of(drawn_columns(session, sheet)[1].id, None)
    assert asked.copies == {} and not asked.hard_fails and asked.duel is None and asked.hold_out is None


def test_a_voter_who_turns_the_result_is_named(session: Session, sheet: Sheet) -> None:
    base, first, last = drawn_columns(session, sheet)
    vote_all(session, sheet, first.id, base.id, "One")
    loud = vote_all(session, sheet, last.id, first.id, "Two")
    assert deciding.decide(session, sheet).voters.leaning == [loud.key]


def test_held_out_prompts_count_when_they_are_opened_and_nowhere_else(session: Session, lead: Person) -> None:
    run = finished_run(session)
    prompts = [PromptText(f"Prompt {n}", "Mugs", {}, "hold_out" if n > 2 else "full") for n in range(4)]
    suite = suites.keep(
        session, "Held out", prompts, (1, 2), {"steps": 4, "guidance": 1, "width_px": 64, "height_px": 64}
    )
    own = drawn_columns(session, sheet_of(session, run))
    sheet = sheets.make(session, suite, [ColumnWish(own[0].id), ColumnWish(own[1].id, "hold_out")], lead)
    sheets.record(
        session,
        [sheets.DrawnCell(cell, f"{place:064d}", 64, 64) for place, cell in enumerate(sheets.missing(session, sheet))],
    )
    answer_all(session, sheet, own[1].id, 8)
    facts = verdict_facts.read(session, sheet)
    asked = facts.of(own[1].id, own[0].id)
    held = {prompt.id for prompt in facts.prompts.values() if prompt.tier == "hold_out"}
    assert asked.hold_out == {} and asked.usable is not None and not held & set(asked.usable)
    assert evidence.pictures(facts, own[1].id, "hold_out") == []
    hold_out.open_for(session, suite, sheet, lead)
    opened = verdict_facts.read(session, sheet)
    assert opened.of(own[1].id, own[0].id).hold_out == {number: [True, True] for number in held}
    assert {row.prompt_id for row in evidence.pictures(opened, own[1].id, "hold_out")} == held


def test_metrics_are_kept_by_column_and_counted_anew_in_place(session: Session, sheet: Sheet) -> None:
    from app.catalog import embeddings
    from app.catalog.embeddings import EmbedderFacts

    space = embeddings.space_of(session, EmbedderFacts("EfficientNet-Lite0", "1", "plain", 4, False))
    column = drawn_columns(session, sheet)[0]
    own = [number for cell, number in voting.drawn(session, sheet).items() if cell.checkpoint_id == column.id]
    for place, number in enumerate(own):
        vector = [1.0, 0, 0, 0] if place % 2 else [0, 1.0, 0, 0]
        session.add(SampleMeasure(sample_id=number, version=1, values={}, evidence={}, space_id=space, vector=vector,
                                  nearest_similarity=0.5))  # fmt: skip
    session.flush()
    assert column_metrics.measure(session, sheet) == 1
    assert column_metrics.measure(session, sheet) == 1
    kept = {each.name: each for each in column_metrics.kept(session, sheet)}
    assert set(kept) == {"likeness", "product", "distance"}
    assert kept["distance"].interval is None, "fewer than 64 pictures tell nothing"
    likeness = kept["likeness"].interval
    assert likeness is not None and likeness.value == 0.5 and likeness.count == len(own)
    assert len(session.scalars(select(ColumnMetric)).all()) == 3
    assert column_metrics.space_of(session, sheet) is not None


def test_pairs_behind_votes_are_the_very_votes(session: Session, sheet: Sheet) -> None:
    base, first, _ = drawn_columns(session, sheet)
    vote_all(session, sheet, first.id, base.id)
    facts = verdict_facts.read(session, sheet)
    rows = evidence.pairs(facts, base.id, first.id)
    assert {row.outcome for row in rows} == {"lost"} and len(rows) == 12
    samples = {Cell(base.id, cell.prompt_id, cell.seed) for cell in facts.samples if cell.checkpoint_id == base.id}
    assert {row.sample_id for row in rows} <= {facts.samples[cell] for cell in samples}


def test_a_copy_waits_to_be_looked_at_and_then_weighs(session: Session, sheet: Sheet) -> None:
    column = drawn_columns(session, sheet)[1]
    numbers = [number for cell, number in voting.drawn(session, sheet).items() if cell.checkpoint_id == column.id]
    for place, number in enumerate(numbers):
        alike = 0.99 if place < 2 else 0.4
        session.add(SampleMeasure(sample_id=number, version=1, values={"copy_from": 0.93, "photos": 9}, evidence={},
                                  nearest_similarity=alike))  # fmt: skip
    session.flush()
    facts = verdict_facts.read(session, sheet)
    said = [answer for own in (facts.of(column.id, None).copies or {}).values() for answer in own]
    assert said.count(None) == 2 and said.count(False) == len(numbers) - 2
    unseen = evidence.pictures(facts, column.id, "copies_unseen")
    assert {row.sample_id for row in unseen} == set(numbers[:2])
    voter = Voter(person_id=cast.person(session, "Ben").id)
    usable.tag(session, sheet, voter, SinglePicture(numbers[0]), "copy", True)
    usable.answer(session, sheet, voter, SinglePicture(numbers[1]), True, 1.0)
    looked = verdict_facts.read(session, sheet)
    assert (looked.is_copy(numbers[0]), looked.is_copy(numbers[1])) == (True, False)
    copies = next(measure for measure in deciding.decide(session, sheet).series if measure.key == "copies")
    assert copies.readings[column.id].value == 1 / len(numbers)
