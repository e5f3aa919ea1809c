"""The body of `sheet.draw`: what is missing of a sheet, drawn checkpoint by checkpoint and kept batch by batch.

It ends between batches when what there is of time and money is used up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import jobs
from app.cycles import hard_stop
from app.cycles.hard_stop import Allowance
from app.errors import Refused
from app.evaluation import columns, measuring, sheets, suites, thumbs
from app.evaluation.tables import Suite
from app.settings import PROJECT
from app.training import runs
from app.training.recipe import Recipe
from app.training.tables import TrainingRun
from workers.celery_app import Cancelled, Transient, Work, stopped_for_good
from workers.errors import InputError
from workers.families.fetch import kept_to
from workers.sampling.png import png
from workers.sampling.sampler import AT_ONCE, Drawn, Source, draw

if TYPE_CHECKING:
    from workers.devices.model_cache import ModelCache

Draw = Callable[..., Iterator[Drawn]]


@dataclass(frozen=True)
class _Portion:
    """What one checkpoint misses, whichever prompts and seeds these are: its weights are loaded once for all of it."""

    source: Source
    run_id: int
    step: int
    made_with: dict[str, Any]
    cells: list[sheets.Cell]
    wanted: list[tuple[str, int]]  # each cell's prompt and seed


@dataclass
class _Meter:
    """Lets batches through while there is time for one more like the last."""

    ends_at: float  # as time.monotonic tells
    batch_s: float = 0.0

    def within(self, pictures: Iterator[Drawn]) -> Iterator[list[Drawn]]:
        began = time.monotonic()
        while self.is_open and (batch := list(islice(pictures, AT_ONCE))):
            yield batch
            began, self.batch_s = time.monotonic(), time.monotonic() - began

    @property
    def is_open(self) -> bool:
        return time.monotonic() + self.batch_s < self.ends_at


def draw_sheet(work: Work, models: ModelCache, draw: Draw = draw) -> dict[str, Any]:
    """Draw every missing cell of the sheet. A job taken up again draws only what is still missing.

    What was drawn is measured next.

    Returns a `sentence` where time or money ended it. Raises Refused when the base or a checkpoint is not there,
    Cancelled when a person stopped it, Transient when this worker was told to stop.
    """
    sheet_id = int(work.arguments["sheet_id"])
    portions, sampling, allowed = _missing(work, sheet_id)
    meter = _Meter(work.began + allowed.seconds)
    try:
        for portion in portions:
            if not meter.is_open:
                break
            size_px, steps, guidance = sampling["width_px"], sampling["steps"], sampling["guidance"]
            pictures = draw(models, portion.source, portion.wanted, size_px, steps, guidance)
            for batch in meter.within(pictures):
                _keep(work, sheet_id, portion, batch)
    except InputError as refusal:
        raise Refused(str(refusal)) from refusal
    with work.transaction() as session:
        measuring.request(session, sheets.get(session, sheet_id))
    return {} if meter.is_open else _told(work, sheet_id, allowed)


def _told(work: Work, sheet_id: int, allowed: Allowance) -> dict[str, Any]:
    """What ended the drawing, where pictures are missing."""
    with work.transaction() as session:
        sheet = sheets.get(session, sheet_id)
        total, missing = sheets.cell_count(session, sheet), len(sheets.missing(session, sheet))
    return {"sentence": f"{total - missing} of {total} pictures were drawn; {allowed.ends}."} if missing else {}


def _missing(work: Work, sheet_id: int) -> tuple[list[_Portion], dict[str, Any], Allowance]:
    """What is left to draw, the suite's sampling settings, and what drawing may take."""
    with work.transaction() as session:
        sheet = sheets.get(session, sheet_id)
        suite = session.get_one(Suite, sheet.suite_id)
        run = runs.get(session, sheet.run_id) if sheet.run_id else None
        drawn_with = columns.drawn_columns(session, sheet)
        sources = {each.id: _source(work, each) for each in sheets.runs_of(session, sheet)}
        texts = {prompt.id: prompt.text for prompt in suites.prompts_of(session, suite)}
        checkpoints = {checkpoint.id: checkpoint for checkpoint in drawn_with}
        todo = sheets.missing(session, sheet)
        total = sheets.cell_count(session, sheet)
        jobs.beat(session, work.claim, total - len(todo), total, lease_s=work.lease_s)
        allowed = hard_stop.for_sheet(session, work.settings, run, jobs.get(session, work.claim.job_id))
    made_with = {name: version(name) for name in ("torch", "diffusers", "transformers")}
    portions = []
    for checkpoint_id, group in groupby(todo, key=lambda cell: cell.checkpoint_id):
        checkpoint, cells = checkpoints[checkpoint_id], list(group)
        source = sources[checkpoint.run_id](work.storage.root / checkpoint.folder if checkpoint.folder else None)
        asked = [(texts[cell.prompt_id], cell.seed) for cell in cells]
        portions.append(_Portion(source, checkpoint.run_id, checkpoint.step, made_with, cells, asked))
    return portions, suite.sampling, allowed


def _source(work: Work, run: TrainingRun) -> Callable[[Path | None], Source]:
    """What draws with a run's base, given the folder of one of its checkpoints, or None for the base itself."""
    recipe = Recipe.model_validate(run.recipe)
    revision = kept_to(recipe, work.storage.run_folder(run.id))
    return partial(Source, recipe.family, _found(run.base), revision=revision)


def _keep(work: Work, sheet_id: int, portion: _Portion, batch: Sequence[Drawn]) -> None:
    """Keep a batch under the job's token. Raises Cancelled, Transient, jobs.LeaseLost."""
    drawn = []
    for sample in batch:
        drawn_png = png(sample.picture)
        sha256 = work.storage.put("samples", drawn_png, ".png")
        thumbs.keep(work.storage, sha256, drawn_png)
        size = (sample.picture.width, sample.picture.height)
        drawn.append(sheets.DrawnCell(portion.cells[sample.index], sha256, *size, made_with=portion.made_with))
    with work.transaction() as session:
        sheet = sheets.get(session, sheet_id)
        sheets.record(session, drawn)
        total = sheets.cell_count(session, sheet)
        done = total - len(sheets.missing(session, sheet))
        step = "base" if portion.step == 0 else f"step {portion.step:,}"
        note = step if sheet.run_id else f"run {portion.run_id}, {step}"
        is_cancel_asked = jobs.beat(session, work.claim, done, total, note, work.lease_s)
    if is_cancel_asked:
        raise Cancelled
    if stopped_for_good.is_set():
        raise Transient("The worker was told to stop; drawing goes on when one is back.")


def _found(base: str) -> str:
    """A base that lies in the project as an absolute folder; anything else as it was given."""
    folder = PROJECT / base
    return str(folder) if folder.is_dir() else base
