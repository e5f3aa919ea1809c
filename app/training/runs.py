"""Training runs: their states, their news, their checkpoints.

    queued -> running -> [stopping ->] completed | stopped | failed
              running -> discarded

A run is over when `ended_at` is set: by the worker, once the trainer is gone. `stopping` and `discarded` without
`ended_at` are what a person asked for; the worker reads them. So what was asked survives the worker that was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError
from sqlalchemy import ColumnElement, and_, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import jobs
from app.database import utc_now
from app.datasets.tables import DatasetVersion
from app.errors import Conflict, NotFound, Refused
from app.people import Person
from app.training.recipe import Recipe, RecipeError, read_recipe
from app.training.tables import Checkpoint, RunEvent, TrainingRun

UNDER_WAY: Final = ("queued", "running", "stopping")
End = Literal["completed", "stopped", "discarded", "failed"]

PROJECT: Final = Path(__file__).resolve().parents[2]
RECIPES: Final = PROJECT / "workers" / "recipes"
NANO_RECIPE: Final = RECIPES / "nano_demo.yaml"
LOG: Final = "trainer.log"
"""What a trainer says, in its run's folder."""


class EventGapError(ValueError):
    """News arrived whose numbers do not follow those already kept: the trainer's file and the table disagree."""


def plan(
    base: str | None = None, steps: int | None = None, threads: int | None = None, source: Path = NANO_RECIPE
) -> Recipe:
    """The recipe in `source`, or one like it for another base, number of steps and CPU threads.

    Warm-up, checkpoints and validations keep their share of the run. Raises Refused for a run it cannot describe.
    """
    try:
        known = read_recipe(source)
        values = known.model_dump() | {"base": named(base or known.base), "threads": threads or known.threads}
        if steps is not None:
            share = steps / known.steps
            values["steps"] = steps
            for name in ("warmup_steps", "checkpoint_every", "validate_every"):
                values[name] = max(1, round(values[name] * share))
            values["warmup_steps"] = min(values["warmup_steps"], int(known.constant_share * steps))
        return Recipe.model_validate(values)
    except RecipeError as error:
        raise Refused(str(error)) from error
    except ValidationError as error:
        fault = error.errors()[0]
        raise Refused(f"No run can be planned like that: {fault['loc'][0]}: {fault['msg'].lower()}.") from error


def named(base: str) -> str:
    """A base that lies in the project by its path from there, so that its name is the same on every machine."""
    folder = Path(base)
    return folder.relative_to(PROJECT).as_posix() if folder.is_relative_to(PROJECT) else base


def is_here(base: str) -> bool:
    """Whether a base is a folder, in the project or at an absolute path, rather than a name on the model hub."""
    return (PROJECT / base).is_dir()


def request_run(
    session: Session, version: DatasetVersion, base: str, recipe: Recipe, person: Person | None = None
) -> TrainingRun:
    """Ask for a run, or find the one that is under way with the same version and recipe (a double click is one run).

    Raises Refused for a version that is not frozen or teaches nothing.
    """
    if version.content_hash is None:
        raise Refused(f"Version {version.number} is not frozen yet. Wait until freezing is done, then train from it.")
    if version.train_count == 0:
        raise Refused(f"Version {version.number} has no photos to learn from. Freeze a version with at least one.")
    base = named(base)
    recipe = recipe.model_copy(update={"base": base})
    # Two clicks at the same moment queue up here, so that the second one sees the first one's run.
    session.execute(select(DatasetVersion.id).where(DatasetVersion.id == version.id).with_for_update())
    same = session.scalars(
        select(TrainingRun).where(
            TrainingRun.version_id == version.id,
            TrainingRun.recipe_hash == recipe.recipe_hash(),
            TrainingRun.state.in_(UNDER_WAY),
        )
    ).first()
    if same is not None:
        return same
    run = TrainingRun(
        version_id=version.id,
        base=base,
        recipe=recipe.model_dump(mode="json"),
        recipe_hash=recipe.recipe_hash(),
        state="queued",
        steps=recipe.steps,
        created_by_id=person.id if person else None,
    )
    session.add(run)
    session.flush()
    _ask_for_work(session, run, person)
    return run


def resume(session: Session, run: TrainingRun, person: Person | None = None) -> None:
    """Ask for a failed run to go on from its last checkpoint, or from the start. Asked twice, it is asked once.

    Raises Conflict for a run that did not fail.
    """
    session.refresh(run, with_for_update=True)
    if run.state in UNDER_WAY:
        return
    if run.state != "failed":
        raise Conflict(f"Run {run.id} is {run.state}; only a failed run can go on.")
    run.state, run.reason, run.ended_at = "queued", None, None
    _ask_for_work(session, run, person)


def stop(session: Session, run: TrainingRun, keep: bool, person: Person | None = None) -> None:
    """Ask for an end: with what was learned so far, or throwing it away. The worker ends the trainer and says so.

    A run that no worker has taken ends at once. Keeping may still be changed to discarding, not the reverse. Raises
    Conflict for a run that is over.
    """
    # Workers lock the job before the run; the same order here cannot meet them head on.
    session.execute(select(jobs.Job.id).where(jobs.Job.id == run.job_id).with_for_update())
    session.refresh(run, with_for_update=True)
    if run.ended_at is not None:
        raise Conflict(f"Run {run.id} is over already. {run.reason or ''}".strip())
    who = person.name if person else "Somebody"
    # What an earlier sitting learned lies in files, which only a worker deletes.
    is_waiting = run.state == "queued" and run.job_id is not None and (keep or run.step == 0)
    if is_waiting and jobs.cancel(session, run.job_id or 0).state == "cancelled":
        end(session, run, "stopped" if keep else "discarded", f"{who} stopped it before a worker took it.")
    elif not keep:
        run.state, run.reason = "discarded", f"{who} discarded it."
    elif run.state in ("queued", "running"):
        run.state, run.reason = "stopping", f"{who} stopped it."
    session.flush()


def begin(session: Session, run: TrainingRun) -> None:
    """A worker has taken the run: it is running, unless somebody asked for its end meanwhile."""
    if run.state == "queued":
        run.state = "running"
    run.started_at = run.started_at or utc_now()
    # The base is the first column of every sheet.
    session.execute(
        insert(Checkpoint).values(run_id=run.id, step=0, size_bytes=0, created_at=utc_now()).on_conflict_do_nothing()
    )


def end(session: Session, run: TrainingRun, state: End, reason: str) -> None:
    """The run is over and its trainer is gone. Discarded, it forgets its checkpoints; their files are the worker's."""
    run.state, run.reason, run.ended_at = state, reason, utc_now()
    if state == "discarded":
        session.execute(delete(Checkpoint).where(Checkpoint.run_id == run.id))
    session.flush()


def record_events(session: Session, run: TrainingRun, events: Iterable[Mapping[str, Any]]) -> int:
    """Append the trainer's news; those already there are passed over. Returns how many were new.

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
    return len(fresh)


def settle_lost(session: Session) -> int:
    """End the runs whose job ended without them: a worker that never came back, a job cancelled elsewhere."""
    lost = session.execute(
        select(TrainingRun, jobs.Job)
        .join(jobs.Job, jobs.Job.id == TrainingRun.job_id)
        .where(TrainingRun.ended_at.is_(None), jobs.Job.state.in_(("done", "failed", "cancelled")))
        .with_for_update(of=TrainingRun, skip_locked=True)
    ).all()
    for run, job in lost:
        if run.state == "discarded":
            end(session, run, "discarded", run.reason or "Discarded.")
        elif job.state == "failed":
            end(session, run, "failed", job.failure or "The job failed without a word.")
        else:
            end(session, run, "stopped", run.reason or "Its job was cancelled.")
    return len(lost)


def wants_trainer(session: Session, run_id: int) -> tuple[bool, bool]:
    """Whether a trainer of this run still has work to do or a worker to come back to; and whether to keep its work."""
    run = session.get(TrainingRun, run_id)
    if run is None:
        return False, False
    job = session.get(jobs.Job, run.job_id) if run.job_id else None
    return run.ended_at is None and job is not None and not job.is_over, run.state != "discarded"


def get(session: Session, run_id: int) -> TrainingRun:
    """The run with this id. Raises NotFound."""
    run = session.get(TrainingRun, run_id)
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    return run


def recent(session: Session, limit: int = 200) -> Sequence[TrainingRun]:
    """The newest runs first."""
    return session.scalars(select(TrainingRun).order_by(TrainingRun.id.desc()).limit(limit)).all()


def checkpoints(session: Session, run_id: int) -> Sequence[Checkpoint]:
    """The run's checkpoints by step, the base first."""
    return session.scalars(select(Checkpoint).where(Checkpoint.run_id == run_id).order_by(Checkpoint.step)).all()


def last_seq(session: Session, run_id: int) -> int:
    """The number of the newest event; 0 when there is none."""
    return session.scalar(select(func.max(RunEvent.seq)).where(RunEvent.run_id == run_id)) or 0


def events_after(session: Session, run_id: int, seq: int, limit: int = 500) -> Sequence[RunEvent]:
    """Events numbered above `seq`, oldest first."""
    query = select(RunEvent).where(RunEvent.run_id == run_id, RunEvent.seq > seq).order_by(RunEvent.seq).limit(limit)
    return session.scalars(query).all()


def milestones(session: Session, run_id: int, limit: int = 40) -> Sequence[RunEvent]:
    """What a person wants to read, newest first: everything but the steps, and the newest step."""
    newest_step = select(func.max(RunEvent.seq)).where(RunEvent.run_id == run_id, RunEvent.kind == "step")
    query = (
        select(RunEvent)
        .where(RunEvent.run_id == run_id, or_(RunEvent.kind != "step", RunEvent.seq == newest_step.scalar_subquery()))
        .order_by(RunEvent.seq.desc())
        .limit(limit)
    )
    return session.scalars(query).all()


def device_job(session: Session, now: datetime) -> jobs.Job | None:
    """The job that a gpu worker is doing at this moment; None when none is known to be at work."""
    query = select(jobs.Job).where(jobs.Job.queue == "gpu", jobs.Job.state == "running", jobs.Job.lease_until > now)
    return session.scalars(query.order_by(jobs.Job.id)).first()


def still_holds(session: Session, run_id: int) -> ColumnElement[bool]:
    """A condition on events: not undone by a later start from an earlier checkpoint.

    A trainer that was killed after its last checkpoint goes on from there and tells the same steps again; the curves
    are cut back to where it went on.
    """
    starts = session.execute(
        select(RunEvent.seq, RunEvent.data["step"].as_integer()).where(
            RunEvent.run_id == run_id, RunEvent.kind == "started", RunEvent.seq > 1
        )
    ).all()
    step = RunEvent.data["step"].as_integer()
    return and_(RunEvent.run_id == run_id, *(or_(RunEvent.seq >= seq, step <= at) for seq, at in starts))


def _ask_for_work(session: Session, run: TrainingRun, person: Person | None) -> None:
    job = jobs.request(session, "run.train", {"run_id": run.id}, person, total=run.steps)
    run.job_id = job.id
    session.flush()


def _row(run_id: int, event: Mapping[str, Any]) -> dict[str, Any]:
    data = {name: value for name, value in event.items() if name not in ("seq", "at", "kind")}
    at = datetime.fromisoformat(event["at"])
    return {"run_id": run_id, "seq": event["seq"], "kind": event["kind"], "at": at, "data": data}


def _take_note(session: Session, run: TrainingRun, event: Mapping[str, Any]) -> None:
    """What one event changes in the run and its checkpoints."""
    kind = event["kind"]
    if kind in ("started", "step", "finished"):
        run.step = int(event["step"])
    elif kind == "validation":
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
    told = session.scalar(
        select(RunEvent.data["loss"].as_float())
        .where(RunEvent.run_id == run.id, RunEvent.kind == "validation", RunEvent.data["step"].as_integer() == step)
        .order_by(RunEvent.seq.desc())
        .limit(1)
    )
    _set_validation_loss(session, run.id, step, told)


def _set_validation_loss(session: Session, run_id: int, step: int, loss: float | None) -> None:
    for checkpoint in session.scalars(select(Checkpoint).where(Checkpoint.run_id == run_id, Checkpoint.step == step)):
        checkpoint.validation_loss = loss
