"""Training runs: their states, their events, their checkpoints.

    queued -> running -> [stopping ->] completed | stopped | failed | paused
              running -> discarded
    failed, paused, stopped at the limit -> queued (resume, extend)

A run is over when `ended_at` is set: by the worker, once the trainer is gone. `stopping` and `discarded` without
`ended_at` are what a person asked for; the worker reads them. So what was asked survives the worker that was asked. A
paused run is over until somebody lets it go on: its clock stands still. Why a run ended is told twice: `reason`, a
sentence, and `cause`, a word with a next action in `NEXT_ACTIONS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import audit, jobs
from app.database import utc_now
from app.datasets.tables import DatasetVersion
from app.errors import Conflict, NotAllowed, NotFound, Refused
from app.people import Person, may_act_for
from app.settings import PROJECT
from app.training.causes import AT_THE_LIMIT, BEGUN_AGAIN, MAX_RESUMPTIONS, NEXT_ACTIONS, Cause
from app.training.limits import LaunchEstimate, Limits, bound_s
from app.training.recipe import Recipe, RecipeError, read_recipe
from app.training.tables import Checkpoint, Preflight, RunNote, TrainingRun

# What others know by `runs.`, wherever it is kept.
__all__ = ["AT_THE_LIMIT", "BEGUN_AGAIN", "MAX_RESUMPTIONS", "NEXT_ACTIONS", "Cause", "LaunchEstimate", "Limits"]

UNDER_WAY: Final = ("queued", "running", "stopping")
End = Literal["completed", "stopped", "discarded", "failed", "paused"]

RECIPES: Final = PROJECT / "workers" / "recipes"
NANO_RECIPE: Final = RECIPES / "nano_demo.yaml"
LOG: Final = "trainer.log"
"""What a trainer says, in its run's folder."""


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
    session: Session,
    version: DatasetVersion,
    base: str,
    recipe: Recipe,
    person: Person | None = None,
    limits: Limits | None = None,
    estimated: LaunchEstimate | None = None,
) -> TrainingRun:
    """Ask for a run, or find the one that is under way with the same version and recipe (a double click is one run).

    `limits` are its hard stop: `app.cycles.hard_stop.left` tells what the cycle has left; None: the recipe's wall clock
    alone. Raises Refused for a version that is not frozen or teaches nothing, and for limits with nothing in them.
    """
    limits = limits or Limits(recipe.max_wall_clock_s)
    if version.content_hash is None:
        raise Refused(f"Version {version.number} is not frozen yet. Wait until freezing is done, then train from it.")
    if version.train_count == 0:
        raise Refused(f"Version {version.number} has no photos to learn from. Freeze a version with at least one.")
    base = named(base)
    recipe = recipe.model_copy(update={"base": base})
    # Two clicks at the same moment queue up here, so that the second one sees the first one's run.
    session.execute(select(DatasetVersion.id).where(DatasetVersion.id == version.id).with_for_update())
    same = under_way(session, version, recipe)
    if same is not None:
        return same
    if limits.hard_stop()[0] <= 0:
        raise Refused("Nothing is left of the time or the money for a run. Begin a new cycle, or raise the limit.")
    run = TrainingRun(
        version_id=version.id,
        base=base,
        recipe=recipe.model_dump(mode="json"),
        recipe_hash=recipe.recipe_hash(),
        state="queued",
        steps=recipe.steps,
        pace={},
        max_seconds=limits.max_seconds,
        max_amount=limits.max_amount,
        hour_price=limits.hour_price,
        created_by_id=person.id if person else None,
    )
    if estimated is not None:
        run.preflight_id, run.estimated_from = estimated.preflight_id, estimated.basis
        run.estimated_s, run.estimated_low_s, run.estimated_high_s = (
            estimated.seconds,
            estimated.low_s,
            estimated.high_s,
        )
        run.pace = _estimated_pace(session, estimated.preflight_id)
    session.add(run)
    session.flush()
    _tell_launched(session, run, person)
    _ask_for_work(session, run, person)
    return run


def under_way(session: Session, version: DatasetVersion, recipe: Recipe) -> TrainingRun | None:
    """The run of this version and recipe that is not over yet."""
    return session.scalars(
        select(TrainingRun).where(
            TrainingRun.version_id == version.id,
            TrainingRun.recipe_hash == recipe.recipe_hash(),
            TrainingRun.state.in_((*UNDER_WAY, "paused")),
        )
    ).first()


def limits_of(run: TrainingRun) -> Limits:
    """The run's hard stop; the recipe's wall clock where none was set."""
    most_s = run.max_seconds if run.max_seconds is not None else float(run.recipe["max_wall_clock_s"])
    return Limits(most_s, run.max_amount, run.hour_price)


def stop_bound_s(run: TrainingRun) -> float:
    """Seconds within which the run has stopped and kept what it learned: promised, once asked; else as measured now."""
    return run.stop_bound_s if run.stop_bound_s is not None else bound_s(run.pace)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a run cannot go on: in a word, and in a sentence. `limit`: not before its limit is raised."""

    kind: Literal["done", "state", "limit"]
    sentence: str


def why_not_resumed(run: TrainingRun) -> Obstacle | None:
    """Why the run cannot go on; None when it can."""
    seconds, binding = limits_of(run).hard_stop()
    nothing = "so going on would train nothing."
    if run.shipped_at is not None:
        kept = "a checkpoint of it was made the live model, so the run stays as it is. Launch another one."
        return Obstacle("state", f"Run {run.id} does not go on: {kept}")
    if run.state == "completed":
        return Obstacle("done", f"Run {run.id} is completed: all {run.steps:,} steps are done, {nothing}")
    if run.state not in ("failed", "paused") and run.cause not in AT_THE_LIMIT:
        can = "only a run that failed, is paused or reached its limit can go on."
        return Obstacle("state", f"Run {run.id} is {run.state}; {can}")
    if run.state == "stopped" and run.step >= run.steps:
        return Obstacle("done", f"Run {run.id} has no steps left, {nothing}")
    if (run.actual_s or 0.0) >= seconds or run.cause in AT_THE_LIMIT:
        return Obstacle("limit", f"The {binding} limit of run {run.id} is used up. Raise it to go on.")
    return None


def resume(session: Session, run: TrainingRun, person: Person | None = None) -> None:
    """Ask for a failed or paused run to go on from its last checkpoint, or from the start. Asked twice, asked once.

    Raises Conflict for a run that cannot go on; `extend` is for one that reached its limit. Raises NotAllowed for
    somebody else's run, unless an owner asks.
    """
    refuse_others(run, person)
    _lock(session, run)
    if run.state in UNDER_WAY:
        return
    obstacle = why_not_resumed(run)
    if obstacle is not None:
        raise Conflict(obstacle.sentence)
    note(session, run, "resumed", f"{_who(person)} let it go on from step {_last_saved(session, run):,}.")
    if person is not None:
        audit.record(session, "run_resumed", person.id, run.created_by_id, run=run.id)
    run.state, run.reason, run.cause, run.ended_at, run.resumptions = "queued", None, None, None, 0
    run.stop_asked_at = run.stop_bound_s = None
    _ask_for_work(session, run, person)


def extend(session: Session, run: TrainingRun, limits: Limits, person: Person | None = None) -> None:
    """Raise the limits of a run that is over, and let it go on.

    Raises Refused when the new limit leaves it nothing, Conflict for a run that cannot go on whatever its limit,
    NotAllowed for somebody else's run, unless an owner asks.
    """
    refuse_others(run, person)
    _lock(session, run)
    if run.state in UNDER_WAY:
        raise Conflict(f"Run {run.id} is {run.state}; its limits can be raised once it is over.")
    if run.shipped_at is not None and (obstacle := why_not_resumed(run)) is not None:
        raise Conflict(obstacle.sentence)
    seconds, binding = limits.hard_stop()
    if seconds <= (run.actual_s or 0.0) + bound_s(run.pace):
        raise Refused(f"Run {run.id} has used more than this {binding} limit allows; nothing would be trained.")
    run.max_seconds, run.max_amount, run.hour_price = limits.max_seconds, limits.max_amount, limits.hour_price
    if run.state == "stopped" and run.cause in AT_THE_LIMIT and run.step < run.steps:
        run.state, run.cause = "paused", None
    note(session, run, "extended", f"{_who(person)} raised its limit to {seconds:,.0f} s on the device.")
    if person is not None:
        audit.record(session, "run_extended", person.id, run.created_by_id, run=run.id, seconds=round(seconds))
    session.flush()
    resume(session, run, person)


def stop(session: Session, run: TrainingRun, keep: bool, person: Person | None = None) -> None:
    """Ask for an end: with what was learned so far, or throwing it away. The worker ends the trainer and says so.

    A run that no worker has taken ends at once. Keeping may still be changed to discarding, not the reverse. Raises
    Conflict for a run that is over, NotAllowed for somebody else's run, unless an owner asks.
    """
    refuse_others(run, person)
    _lock(session, run)
    if run.ended_at is not None and (run.state != "paused" or run.shipped_at is not None):
        raise Conflict(f"Run {run.id} is over already. {run.reason or ''}".strip())
    who, was = _who(person), run.state
    # What an earlier attempt learned lies in files, which only a worker deletes.
    is_waiting = run.state == "queued" and run.job_id is not None and (keep or run.step == 0)
    if is_waiting and jobs.cancel(session, run.job_id or 0).state == "cancelled":
        end(session, run, "stopped" if keep else "discarded", f"{who} stopped it before a worker took it.")
    elif not keep:
        run.state, run.reason, run.cause = "discarded", f"{who} discarded it.", None
    elif run.state in ("queued", "running", "paused"):
        run.state, run.reason, run.cause = "stopping", f"{who} stopped it.", None
    if run.state != was:
        note(session, run, "stop_asked" if keep else "discard_asked", f"{who} asked to {_in_words(keep)}.")
        if person is not None:
            audit.record(session, "run_stopped" if keep else "run_discarded", person.id, run.created_by_id, run=run.id)
        run.stop_asked_at, run.stop_bound_s = utc_now(), bound_s(run.pace)
    if was == "paused":
        run.ended_at = None
        _ask_for_work(session, run, person)
    session.flush()


def begin(session: Session, run: TrainingRun) -> None:
    """A worker has taken the run: it is running, unless somebody asked for its end meanwhile."""
    if run.state == "queued":
        run.state = "running"
    run.started_at = run.started_at or utc_now()
    run.pace = run.pace or _estimated_pace(session, run.preflight_id)
    # The base is the first column of every sheet.
    session.execute(
        insert(Checkpoint).values(run_id=run.id, step=0, size_bytes=0, created_at=utc_now()).on_conflict_do_nothing()
    )


def end(session: Session, run: TrainingRun, state: End, reason: str, cause: Cause | None = None) -> None:
    """The run is over and its trainer is gone. Discarded, it forgets its checkpoints; their files are the worker's."""
    run.state, run.reason, run.cause, run.ended_at = state, reason, cause, utc_now()
    if state == "discarded":
        session.execute(delete(Checkpoint).where(Checkpoint.run_id == run.id))
    session.flush()


def count_attempt(session: Session, run: TrainingRun, attempt: str, seconds: float) -> bool:
    """Add one trainer's whole life to what the run took. Returns False when this attempt was counted before."""
    if run.billed_attempt == attempt:
        return False
    run.billed_attempt, run.actual_s = attempt, (run.actual_s or 0.0) + seconds
    session.flush()
    return True


def note(session: Session, run: TrainingRun, kind: str, sentence: str) -> None:
    """Write down what was seen of the run, or asked of it, from outside its trainer."""
    session.add(RunNote(run_id=run.id, kind=kind, sentence=sentence))
    session.flush()


def notes(session: Session, run_id: int) -> Sequence[RunNote]:
    """What was seen of the run from outside its trainer, oldest first."""
    return session.scalars(select(RunNote).where(RunNote.run_id == run_id).order_by(RunNote.id)).all()


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
            cause: Cause = "lost" if job.failure_kind == "lost" else "broken"
            end(session, run, "failed", job.failure or "The job failed without a word.", cause)
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


def device_job(session: Session, now: datetime) -> jobs.Job | None:
    """The job that a gpu worker is doing at this moment; None when none is known to be at work."""
    query = select(jobs.Job).where(jobs.Job.queue == "gpu", jobs.Job.state == "running", jobs.Job.lease_until > now)
    return session.scalars(query.order_by(jobs.Job.id)).first()


def _lock(session: Session, run: TrainingRun) -> None:
    """Hold the run. Workers lock the job before the run; the same order here cannot meet them head on."""
    session.execute(select(jobs.Job.id).where(jobs.Job.id == run.job_id).with_for_update())
    session.refresh(run, with_for_update=True)


def refuse_others(run: TrainingRun, person: Person | None) -> None:
    """Raises NotAllowed where somebody steers another person's run; None is the program itself, or its terminal."""
    if person is not None and not may_act_for(person, run.created_by_id):
        raise NotAllowed(f"Run {run.id} is somebody else's. Whoever launched it can do this, or an owner.")


def _tell_launched(session: Session, run: TrainingRun, person: Person | None) -> None:
    seconds, amount = round(run.max_seconds or 0), None if run.max_amount is None else str(run.max_amount)
    audit.record(session, "run_launched", person.id if person else None, run=run.id, seconds=seconds, amount=amount)


def _who(person: Person | None) -> str:
    return person.name if person else "Somebody"


def _in_words(keep: bool) -> str:
    return "stop and keep what it learned" if keep else "discard it"


def _last_saved(session: Session, run: TrainingRun) -> int:
    return max((checkpoint.step for checkpoint in checkpoints(session, run.id) if checkpoint.folder), default=0)


def _estimated_pace(session: Session, preflight_id: int | None) -> dict[str, Any]:
    """A run's pace before it has begun: what its preflight measured, in seconds."""
    preflight = session.get(Preflight, preflight_id) if preflight_id else None
    if preflight is None:
        return {}
    durations = {name: preflight.measured.get(name) for name in ("save_s", "export_s", "sample_s")}
    steps = preflight.measured.get("step_s") or []
    durations["step_s"] = max(steps) if steps else None
    return {name: float(value) for name, value in durations.items() if value is not None}


def _ask_for_work(session: Session, run: TrainingRun, person: Person | None) -> None:
    arguments = {"run_id": run.id, "devices": run.recipe.get("processes", 1)}
    job = jobs.request(session, "run.train", arguments, person, total=run.steps)
    run.job_id = job.id
    session.flush()
