"""The samples on a run's page: the sheet in small, with a place and a time for those to come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from app import jobs
from app.evaluation import comparison, sheets, suites
from app.evaluation.tables import Prompt, Sheet
from app.jobs import Job
from app.training import runs
from app.training.progress import Forecast
from app.training.tables import TrainingRun

DRAWN_COLUMNS: Final = 4
COMING_COLUMNS: Final = 2


@dataclass(frozen=True)
class Spot:
    """A place of the strip: the sample, the moment it is due, or the reason why there is none."""

    step: int
    sample_id: int | None = None
    due_at: datetime | None = None
    why: str = ""


@dataclass(frozen=True)
class StripRow:
    """A prompt with its pictures by step. `key` names its row on the comparison's page."""

    key: str
    text: str
    spots: list[Spot]


@dataclass(frozen=True)
class Strip:
    """The sheet in small. `steps` are the columns, the base first; those behind `newest` are still to come."""

    sheet_id: int
    steps: list[int]
    newest: int
    rows: list[StripRow]
    job: Job | None
    drawn: int = 0  # pictures of the whole sheet, once the run is over
    wanted: int = 0
    seconds_left: float | None = None


def strip(session: Session, run: TrainingRun, forecast: Forecast | None) -> Strip | None:
    """The strip of the run's newest sheet; None when there is no sheet."""
    sheet = sheets.latest_of(session, run.id)
    if sheet is None:
        return None
    suite = sheets.suite(session, sheet)
    prompts = suites.preview_prompts(suites.prompts_of(session, suite))
    if run.ended_at is None:
        return _live(session, run, sheet, prompts, suite.seeds[0], forecast)
    page = comparison.compare(session, sheet)
    keys = {f"{prompt.position}.{suite.seeds[0]}" for prompt in prompts}
    rows = [
        StripRow(
            row.key, row.text, [Spot(picture.step, picture.sample_id, why=picture.why) for picture in row.pictures]
        )
        for row in page.rows
        if row.key in keys
    ]
    steps = [column.step for column in page.columns]
    job = jobs.get(session, sheet.job_id) if sheet.job_id else None
    return Strip(sheet.id, steps, steps[-1] if steps else 0, rows, job, page.drawn, page.wanted, page.seconds_left)


def _live(
    session: Session, run: TrainingRun, sheet: Sheet, prompts: list[Prompt], seed: int, forecast: Forecast | None
) -> Strip:
    """The base, the newest checkpoints, and the next ones that the recipe plans."""
    saved = [checkpoint.step for checkpoint in runs.checkpoints(session, run.id)]
    shown = [*saved[:1], *saved[1:][-DRAWN_COLUMNS:]]
    newest = shown[-1] if shown else 0
    every = int(run.recipe["checkpoint_every"])
    planned = [*range(newest // every * every + every, run.steps, every), run.steps]
    coming = [step for step in planned if step > newest][:COMING_COLUMNS]
    drawn = sheets.drawn(session, sheet)

    def spot(prompt: Prompt, step: int) -> Spot:
        if sample_id := drawn.get((step, prompt.id, seed)):
            return Spot(step, sample_id)
        if step in coming:
            return Spot(step, due_at=forecast.reaches(step) if forecast else None, why="to come")
        return Spot(step, why="drawn at the end" if step != newest else "being drawn")

    steps = [*shown, *coming]
    rows = [
        StripRow(f"{prompt.position}.{seed}", prompt.text, [spot(prompt, step) for step in steps]) for prompt in prompts
    ]
    return Strip(sheet.id, steps, newest, rows, None)
