"""What is known of the columns of a sheet: what people answer, how they vote, what machines found in the pictures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.evaluation import hold_out, ranking, sample_checks, sheets, suites, voting
from app.evaluation.gates import GateFacts
from app.evaluation.promotion_tables import HoldOutUse
from app.evaluation.ranking import Ballot
from app.evaluation.sample_checks import CheckedSamples
from app.evaluation.sheets import Cell
from app.evaluation.tables import Prompt, Sheet
from app.evaluation.vote_tables import FailureTag, UsableAnswer

COPY = "copy"


@dataclass(frozen=True)
class SheetFacts:
    """What is known of a sheet. `usable` is by sample: whether most of those who answered would publish it; half of
    them are not most. `tags` are the failures that people saw in it. `is_opened`: the held-out prompts may be counted.
    """

    prompts: Mapping[int, Prompt]
    seeds: Sequence[int]
    samples: Mapping[Cell, int]
    usable: Mapping[int, bool]
    tags: Mapping[int, frozenset[str]]
    ballots: Sequence[Ballot]
    checks: CheckedSamples
    has_hold_out: bool
    is_opened: bool

    def pictures(self, checkpoint_id: int, is_held_out: bool = False) -> dict[int, list[int]]:
        """The samples of a column by prompt, in the order of prompts and seeds: the held-out ones, or all others."""
        by_prompt: dict[int, list[int]] = {}
        for prompt in self.prompts.values():
            if (prompt.tier == hold_out.HOLD_OUT) == is_held_out:
                cells = (Cell(checkpoint_id, prompt.id, seed) for seed in self.seeds)
                if drawn := [self.samples[cell] for cell in cells if cell in self.samples]:
                    by_prompt[prompt.id] = drawn
        return by_prompt

    def is_copy(self, sample_id: int) -> bool | None:
        """Whether a sample copies a photo: as people say, and None where it looks so and nobody has looked at it."""
        if COPY in self.tags.get(sample_id, ()):
            return True
        looks_copied = self.checks.looks_copied.get(sample_id, False)
        if looks_copied is False:
            return False
        return False if sample_id in self.usable or sample_id in self.tags else None

    def of(self, checkpoint_id: int, baseline_id: int | None) -> GateFacts:
        """What a gate asks of a column."""
        pictures = self.pictures(checkpoint_id)
        packshots = {number: own for number, own in pictures.items() if is_packshot(self.prompts[number])}
        held_out = self.pictures(checkpoint_id, is_held_out=True) if self.is_opened else {}
        measured = any(own[0] in self.checks.looks_copied for own in pictures.values())
        return GateFacts(
            usable=_said(pictures, self.usable),
            categories={number: self.prompts[number].category for number in pictures},
            hold_out=_said(held_out, self.usable) if self.has_hold_out else None,
            hard_fails=_checked(packshots, self.checks.hard_fails) if self.has_packshots else None,
            copies={n: [self.is_copy(each) for each in own] for n, own in pictures.items()} if measured else {},
            duel=None
            if baseline_id is None or baseline_id == checkpoint_id
            else ranking.duel(self.ballots, checkpoint_id, baseline_id),
        )

    @property
    def has_packshots(self) -> bool:
        """Whether the suite asks for packshots at all."""
        return any(is_packshot(prompt) for prompt in self.prompts.values())

    def between(self, checkpoint_id: int, baseline_id: int | None) -> list[Ballot]:
        """The votes that showed these two columns, in the order in which they were given."""
        return [each for each in self.ballots if {each.left, each.right} == {checkpoint_id, baseline_id}]


def read(session: Session, sheet: Sheet) -> SheetFacts:
    """Everything that is known of a sheet, in few statements."""
    suite = sheets.suite(session, sheet)
    samples = voting.drawn(session, sheet)
    numbers = list(samples.values())
    prompts = suites.prompts_of(session, suite)
    is_opened = select(HoldOutUse.id).where(HoldOutUse.sheet_id == sheet.id, HoldOutUse.suite_id == suite.id)
    return SheetFacts(
        prompts={prompt.id: prompt for prompt in prompts},
        seeds=suite.seeds,
        samples=samples,
        usable=_usable(session, numbers),
        tags=_tags(session, numbers),
        ballots=voting.ballots(session, sheet),
        checks=sample_checks.of_samples(session, numbers),
        has_hold_out=any(prompt.tier == hold_out.HOLD_OUT for prompt in prompts),
        is_opened=session.scalar(is_opened) is not None,
    )


def is_packshot(prompt: Prompt) -> bool:
    """Whether a prompt asks for one thing on white, which is what marketplaces want first."""
    return prompt.atoms.get("background") == "white" and prompt.atoms.get("count") == 1


def _said(pictures: Mapping[int, Sequence[int]], known: Mapping[int, bool]) -> dict[int, list[bool | None]]:
    return {prompt_id: [known.get(number) for number in own] for prompt_id, own in pictures.items()}


def _checked(pictures: Mapping[int, Sequence[int]], known: Mapping[int, bool | None]) -> dict[int, list[bool | None]]:
    """As machines found it; empty as long as nothing was measured."""
    if not any(number in known for own in pictures.values() for number in own):
        return {}
    return {prompt_id: [known.get(number) for number in own] for prompt_id, own in pictures.items()}


def _usable(session: Session, numbers: Sequence[int]) -> dict[int, bool]:
    rows = session.execute(
        select(UsableAnswer.sample_id, UsableAnswer.is_usable).where(
            UsableAnswer.superseded_at.is_(None), UsableAnswer.sample_id.in_(numbers)
        )
    )
    yes: Counter[int] = Counter()
    for number, is_usable in rows:
        if number is not None:
            yes[number] += 1 if is_usable else -1
    return {number: balance > 0 for number, balance in yes.items()}


def _tags(session: Session, numbers: Sequence[int]) -> dict[int, frozenset[str]]:
    rows = session.execute(
        select(FailureTag.sample_id, FailureTag.tag).where(
            FailureTag.removed_at.is_(None), FailureTag.sample_id.in_(numbers)
        )
    )
    by_sample: dict[int, set[str]] = defaultdict(set)
    for number, tag in rows:
        by_sample[number].add(tag)
    return {number: frozenset(tags) for number, tags in by_sample.items()}
