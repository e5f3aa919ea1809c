"""What a report says in figures: each column with its intervals, the votes and how far they can be trusted, metrics.

Names of voters are for whom the report is made: a lead may ask for them, anybody else reads “Voter 1”.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.evaluation import intervals, ranking, sheets, voting
from app.evaluation.comparison import Column
from app.evaluation.deciding import SheetVerdict
from app.evaluation.hold_out import HOLD_OUT
from app.evaluation.measure_tables import ColumnMetric
from app.evaluation.promotion_tables import Promotion
from app.evaluation.ranking import Rating
from app.evaluation.raters import Agreement, SidePicks
from app.evaluation.report_pictures import PlacedSample
from app.evaluation.tables import Prompt, PromptPhoto, Sheet
from app.evaluation.vote_tables import UsableAnswer
from app.people import Person
from app.training.tables import Checkpoint

MOST_VOTERS: Final = 30
"""Named one by one; the others are counted."""


@dataclass(frozen=True, slots=True)
class ColumnFigures:
    """What is known of one column. `usable` of `answered` pictures most people would publish, surely at least
    `usable_low` of all, a share; `rating` is None without votes. `both_bad` of `shown` votes found both sides bad."""

    column: Column
    is_baseline: bool
    drawn: int
    wanted: int
    usable: int
    answered: int
    usable_low: float
    rating: Rating | None
    both_bad: int
    shown: int


@dataclass(frozen=True, slots=True)
class VoterLine:
    """One voter: how many votes, how often the same when asked again, which side."""

    name: str
    votes: int
    repeats: Agreement
    sides: SidePicks


@dataclass(frozen=True, slots=True)
class VoteFigures:
    """All votes of a sheet. `voters` are the most diligent, `more` how many others voted; `leaning` how many there are
    without whom another column would lead."""

    count: int
    ties: int
    both_bad: int
    voters: list[VoterLine]
    more: int
    leaning: int
    repeats: Agreement
    between: Agreement
    sides: SidePicks


@dataclass(frozen=True, slots=True)
class MetricLine:
    """A metric of whole columns, as measured with one set of weights and libraries; None where a column has none."""

    name: str
    made_with: str
    of_columns: list[ColumnMetric | None]


@dataclass(frozen=True, slots=True)
class SignOff:
    """A checkpoint of the sheet that was made the live model on its verdict: which, by whom and when, and whether it
    still is."""

    run_id: int
    step: int
    by: str
    at: datetime
    is_live: bool


def of_columns(
    session: Session, sheet: Sheet, verdict: SheetVerdict, places: Mapping[int, PlacedSample]
) -> list[ColumnFigures]:
    """The figures of every column, from left to right, real photos too."""
    ballots = verdict.facts.ballots
    has_votes = any(ballot.choice != "both_bad" for ballot in ballots)
    usable = _usable(verdict, places)
    wanted: dict[int, int] = defaultdict(int)
    drawn: dict[int, int] = defaultdict(int)
    for cell in sheets.wanted(session, sheet):
        wanted[cell.checkpoint_id] += 1
        drawn[cell.checkpoint_id] += cell in verdict.facts.samples
    lines = []
    for column in verdict.columns:
        number = column.checkpoint_id or 0
        by_prompt = usable.get(number, {}) if number else _usable_photos(session, sheet)
        both_bad, seen = ranking.both_bad_share(ballots, number)
        lines.append(
            ColumnFigures(
                column, column == verdict.baseline, drawn[number], wanted[number], sum(map(sum, by_prompt.values())),
                sum(map(len, by_prompt.values())), intervals.clustered_lower(by_prompt) if by_prompt else 0.0,
                verdict.ratings.get(number) if has_votes else None, both_bad, seen,
            )
        )  # fmt: skip
    return lines


def of_votes(session: Session, verdict: SheetVerdict, has_names: bool) -> VoteFigures:
    """The votes and how far they can be trusted."""
    ballots, voters = verdict.facts.ballots, verdict.voters
    in_order = sorted(voters.voters, key=lambda each: (-each.votes, each.key))
    shown = in_order[:MOST_VOTERS]
    names = voting.names_of(session, [each.key for each in shown]) if has_names else {}
    return VoteFigures(
        count=len(ballots),
        ties=sum(ballot.choice == "tie" for ballot in ballots),
        both_bad=sum(ballot.choice == "both_bad" for ballot in ballots),
        voters=[
            VoterLine(names.get(each.key, f"Voter {place}"), each.votes, each.repeats, each.sides)
            for place, each in enumerate(shown, start=1)
        ],
        more=len(in_order) - len(shown),
        leaning=len(voters.leaning),
        repeats=voters.repeats,
        between=voters.between,
        sides=voters.sides,
    )


def sign_offs(session: Session, sheet: Sheet) -> list[SignOff]:
    """What was made the live model on the verdict of this sheet, the newest first."""
    rows = session.execute(
        select(Checkpoint.run_id, Checkpoint.step, Person.name, Promotion.created_at, Promotion.ended_at)
        .join(Checkpoint, Checkpoint.id == Promotion.checkpoint_id)
        .join(Person, Person.id == Promotion.signed_by_id)
        .where(Promotion.sheet_id == sheet.id)
        .order_by(Promotion.id.desc())
    )
    return [SignOff(run_id, step, name, at, ended_at is None) for run_id, step, name, at, ended_at in rows]


def metrics(session: Session, sheet: Sheet, shown: Sequence[Column]) -> list[MetricLine]:
    """Metrics of whole columns; two sets of weights make two lines."""
    ids = [column.checkpoint_id for column in shown]
    rows = session.scalars(
        select(ColumnMetric)
        .where(ColumnMetric.suite_id == sheet.suite_id, ColumnMetric.checkpoint_id.in_([n for n in ids if n]))
        .order_by(ColumnMetric.id)
    )
    lines: dict[tuple[str, str], dict[int, ColumnMetric]] = defaultdict(dict)
    for row in rows:
        lines[row.name, row.made_with][row.checkpoint_id] = row
    return [
        MetricLine(name, made_with, [own.get(number or 0) for number in ids])
        for (name, made_with), own in sorted(lines.items())
    ]


def _usable(verdict: SheetVerdict, places: Mapping[int, PlacedSample]) -> dict[int, dict[int, list[bool]]]:
    """By column and prompt: whether most of those who answered would publish each picture."""
    prompts = {sample_id: cell.prompt_id for cell, sample_id in verdict.facts.samples.items()}
    by_column: dict[int, dict[int, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for number, is_usable in verdict.facts.usable.items():
        if number in places and number in prompts:
            by_column[places[number].column.checkpoint_id or 0][prompts[number]].append(is_usable)
    return by_column


def _usable_photos(session: Session, sheet: Sheet) -> dict[int, list[bool]]:
    """The same for real photos, which were among the pictures without a sign: the most that can be reached."""
    rows = session.execute(
        select(PromptPhoto.prompt_id, PromptPhoto.id, UsableAnswer.is_usable)
        .join(PromptPhoto, PromptPhoto.id == UsableAnswer.prompt_photo_id)
        .join(Prompt, Prompt.id == PromptPhoto.prompt_id)
        .where(UsableAnswer.superseded_at.is_(None), Prompt.suite_id == sheet.suite_id, Prompt.tier != HOLD_OUT)
    )
    balance: dict[tuple[int, int], int] = defaultdict(int)
    for prompt_id, photo_id, is_usable in rows:
        balance[prompt_id, photo_id] += 1 if is_usable else -1
    by_prompt: dict[int, list[bool]] = defaultdict(list)
    for (prompt_id, _), more_yes in balance.items():
        by_prompt[prompt_id].append(more_yes > 0)
    return by_prompt
