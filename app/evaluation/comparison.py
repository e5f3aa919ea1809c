"""The comparison: checkpoints of any run as columns, prompt and seed as rows, and a reason in every empty cell."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import jobs
from app.evaluation import columns, suites, tiers
from app.evaluation.columns import ColumnPlace
from app.evaluation.sheets import Cell, cell_count, drawn_cells, missing
from app.evaluation.tables import Prompt, PromptPhoto, Sample, Sheet, Suite
from app.evaluation.tiers import Tier
from app.training.learning import Verdict, verdict
from app.training.tables import TrainingRun
from app.training.validations import Insight, insight, looks

PHOTOS_KEY: Final = "photos"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: a checkpoint, of which step 0 is the base, or real photos (`checkpoint_id` None, step -1).

    `key` names it in addresses: the step in the sheet of a run, "run.step" where several runs may meet, "photos".
    """

    key: str
    label: str
    checkpoint_id: int | None
    run_id: int | None
    step: int
    tier: Tier
    validation_loss: float | None
    is_best: bool = False  # below every other column, the base too, by more than noise
    is_lowest: bool = False
    is_worse: bool = False  # since the held-out photos got worse, and as long as they do


@dataclass(frozen=True, slots=True)
class ComparisonCell:
    """A cell: the sample or the real photo, or the reason why there is none."""

    key: str
    step: int
    sample_id: int | None
    why: str
    image_id: int | None = None


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """A prompt and a seed. `key` names the row in addresses: position of the prompt, dot, seed."""

    key: str
    text: str
    category: str
    seed: int
    pictures: list[ComparisonCell]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything the page of one sheet shows. `rows` are those of `category`, or all."""

    columns: list[Column]
    insight: Insight | None  # what is known of the run's learning; None where no single run is compared
    ranking: Verdict | None  # of the columns alone
    rows: list[ComparisonRow]
    row_count: int
    categories: list[tuple[str, int]]  # with the number of rows in each
    category: str | None
    drawn: int
    wanted: int
    seconds_left: float | None  # of drawing, measured; None when it does not go on or cannot be told


def compare(session: Session, sheet: Sheet, category: str | None = None) -> Comparison:
    """The sheet as it stands. An unknown category shows no rows."""
    suite = suites.get(session, sheet.suite_id)
    places = columns.columns_of(session, sheet)
    todo = missing(session, sheet)
    run = session.get(TrainingRun, sheet.run_id) if sheet.run_id else None
    known = insight(session, run) if run else None
    steps = {place.checkpoint.step for place in places if place.checkpoint}
    ranking = verdict(looks(session, run.id, steps)) if run else None
    pairs = [
        (prompt, index)
        for prompt in suites.prompts_of(session, suite)
        for index in range(len(suite.seeds))
        # The prompts held out are seen where a column was made to draw them, and nowhere else.
        if any(tiers.draws(place.tier, prompt.tier, index) for place in places)
    ]
    shown = [_column(place, is_of_run=run is not None, known=known, ranking=ranking) for place in places]
    pictures = _Pictures.of(session, sheet, suite, todo, any(place.checkpoint is None for place in places))
    counted = Counter(prompt.category for prompt, _ in pairs)
    total = cell_count(session, sheet)
    return Comparison(
        columns=shown,
        insight=known,
        ranking=ranking,
        rows=[
            ComparisonRow(
                key=f"{prompt.position}.{suite.seeds[index]}",
                text=prompt.text,
                category=prompt.category,
                seed=suite.seeds[index],
                pictures=[pictures.cell(column, prompt, index) for column in shown],
            )
            for prompt, index in pairs
            if category in (None, prompt.category)
        ],
        row_count=counted.total(),
        categories=sorted(counted.items()),
        category=category,
        drawn=total - len(todo),
        wanted=total,
        seconds_left=None if pictures.pace_s is None or not todo else pictures.pace_s * len(todo),
    )


def columns_shown(session: Session, sheet: Sheet) -> list[Column]:
    """The columns of a sheet as its pages show them, from left to right, without their pictures."""
    places = columns.columns_of(session, sheet)
    run = session.get(TrainingRun, sheet.run_id) if sheet.run_id else None
    steps = {place.checkpoint.step for place in places if place.checkpoint}
    ranking = verdict(looks(session, run.id, steps)) if run else None
    known = insight(session, run) if run else None
    return [_column(place, is_of_run=run is not None, known=known, ranking=ranking) for place in places]


@dataclass(frozen=True)
class _Pictures:
    """What is in the cells of a sheet, and why the others are empty."""

    seeds: Sequence[int]
    samples: dict[Cell, int]
    photos: dict[tuple[int, int], int]
    due: dict[Cell, int]  # the place of a missing cell in the order of drawing, from 1
    job: jobs.Job | None
    pace_s: float | None

    @classmethod
    def of(cls, session: Session, sheet: Sheet, suite: Suite, todo: Sequence[Cell], has_photos: bool) -> _Pictures:
        job = session.get(jobs.Job, sheet.job_id) if sheet.job_id else None
        return cls(
            seeds=suite.seeds,
            samples=drawn_cells(session, sheet),
            photos=_photos(session, suite) if has_photos else {},
            due={cell: number for number, cell in enumerate(todo, start=1)},
            job=job,
            pace_s=_pace_s(session, sheet, job),
        )

    def cell(self, column: Column, prompt: Prompt, index: int) -> ComparisonCell:
        """The cell of a column beside a prompt with the seed at `index`."""
        if column.checkpoint_id is None:
            image_id = self.photos.get((prompt.id, index))
            return ComparisonCell(column.key, column.step, None, "" if image_id else "no photo", image_id)
        cell = Cell(column.checkpoint_id, prompt.id, self.seeds[index])
        if sample_id := self.samples.get(cell):
            return ComparisonCell(column.key, column.step, sample_id, "")
        if cell in self.due:
            return ComparisonCell(column.key, column.step, None, _why(self.job, self.due[cell], self.pace_s))
        why = tiers.why_not(column.tier, prompt.tier, cell.seed)
        return ComparisonCell(column.key, column.step, None, f"not drawn: {why}")


def _photos(session: Session, suite: Suite) -> dict[tuple[int, int], int]:
    """The real photo beside each prompt and the place of its seed."""
    rows = session.execute(
        select(PromptPhoto.prompt_id, PromptPhoto.position, PromptPhoto.image_id)
        .join(Prompt, Prompt.id == PromptPhoto.prompt_id)
        .where(Prompt.suite_id == suite.id)
    )
    return {(prompt_id, position): image_id for prompt_id, position, image_id in rows}


def _column(place: ColumnPlace, is_of_run: bool, known: Insight | None, ranking: Verdict | None) -> Column:
    checkpoint = place.checkpoint
    if checkpoint is None:
        return Column(PHOTOS_KEY, "Real", None, None, -1, place.tier, None)
    since = known.verdict.worse_since if known else None
    step = "Base" if checkpoint.step == 0 else f"{checkpoint.step:,}"
    return Column(
        key=str(checkpoint.step) if is_of_run else f"{checkpoint.run_id}.{checkpoint.step}",
        label=step if is_of_run else f"Run {checkpoint.run_id} · {step}",
        checkpoint_id=checkpoint.id,
        run_id=checkpoint.run_id,
        step=checkpoint.step,
        tier=place.tier,
        validation_loss=checkpoint.validation_loss,
        is_best=ranking is not None and checkpoint.step == ranking.best,
        is_lowest=ranking is not None and checkpoint.step == ranking.lowest,
        is_worse=since is not None and checkpoint.step >= since,
    )


def words_for(seconds: float) -> str:
    """A rough time to wait, in words: "under a minute", "about 2 min", "about 1 h 10 min"."""
    minutes = math.ceil(seconds / 60)
    if minutes <= 1:
        return "under a minute"
    hours, rest = divmod(minutes, 60)
    return f"about {hours} h {rest} min" if hours else f"about {minutes} min"


def _why(job: jobs.Job | None, number: int, pace_s: float | None) -> str:
    """Why the `number`-th of the missing cells is not there."""
    if job is None or job.state == "done":
        return "not drawn"
    if job.state == "failed":
        return "not drawn: drawing failed"
    if job.state == "cancelled" or job.is_cancel_asked:
        return "not drawn: drawing was stopped"
    return "not drawn yet" if pace_s is None else words_for(number * pace_s)


def _pace_s(session: Session, sheet: Sheet, job: jobs.Job | None) -> float | None:
    """Seconds for one picture, measured over those of the job that is running; None before there are two batches."""
    if job is None or job.state != "running" or job.started_at is None:
        return None
    checkpoint_ids = [checkpoint.id for checkpoint in columns.drawn_columns(session, sheet)]
    mine = (Sample.checkpoint_id.in_(checkpoint_ids), Prompt.suite_id == sheet.suite_id)
    there = select(Sample.created_at).join(Prompt, Prompt.id == Sample.prompt_id).where(*mine)
    since = there.where(Sample.created_at >= job.started_at).subquery()
    first, last, count = session.execute(
        select(func.min(since.c.created_at), func.max(since.c.created_at), func.count()).select_from(since)
    ).one()
    if first is None or first == last:
        return None
    first_batch = session.scalar(select(func.count()).select_from(since).where(since.c.created_at == first))
    return float((last - first).total_seconds() / (count - (first_batch or 0)))
