"""What a report says in figures: each column with its intervals, the votes and how far they can be trusted, metrics.

Names of voters are for whom the report is made: a lead sees them, anybody else reads “voter 1”.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import people
from app.evaluation import intervals, ranking, raters, sheets
from app.evaluation.comparison import Column
from app.evaluation.hold_out import HOLD_OUT
from app.evaluation.measure_tables import ColumnMetric
from app.evaluation.promotion_tables import Gate
from app.evaluation.ranking import Ballot, Rating
from app.evaluation.raters import Agreement, SidePicks
from app.evaluation.report_pictures import PlacedSample
from app.evaluation.tables import Prompt, PromptPhoto, Sheet
from app.evaluation.vote_tables import Guest, UsableAnswer

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
    """All votes of a sheet. `voters` are the most diligent, `more` how many others voted."""

    count: int
    ties: int
    both_bad: int
    voters: list[VoterLine]
    more: int
    repeats: Agreement
    between: Agreement
    sides: SidePicks


@dataclass(frozen=True, slots=True)
class MetricLine:
    """A metric of whole columns, as measured with one set of weights and libraries; None where a column has none."""

    name: str
    made_with: str
    of_columns: list[ColumnMetric | None]


def of_columns(
    session: Session,
    sheet: Sheet,
    shown: Sequence[Column],
    places: Mapping[int, PlacedSample],
    ballots: Sequence[Ballot],
) -> list[ColumnFigures]:
    """The figures of every column, from left to right, real photos too."""
    ids = [column.checkpoint_id for column in shown if column.checkpoint_id is not None]
    baseline = _baseline(session, sheet, shown)
    has_votes = len(ids) > 1 and any(ballot.choice != "both_bad" for ballot in ballots)
    ratings = ranking.rate(ballots, ids, baseline) if has_votes and baseline is not None else {}
    usable = _usable(session, places)
    wanted: dict[int, int] = defaultdict(int)
    drawn: dict[int, int] = defaultdict(int)
    there = sheets.drawn_cells(session, sheet)
    for cell in sheets.wanted(session, sheet):
        wanted[cell.checkpoint_id] += 1
        drawn[cell.checkpoint_id] += cell in there
    lines = []
    for column in shown:
        number = column.checkpoint_id or 0
        by_prompt = usable.get(number, {}) if number else _usable_photos(session, sheet)
        both_bad, seen = ranking.both_bad_share(ballots, number)
        lines.append(
            ColumnFigures(
                column, number == baseline, drawn[number], wanted[number], sum(map(sum, by_prompt.values())),
                sum(map(len, by_prompt.values())), intervals.clustered_lower(by_prompt) if by_prompt else 0.0,
                ratings.get(number), both_bad, seen,
            )
        )  # fmt: skip
    return lines


def of_votes(session: Session, ballots: Sequence[Ballot], has_names: bool) -> VoteFigures:
    """The votes and how far they can be trusted."""
    own: dict[str, list[Ballot]] = defaultdict(list)
    for ballot in ballots:
        own[ballot.voter].append(ballot)
    in_order = sorted(own, key=lambda key: (-len(own[key]), key))
    names = _names(session, in_order) if has_names else {}
    repeats = {key: raters.with_themselves(own[key], key) for key in in_order}
    return VoteFigures(
        count=len(ballots),
        ties=sum(ballot.choice == "tie" for ballot in ballots),
        both_bad=sum(ballot.choice == "both_bad" for ballot in ballots),
        voters=[
            VoterLine(names.get(key, f"Voter {place}"), len(own[key]), repeats[key], raters.side_picks(own[key]))
            for place, key in enumerate(in_order[:MOST_VOTERS], start=1)
        ],
        more=max(0, len(in_order) - MOST_VOTERS),
        repeats=Agreement(sum(r.same for r in repeats.values()), sum(r.count for r in repeats.values())),
        between=raters.with_each_other(ballots),
        sides=raters.side_picks(ballots),
    )


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


def _baseline(session: Session, sheet: Sheet, shown: Sequence[Column]) -> int | None:
    """What columns are compared with: as the gate has it, else the base, else the first column."""
    drawn = [column for column in shown if column.checkpoint_id is not None]
    set_id = session.scalars(
        select(Gate.baseline_id).where(Gate.sheet_id == sheet.id, Gate.superseded_at.is_(None))
    ).first()
    in_turn = [c for c in drawn if c.checkpoint_id == set_id] or [c for c in drawn if c.step == 0] or drawn
    return in_turn[0].checkpoint_id if in_turn else None


def _usable(session: Session, places: Mapping[int, PlacedSample]) -> dict[int, dict[int, list[bool]]]:
    """By column and prompt: whether most of those who answered would publish each picture; half are not most."""
    rows = session.execute(
        select(UsableAnswer.sample_id, UsableAnswer.is_usable).where(
            UsableAnswer.superseded_at.is_(None), UsableAnswer.sample_id.in_(list(places))
        )
    )
    balance: dict[int, int] = defaultdict(int)
    for number, is_usable in rows:
        balance[number or 0] += 1 if is_usable else -1
    prompts: dict[str, int] = {}
    by_column: dict[int, dict[int, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for number, more_yes in balance.items():
        place = places[number]
        prompt = prompts.setdefault(place.row.text, len(prompts))
        by_column[place.column.checkpoint_id or 0][prompt].append(more_yes > 0)
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


def _names(session: Session, keys: Sequence[str]) -> dict[str, str]:
    """Voters by their key; guests are said to be some."""
    persons = {int(key[1:]) for key in keys if key.startswith("p")}
    guests = {int(key[1:]) for key in keys if key.startswith("g")}
    rows = session.execute(select(Guest.id, Guest.name).where(Guest.id.in_(guests)))
    names = {f"g{number}": f"{name}, guest" for number, name in rows}
    return names | {f"p{number}": name for number, name in people.names(session, persons).items()}
