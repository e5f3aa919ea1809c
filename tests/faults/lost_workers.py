"""Real workers that are killed at random moments, and a job that has to end all the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psutil
from sqlalchemy import Engine, delete, select

from app import broker, jobs
from app.database import transaction, utc_now
from app.host import processes, servers, up
from app.jobs import Job, Queue
from app.settings import Settings
from tests.waiting import until

PROJECT = Path(__file__).resolve().parents[2]
SLOTS = 2


@dataclass
class LostWorkers:
    """A Redis, a worker of each queue, of which that of the cpu queue has two processes, and a hand that kills them."""

    engine: Engine
    settings: Settings
    rng: random.Random
    queues: Sequence[Queue] = ("cpu",)
    processes: dict[Queue, subprocess.Popen[bytes]] = field(default_factory=dict)
    kills: list[str] = field(default_factory=list)

    def start(self, queue: Queue) -> None:
        """Start the worker of a queue, with a process for each of its slots."""
        log = self.settings.data_dir / f"{queue}-worker.log"
        values = {
            "DATA_DIR": self.settings.data_dir,
            "DATABASE_URL": self.settings.database_url,
            "REDIS_URL": self.settings.redis_url,
            "DEVICE": "cpu:0",
        }
        environment = {**os.environ, **{f"PACKSHOT_{name}": str(value) for name, value in values.items()}}
        command = [sys.executable, *up.worker(queue)]
        if queue == "cpu":
            command += ["--concurrency", str(SLOTS)]
        size = log.stat().st_size if log.exists() else 0
        self.processes[queue] = processes.start(command, log, environment, cwd=PROJECT)
        until(lambda: b" ready." in log.read_bytes()[size:], "a worker that is ready")

    def kill(self, queue: Queue) -> None:
        """Kill one process of a queue's worker, or all of it; what they had is put back at once, whatever its lease
        says."""
        process = self.processes[queue]
        children = psutil.Process(process.pid).children()
        if children and self.rng.random() < 0.5:
            self.kills.append("one")
            self.rng.choice(children).kill()
        else:
            self.kills.append("all")
            for child in children:
                child.kill()
            process.kill()
            process.wait(30)
            self.start(queue)
        with transaction(self.engine) as session:
            jobs.sweep(session, utc_now() + timedelta(seconds=jobs.LEASE_S + 1))

    def do(self, job_id: int, kills: int) -> Job:
        """See a job to its end, with so many kills at random moments of it; the job as it then is."""
        left, pause_until = kills, utc_now()
        while not (job := self.job(job_id)).is_over:
            with transaction(self.engine) as session:
                jobs.sweep(session)
            broker.send_due(self.engine, str(self.settings.redis_url))
            if left and job.attempts and utc_now() > pause_until and not self._is_on_its_last_attempt():
                self.kill(jobs.QUEUES[job.kind])
                left, pause_until = left - 1, utc_now() + timedelta(seconds=self.rng.uniform(0.2, 2.0))
        return job

    def _is_on_its_last_attempt(self) -> bool:
        """Whether one more lost worker would fail a job, as it should."""
        query = select(Job.id).where(Job.state.in_(("queued", "running")), Job.attempts >= jobs.MAX_ATTEMPTS - 1)
        with transaction(self.engine) as session:
            return session.scalar(query.limit(1)) is not None

    def job(self, job_id: int) -> Job:
        """The job as it is now."""
        with transaction(self.engine) as session:
            return jobs.get(session, job_id)


@contextmanager
def lost_workers(engine: Engine, settings: Settings, queues: Sequence[Queue] = ("cpu",)) -> Iterator[LostWorkers]:
    """Workers of these queues on a Redis of their own; what they leave in the table of jobs is taken away."""
    seed = random.SystemRandom().randrange(2**31)
    print(f"seed {seed}")
    settings.data_dir.mkdir(exist_ok=True)
    server = servers.redis(settings.data_dir)
    settings = settings.model_copy(update={"redis_url": server.url})
    with servers.run(server):
        workers = LostWorkers(engine, settings, random.Random(seed), queues)
        try:
            for queue in queues:
                workers.start(queue)
            yield workers
        finally:
            for process in workers.processes.values():
                process.send_signal(signal.SIGQUIT)
                process.wait(30)
    with transaction(engine) as session:
        session.execute(delete(Job).where(Job.whole_id.is_not(None)))
