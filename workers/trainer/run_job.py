"""The body of `run.train`: trainers, one after the other, followed to their ends, and what these mean for the run."""

from __future__ import annotations

import logging
import math
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app import jobs
from app.cycles import hard_stop
from app.database import transaction
from app.datasets import verifying
from app.datasets.freezing import MANIFEST
from app.datasets.tables import DatasetVersion
from app.errors import DiskFull, Refused, is_disk_full
from app.evaluation import sheets, suites
from app.host.devices import DeviceAllocation
from app.storage import Storage, atomic_file
from app.training import run_events, runs, silence, trainer_limits
from app.training.causes import BEGUN_AGAIN, MAX_RESUMPTIONS
from app.training.recipe import Recipe, write_recipe
from app.training.tables import IS_MILESTONE, Preflight, RunEvent, TrainingRun
from app.training.trainer_limits import TrainerLimits, drawing_s
from workers import events
from workers.celery_app import Transient, Work, stopped_for_good
from workers.events import EventReader
from workers.sampling import previews
from workers.trainer.follow import Follower
from workers.trainer.outcome import PAUSED, Outcome, RunSnapshot, TrainerEnd, judge
from workers.trainer.process import (
    Patience,
    Record,
    Trainer,
    end,
    end_strays,
    end_unrecorded,
    forget_record,
    options,
    read_record,
)
from workers.trainer.watchdog import WatchPlan

log = logging.getLogger(__name__)

ENGINE: Final = (sys.executable, "-m", "workers.finetune")


@dataclass(frozen=True)
class _Task:
    """A run that is to be trained: what its trainer is given, and what it is measured against."""

    recipe: Path
    manifest: Path
    plan: WatchPlan
    bound_s: float
    billed_attempt: str | None
    is_saved: bool


def train(
    work: Work,
    engine: Sequence[str] = ENGINE,
    patience: Patience | None = None,
    hold: Callable[[], DeviceAllocation] = DeviceAllocation,
) -> dict[str, Any]:
    """Start the run's trainer, or find it at work, and follow it to its end; begin again where that may help.

    Each trainer is started on what `hold` gives. Raises Refused when the run failed, Transient when this worker was
    told to stop, jobs.LeaseLost when another worker has the job.
    """
    patience = patience or Patience()
    work.bills_itself = True
    run_id = int(work.arguments["run_id"])
    out = work.storage.run_folder(run_id)
    reconcile(work.engine, work.storage, patience)
    try:
        outcome = None
        while outcome is None:
            task = _prepare(work, run_id, out, patience)
            outcome = task if isinstance(task, Outcome) else _sit(work, run_id, out, task, engine, patience, hold)
    except (OSError, DiskFull) as error:
        if not is_disk_full(error):
            raise
        outcome = _pause(work, run_id, f"The disk with {work.storage.root} is full.")
    if outcome.state == "discarded":
        _forget(out)
    if outcome.state == "failed":
        raise Refused(outcome.reason)
    return {"state": outcome.state}


def reconcile(engine: Engine, storage: Storage, patience: Patience) -> None:
    """Settle runs whose job ended without them, and end the trainers of runs that are over."""
    with transaction(engine) as session:
        runs.settle_lost(session)
    end_strays(engine, storage, patience)


def clear_device(work: Work, patience: Patience | None = None) -> bool:
    """Before its device is taken: end trainers that hold it and that nobody will follow any more.

    Returns whether it needs none: its own trainer is at work and has its devices, or nothing is to be trained. Raises
    jobs.LeaseLost.
    """
    patience, run_id = patience or Patience(), int(work.arguments["run_id"])
    out = work.storage.run_folder(run_id)
    reconcile(work.engine, work.storage, patience)
    if Trainer.find(out, work.claim) is not None:
        return True
    with work.transaction() as session:
        jobs.beat(session, work.claim, lease_s=work.lease_s)
        run = runs.get(session, run_id)
        bound_s = runs.stop_bound_s(run)
        if run.job_id != work.claim.job_id or run.state not in ("queued", "running"):
            return True
    _end_stranger(out, patience, bound_s)
    return False


def _end_stranger(out: Path, patience: Patience, bound_s: float) -> None:
    """End a trainer that was started for another job of the run."""
    stranger = Trainer.find(out)
    if stranger is not None:
        log.warning("%s: its trainer was started for job %s: ending it", out, stranger.record.job_id)
        end(stranger, keep=True, patience=patience, within_s=bound_s)


def _prepare(work: Work, run_id: int, out: Path, patience: Patience) -> _Task | Outcome:
    """Write recipe and limits beside the run; or how it has ended, where there is nothing to train."""
    with work.transaction() as session:
        jobs.beat(session, work.claim, lease_s=work.lease_s)
        run = runs.get(session, run_id)
        if run.ended_at is not None or run.job_id != work.claim.job_id:
            return Outcome("stopped", "It is over.")
        runs.begin(session, run)
        hard_stop.lower(session, work.settings, run)
        recipe, version_id = Recipe.model_validate(run.recipe), run.version_id
        seconds, binding = runs.limits_of(run).hard_stop()
        needed_bytes, pictures = _space_needed(session, run), sheets.picture_count(recipe)
        stage = math.ceil(recipe.second_from * recipe.steps)
        first_s = silence.deadline_s(float(run.pace.get("step_s", 0.0)), patience.first_silence_s)
        plan = WatchPlan(
            run.steps, seconds, binding, run.actual_s or 0.0, stage if stage < run.steps else None,
            patience.least_silence_s, first_s,
        )  # fmt: skip
        bound_s, billed = runs.stop_bound_s(run), run.billed_attempt
        given = TrainerLimits(
            seconds, binding, drawing_s(pictures, float(run.pace.get("sample_s", 0.0)), seconds),
            # What the engine may not know of itself: events that a power loss took from its file, ends it did not see.
            run_events.last_seq(session, run.id), run.actual_s or 0.0,
            # Where no picture's time is known yet, the engine learns it from those that it draws.
            pictures,
        )  # fmt: skip
        is_saved = any(checkpoint.folder for checkpoint in runs.checkpoints(session, run.id))
        is_wanted = run.state == "running"
        if is_wanted:
            previews.write(session, run, out)
    out.mkdir(parents=True, exist_ok=True)
    free_bytes = shutil.disk_usage(out).free
    if is_wanted and free_bytes < needed_bytes and Trainer.find(out) is None:
        short = f"The disk with {out} has {free_bytes / 1e9:.1f} GB free; {needed_bytes / 1e9:.1f} GB are needed."
        return _pause(work, run_id, short)
    # A limit that was raised later is above the recipe's own wall clock, which the engine heeds too.
    wall_clock_s = max(recipe.max_wall_clock_s, min(seconds, 604_800.0))
    write_recipe(out / "recipe.yaml", recipe.model_copy(update={"max_wall_clock_s": wall_clock_s}))
    with atomic_file(out / trainer_limits.FILE) as file:
        file.write(given.written())
    manifest = work.storage.dataset_folder(version_id) / MANIFEST
    return _Task(out / "recipe.yaml", manifest, plan, bound_s, billed, is_saved)


def _sit(
    work: Work,
    run_id: int,
    out: Path,
    task: _Task,
    engine: Sequence[str],
    patience: Patience,
    hold: Callable[[], DeviceAllocation],
) -> Outcome | None:
    """One attempt of a trainer, found or started, to its end. None when another one is to follow."""
    trainer = _find(work, run_id, out, task, patience)
    is_found = trainer is not None
    if trainer is None:
        left = read_record(out)
        past = _catch_up(work, run_id, out, left)
        is_ours = left is not None and left.job_id == work.claim.job_id and left.attempt != task.billed_attempt
        if is_ours or past.is_over:
            ended = TrainerEnd(None, is_worker_stopping=past.is_interrupted)
            return _settle(work, run_id, out, ended, left, past.after_seq)
        if left is not None:
            # It counts: what is left of the limit is worked out anew.
            _bill_unseen(work, run_id, out, left)
            return None
        if task.plan.spent_s >= task.plan.limit_s:
            return _settle(work, run_id, out, TrainerEnd(None, is_past_limit=True), None, past.last_seq)
        end_unrecorded(out)
        if changed := _other_manifest(work, run_id, task.manifest):
            return changed
        resume = ["--resume"] if past.last_seq or (out / events.FILE).exists() else []
        command = [*engine, str(task.recipe), str(task.manifest), str(out), *options(work.storage), *resume]
        trainer = Trainer.start(command, out, work.settings.worker_threads, work.claim, hold(), past.last_seq)
    try:
        ended = Follower(work, run_id, trainer, task.plan, patience, is_found, task.is_saved).to_the_end()
        return _settle(work, run_id, out, ended, trainer.record, trainer.record.after_seq, trainer.lived_s())
    finally:
        trainer.hand_over()


def _find(work: Work, run_id: int, out: Path, task: _Task, patience: Patience) -> Trainer | None:
    """The run's trainer at work, now followed under this claim. One of another lineage is ended."""
    trainer = Trainer.find(out, work.claim)
    if trainer is not None:
        with work.transaction() as session:
            run = runs.get(session, run_id)
            runs.note(session, run, "found_again", f"A worker found its trainer at work (pid {trainer.record.pid}).")
            jobs.began(session, work.claim, datetime.fromtimestamp(trainer.record.started, UTC))
        trainer.write_down(work.claim)
        return trainer
    _end_stranger(out, patience, task.bound_s)
    return None


@dataclass(frozen=True)
class _Past:
    """What happened to a run before this worker looks: events up to `after_seq` were told before its last trainer.

    `is_over`: the last trainer, or a person, left nothing to train. `is_interrupted`: that trainer only ended with its
    worker, as it told, or as the stop file shows that is still there.
    """

    is_over: bool
    is_interrupted: bool
    after_seq: int
    last_seq: int


def _catch_up(work: Work, run_id: int, out: Path, left: Record | None) -> _Past:
    """Keep the events that an earlier worker did not get to; `left` is the last trainer's record."""
    with work.transaction() as session:
        jobs.beat(session, work.claim, lease_s=work.lease_s)
        run = runs.get(session, run_id)
        unread = EventReader(out).read()
        after_seq = run_events.last_seq(session, run.id) if left is None else left.after_seq
        is_new = run_events.record(session, run, unread) > 0
        for event in unread:
            previews.keep(session, work.storage, run, event, out)
        last_seq = run_events.last_seq(session, run.id)
        last = session.get(RunEvent, (run.id, last_seq)) if last_seq > after_seq else None
        has_stopped = last is not None and last.kind == "finished" and last.data["reason"] == "stopped"
        has_ended = last is not None and last.kind in ("finished", "failed") and not has_stopped
        is_over = (is_new and has_ended) or run.state != "running"
        return _Past(is_over, has_stopped or (out / "stop").exists(), after_seq, last_seq)


def _settle(
    work: Work,
    run_id: int,
    out: Path,
    ended: TrainerEnd,
    record: Record | None,
    after_seq: int,
    seconds: float | None = None,
) -> Outcome | None:
    """Record how the run ended and what it cost, and ask for its sheet. None when it is to be begun again.

    Events up to `after_seq` are an earlier trainer's. `seconds` are the trainer's whole life, whichever workers
    followed it; None: as its files tell. Raises Transient when it goes on elsewhere.
    """
    with work.transaction() as session:
        jobs.beat(session, work.claim, lease_s=work.lease_s)
        run = runs.get(session, run_id)
        if record is not None:
            _bill(work, session, run, record, _lived_s(out, record) if seconds is None else seconds)
        outcome = _judged(session, run, out, ended, after_seq)
        if outcome is not None:
            runs.end(session, run, outcome.state, outcome.reason, outcome.cause)
            if outcome.state in ("completed", "stopped") and any(c.folder for c in runs.checkpoints(session, run.id)):
                version = session.get_one(DatasetVersion, run.version_id)
                suite = suites.suite_for(session, version, Recipe.model_validate(run.recipe))
                asker = jobs.asker(session, work.claim.job_id)
                sheets.request_sheet(session, run, suite, asker, within_run=True)
    forget_record(out)
    if outcome is None and stopped_for_good.is_set():
        raise Transient("The worker was told to stop; training goes on from the last checkpoint when one is back.")
    return outcome


def _judged(session: Session, run: TrainingRun, out: Path, ended: TrainerEnd, after_seq: int) -> Outcome | None:
    """The run's outcome; None when its trainer is to be started again: interrupted, or ended by what may not recur."""
    last = session.get(RunEvent, (run.id, run_events.last_seq(session, run.id)))
    kind, facts = (last.kind, last.data) if last is not None and last.seq > after_seq else (None, {})
    snapshot = _snapshot(session, run)
    outcome = judge(snapshot, kind, facts, ended, out)
    if outcome is None or outcome.cause not in BEGUN_AGAIN or run.state != "running":
        return outcome
    if run.resumptions >= MAX_RESUMPTIONS:
        why = f"{outcome.reason} It was begun again {run.resumptions} times already, so it waits for a person."
        return Outcome(outcome.state, why, outcome.cause)
    run.resumptions += 1
    times = f"{run.resumptions} of at most {MAX_RESUMPTIONS} times"
    runs.note(
        session, run, "begun_again",
        f"{outcome.reason} It was begun again from step {snapshot.saved_step or 0:,} without being asked, {times}.",
    )  # fmt: skip
    return None


def _snapshot(session: Session, run: TrainingRun) -> RunSnapshot:
    saved = [checkpoint.step for checkpoint in runs.checkpoints(session, run.id) if checkpoint.folder]
    sampled = session.scalars(
        select(RunEvent.data["step"].as_integer())
        .where(RunEvent.run_id == run.id, IS_MILESTONE, RunEvent.kind == "samples")
        .order_by(RunEvent.seq.desc())
        .limit(1)
    ).first()
    limits = runs.limits_of(run)
    return RunSnapshot(run.state, run.reason, run.step, run.steps, saved[-1] if saved else None, sampled, limits)


def _pause(work: Work, run_id: int, sentence: str) -> Outcome:
    """No disk to train on: the run waits, and its clock with it."""
    with work.transaction() as session:
        jobs.beat(session, work.claim, lease_s=work.lease_s)
        run = runs.get(session, run_id)
        outcome = Outcome("paused", f"{sentence} {PAUSED} {_snapshot(session, run).kept}", "disk_full")
        runs.end(session, run, outcome.state, outcome.reason, outcome.cause)
    return outcome


def _other_manifest(work: Work, run_id: int, manifest: Path) -> Outcome | None:
    """The end of a run whose manifest is not the one that was frozen; one that is not there the trainer names."""
    if not manifest.is_file():
        return None
    with work.transaction() as session:
        version = session.get_one(DatasetVersion, runs.get(session, run_id).version_id)
    try:
        verifying.as_frozen(work.storage, version)
    except Refused as refusal:
        outcome = Outcome("failed", refusal.sentence, "refused")
    else:
        return None
    with work.transaction() as session:
        jobs.beat(session, work.claim, lease_s=work.lease_s)
        runs.end(session, runs.get(session, run_id), outcome.state, outcome.reason, outcome.cause)
    return outcome


def _bill(work: Work, session: Session, run: TrainingRun, record: Record, seconds: float) -> None:
    """Count a attempt and put it on the bill, once."""
    if runs.count_attempt(session, run, record.attempt, seconds):
        work.bill(session, seconds)


def _bill_unseen(work: Work, run_id: int, out: Path, record: Record) -> None:
    """Count a attempt of an earlier job that no worker saw the end of."""
    with work.transaction() as session:
        jobs.beat(session, work.claim, lease_s=work.lease_s)
        _bill(work, session, runs.get(session, run_id), record, _lived_s(out, record))
    forget_record(out)


def _lived_s(out: Path, record: Record) -> float:
    """How long a trainer lived whose end nobody saw: until its last sign of life in its files."""
    signs = [file.stat().st_mtime for file in (out / events.FILE, out / runs.LOG) if file.exists()]
    return max(0.0, max(signs, default=record.started) - record.started)


def _space_needed(session: Session, run: TrainingRun) -> int:
    """Bytes for two more checkpoints and the finished model, as far as they are known; 0 when they are not."""
    saved = max((checkpoint.size_bytes for checkpoint in runs.checkpoints(session, run.id)), default=0)
    preflight = session.get(Preflight, run.preflight_id) if run.preflight_id else None
    measured = preflight.measured if preflight else {}
    return 2 * (saved or int(measured.get("checkpoint_bytes") or 0)) + int(measured.get("export_bytes") or 0)


def _forget(out: Path) -> None:
    """Delete what a discarded run has learned. Its events, log and recipe stay."""
    for name in ("checkpoints", "model", "lora", "samples"):
        shutil.rmtree(out / name, ignore_errors=True)
