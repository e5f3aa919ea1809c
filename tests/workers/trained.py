"""Doing a run's job with the fake trainer, and looking at what came of it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import psutil
from sqlalchemy import Engine

from app import jobs
from app.database import transaction, utc_now
from app.settings import Settings
from app.training import run_events, runs
from app.training.tables import TrainingRun
from workers.celery_app import Work, do
from workers.trainer import run_job
from workers.trainer.process import Patience

FAKE = [sys.executable, str(Path(__file__).with_name("fake_trainer.py"))]
QUICK = Patience(keep_s=5.0, discard_s=5.0, terminated_s=5.0, poll_s=0.02)
IMPATIENT = Patience(keep_s=0.1, discard_s=0.1, terminated_s=0.1, poll_s=0.02)


def body(*behaviour: str, patience: Patience = QUICK) -> Callable[[Work], dict[str, object]]:
    return lambda work: run_job.train(work, [*FAKE, *behaviour], patience)


def read(engine: Engine, run_id: int) -> tuple[TrainingRun, jobs.Job]:
    with transaction(engine) as session:
        run = runs.get(session, run_id)
        return run, jobs.get(session, run.job_id or 0)


def train(engine: Engine, settings: Settings, run_id: int, *behaviour: str, patience: Patience = QUICK) -> TrainingRun:
    """Do the run's job to its end."""
    do(read(engine, run_id)[1].id, body(*behaviour, patience=patience), settings)
    return read(engine, run_id)[0]


@contextmanager
def worker(
    engine: Engine, settings: Settings, run_id: int, *behaviour: str, patience: Patience = QUICK
) -> Iterator[None]:
    """A worker doing the run's job in a thread; waited for at the end."""
    thread = threading.Thread(target=train, args=(engine, settings, run_id, *behaviour), kwargs={"patience": patience})
    thread.start()
    try:
        yield
    finally:
        thread.join(20)
        assert not thread.is_alive()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def steps_kept(engine: Engine, run_id: int) -> list[int]:
    with transaction(engine) as session:
        return [e.data["step"] for e in run_events.events_after(session, run_id, 0) if e.kind == "step"]


def starts(out: Path) -> list[int]:
    """Pids of the trainers that were ever started."""
    return [int(line) for line in (out / "starts").read_text().split()]


def is_alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def expire_lease(engine: Engine, run_id: int) -> None:
    with transaction(engine) as session:
        job = jobs.get(session, runs.get(session, run_id).job_id or 0)
        job.lease_until = utc_now() - timedelta(seconds=1)
        session.flush()
        assert jobs.sweep(session) == (1, 0)


def stop(engine: Engine, run_id: int, keep: bool) -> None:
    with transaction(engine) as session:
        runs.stop(session, runs.get(session, run_id), keep)


def notes(engine: Engine, run_id: int) -> list[tuple[str, str]]:
    """Kinds and sentences of what was seen of the run from outside."""
    with transaction(engine) as session:
        return [(one.kind, one.sentence) for one in runs.notes(session, run_id)]
