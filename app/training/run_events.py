"""A run's events as its trainer tells them: appended without gaps, and what each changes in the run.

Ordinary `step` events are rolled up as they come; see `rollups`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.database import utc_now
from app.training import rollups
from app.training.limits import pace_after
from app.training.tables import IS_MILESTONE, Checkpoint, RunEvent, TrainingRun


class EventGapError(ValueError):
    """Events arrived whose numbers do not follow those already kept: the trainer's file and the table disagree."""


def record(session: Session, run: TrainingRun, events: Iterable[Mapping[str, Any]]) -> int:
    """Append the trainer's events; those already there are passed over. Returns how many were new.

    `events` are the objects of its events.jsonl, in order. Raises EventGapError when a number is missing.
    """
    last = last_seq(session, run.id)
    fresh = [event for event in events if event["seq"] > last]
    if [event["seq"] for event in fresh] != list(range(last + 1, last + 1 + len(fresh))):
        raise EventGapError(f"Run {run.id}: event {fresh[0]['seq']} does not follow {last}, or a later one is missing.")
    if not fresh:
        return 0
    session.execute(insert(RunEvent), [_row(run.id, event) for event in fresh])
    for event in fresh:
        _take_note(session, run, event)
    session.flush()
    rollups.roll_up(session, run.id)
    return len(fresh)


def last_seq(session: Session, run_id: int) -> int:
    """The number of the newest event; 0 when there is none."""
    return session.scalar(select(func.max(RunEvent.seq)).where(RunEvent.run_id == run_id)) or 0


def events_after(session: Session, run_id: int, seq: int, limit: int = 500) -> Sequence[RunEvent]:
    """Events numbered above `seq`, oldest first."""
    query = select(RunEvent).where(RunEvent.run_id == run_id, RunEvent.seq > seq).order_by(RunEvent.seq).limit(limit)
    return session.scalars(query).all()


def still_holds(session: Session, run_id: int) -> ColumnElement[bool]:
    """A condition on events: not undone by a later start from an earlier checkpoint.

    A trainer that was killed after its last checkpoint goes on from there and tells the same steps again; the curves
    are cut back to where it went on.
    """
    starts = session.execute(
        select(RunEvent.seq, RunEvent.data["step"].as_integer()).where(
            IS_MILESTONE, RunEvent.run_id == run_id, RunEvent.kind == "started", RunEvent.seq > 1
        )
    ).all()
    step = RunEvent.data["step"].as_integer()
    return and_(RunEvent.run_id == run_id, *(or_(RunEvent.seq >= seq, step <= at) for seq, at in starts))


def _row(run_id: int, event: Mapping[str, Any]) -> dict[str, Any]:
    data = {name: value for name, value in event.items() if name not in ("seq", "at", "kind")}
    at = datetime.fromisoformat(event["at"])
    return {"run_id": run_id, "seq": event["seq"], "kind": event["kind"], "at": at, "data": data}


def _take_note(session: Session, run: TrainingRun, event: Mapping[str, Any]) -> None:
    """What one event changes in the run and its checkpoints."""
    kind = event["kind"]
    if kind in ("started", "step", "finished"):
        run.step = int(event["step"])
    if kind == "started":
        # It may have gone on from an earlier checkpoint than the newest one, which was damaged.
        later = (Checkpoint.run_id == run.id, Checkpoint.step > run.step)
        session.execute(delete(Checkpoint).where(*later).execution_options(synchronize_session=False))
    run.pace = pace_after(run.pace, kind, event)
    if kind == "step" and event.get("memory_bytes"):
        run.peak_bytes = max(run.peak_bytes or 0, int(event["memory_bytes"]))
    if kind == "validation":
        _set_validation_loss(session, run.id, int(event["step"]), event["loss"])
    elif kind == "checkpoint":
        _register(session, run, event)


def _register(session: Session, run: TrainingRun, event: Mapping[str, Any]) -> None:
    step = int(event["step"])
    values = {"folder": f"runs/{run.id}/{event['folder']}", "size_bytes": event["size_bytes"], "created_at": utc_now()}
    session.execute(
        insert(Checkpoint)
        .values(run_id=run.id, step=step, **values)
        .on_conflict_do_update(index_elements=["run_id", "step"], set_=values)
    )
    # The trainer validates before it saves.
    loss = session.scalar(
        select(RunEvent.data["loss"].as_float())
        .where(IS_MILESTONE, RunEvent.run_id == run.id, RunEvent.kind == "validation")
        .where(RunEvent.data["step"].as_integer() == step)
        .order_by(RunEvent.seq.desc())
        .limit(1)
    )
    _set_validation_loss(session, run.id, step, loss)


def _set_validation_loss(session: Session, run_id: int, step: int, loss: float | None) -> None:
    for checkpoint in session.scalars(select(Checkpoint).where(Checkpoint.run_id == run_id, Checkpoint.step == step)):
        checkpoint.validation_loss = loss
