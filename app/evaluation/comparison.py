"""The comparison: checkpoints as columns, prompt and seed as rows, and a reason in every cell that is empty."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import jobs
from app.evaluation.sheets import Cell, columns, missing, prompts_of
from app.evaluation.tables import Sample, Sheet, Suite
from app.training.learning import Verdict, verdict
from app.training.tables import TrainingRun
from app.training.validations import Insight, insight, looks


@dataclass(frozen=True, slots=True)
class Column:
    """A checkpoint. Step 0 is the base."""

    checkpoint_id: int
    step: int
    validation_loss: float | None
    is_best: bool  # below every other column, the base too, by more than noise
    is_lowest: bool
    is_worse: bool  # since the held-out photos got worse, and as long as they do


@dataclass(frozen=True, slots=True)
class ComparisonCell:
    """A cell: the sample, or the reason why there is none."""

    step: int
    sample_id: int | None
    why: str


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
    insight: Insight  # what is known of the run's learning
    ranking: Verdict  # of the columns alone
    rows: list[ComparisonRow]
    row_count: int
    categories: list[tuple[str, int]]  # with the number of rows in each
    category: str | None
    drawn: int
    wanted: int
    seconds_left: float | None  # of drawing, measured; None when it does not go on or cannot be told


def compare(session: Session, sheet: Sheet, category: str | None = None) -> Comparison:
    """The sheet as it stands. An unknown category shows no rows."""
    suite = session.get_one(Suite, sheet.suite_id)
    prompts = prompts_of(session, suite)
    drawn_with = columns(session, sheet.run_id)
    samples = {
        Cell(sample.checkpoint_id, sample.prompt_id, sample.seed): sample.id
        for sample in session.scalars(select(Sample).where(Sample.sheet_id == sheet.id))
    }
    todo = missing(session, sheet)
    due = {cell: number for number, cell in enumerate(todo, start=1)}
    job = session.get(jobs.Job, sheet.job_id) if sheet.job_id else None
    pace_s = _pace_s(session, sheet, job)
    run = session.get_one(TrainingRun, sheet.run_id)
    known = insight(session, run)
    ranking = verdict(looks(session, run.id, {column.step for column in drawn_with}))
    since = known.verdict.worse_since

    def picture(cell: Cell, step: int) -> ComparisonCell:
        sample_id = samples.get(cell)
        return ComparisonCell(step, sample_id, "" if sample_id else _why(job, due[cell], pace_s))

    return Comparison(
        columns=[
            Column(
                c.id,
                c.step,
                c.validation_loss,
                c.step == ranking.best,
                c.step == ranking.lowest,
                since is not None and c.step >= since,
            )
            for c in drawn_with
        ],
        insight=known,
        ranking=ranking,
        rows=[
            ComparisonRow(
                key=f"{prompt.position}.{seed}",
                text=prompt.text,
                category=prompt.category,
                seed=seed,
                pictures=[picture(Cell(c.id, prompt.id, seed), c.step) for c in drawn_with],
            )
            for prompt in prompts
            if category in (None, prompt.category)
            for seed in suite.seeds
        ],
        row_count=len(prompts) * len(suite.seeds),
        categories=sorted((name, n * len(suite.seeds)) for name, n in Counter(p.category for p in prompts).items()),
        category=category,
        drawn=len(samples),
        wanted=len(samples) + len(todo),
        seconds_left=None if pace_s is None or not todo else pace_s * len(todo),
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
    first, last, count = session.execute(
        select(func.min(Sample.created_at), func.max(Sample.created_at), func.count()).where(
            Sample.sheet_id == sheet.id, Sample.created_at >= job.started_at
        )
    ).one()
    if first is None or first == last:
        return None
    first_batch = session.scalar(select(func.count()).where(Sample.sheet_id == sheet.id, Sample.created_at == first))
    return float((last - first).total_seconds() / (count - (first_batch or 0)))
