"""What a second worker gains: a catalog's signals measured by one process of a cpu worker, then by two.

    python -m benchmarks.sharing [photos]

The very same photos, a real Redis, real Celery workers, in turns, so that other work on the machine slows both. Limit:
two take at most 1 / 1.8 of the time of one, on two cores.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image as Pillow
from sqlalchemy import Engine, create_engine, delete, update

from app import broker, jobs
from app.catalog.tables import Catalog, Signals
from app.database import migrate, transaction
from app.demo.drawing import draw
from app.demo.worlds import base_world
from app.host import processes, servers
from app.intake import ingest, taking
from app.jobs import Job
from app.people import Person
from app.storage import Storage

PROJECT = Path(__file__).resolve().parents[1]
GAIN_AT_LEAST: Final = 1.8
ROUNDS: Final = 3
SEED: Final = 9


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    print(f"{count} drawn photos of 1,024 px, seed {SEED}, {ROUNDS} rounds, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "data").mkdir()
        database, queue = servers.postgres(place / "data", is_durable=False), servers.redis(place / "data")
        with servers.run(database), servers.run(queue):
            migrate(database.url)
            engine = create_engine(database.url)
            catalog_id = take_in(engine, place, count)
            took = {1: 0.0, 2: 0.0}
            for _ in range(ROUNDS):
                for slots in took:
                    took[slots] += measure(engine, place, queue.url, database.url, catalog_id, slots)
            engine.dispose()
    for slots, seconds in took.items():
        print(f"{slots} at work            {ROUNDS * count / seconds:7.1f} photos/s")
    gain = took[1] / took[2]
    print(f"two against one      {gain:7.2f} times the speed (limit {GAIN_AT_LEAST})")
    sys.exit(gain < GAIN_AT_LEAST)


def take_in(engine: Engine, place: Path, count: int) -> int:
    """A catalog of drawn photos, taken in; its number."""
    photos, rng = place / "photos", np.random.default_rng(SEED)
    photos.mkdir()
    for number, (scene, _) in enumerate(base_world(count, SEED)):
        pixels = np.clip(draw(scene, 1024) + rng.integers(-3, 4, (1024, 1024, 1)), 0, 255).astype(np.uint8)
        Pillow.fromarray(pixels).save(photos / f"{number}.jpg", quality=90)
    with transaction(engine) as session:
        person, catalog = Person(name="Ana", email="ana@example.org"), Catalog(name="Autumn")
        session.add_all([person, catalog])
        session.flush()
        asked = ingest.request_intake(session, catalog, photos, person).id
        catalog_id = catalog.id
    taking.take_in(lambda: transaction(engine), lambda **_: None, Storage(place / "data"), asked, 100)  # type: ignore[misc]
    return catalog_id


def measure(engine: Engine, place: Path, redis_url: str, database_url: str, catalog_id: int, slots: int) -> float:
    """Seconds from asking for the catalog's signals to their end, by a worker of so many processes that is ready."""
    with transaction(engine) as session:
        session.execute(delete(Signals))
    worker = start(place, redis_url, database_url, slots)
    try:
        with transaction(engine) as session:
            job_id = jobs.request(session, "signals.measure", {"catalog_id": catalog_id, "image_ids": None}).id
        began = time.perf_counter()
        while True:
            with transaction(engine) as session:
                job = jobs.get(session, job_id)
            if job.is_over:
                break
            broker.send_due(engine, redis_url)
            time.sleep(0.05)
        took = time.perf_counter() - began
        assert job.state == "done", job.failure
        with transaction(engine) as session:
            # What follows by itself, captions and groups and what the photos look like, is none of this.
            session.execute(update(Job).where(Job.state == "queued").values(state="cancelled"))
        return took
    finally:
        worker.send_signal(signal.SIGQUIT)
        worker.wait(30)


def start(place: Path, redis_url: str, database_url: str, slots: int) -> subprocess.Popen[bytes]:
    """A cpu worker with so many processes, each with its libraries loaded."""
    log = place / f"worker-{time.monotonic_ns()}.log"
    values = {"DATA_DIR": place / "data", "DATABASE_URL": database_url, "REDIS_URL": redis_url}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **{f"PACKSHOT_{key}": str(to) for key, to in values.items()}}
    command = [sys.executable, "-m", "celery", "--app", "workers.celery_app:celery_app", "worker", "--include"]
    command += [
        "workers.cpu",
        "--queues",
        "cpu",
        "--pool",
        "prefork",
        "--concurrency",
        str(slots),
        "--loglevel",
        "INFO",
    ]
    worker = processes.start([*command, "--without-gossip", "--without-mingle"], log, environment, cwd=PROJECT)
    while not log.exists() or b" ready." not in log.read_bytes():
        assert worker.poll() is None, log.read_text()
        time.sleep(0.05)
    return worker


if __name__ == "__main__":
    main()
