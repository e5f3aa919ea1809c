"""A simulated day of one run: its message delivered again every hour, and everything around the trainer killed in turn.

    python benchmarks/day.py [seconds an hour takes]

Real parts: PostgreSQL, Redis, the web app, the sweeper, two gpu workers of Celery on two devices, and the real engine
on the nano base, all but it kept running by the supervisor. Each hour the run's message is sent again, as Redis would
once its visibility timeout is over; between the hours a part is ended with SIGKILL. Only leases are shorter than in
life. The promise: one trainer all day, no gap in its events, and no step twice in its curve.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

import psutil  # noqa: E402
from sqlalchemy import Engine, create_engine  # noqa: E402
from sqlalchemy.exc import OperationalError  # noqa: E402

from app import broker  # noqa: E402
from app.database import migrate, transaction  # noqa: E402
from app.host import processes, servers  # noqa: E402
from app.host.supervisor import ManagedProcess, StopSignals, Supervisor  # noqa: E402
from app.host.up import worker  # noqa: E402
from app.training import run_events, runs  # noqa: E402
from tests import real_run  # noqa: E402

HOURS: Final = 24
VICTIMS: Final = ("web app", "gpu worker 0", "Redis", "gpu worker 1", "PostgreSQL", "sweeper")
WITHIN_S: Final = 120.0


class Day:
    """The parts of one day, and what was seen of the trainer."""

    def __init__(self, data_dir: Path, signals: StopSignals, hour_s: float) -> None:
        self.data_dir, self.hour_s = data_dir, hour_s
        self.supervisor = Supervisor(signals, note=lambda _: None)
        self.urls: dict[str, str] = {}
        self.most_trainers = 0
        self.killed: list[str] = []

    def start(self) -> Engine:
        """Everything but the run."""
        for server in (servers.postgres(self.data_dir), servers.redis(self.data_dir)):
            process = self.supervisor.add(
                ManagedProcess(server.name, server.log, partial(servers.start, server), server)
            )
            servers.wait_until_ready(process, server)
            self.urls[server.name] = server.url
        migrate(self.urls["PostgreSQL"])
        self._add("web app", ("-m", "app.cli", "web"))
        self._add("sweeper", ("-m", "workers.sweeper"))
        for number in (0, 1):
            command = worker("gpu", f"gpu-{number}")
            place = command.index("workers.gpu")
            command = (*command[:place], "benchmarks.short_lease", *command[place + 1 :])
            self._add(f"gpu worker {number}", command, PACKSHOT_DEVICE=f"cpu:{number}")
        return create_engine(self.urls["PostgreSQL"], pool_pre_ping=True)

    def live(self, engine: Engine, run_id: int, job_id: int) -> None:
        """Twenty-four hours: each one's message again, and a part killed in the middle of it."""
        self._watch_until(lambda: self._step(engine, run_id) >= 5, WITHIN_S, "the first steps")
        for hour in range(HOURS):
            self._deliver_again(job_id)
            self._watch_for(self.hour_s / 2)
            victim = self._part(VICTIMS[hour % len(VICTIMS)])
            if victim.process is not None and victim.process.poll() is None:
                victim.process.kill()
                self.killed.append(victim.name)
            self._watch_for(self.hour_s / 2)
            print(f"hour {hour + 1:>2}: killed the {victim.name}; step {self._step(engine, run_id):,}", flush=True)

    def stop_run(self, engine: Engine, run_id: int) -> None:
        """The day is over: stop and keep, as a person would."""
        with transaction(engine) as session:
            runs.stop(session, runs.get(session, run_id), keep=True)
        self._watch_until(lambda: self._ended(engine, run_id), WITHIN_S, "the run's end")

    def _add(self, name: str, arguments: tuple[str, ...], **variables: str) -> None:
        log = self.data_dir / f"{name.replace(' ', '-')}.log"
        environment = {
            **os.environ, "PACKSHOT_DATA_DIR": str(self.data_dir), "PACKSHOT_DATABASE_URL": self.urls["PostgreSQL"],
            "PACKSHOT_REDIS_URL": self.urls["Redis"], "PACKSHOT_PORT": "0", "PACKSHOT_WORKER_THREADS": "1",
            "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "CUDA_VISIBLE_DEVICES": "", **variables,
        }  # fmt: skip
        command = [sys.executable, *arguments]
        self.supervisor.add(ManagedProcess(name, log, partial(processes.start, command, log, environment, cwd=PROJECT)))

    def _part(self, name: str) -> ManagedProcess:
        return next(part for part in self.supervisor.parts if part.name == name)

    def _deliver_again(self, job_id: int) -> None:
        try:
            broker.client(self.urls["Redis"]).send_task("run.train", args=[job_id], queue="gpu", retry=False)
        except Exception as error:  # whatever a Redis that was just killed makes of it
            print(f"         Redis did not take the message ({type(error).__name__})")

    def _watch_for(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self.supervisor.watch(lambda: self._look() and time.monotonic() > deadline, look_every_s=0.2)

    def _watch_until(self, is_so: object, within_s: float, what: str) -> None:
        deadline = time.monotonic() + within_s
        assert callable(is_so)
        self.supervisor.watch(lambda: is_so() or time.monotonic() > deadline, look_every_s=0.2)
        if not is_so():
            raise SystemExit(f"after {within_s:g} s, still not: {what}. Logs: {self.data_dir}")

    def _look(self) -> bool:
        """Count the trainers that are at work at this moment."""
        count = 0
        for process in psutil.process_iter(["cmdline", "status"]):
            words = process.info["cmdline"] or []
            is_trainer = "workers.finetune" in words and any(str(self.data_dir) in word for word in words)
            count += is_trainer and process.info["status"] != psutil.STATUS_ZOMBIE
        self.most_trainers = max(self.most_trainers, count)
        return True

    def _step(self, engine: Engine, run_id: int) -> int:
        try:
            with transaction(engine) as session:
                return runs.get(session, run_id).step
        except OperationalError:
            return 0

    def _ended(self, engine: Engine, run_id: int) -> bool:
        with transaction(engine) as session:
            return runs.get(session, run_id).ended_at is not None


@contextmanager
def day(hour_s: float) -> Iterator[Day]:
    """A data folder with everything on it, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="day-") as place, StopSignals() as signals:
        simulation = Day(Path(place), signals, hour_s)
        try:
            yield simulation
        finally:
            simulation.supervisor.stop(lambda: _left(Path(place)))


def main() -> int:
    hour_s = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with day(hour_s) as simulation:
        engine = simulation.start()
        run_id, job_id = real_run.ask(engine, simulation.data_dir, steps=1_000_000, every=50)
        simulation.live(engine, run_id, job_id)
        simulation.stop_run(engine, run_id)
        with transaction(engine) as session:
            run = runs.get(session, run_id)
            events = run_events.events_after(session, run_id, 0, limit=10_000_000)
            notes = [note.kind for note in runs.notes(session, run_id)]
        engine.dispose()
    steps = [event.data["step"] for event in events if event.kind == "step"]
    attempts = sum(event.kind == "attempt" for event in events)
    gaps = sum(event.seq != place for place, event in enumerate(events, start=1))
    doubles = len(steps) - len(set(steps))
    missing = max(steps) - len(set(steps))
    print(
        f"{HOURS} hours of {hour_s:g} s, {len(simulation.killed)} parts killed: "
        f"{simulation.most_trainers} trainer at most, "
        f"{attempts} attempt, found again {notes.count('found_again')} times; {len(events):,} events with {gaps} gaps; "
        f"{len(steps):,} steps, {doubles} double, {missing} missing; it ended {run.state}: {run.reason}"
    )
    is_well = (simulation.most_trainers, attempts, gaps, doubles, missing, run.state) == (1, 1, 0, 0, 0, "stopped")
    print("as promised" if is_well else "NOT as promised")
    return 0 if is_well else 1


def _left(folder: Path) -> list[psutil.Process]:
    leftovers = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or []):
            leftovers.append(process)
    return leftovers


if __name__ == "__main__":
    sys.exit(main())
