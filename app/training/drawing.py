"""Samples of a run asked for while it trains: its trainer saves and draws between two steps, on the device it has."""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.people import Person
from app.training import runs
from app.training.tables import Checkpoint, RunNote, TrainingRun

ASKED: Final = "draw_asked"


def ask(session: Session, run: TrainingRun, person: Person | None = None) -> None:
    """Ask the run's trainer for a checkpoint and its samples after the step it is at. Asked twice, drawn once.

    Raises Conflict for a run that does not train.
    """
    session.refresh(run, with_for_update=True)
    if run.state != "running" or run.ended_at is not None:
        raise Conflict(f"Run {run.id} is {run.state}, so no trainer can draw for it now.")
    if asked(session, run) is None:
        who = person.name if person else "Somebody"
        runs.note(session, run, ASKED, f"{who} asked for samples now: drawn after the trainer\u2019s next step.")


def asked(session: Session, run: TrainingRun) -> RunNote | None:
    """What was asked for and has not come: the newest asking, if no checkpoint was saved since."""
    if run.state != "running" or run.ended_at is not None:
        return None
    newest = session.scalar(select(func.max(Checkpoint.created_at)).where(Checkpoint.run_id == run.id))
    note = session.scalars(
        select(RunNote).where(RunNote.run_id == run.id, RunNote.kind == ASKED).order_by(RunNote.id.desc()).limit(1)
    ).first()
    return note if note is not None and (newest is None or note.at > newest) else None
