"""How long a person waits for a caption and for a version while one cpu worker is busy with what follows a take-in.

    python -m benchmarks.waiting [photos]

Drawn photos, a real PostgreSQL, a real Redis, one real process of a cpu worker: the photos are taken in as ever, and
while their looks, groups, map and text are made, a caption of one photo is asked for again and again, and versions are
frozen. Limit: each is begun within 5 seconds. The process's memory is printed by what it had done.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import psutil
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session

from app import broker, urgency
from app.captions import proposing
from app.catalog.tables import Catalog, Image
from app.database import migrate, transaction
from app.datasets import freezing
from app.host import servers
from app.jobs import Job
from app.people import Person
from app.review import decisions
from app.settings import Settings
from benchmarks.sharing import start, take_in

BEGUN_WITHIN_S: Final = 5.0
LOOK_EVERY_S: Final = 0.1
ASK_EVERY_S: Final = 2.0
FOR_S: Final = 240.0


def main() -> int:
    """Print how long each wait was, by what the worker was at, and whether the limit is kept."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "data").mkdir()
        database, queue = servers.postgres(place / "data", is_durable=False), servers.redis(place / "data")
        with servers.run(database), servers.run(queue):
            migrate(database.url)
            engine = create_engine(database.url)
            take_in(engine, place, count)
            worker = start(place, queue.url, database.url, 1)
            try:
                waits = ask(engine, queue.url, psutil.Process(worker.pid))
            finally:
                worker.send_signal(signal.SIGQUIT)
                worker.wait(30)
            engine.dispose()
    print(f"{count:,} drawn photos, one process of a cpu worker, load {os.getloadavg()[0]:.1f}")
    for (what, beside), seconds in sorted(waits.items()):
        print(f"{what:18} beside {beside:18} {len(seconds):4} times, begun after at most {max(seconds):5.1f} s")
    worst = max((max(seconds) for seconds in waits.values()), default=0.0)
    print(f"longest wait {worst:.1f} s (limit {BEGUN_WITHIN_S:g})")
    return int(worst > BEGUN_WITHIN_S or not waits)


def ask(engine: Engine, redis_url: str, worker: psutil.Process) -> dict[tuple[str, str], list[float]]:
    """Seconds until captions and versions were begun, by what else was under way. Prints memory as it grows."""
    waits: dict[tuple[str, str], list[float]] = {}
    asked: dict[int, tuple[str, str, float]] = {}
    began, last, peaks = time.monotonic(), 0.0, dict[str, int]()
    while time.monotonic() - began < FOR_S:
        broker.send_due(engine, redis_url)
        with transaction(engine) as session:
            at_work = session.scalars(
                select(Job.kind).where(Job.state == "running", Job.lease_until.is_not(None)).limit(1)
            ).first()
            left = session.scalar(
                select(Job.id).where(Job.kind.in_(urgency.UNHURRIED), Job.ended_at.is_(None)).limit(1)
            )
            for job in session.scalars(select(Job).where(Job.id.in_(asked), Job.started_at.is_not(None))):
                what, beside, _ = asked.pop(job.id)
                assert job.started_at is not None
                waits.setdefault((what, beside), []).append((job.started_at - job.requested_at).total_seconds())
            if at_work in urgency.UNHURRIED and time.monotonic() - last > ASK_EVERY_S and not asked:
                job_id, what = _next(session, len(waits) + sum(map(len, waits.values())))
                asked[job_id], last = (what, str(at_work), time.monotonic()), time.monotonic()
        if at_work:
            used = sum(child.memory_info().rss for child in worker.children())
            peaks[at_work] = max(peaks.get(at_work, 0), used)
        if left is None and not asked and waits:
            break
        time.sleep(LOOK_EVERY_S)
    for kind, used in peaks.items():
        print(f"memory of the process by the end of {kind:18} {used / 2**20:6.0f} MB")
    return waits


def _next(session: Session, number: int) -> tuple[int, str]:
    """Ask for a caption, and now and then for a version; the job and what it is."""
    person, pile = session.get_one(Person, 1), session.scalars(select(Catalog)).first()
    assert pile is not None
    ids = session.scalars(select(Image.id).order_by(Image.id).limit(500)).all()
    if number % 4 == 3:
        for image_id in ids[:3]:
            decisions.decide(session, session.get_one(Image, image_id), person, "kept")
        job_id = freezing.request_freeze(session, pile.id, "decision:kept", person).job_id
        assert job_id is not None
        return job_id, "a version"
    return proposing.request_captions(session, pile.id, Settings(), person, [ids[number % len(ids)]]).id, "a caption"


if __name__ == "__main__":
    sys.exit(main())
