"""The pictures behind each number of a verdict: exactly those that it counts, what speaks against it first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from app.evaluation import hold_out
from app.evaluation.ranking import Ballot
from app.evaluation.step_axis import SeriesKey
from app.evaluation.verdict_facts import SheetFacts, is_packshot

EvidenceOf = Literal[
    "usable", "best_of", "category", "hold_out", "hard_fails", "copies", "copies_unseen", "not_worse",
    "follows", "passes", "product", "variety", "loss",
]  # fmt: skip
KINDS: Final[tuple[EvidenceOf, ...]] = get_args(EvidenceOf)
Counting = Literal["against", "for", "unknown"]


@dataclass(frozen=True, slots=True)
class EvidencePicture:
    """A picture behind a number, and how it counts."""

    sample_id: int
    prompt_id: int
    counts: Counting


@dataclass(frozen=True, slots=True)
class EvidencePair:
    """A vote behind a number: the candidate's picture, the baseline's, and what came of it for the candidate."""

    sample_id: int
    baseline_sample_id: int
    prompt_id: int
    outcome: Literal["won", "lost", "tie", "both_bad"]


def pictures(facts: SheetFacts, checkpoint_id: int, of: EvidenceOf, category: str = "") -> list[EvidencePicture]:
    """The pictures of a column behind a number, those that count against it first, in the order of the suite else.

    The held-out ones are behind `hold_out` alone; whoever shows them asks whether they may be seen.
    """
    piles = facts.pictures(checkpoint_id, is_held_out=of == hold_out.HOLD_OUT)
    if of == "hold_out" and not facts.is_opened:
        return []
    if of == "category":
        piles = {number: own for number, own in piles.items() if facts.prompts[number].category == category}
    if of in ("hard_fails", "passes"):
        piles = {number: own for number, own in piles.items() if is_packshot(facts.prompts[number])}
    rows = [
        EvidencePicture(number, prompt_id, _counting(facts, of, number, own))
        for prompt_id, own in piles.items()
        for number in own
    ]
    order: dict[Counting, int] = {"against": 0, "for": 1, "unknown": 2}
    if of in ("variety", "loss", "product"):
        return rows
    if of == "copies_unseen":
        rows = [row for row in rows if row.counts == "unknown"]
    return sorted(rows, key=lambda row: order[row.counts])


def pairs(facts: SheetFacts, checkpoint_id: int, baseline_id: int) -> list[EvidencePair]:
    """The votes between two columns, those that the first one lost first. Votes on held-out prompts are told by their
    count alone."""
    known = {(cell.checkpoint_id, cell.prompt_id, cell.seed): number for cell, number in facts.samples.items()}
    rows = []
    for ballot in facts.between(checkpoint_id, baseline_id):
        own = known.get((checkpoint_id, ballot.prompt, ballot.seed))
        other = known.get((baseline_id, ballot.prompt, ballot.seed))
        if own is not None and other is not None and facts.prompts[ballot.prompt].tier != hold_out.HOLD_OUT:
            rows.append(EvidencePair(own, other, ballot.prompt, outcome(ballot, checkpoint_id)))
    order = {"lost": 0, "both_bad": 1, "tie": 2, "won": 3}
    return sorted(rows, key=lambda row: order[row.outcome])


def outcome(ballot: Ballot, checkpoint_id: int) -> Literal["won", "lost", "tie", "both_bad"]:
    """What came of a vote for one of its columns."""
    if ballot.choice in ("tie", "both_bad"):
        return ballot.choice
    return "won" if (ballot.choice == "left") == (ballot.left == checkpoint_id) else "lost"


def of_series(key: SeriesKey) -> EvidenceOf:
    """What is behind a point on the axis of steps."""
    return key


def _counting(facts: SheetFacts, of: EvidenceOf, number: int, own: Sequence[int]) -> Counting:
    if of in ("usable", "category", "hold_out"):
        return _said(facts.usable.get(number))
    if of == "best_of":
        said = [facts.usable.get(each) for each in own]
        return "unknown" if None in said else "for" if any(said) else "against"
    if of in ("copies", "copies_unseen"):
        is_copy = facts.is_copy(number) if number in facts.checks.looks_copied or number in facts.tags else None
        if number in facts.checks.looks_copied or is_copy:
            return "unknown" if is_copy is None else "against" if is_copy else "for"
        return "for"
    if of in ("hard_fails", "passes"):
        fails = facts.checks.hard_fails.get(number)
        return "unknown" if fails is None else "against" if fails else "for"
    if of == "follows":
        return _said(facts.checks.follows.get(number))
    return "for"


def _said(answer: bool | None) -> Counting:
    return "unknown" if answer is None else "for" if answer else "against"
