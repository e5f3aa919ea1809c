"""How long a stop takes, from the click to the last process gone, over real runs of the nano base.

    python -m benchmarks.cancel [cancels]

Each run has the demo's batches and is stopped and kept at a random moment: while its libraries or its model load, while
pictures are encoded, between steps, or inside a save. Beside each time stands what two of that run's longest steps and
its longest save took, the limit of the promise; the p95 of the one is held to the p95 of the other. What the page shows
(`runs.stop_bound_s`) is checked too.
"""

from __future__ import annotations

import logging
import random
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PROJECT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

import psutil  # noqa: E402
from sqlalchemy import Engine, create_engine  # noqa: E402

from app.database import migrate, transaction  # noqa: E402
from app.host import servers  # noqa: E402
from app.settings import Settings  # noqa: E402
from app.training import run_events, runs  # noqa: E402
from tests import real_run  # noqa: E402
from workers.celery_app import do  # noqa: E402
from workers.trainer import run_job  # noqa: E402
from workers.trainer.process import read_record  # noqa: E402

CANCELS: Final = 30
LONGEST_S: Final = 120.0
EVERY: Final = 5
BATCH: Final = 32
LOOKS_EVERY_S: Final = 0.02


@dataclass(frozen=True)
class Cancel:
    """One stop: seconds to the last process gone and to the run's end, and what two steps and a save took."""

    phase: str
    gone_s: float
    over_s: float
    steps_and_save_s: float | None  # None before the first step
    promised_s: float


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else CANCELS
    logging.disable(logging.WARNING)
    chance = random.Random(26)
    with tempfile.TemporaryDirectory(prefix="cancel-") as place:
        data_dir = Path(place)
        with servers.running(data_dir, is_durable=False) as (database_url, redis_url):
            migrate(database_url)
            settings = Settings(data_dir=data_dir, database_url=database_url, redis_url=redis_url, worker_threads=1)
            engine = create_engine(database_url)
            cancels = [one_cancel(engine, settings, chance, number) for number in range(count)]
            engine.dispose()
    return tell(cancels)


def one_cancel(engine: Engine, settings: Settings, chance: random.Random, number: int) -> Cancel:
    """Start a run, stop it at a random moment of its life, and watch its processes go."""
    run_id, job_id = real_run.ask(engine, settings.data_dir, steps=100_000, every=EVERY, seed=number, batch_size=BATCH)
    out = settings.data_dir / "runs" / str(run_id)
    worker = threading.Thread(target=do, args=(job_id, run_job.train, settings))
    worker.start()
    wait_for(lambda: read_record(out) is not None, "a trainer")
    record = read_record(out)
    assert record is not None
    if chance.random() < 0.25:
        time.sleep(chance.uniform(0.0, 4.0))
    else:
        wanted = chance.randint(1, 2 * EVERY)
        wait_for(lambda: newest(engine, run_id, "step", "step") >= wanted, "steps")
        time.sleep(chance.uniform(0.0, 0.5))
    family = [psutil.Process(record.pid), *psutil.Process(record.pid).children(recursive=True)]
    with transaction(engine) as session:
        run = runs.get(session, run_id)
        runs.stop(session, run, keep=True)
        promised_s, phase = runs.stop_bound_s(run), phase_of(session, run_id)
    began = time.monotonic()
    wait_for(lambda: not any(is_alive(process) for process in family), "its processes gone")
    gone_s = time.monotonic() - began
    worker.join(LONGEST_S)
    over_s = time.monotonic() - began
    step_s, save_s = newest(engine, run_id, "step", "step_s"), newest(engine, run_id, "checkpoint", "seconds")
    limit_s = 2 * step_s + save_s if step_s else None
    with transaction(engine) as session:
        assert runs.get(session, run_id).state == "stopped"
    print(f"{number + 1:>3}. in {phase:<8} gone after {gone_s:5.2f} s, over after {over_s:5.2f} s", flush=True)
    return Cancel(phase, gone_s, over_s, limit_s, promised_s)


def tell(cancels: list[Cancel]) -> int:
    """The table, and whether the promise is kept."""
    limits = [cancel.steps_and_save_s for cancel in cancels if cancel.steps_and_save_s is not None]
    gone, limit = p95([cancel.gone_s for cancel in cancels]), p95(limits) if limits else 0.0
    kept = sum(cancel.gone_s <= cancel.promised_s for cancel in cancels)
    median_s = statistics.median(cancel.gone_s for cancel in cancels)
    print(f"{len(cancels)} stops: processes gone after {median_s:.2f} s (median)")
    print(f"p95 {gone:.2f} s; two steps and the save, p95: {limit:.2f} s; that is {gone / limit if limit else 0:.2f} x")
    print(f"the bound shown on the page was kept {kept} times of {len(cancels)}")
    return 0 if gone <= limit and kept == len(cancels) else 1


def p95(values: list[float]) -> float:
    """The value that 95 of 100 do not exceed."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]


def newest(engine: Engine, run_id: int, kind: str, fact: str) -> float:
    """The largest a fact has been in events of this kind; 0 without one."""
    with transaction(engine) as session:
        values = [
            event.data.get(fact) or 0.0 for event in run_events.events_after(session, run_id, 0) if event.kind == kind
        ]
    return max(map(float, values), default=0.0)


def phase_of(session: Any, run_id: int) -> str:
    """What the run was doing, as its last event has it."""
    events = run_events.events_after(session, run_id, 0)
    if not events:
        return "start"
    return str(events[-1].data["phase"]) if events[-1].kind == "phase" else str(events[-1].kind)


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs; one that only waits to be reaped does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(is_so: Any, what: str) -> None:
    """Return once it is so. Raises SystemExit that names what never came."""
    deadline = time.monotonic() + LONGEST_S
    while not is_so():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(LOOKS_EVERY_S)


if __name__ == "__main__":
    sys.exit(main())
