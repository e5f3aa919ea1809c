"""Putting a comparison together: the columns there are to choose from, what they would draw, how long that takes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.database import utc_now
from app.errors import Refused
from app.evaluation import columns, sheets, suites, tiers
from app.evaluation.columns import MOST_COLUMNS, ColumnWish
from app.evaluation.promotion_tables import HoldOutUse, Promotion
from app.evaluation.tables import Prompt, Sample, Sheet, Suite
from app.people import Person
from app.training import runs, validations
from app.training.tables import Checkpoint, TrainingRun

LEAST_COLUMNS: Final = 2
RUNS_AT_MOST: Final = 60
"""The newest of those with checkpoints; a comparison keeps columns of older ones that it has."""


@dataclass(frozen=True, slots=True)
class RunChoice:
    """A run with the checkpoints that can be columns, by step and without the base; `best` and `lowest` are steps."""

    run: TrainingRun
    checkpoints: list[Checkpoint]
    best: int | None
    lowest: int | None


@dataclass(frozen=True, slots=True)
class Choices:
    """What can be a column: bases, each once, of its newest run, and the checkpoints of runs, newest run first.

    `live` says of which catalog a checkpoint is the live model.
    """

    bases: list[tuple[TrainingRun, Checkpoint]]
    runs: list[RunChoice]
    live: dict[int, int]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What drawing some columns of a suite takes: `pictures` in all, those `missing`, and `seconds` for these.

    `seconds` is None where no picture was measured yet.
    """

    pictures: int
    missing: int
    seconds: float | None


def choices(session: Session, chosen: Sequence[int] = ()) -> Choices:
    """What can stand in a comparison; the runs of the `chosen` checkpoints are always among them."""
    newest = select(Checkpoint.run_id).distinct().order_by(Checkpoint.run_id.desc()).limit(RUNS_AT_MOST)
    of_live = select(Promotion.checkpoint_id, Promotion.catalog_id).where(Promotion.ended_at.is_(None))
    live = {row[0]: row[1] for row in session.execute(of_live)}
    of_chosen = select(Checkpoint.run_id).where(Checkpoint.id.in_([*chosen, *live]))
    wanted = TrainingRun.id.in_(newest) | TrainingRun.id.in_(of_chosen)
    in_order = session.scalars(
        select(TrainingRun).where(wanted, TrainingRun.state != "discarded").order_by(TrainingRun.id.desc())
    ).all()
    bases: dict[tuple[Any, ...], tuple[TrainingRun, Checkpoint]] = {}
    listed = []
    for run in in_order:
        there = validations.sound_checkpoints(session, run)
        key = (run.base, run.recipe["family"], run.recipe.get("base_revision", ""))
        for base in there:
            if base.step == 0 and (key not in bases or base.id in chosen):
                bases[key] = (run, base)
        saved = [checkpoint for checkpoint in there if checkpoint.step and checkpoint.folder]
        if saved:
            proved = validations.insight_once(session, run).verdict
            listed.append(RunChoice(run, saved, proved.best, proved.lowest))
    return Choices(list(bases.values()), listed, live)


def in_order(session: Session, wishes: Sequence[ColumnWish]) -> list[ColumnWish]:
    """Columns from left to right: bases, then checkpoints by run and step, then real photos; each once."""
    by_id = {wish.checkpoint_id: wish for wish in wishes}
    rows = session.execute(
        select(Checkpoint.id)
        .where(Checkpoint.id.in_([number for number in by_id if number is not None]))
        .order_by(Checkpoint.step > 0, Checkpoint.run_id, Checkpoint.step)
    ).scalars()
    numbers = [*rows, *([None] if None in by_id else [])]
    return [by_id[number] for number in numbers]


def chosen_of(session: Session, sheet: Sheet) -> list[ColumnWish]:
    """The columns of a sheet, as they would be asked for."""
    return [
        ColumnWish(place.checkpoint.id if place.checkpoint else None, place.tier)
        for place in columns.columns_of(session, sheet)
    ]


def refuse_unfit(wishes: Sequence[ColumnWish]) -> None:
    """Raises Refused for fewer than two columns, more than a comparison has, or nothing that is drawn."""
    if not LEAST_COLUMNS <= len(wishes) <= MOST_COLUMNS:
        raise Refused(f"A comparison has {LEAST_COLUMNS} to {MOST_COLUMNS} columns; {len(wishes)} chosen.")
    if all(wish.checkpoint_id is None for wish in wishes):
        raise Refused("Real photos alone are nothing to compare: choose a checkpoint too.")


def put_together(
    session: Session,
    suite: Suite,
    wishes: Sequence[ColumnWish],
    person: Person | None = None,
    name: str = "",
    sheet: Sheet | None = None,
) -> Sheet:
    """A comparison of these columns, or `sheet` with these in place of its own; what was drawn stays drawn.

    Columns of the hold-out tier use the suite's hold-out for this sheet, which is counted. Raises Refused, NotFound.
    """
    refuse_unfit(wishes)
    if sheet is None:
        sheet = sheets.make(session, suite, wishes, person, name.strip() or None)
    else:
        session.refresh(sheet, with_for_update=True)
        columns.put(session, sheet, wishes)
        sheet.name = name.strip() or sheet.name
    if any(wish.tier == "hold_out" for wish in wishes) and has_hold_out(session, suite):
        opened = insert(HoldOutUse).values(
            suite_id=suite.id, sheet_id=sheet.id, person_id=person.id if person else None, created_at=utc_now()
        )
        session.execute(opened.on_conflict_do_nothing())
    session.flush()
    return sheet


def has_hold_out(session: Session, suite: Suite) -> bool:
    """Whether the suite holds prompts out."""
    return any(prompt.tier == "hold_out" for prompt in suites.prompts_of(session, suite))


def drawing(session: Session, suite: Suite, wishes: Sequence[ColumnWish]) -> Drawing:
    """What drawing these columns takes, less what their checkpoints have drawn of the suite already."""
    prompts = suites.prompts_of(session, suite)
    numbers = [wish.checkpoint_id for wish in wishes if wish.checkpoint_id is not None]
    drawn = (
        select(Sample.checkpoint_id, Sample.prompt_id, Sample.seed)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .where(Prompt.suite_id == suite.id, Sample.checkpoint_id.in_(numbers))
    )
    there = {tuple(row) for row in session.execute(drawn)}
    wanted = [
        (wish.checkpoint_id, prompt.id, seed)
        for wish in wishes
        if wish.checkpoint_id is not None
        for prompt in prompts
        for index, seed in enumerate(suite.seeds)
        if tiers.draws(wish.tier, prompt.tier, index)
    ]
    missing = sum(cell not in there for cell in wanted)
    of_runs = session.scalars(
        select(TrainingRun).where(TrainingRun.id.in_(select(Checkpoint.run_id).where(Checkpoint.id.in_(numbers))))
    ).all()
    a_picture_s = seconds_a_picture(session, suite, of_runs)
    return Drawing(len(wanted), missing, None if a_picture_s is None else a_picture_s * missing)


def seconds_a_picture(session: Session, suite: Suite, of_runs: Sequence[TrainingRun]) -> float | None:
    """Seconds for a picture of the suite, measured: the median between batches that were drawn of it.

    Before that, what previews of the runs took, as many times longer as the suite has more steps and pixels; None where
    neither was measured. Previews of a run come minutes apart, so they count in the second way alone.
    """
    rows = session.execute(
        select(Sample.checkpoint_id, Sample.created_at, func.count())
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .where(Prompt.suite_id == suite.id, Sample.made_with != {})
        .group_by(Sample.checkpoint_id, Sample.created_at)
        .order_by(Sample.checkpoint_id, Sample.created_at)
    ).all()
    between = [
        (later[1] - earlier[1]).total_seconds() / later[2]
        for earlier, later in pairwise(rows)
        if earlier[0] == later[0]
    ]
    if between:
        return statistics.median(between)
    size = int(suite.sampling["steps"]) * int(suite.sampling["width_px"]) * int(suite.sampling["height_px"])
    scaled = [
        float(run.pace["sample_s"]) * size / _size(run.recipe) for run in of_runs if (run.pace or {}).get("sample_s")
    ]
    return statistics.median(scaled) if scaled else None


def _size(recipe: Mapping[str, Any]) -> int:
    return int(recipe["sampling_steps"]) * int(recipe["resolution_px"]) ** 2


def recent_suites(session: Session, limit: int = 200) -> Sequence[Suite]:
    """The suites that can be drawn, newest first."""
    return session.scalars(select(Suite).order_by(Suite.id.desc()).limit(limit)).all()


def runs_of(session: Session, wishes: Sequence[ColumnWish]) -> list[TrainingRun]:
    """The runs whose checkpoints are asked for, by number."""
    numbers = [wish.checkpoint_id for wish in wishes if wish.checkpoint_id is not None]
    of_these = select(Checkpoint.run_id).where(Checkpoint.id.in_(numbers))
    return [runs.get(session, number) for number in sorted(set(session.scalars(of_these)))]
