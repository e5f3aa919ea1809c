"""A finished run with checkpoints, its suite and its sheet, drawn by hand as far as a test wants."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy.orm import Session

from app.database import utc_now
from app.datasets.tables import DatasetVersion
from app.evaluation import sheets
from app.evaluation.tables import Sample, Sheet
from app.training import runs
from app.training.recipe import Recipe
from app.training.tables import Checkpoint, TrainingRun
from tests.training.cast import one_run


def finished_run(session: Session, steps: tuple[int, ...] = (50, 100)) -> TrainingRun:
    """A completed run with the base and a checkpoint at each of `steps`; the first has the lowest validation loss."""
    run = one_run(session, steps=steps[-1])
    runs.begin(session, run)
    for number, step in enumerate(steps):
        folder = f"runs/{run.id}/checkpoints/step-{step:06d}"
        loss = 0.30 + number / 100
        session.add(Checkpoint(run_id=run.id, step=step, folder=folder, size_bytes=4, validation_loss=loss))
    session.flush()
    run.step = steps[-1]
    runs.end(session, run, "completed", f"All {run.steps:,} steps are done.")
    return run


def sheet_of(session: Session, run: TrainingRun, drawn: int = 0, at: datetime | None = None) -> Sheet:
    """The run's sheet; its first `drawn` cells have samples whose files do not exist."""
    version = session.get_one(DatasetVersion, run.version_id)
    sheet = sheets.request_sheet(session, run, sheets.suite_for(session, version, Recipe.model_validate(run.recipe)))
    for cell in sheets.missing(session, sheet)[:drawn]:
        sha256 = hashlib.sha256(repr(cell).encode()).hexdigest()
        session.add(
            Sample(
                sheet_id=sheet.id, checkpoint_id=cell.checkpoint_id, prompt_id=cell.prompt_id, seed=cell.seed,
                sha256=sha256, width_px=64, height_px=64, created_at=at or utc_now(),
            )
        )  # fmt: skip
    session.flush()
    return sheet
