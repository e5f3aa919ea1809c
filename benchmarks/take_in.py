"""How fast photos are taken in and measured, beside cleanvision and beside a bare loop of OpenCV, on the same cores.

    python -m benchmarks.take_in [rounds]

Ours is everything from asking for a folder until each photo has its rows and signals: hashes, checks, orientation, two
sizes flushed to disk, all signals but words and embeddings, duplicate keys; by a cpu worker of two processes, with
PostgreSQL and Redis beside it. cleanvision's `find_issues` runs with two processes, its import not counted. The bare
loop is OpenCV's decoding and two WebP files, written and not flushed, by two processes. All in turns, each round of
ours in a data folder of its own. Where others share the cores, the time of our processes tells more than the clock.
Limits: 1.5 times cleanvision, half of the bare loop, and 60 photos/s of 1600 x 1200 px: real ones enlarged, with grain.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import psutil
from PIL import Image as Pillow
from sqlalchemy import Engine, create_engine, func, select

from app import broker
from app.catalog.tables import Catalog, Image, Signals
from app.database import migrate, transaction
from app.host import servers
from app.intake import ingest
from app.jobs import QUEUES, Job
from app.people import Person
from benchmarks.sharing import start
from workers.signals.measure import SIGNALS_VERSION

REAL: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "clothing"
PROCESSES: Final = 2
AGAINST_CLEANVISION: Final = 1.5
AGAINST_OPENCV: Final = 0.5
LARGE_PER_S: Final = 60.0
LARGE: Final = 240
SEED: Final = 9

CLEANVISION: Final = """
import resource, sys, time
from cleanvision import Imagelab
before = time.perf_counter()
Imagelab(data_path=sys.argv[1]).find_issues(n_jobs=int(sys.argv[2]), verbose=False)
took = time.perf_counter() - before
times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(sum(used.ru_utime + used.ru_stime for used in times), took)
"""


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    if not REAL.is_dir():
        sys.exit(f"NOTE: no real photos at {REAL}, so nothing is measured.")
    photos = sorted(REAL.rglob("*.jpg"))
    print(f"{len(photos)} photos, {LARGE} of 1600 x 1200, seed {SEED}, {rounds} rounds, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        large = enlarged(photos[:: max(1, len(photos) // LARGE)][:LARGE], place / "large")
        took = dict.fromkeys(("ours", "cleanvision", "bare OpenCV", "ours, large"), 0.0)
        for number in range(rounds):
            ours = taken_in(place / f"round-{number}", [REAL, large])
            took["ours"] += ours[0]
            took["ours, large"] += ours[1]
            took["cleanvision"] += by_cleanvision(REAL)
            took["bare OpenCV"] += by_opencv(photos, place / "bare")
    speeds = {name: rounds * (LARGE if "large" in name else len(photos)) / seconds for name, seconds in took.items()}
    for name, speed in speeds.items():
        print(f"{name:<20} {speed:7.1f} photos/s")
    promises = [
        ("against cleanvision", speeds["ours"] / speeds["cleanvision"], AGAINST_CLEANVISION),
        ("against bare OpenCV", speeds["ours"] / speeds["bare OpenCV"], AGAINST_OPENCV),
        ("1600 x 1200, per s", speeds["ours, large"], LARGE_PER_S),
    ]
    for name, figure, limit in promises:
        print(f"{name:<20} {figure:7.2f} (limit {limit})")
    sys.exit(any(figure < limit for _, figure, limit in promises))


def enlarged(photos: Sequence[Path], folder: Path) -> Path:
    """These photos at 1600 x 1200 or 1200 x 1600, with grain as a camera's, in a folder."""
    folder.mkdir()
    rng = np.random.default_rng(SEED)
    for number, photo in enumerate(photos):
        with Pillow.open(photo) as picture:
            size = (1600, 1200) if picture.width > picture.height else (1200, 1600)
            pixels = np.asarray(picture.convert("RGB").resize(size, Pillow.Resampling.LANCZOS), dtype=np.int16)
        grain = rng.integers(-6, 7, (*pixels.shape[:2], 1), dtype=np.int16)
        Pillow.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=90)
    return folder


def taken_in(place: Path, folders: Sequence[Path]) -> list[float]:
    """Seconds from asking for each folder, one after the other, until all of its photos are measured."""
    (place / "data").mkdir(parents=True)
    database, queue = servers.postgres(place / "data", is_durable=False), servers.redis(place / "data")
    with servers.run(database), servers.run(queue):
        migrate(database.url)
        engine = create_engine(database.url)
        worker = start(place, queue.url, database.url, PROCESSES)
        try:
            return [one_folder(engine, queue.url, folder, worker.pid) for folder in folders]
        finally:
            worker.send_signal(signal.SIGQUIT)
            worker.wait(30)
            engine.dispose()
            shutil.rmtree(place / "data" / "files", ignore_errors=True)


def one_folder(engine: Engine, redis_url: str, folder: Path, worker_pid: int) -> float:
    """Waits for what an earlier folder led to, then takes one in."""
    count = sum(1 for _ in folder.rglob("*.jpg"))
    with transaction(engine) as session:
        person = Person(name="Ana", email=f"{folder.name}@example.org")
        catalog = Catalog(name=folder.name)
        session.add_all([person, catalog])
        session.flush()
        catalog_id, person_id = catalog.id, person.id
    settle(engine, redis_url)
    before, cpu_before = time.perf_counter(), cpu_s(worker_pid)
    with transaction(engine) as session:
        catalog, person = session.get_one(Catalog, catalog_id), session.get_one(Person, person_id)
        job_id = ingest.request_intake(session, catalog, folder, person).job_id
    query = (
        select(func.count())
        .select_from(Signals)
        .join(Image, Image.id == Signals.image_id)
        .where(Image.catalog_id == catalog_id, Signals.version == SIGNALS_VERSION)
    )
    while True:
        broker.send_due(engine, redis_url)
        with transaction(engine) as session:
            job = session.get_one(Job, job_id)
            assert job.state in ("queued", "running", "done"), job.failure
            if job.state == "done" and session.scalar(query) == count:
                break
        time.sleep(0.05)
    seconds = time.perf_counter() - before
    print(f"  {folder.name}: {1000 * (cpu_s(worker_pid) - cpu_before) / count:.1f} ms a photo of our processes' time")
    return seconds


def cpu_s(pid: int) -> float:
    """Seconds of processor time of a process and those below it."""
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(time.user + time.system for time in times)


def settle(engine: Engine, redis_url: str) -> None:
    """Waits until no job is left: captions and rules of the folder before are not what is measured."""
    while True:
        broker.send_due(engine, redis_url)
        with transaction(engine) as session:
            query = select(func.count()).select_from(Job).where(Job.state.in_(("queued", "running")))
            if not session.scalar(
                query.where(Job.kind.in_([kind for kind, queue in QUEUES.items() if queue == "cpu"]))
            ):
                return
        time.sleep(0.05)


def by_cleanvision(folder: Path) -> float:
    """Seconds that cleanvision says it took."""
    command = [sys.executable, "-c", CLEANVISION, str(folder), str(PROCESSES)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    cpu, seconds = map(float, done.stdout.split()[-2:])
    print(f"  cleanvision: {cpu:.1f} s of its processes' time")
    return seconds


def by_opencv(photos: Sequence[Path], out: Path) -> float:
    """Seconds of the bare loop."""
    out.mkdir(exist_ok=True)
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        pool.map(bare, [(photo, out) for photo in photos[:8]])
        before = time.perf_counter()
        pool.map(bare, [(photo, out) for photo in photos], chunksize=32)
        return time.perf_counter() - before


def bare(asked: tuple[Path, Path]) -> None:
    """One photo decoded, and written as WebP in two sizes."""
    import cv2

    cv2.setNumThreads(1)
    photo, out = asked
    picture = cv2.imdecode(np.frombuffer(photo.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    for side_px in (1024, 256):
        scale = min(1.0, side_px / max(picture.shape[:2]))
        smaller = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(out / f"{photo.stem}-{side_px}.webp"), smaller, [cv2.IMWRITE_WEBP_QUALITY, 82])


if __name__ == "__main__":
    main()
