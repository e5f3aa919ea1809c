"""The finished model of a run: which checkpoint it was written from, and having it written from another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import jobs
from app.errors import Conflict, NotFound
from app.jobs import Job
from app.people import Person
from app.training import runs
from app.training.tables import Checkpoint, TrainingRun

KIND: Final = "run.export"
FOLDER: Final = "model"
_FACTS: Final = "packshot.json"


def written_from(run_folder: Path) -> int | None:
    """The step that the finished model in a run's folder was written from; None where there is no model."""
    try:
        return int(json.loads((run_folder / FOLDER / _FACTS).read_text())["step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def request_model(session: Session, run: TrainingRun, step: int, person: Person | None = None) -> Job:
    """Have the run's finished model written from its checkpoint of `step`. Asked twice, it is written once.

    Raises NotFound without such a checkpoint, Conflict while the run goes on: it writes a model of its own.
    """
    session.refresh(run, with_for_update=True)
    if run.ended_at is None:
        raise Conflict(f"Run {run.id} is under way and writes its model when it ends.")
    there = select(Checkpoint.id).where(
        Checkpoint.run_id == run.id, Checkpoint.step == step, Checkpoint.folder.is_not(None)
    )
    if session.scalars(there).first() is None:
        raise NotFound(f"Run {run.id} has no checkpoint of step {step:,}.")
    known = newest_job(session, run.id)
    if known is not None and not known.is_over and known.arguments["step"] == step:
        return known
    runs.note(session, run, "model_asked", f"{person.name if person else 'Somebody'} chose step {step:,}.")
    return jobs.request(session, KIND, {"run_id": run.id, "step": step}, person)


def newest_job(session: Session, run_id: int) -> Job | None:
    """The last job that was asked to write the run's model."""
    mine = select(Job).where(Job.kind == KIND, Job.arguments["run_id"].as_integer() == run_id)
    return session.scalars(mine.order_by(Job.id.desc()).limit(1)).first()
