"""The body of `run.train`: one trainer, followed to its end, and what its end means for the run."""

from __future__ import annotations

import logging
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app import jobs
from app.database import transaction
from app.datasets.freezing import MANIFEST
from app.datasets.tables import DatasetVersion
from app.errors import Refused
from app.evaluation import sheets
from app.storage import Storage
from app.training import progress, runs
from app.training.recipe import Recipe, write_recipe
from app.training.tables import RunEvent, TrainingRun
from workers.celery_app import Transient, Work, stopped_for_good
from workers.trainer import Ending, News, Patience, Trainer, end_strays

__all__ = ["put_right", "stopped_for_good", "train"]

log = logging.getLogger(__name__)

ENGINE: Final = (sys.executable, "-m", "workers.finetune")
REFUSED: Final = 3  # the engine's exit code for what it was given; its last word is then one sentence


@dataclass(frozen=True)
class Verdict:
    """How a run ended, and why, in a sentence."""

    state: runs.End
    reason: str


def train(work: Work, engine: Sequence[str] = ENGINE, patience: Patience | None = None) -> dict[str, Any]:
    """Start the run's trainer, or find it at work, and follow it to its end.

    Raises Refused when the run failed, Transient when this worker was told to stop, jobs.LeaseLost when another worker
    has the job.
    """
    patience = patience or Patience()
    work.bills_itself = True
    run_id = int(work.arguments["run_id"])
    out = work.storage.run_folder(run_id)
    put_right(work.engine, work.storage, patience)
    files = _prepare(work, run_id, out)
    if files is None:
        return {"state": "over"}
    trainer, exit_code, seconds = Trainer.find(out), None, 0.0
    if trainer is None and not _is_over_already(work, run_id, out):
        resume = ["--resume"] if (out / "events.jsonl").exists() else []
        trainer = Trainer.start([*engine, *map(str, files), str(out), *resume], out, work.settings.worker_threads)
    if trainer is not None:
        try:
            _follow(work, run_id, trainer, patience)
            exit_code, seconds = trainer.exit_code(), time.time() - trainer.started
        finally:
            trainer.hand_over()
    verdict = _settle(work, run_id, out, exit_code, seconds)
    if verdict.state == "discarded":
        _forget(out)
    if verdict.state == "failed":
        raise Refused(verdict.reason)
    return {"state": verdict.state}


def put_right(engine: Engine, storage: Storage, patience: Patience) -> None:
    """Settle runs whose job ended without them, and end the trainers of runs that are over."""
    with transaction(engine) as session:
        runs.settle_lost(session)
    end_strays(engine, storage, patience)


def _prepare(work: Work, run_id: int, out: Path) -> tuple[Path, Path] | None:
    """Write the recipe beside the run; the recipe and the manifest, or None when there is nothing to train."""
    with work.transaction() as session:
        jobs.beat(session, work.claim, lease_s=work.lease_s)
        run = runs.get(session, run_id)
        if run.ended_at is not None or run.job_id != work.claim.job_id:
            return None
        runs.begin(session, run)
        recipe, version_id = Recipe.model_validate(run.recipe), run.version_id
    out.mkdir(parents=True, exist_ok=True)
    write_recipe(out / "recipe.yaml", recipe)
    return out / "recipe.yaml", work.storage.dataset_folder(version_id) / MANIFEST


def _is_over_already(work: Work, run_id: int, out: Path) -> bool:
    """Keep the news that an earlier worker did not get to; whether it, or a person, leaves nothing to train."""
    with work.transaction() as session:
        jobs.beat(session, work.claim, lease_s=work.lease_s)
        run = runs.get(session, run_id)
        if runs.record_events(session, run, News(out).read()):
            last = session.get_one(RunEvent, (run.id, runs.last_seq(session, run.id)))
            if last.kind == "failed" or (last.kind == "finished" and last.data["reason"] != "stopped"):
                return True
        return run.state != "running"


def _follow(work: Work, run_id: int, trainer: Trainer, patience: Patience) -> None:
    """Carry news into the database and wishes to the trainer, until it is gone and all its news is kept."""
    news, ending = News(trainer.out), Ending(trainer, patience)
    waiting: list[dict[str, Any]] = []
    state = "running"
    while True:
        is_gone = trainer.wait(patience.poll_s)
        waiting += news.read()
        try:
            state = _record(work, run_id, waiting)
            waiting.clear()
        except OperationalError:
            # The trainer needs no database; its news waits in its file until this one answers again.
            log.warning("run %s: the database does not answer; %s events wait", run_id, len(waiting))
        if is_gone and not waiting:
            trainer.clear_away()
            return
        if not is_gone and (state != "running" or stopped_for_good.is_set()):
            ending.press(keep=state != "discarded")


def _record(work: Work, run_id: int, events: Sequence[dict[str, Any]]) -> str:
    """Keep the events under the job's token; the run's state as the page has it. Raises jobs.LeaseLost."""
    with work.transaction() as session:
        run = runs.get(session, run_id)
        if jobs.beat(session, work.claim, run.step, note=_how_far(run), lease_s=work.lease_s):
            runs.stop(session, run, keep=True)  # cancelled as a job; a run is stopped and kept unless told otherwise
        runs.record_events(session, run, events)
        return run.state


def _how_far(run: TrainingRun) -> str:
    return f"step {run.step:,} of {run.steps:,}"


def _settle(work: Work, run_id: int, out: Path, exit_code: int | None, seconds: float) -> Verdict:
    """Record how the run ended and what it cost, and ask for its sheet. Raises Transient when it goes on elsewhere.

    `seconds` are the trainer's whole life, whichever worker started it: no other worker has put them on the bill.
    """
    with work.transaction() as session:
        jobs.beat(session, work.claim, lease_s=work.lease_s)
        work.bill(session, seconds)
        run = runs.get(session, run_id)
        verdict = _judge(session, run, out, exit_code)
        if verdict is not None:
            runs.end(session, run, verdict.state, verdict.reason)
            if verdict.state in ("completed", "stopped") and any(c.folder for c in runs.checkpoints(session, run.id)):
                version = session.get_one(DatasetVersion, run.version_id)
                suite = sheets.suite_for(session, version, Recipe.model_validate(run.recipe))
                sheets.request_sheet(session, run, suite)
    if verdict is None:
        raise Transient("The worker was told to stop; training goes on from the last checkpoint when one is back.")
    return verdict


def _judge(session: Session, run: TrainingRun, out: Path, exit_code: int | None) -> Verdict | None:
    """What the last news and the person's wish make of the end; None when the run is only interrupted."""
    last = session.get(RunEvent, (run.id, runs.last_seq(session, run.id)))
    told = last.data if last is not None and last.kind in ("finished", "failed") else {}
    if run.state == "discarded":
        return Verdict("discarded", run.reason or "Discarded.")
    if "sentence" in told:
        return Verdict("failed", str(told["sentence"]))
    if told.get("reason") == "completed":
        if (out / "model").is_dir():
            return Verdict("completed", f"All {run.steps:,} steps are done.")
        return Verdict("failed", "The trainer says that it completed, but the finished model is not there.")
    if told.get("reason") == "out_of_time":
        return Verdict("stopped", f"Its time limit was reached at step {run.step:,}; what it learned is kept.")
    if run.state == "stopping":
        return Verdict("stopped", f"{run.reason or 'Stopped.'} {_what_is_kept(session, run)}")
    if stopped_for_good.is_set():
        return None
    if told.get("reason") == "stopped":
        return Verdict("stopped", f"The trainer was asked to stop from outside. {_what_is_kept(session, run)}")
    return Verdict("failed", why_it_died(exit_code, progress.last_lines(out / runs.LOG)))


def _what_is_kept(session: Session, run: TrainingRun) -> str:
    saved = [checkpoint.step for checkpoint in runs.checkpoints(session, run.id) if checkpoint.folder]
    return f"The checkpoint of step {saved[-1]:,} is kept." if saved else "It ended before its first checkpoint."


def why_it_died(exit_code: int | None, words: Sequence[str]) -> str:
    """A sentence for a trainer that ended without telling why; `words` are the last lines of its log."""
    if exit_code == REFUSED and words:
        return words[-1]
    if exit_code is not None and exit_code < 0:
        hint = " Running out of memory is the usual cause." if -exit_code == signal.SIGKILL else ""
        return f"The trainer was ended from outside ({signal.strsignal(-exit_code)}).{hint}"
    how = "" if exit_code is None else f" (exit code {exit_code})"
    return f"The trainer ended without telling why{how}; its last words are in its log."


def _forget(out: Path) -> None:
    """Delete what a discarded run has learned. Its events, log and recipe stay."""
    for name in ("checkpoints", "model"):
        shutil.rmtree(out / name, ignore_errors=True)
