"""Sheets: the same prompts and seeds, drawn by every column. What two sheets both ask for is drawn once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session, aliased

from app import jobs
from app.database import utc_now
from app.errors import NotFound, Refused
from app.evaluation import columns, suites, tiers
from app.evaluation.columns import COLUMNS, ColumnWish
from app.evaluation.suites import PROMPT_COUNT, SEEDS
from app.evaluation.tables import Prompt, Sample, Sheet, SheetColumn, Suite
from app.people import Person
from app.settings import PROJECT
from app.training.recipe import Recipe
from app.training.tables import Checkpoint, TrainingRun
from app.training.validations import sound_checkpoints


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of a sheet: this checkpoint, this prompt, this seed."""

    checkpoint_id: int
    prompt_id: int
    seed: int


@dataclass(frozen=True, slots=True)
class DrawnCell:
    """A cell with its picture, kept in the files as a PNG, and what drew it."""

    cell: Cell
    sha256: str
    width_px: int
    height_px: int
    made_with: dict[str, Any] = field(default_factory=dict)


def picture_count(recipe: Recipe) -> int:
    """How many pictures the sheet of such a run has: its checkpoints and the base, as far as a sheet has columns."""
    drawn_with = min(COLUMNS, 1 + math.ceil(recipe.steps / recipe.checkpoint_every))
    return drawn_with * PROMPT_COUNT * len(SEEDS)


def request_sheet(
    session: Session, run: TrainingRun, suite: Suite, person: Person | None = None, within_run: bool = False
) -> Sheet:
    """Ask for the run's sheet to be drawn, or for what is missing of it. Asked twice, it is drawn once.

    `within_run`: it follows the run, and ends with what the run has left of its limits. Raises Refused for a run
    without checkpoints.
    """
    session.refresh(run, with_for_update=True)
    if not any(checkpoint.folder for checkpoint in sound_checkpoints(session, run)):
        raise Refused(f"Run {run.id} has no checkpoints to draw with.")
    sheet = open_sheet(session, run, suite)
    request_drawing(session, sheet, person, within_run)
    return sheet


def make(
    session: Session, suite: Suite, wishes: Sequence[ColumnWish], person: Person | None = None, name: str | None = None
) -> Sheet:
    """A sheet of any columns, not drawn yet but for what its checkpoints drew before. Raises Refused, NotFound."""
    sheet = Sheet(suite_id=suite.id, name=name, created_by_id=person.id if person else None)
    session.add(sheet)
    session.flush()
    columns.put(session, sheet, wishes)
    return sheet


def request_drawing(
    session: Session, sheet: Sheet, person: Person | None = None, within_run: bool = False
) -> jobs.Job | None:
    """Ask for what is missing of a sheet; None where nothing is. A job that is under way stands for another."""
    session.refresh(sheet, with_for_update=True)
    share_bases(session, sheet)
    job = session.get(jobs.Job, sheet.job_id) if sheet.job_id else None
    todo = missing(session, sheet)
    if todo and (job is None or job.is_over):
        done = cell_count(session, sheet) - len(todo)
        arguments = {"sheet_id": sheet.id, "within_run": within_run}
        job = jobs.request(session, "sheet.draw", arguments, person, total=done + len(todo))
        job.done, sheet.job_id = done, job.id
        session.flush()
    return job if todo else None


def share_bases(session: Session, sheet: Sheet) -> int:
    """Take over what the same base drew of this suite for another run; returns how many pictures.

    Step 0 of two runs is the same model where family, base and its commit are the same. A name on a model hub without
    a commit may have meant another model by then, so it is drawn anew.
    """
    taken = 0
    for checkpoint in columns.drawn_columns(session, sheet):
        if checkpoint.step != 0 or (run := session.get_one(TrainingRun, checkpoint.run_id)) is None:
            continue
        commit = run.recipe.get("base_revision", "")
        if not commit and not (PROJECT / run.base).is_dir():
            continue
        other, mine = aliased(Checkpoint), aliased(Sample)
        same = (
            select(Sample.prompt_id, Sample.seed, Sample.sha256, Sample.width_px, Sample.height_px, Sample.made_with)
            .ext(distinct_on(Sample.prompt_id, Sample.seed))
            .join(Prompt, Prompt.id == Sample.prompt_id)
            .join(other, other.id == Sample.checkpoint_id)
            .join(TrainingRun, TrainingRun.id == other.run_id)
            .outerjoin(
                mine,
                (mine.checkpoint_id == checkpoint.id)
                & (mine.prompt_id == Sample.prompt_id)
                & (mine.seed == Sample.seed),
            )
            .where(Prompt.suite_id == sheet.suite_id, mine.id.is_(None), other.step == 0, other.id != checkpoint.id)
            .where(TrainingRun.base == run.base, TrainingRun.recipe["family"].as_string() == run.recipe["family"])
            .where(func.coalesce(TrainingRun.recipe["base_revision"].as_string(), "") == commit)
            .order_by(Sample.prompt_id, Sample.seed, Sample.id)
        )
        rows = [
            {**row._asdict(), "checkpoint_id": checkpoint.id, "created_at": utc_now()} for row in session.execute(same)
        ]
        if rows:
            session.execute(insert(Sample).on_conflict_do_nothing(), rows)
            taken += len(rows)
    return taken


def wanted(session: Session, sheet: Sheet) -> Iterator[Cell]:
    """The cells of a sheet, drawn or not: column by column from left to right, then prompt, then seed."""
    suite = suites.get(session, sheet.suite_id)
    prompts = suites.prompts_of(session, suite)
    for place in columns.columns_of(session, sheet):
        if place.checkpoint is not None:
            for prompt in prompts:
                for index, seed in enumerate(suite.seeds):
                    if tiers.draws(place.tier, prompt.tier, index):
                        yield Cell(place.checkpoint.id, prompt.id, seed)


def missing(session: Session, sheet: Sheet) -> list[Cell]:
    """The cells not drawn yet, checkpoint by checkpoint (loading one is slow), then prompt, then seed.

    In a run's sheet the last checkpoint comes first: where time or money ends the drawing, it is the one to see.
    """
    return read(session, sheet).todo


@dataclass(frozen=True, slots=True)
class SheetState:
    """The cells of a sheet as they stand: what was drawn by its columns, how many it has, and what is missing."""

    drawn: dict[Cell, int]
    total: int
    todo: list[Cell]


def read(session: Session, sheet: Sheet) -> SheetState:
    """All cells of a sheet at once, `todo` in the order of `missing`."""
    there, every = drawn_cells(session, sheet), list(wanted(session, sheet))
    todo = [cell for cell in every if cell not in there]
    if todo and sheet.run_id is not None and (drawn_with := columns.drawn_columns(session, sheet)):
        todo.sort(key=lambda cell: cell.checkpoint_id != drawn_with[-1].id)
    return SheetState(there, len(every), todo)


def drawn_cells(session: Session, sheet: Sheet) -> dict[Cell, int]:
    """Every sample of the sheet's suite by its columns, as its number; also those outside of a column's tier."""
    checkpoint_ids = [checkpoint.id for checkpoint in columns.drawn_columns(session, sheet)]
    rows = session.execute(
        select(Sample.checkpoint_id, Sample.prompt_id, Sample.seed, Sample.id)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .where(Prompt.suite_id == sheet.suite_id, Sample.checkpoint_id.in_(checkpoint_ids))
    )
    return {Cell(checkpoint_id, prompt_id, seed): number for checkpoint_id, prompt_id, seed, number in rows}


def cell_count(session: Session, sheet: Sheet) -> int:
    """How many cells the sheet has, drawn or not."""
    return sum(1 for _ in wanted(session, sheet))


def record(session: Session, pictures: Sequence[DrawnCell]) -> None:
    """Keep samples; a cell that was drawn before keeps its first picture."""
    if pictures:
        moment = utc_now()  # one for the batch: the pace is measured between batches
        rows = [
            {
                "checkpoint_id": d.cell.checkpoint_id,
                "prompt_id": d.cell.prompt_id,
                "seed": d.cell.seed,
                "sha256": d.sha256,
                "width_px": d.width_px,
                "height_px": d.height_px,
                "made_with": d.made_with,
                "created_at": moment,
            }
            for d in pictures
        ]
        session.execute(insert(Sample).on_conflict_do_nothing(), rows)


def open_sheet(session: Session, run: TrainingRun, suite: Suite) -> Sheet:
    """The run's sheet of this suite; a new one with nothing drawn, and no job that would, where there is none."""
    session.execute(
        insert(Sheet).values(run_id=run.id, suite_id=suite.id, created_at=utc_now()).on_conflict_do_nothing()
    )
    return session.scalars(select(Sheet).where(Sheet.run_id == run.id, Sheet.suite_id == suite.id)).one()


def drawn(session: Session, sheet: Sheet) -> dict[tuple[int, int, int], int]:
    """The samples of a run's sheet by step of the checkpoint, prompt and seed: of every checkpoint, column or not."""
    rows = session.execute(
        select(Checkpoint.step, Sample.prompt_id, Sample.seed, Sample.id)
        .join(Checkpoint, Checkpoint.id == Sample.checkpoint_id)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .where(Checkpoint.run_id == sheet.run_id, Prompt.suite_id == sheet.suite_id)
    )
    return {(step, prompt_id, seed): sample_id for step, prompt_id, seed, sample_id in rows}


def get(session: Session, sheet_id: int) -> Sheet:
    """The sheet with this id. Raises NotFound."""
    sheet = session.get(Sheet, sheet_id)
    if sheet is None:
        raise NotFound(f"There is no sheet {sheet_id}.")
    return sheet


def suite(session: Session, sheet: Sheet) -> Suite:
    """The suite that the sheet is drawn from."""
    return session.get_one(Suite, sheet.suite_id)


def sample(session: Session, sample_id: int) -> Sample:
    """The sample with this id. Raises NotFound."""
    row = session.get(Sample, sample_id)
    if row is None:
        raise NotFound(f"There is no sample {sample_id}.")
    return row


def runs_of(session: Session, sheet: Sheet) -> list[TrainingRun]:
    """The runs whose checkpoints are columns of the sheet, by number."""
    own = columns.drawn_columns(session, sheet)
    numbers = {checkpoint.run_id for checkpoint in own} | ({sheet.run_id} if sheet.run_id else set())
    return list(session.scalars(select(TrainingRun).where(TrainingRun.id.in_(numbers)).order_by(TrainingRun.id)))


def latest_of(session: Session, run_id: int) -> Sheet | None:
    """The run's newest sheet."""
    return session.scalars(select(Sheet).where(Sheet.run_id == run_id).order_by(Sheet.id.desc())).first()


def recent(session: Session, limit: int = 200) -> Sequence[Sheet]:
    """The newest sheets first."""
    return session.scalars(select(Sheet).order_by(Sheet.id.desc()).limit(limit)).all()


def sheets_with(session: Session, checkpoint_id: int) -> Sequence[Sheet]:
    """The sheets that people put together with this checkpoint as a column, newest first."""
    has = select(SheetColumn.sheet_id).where(SheetColumn.checkpoint_id == checkpoint_id)
    return session.scalars(select(Sheet).where(Sheet.id.in_(has)).order_by(Sheet.id.desc())).all()
