"""A real run under the real supervisor, while everything around its trainer is killed in turn."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.exc import OperationalError

from app.database import transaction
from app.training import run_events, runs
from app.training.tables import TrainingRun
from tests import real_run
from tests.running import up
from tests.waiting import until

LEASE_AND_SWEEP_S = 150.0


def run_of(engine: Engine, run_id: int) -> TrainingRun | None:
    """The run; None while the database is away."""
    try:
        with transaction(engine) as session:
            return runs.get(session, run_id)
    except OperationalError:
        return None


def has_passed(engine: Engine, run_id: int, step: int) -> Callable[[], bool]:
    def is_so() -> bool:
        run = run_of(engine, run_id)
        return run is not None and run.step > step

    return is_so


def test_one_trainer_trains_on_while_all_around_it_is_killed(tmp_path: Path) -> None:
    with up(tmp_path / "data", PACKSHOT_WORKER_THREADS="1", CUDA_VISIBLE_DEVICES="") as one:
        engine = create_engine(one.state.database_url, poolclass=NullPool)
        run_id, _ = real_run.ask(engine, one.data_dir, steps=1_000_000, every=50)
        until(has_passed(engine, run_id, 2), "the first steps", LEASE_AND_SWEEP_S)
        for part in ("web app", "Redis", "PostgreSQL", "sweeper", "gpu worker"):
            killed = one.pid(part)
            run = run_of(engine, run_id)
            assert run is not None
            os.kill(killed, signal.SIGKILL)
            until(lambda part=part, killed=killed: one.pid(part) not in (0, killed), f"another {part}")  # type: ignore[misc]
            # What the trainer told meanwhile is kept too, so some steps have to come after those.
            until(has_passed(engine, run_id, run.step + 5), f"steps after the {part}", LEASE_AND_SWEEP_S)
        with transaction(engine) as session:
            runs.stop(session, runs.get(session, run_id), keep=True)
        until(lambda: (run_of(engine, run_id) or TrainingRun(ended_at=None)).ended_at, "the run's end")
        with transaction(engine) as session:
            run = runs.get(session, run_id)
            told = run_events.events_after(session, run_id, 0, limit=1_000_000)
            notes = [note.kind for note in runs.notes(session, run_id)]
    assert run.state == "stopped", run.reason
    assert notes.count("found_again") == 1
    assert "begun_again" not in notes
    assert [event.seq for event in told] == list(range(1, len(told) + 1)), "no gap, nothing twice"
    assert sum(event.kind == "attempt" for event in told) == 1, "one trainer"
    steps = [event.data["step"] for event in told if event.kind == "step"]
    assert steps == list(range(1, steps[-1] + 1))
