"""A run whose checkpoints have files, and the way from one of them to a live model."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy.orm import Session

from app.evaluation import promoting
from app.evaluation.promotion_tables import Promotion
from app.people import Person
from app.storage import Storage
from app.training import runs
from app.training.tables import Checkpoint, TrainingRun
from tests.evaluation.cast import finished_run

WHY = "Ana looked at all of it."


def saved_run(session: Session, storage: Storage, steps: tuple[int, ...] = (50, 100)) -> TrainingRun:
    """A completed run, with files as long as its checkpoints say they are."""
    run = finished_run(session, steps)
    for checkpoint in runs.checkpoints(session, run.id):
        if checkpoint.folder:
            save(storage.root / checkpoint.folder)
    return run


def save(folder: Path) -> None:
    """A checkpoint's folder with weights that nothing can load."""
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "model.safetensors").write_bytes(b"weights")
    files = {"weights/model.safetensors": {"size_bytes": 7, "sha256": "0" * 64}}
    (folder / "checkpoint.json").write_text(json.dumps({"files": files}))


def steps_of(session: Session, run: TrainingRun) -> dict[int, Checkpoint]:
    """The run's checkpoints by step."""
    return {checkpoint.step: checkpoint for checkpoint in runs.checkpoints(session, run.id)}


def ship(session: Session, storage: Storage, checkpoint: Checkpoint, owner: Person) -> Promotion:
    """The checkpoint, asked for and signed by one owner, in place of what was live."""
    _, _, catalog = promoting.origin_of(session, checkpoint.id)
    now = promoting.live(session, catalog.id)
    candidacy = promoting.ask(session, storage, checkpoint.id, owner, WHY)
    return promoting.sign(session, storage, candidacy.id, owner, now.promotion.id if now else 0, WHY)
