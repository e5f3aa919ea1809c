"""A finished run with checkpoints, its suite and its sheet, drawn by hand as far as a test wants."""

from __future__ import annotations

import hashlib
import random
from datetime import datetime

from sqlalchemy.orm import Session

from app.database import utc_now
from app.datasets.tables import DatasetVersion
from app.evaluation import sheets, suites
from app.evaluation.tables import Sample, Sheet
from app.training import run_events, runs
from app.training.recipe import Recipe
from app.training.tables import TrainingRun
from tests.training.cast import one_run

PRODUCTS = (0.9, 0.5, 1.2, 0.8, 1.4, 1.1, 1.3, 0.8)
"""Losses of eight products, in shares of their mean."""


def finished_run(
    session: Session,
    steps: tuple[int, ...] = (50, 100),
    losses: tuple[float, ...] = (),
    base: float = 0.9,
    jitter: float = 0.004,
) -> TrainingRun:
    """A completed run with the base and a checkpoint at each of `steps`; the first has the lowest validation loss.

    `losses` are those of the checkpoints' validations, each product's a share of up to `jitter` off.
    """
    run = one_run(session, steps=steps[-1])
    runs.begin(session, run)
    told: list[dict[str, object]] = [validation(0, base, jitter)]
    for number, step in enumerate(steps):
        told.append(validation(step, losses[number] if losses else 0.30 + number / 100, jitter))
        told.append({"kind": "checkpoint", "step": step, "folder": f"checkpoints/step-{step:06d}", "size_bytes": 4,
                     "seconds": 0.1})  # fmt: skip
    at = utc_now().isoformat()
    run_events.record(session, run, [{"seq": seq, "at": at, **event} for seq, event in enumerate(told, start=1)])
    run.step = steps[-1]
    runs.end(session, run, "completed", f"All {run.steps:,} steps are done.")
    return run


def validation(step: int, loss: float, jitter: float = 0.0, training: float = 0.1) -> dict[str, object]:
    """A validation of eight products as a trainer tells it."""
    draw = random.Random(step)
    products = [[1, loss * share * draw.uniform(1 - jitter, 1 + jitter)] for share in PRODUCTS]
    return {"kind": "validation", "step": step, "loss": loss, "loss_by_band": [loss] * 4, "products": products,
            "training": [training] * 4}  # fmt: skip


def sheet_of(session: Session, run: TrainingRun, drawn: int = 0, at: datetime | None = None) -> Sheet:
    """The run's sheet; its first `drawn` cells have samples whose files do not exist."""
    version = session.get_one(DatasetVersion, run.version_id)
    sheet = sheets.request_sheet(session, run, suites.suite_for(session, version, Recipe.model_validate(run.recipe)))
    for cell in sheets.missing(session, sheet)[:drawn]:
        sha256 = hashlib.sha256(repr(cell).encode()).hexdigest()
        session.add(
            Sample(
                checkpoint_id=cell.checkpoint_id, prompt_id=cell.prompt_id, seed=cell.seed,
                sha256=sha256, width_px=64, height_px=64, created_at=at or utc_now(),
            )
        )  # fmt: skip
    session.flush()
    return sheet
