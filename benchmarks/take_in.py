"""How fast photos are taken in and measured, beside cleanvision and beside a bare loop of OpenCV, on the same cores.

    python -m benchmarks.take_in [rounds] [photos]

Ours is everything from asking for a folder until each photo has its rows and signals: hashes, checks, orientation, two
sizes flushed to disk, all signals but words and embeddings, duplicate keys; by a cpu worker of two processes, with
PostgreSQL and Redis beside it. cleanvision's `find_issues` runs with two processes, its import not counted. The bare
loop is OpenCV's decoding and two WebP files, written and not flushed, by two processes. All in turns, each round of
ours in a data folder of its own; the quickest of each counts. Where others share the cores, processors' time tells
more than the clock: for ours that of the worker, without the database's. One round takes a minute or two on two quiet
cores. What each stage of ours costs is printed with it: the sum is what its present stages need.
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
from typing import Final, NamedTuple

import numpy as np
import psutil
from PIL import Image as Pillow
from sqlalchemy import Engine, create_engine, func, select

from app import broker
from app.catalog.tables import Catalog, Signals
from app.database import migrate, transaction
from app.host import servers
from app.intake import ingest, memory
from app.intake.decoding import read_picture
from app.jobs import Job
from app.people import Person
from benchmarks.sharing import start
from workers.signals.fingerprint import fingerprint_of
from workers.signals.lab import lab_planes
from workers.signals.mask import MASK_SIDE_PX, find_subject
from workers.signals.measure import SIGNALS_VERSION, measure_pixels
from workers.signals.scaling import within

PHOTOS: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
REAL: Final = Path(os.environ.get("PACKSHOT_TEST_PHOTOS", PHOTOS)) / "clothing"
PROCESSES: Final = 2
AGAINST_CLEANVISION: Final = 1.5
AGAINST_OPENCV: Final = 0.5
LARGE_PER_S: Final = 60.0
LARGE: Final = 240
SEED: Final = 9
POLL_S: Final = 0.1
# What a take-in leads to, groups and captions and text read for many minutes, is cancelled as it is asked for.
ALONE: Final = """
create function cancel_what_follows() returns trigger language plpgsql as $$ begin
    if new.kind not in ('intake.take_in', 'signals.measure') then new.state := 'cancelled'; end if; return new;
end $$;
create trigger cancel_what_follows before insert on job for each row execute function cancel_what_follows()
"""


class Spent(NamedTuple):
    """Seconds by the clock, and of all processors."""

    seconds: float
    cpu_s: float


CLEANVISION: Final = """
import resource, sys, time
from cleanvision import Imagelab
def cpu_s():
    times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in times)
before, cpu_before = time.perf_counter(), cpu_s()
Imagelab(data_path=sys.argv[1]).find_issues(n_jobs=int(sys.argv[2]), verbose=False)
took = time.perf_counter() - before
print(cpu_s() - cpu_before, took)
"""


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    if not REAL.is_dir():
        sys.exit(f"NOTE: no real photos at {REAL}, so nothing is measured.")
    photos = sorted(REAL.rglob("*.jpg"))
    photos = photos[:: max(1, len(photos) // int(sys.argv[2]))] if len(sys.argv) > 2 else photos
    count = min(LARGE, len(photos))
    print(f"{len(photos)} photos, {count} of 1600 x 1200, seed {SEED}, {rounds} rounds, {os.cpu_count()} cores", end="")
    print(f", load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        real = gathered(photos, place / "photos")
        large = enlarged(photos[:: max(1, len(photos) // count)][:count], place / "large")
        spent: dict[str, list[Spent]] = {"ours": [], "cleanvision": [], "bare OpenCV": [], "ours, large": []}
        for number in range(rounds):
            spent["ours"].append(taken_in(place / f"round-{number}", real))
            spent["cleanvision"].append(by_cleanvision(real))
            spent["bare OpenCV"].append(by_opencv(photos, place / "bare"))
            spent["ours, large"].append(taken_in(place / f"large-{number}", large))
        floors(photos[:: max(1, len(photos) // 60)], "clothing")
        floors(sorted(large.iterdir())[:40], "large")
    # The quickest round of each: what else the machine did took the least of it.
    least = {name: Spent(min(s for s, _ in some), min(c for _, c in some)) for name, some in spent.items()}
    counts = {name: count if "large" in name else len(photos) for name in least}
    speeds = {name: counts[name] / took.seconds for name, took in least.items()}
    for name, took in least.items():
        print(
            f"{name:<20} {speeds[name]:7.1f} photos/s, {1000 * took.cpu_s / counts[name]:6.2f} ms of processors a photo"
        )
    promises = [
        ("against cleanvision", speeds["ours"] / speeds["cleanvision"], AGAINST_CLEANVISION),
        ("against bare OpenCV", speeds["ours"] / speeds["bare OpenCV"], AGAINST_OPENCV),
        ("1600 x 1200, per s", speeds["ours, large"], LARGE_PER_S),
    ]
    by_cpu = [least[rival].cpu_s / least["ours"].cpu_s for rival in ("cleanvision", "bare OpenCV")]
    by_cpu.append(PROCESSES * count / least["ours, large"].cpu_s)
    for (name, figure, limit), of_cpu in zip(promises, by_cpu, strict=True):
        print(f"{name:<20} {figure:7.2f} (limit {limit}); by processors' time alone {of_cpu:.2f}")
    sys.exit(any(figure < limit for _, figure, limit in promises))


def floors(photos: Sequence[Path], name: str) -> None:
    """Prints what each stage costs one thread, in ms of a processor a photo, with nothing beside it."""
    cost = dict.fromkeys(("reading and sizes", "mask", "fingerprint", "other signals"), 0.0)
    memory.share_one_heap()
    measure_pixels(np.asarray(Pillow.open(photos[0]).convert("RGB")))
    for photo in photos:
        data = photo.read_bytes()
        at = [time.thread_time()]
        view = read_picture(data, 100).view_pixels
        at.append(time.thread_time())
        measure_pixels(view)
        at.append(time.thread_time())
        pixels = view
        small = within(pixels, MASK_SIDE_PX)
        lab = lab_planes(small)
        at.append(time.thread_time())
        find_subject(small, lab)
        at.append(time.thread_time())
        fingerprint_of(pixels, small)
        at.append(time.thread_time())
        reading, measuring, _, mask, mark = np.diff(at)
        for stage, seconds in zip(cost, (reading, mask, mark, measuring - mask - mark), strict=True):
            cost[stage] += seconds
    stages = ", ".join(f"{stage} {1000 * seconds / len(photos):.2f}" for stage, seconds in cost.items())
    print(f"stages, {name}, ms a photo: {stages}; the rest of ours is files flushed, rows and jobs")


def gathered(photos: Sequence[Path], folder: Path) -> Path:
    """These photos in one folder."""
    folder.mkdir()
    for number, photo in enumerate(photos):
        shutil.copyfile(photo, folder / f"{number}.jpg")
    return folder


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


def taken_in(place: Path, folder: Path) -> Spent:
    """From asking for a folder until all of its photos are measured, by servers and a worker that begin anew."""
    (place / "data").mkdir(parents=True)
    database, queue = servers.postgres(place / "data", is_durable=False), servers.redis(place / "data")
    with servers.run(database), servers.run(queue):
        migrate(database.url)
        engine = create_engine(database.url)
        with engine.begin() as connection:
            connection.exec_driver_sql(ALONE)
        worker = start(place, queue.url, database.url, PROCESSES)
        try:
            return one_folder(engine, queue.url, folder, worker.pid)
        finally:
            worker.send_signal(signal.SIGQUIT)
            worker.wait(30)
            engine.dispose()
            shutil.rmtree(place / "data" / "files", ignore_errors=True)


def one_folder(engine: Engine, redis_url: str, folder: Path, worker_pid: int) -> Spent:
    """Asks for a folder and waits until each photo has its signals."""
    count = sum(1 for _ in folder.rglob("*.jpg"))
    before, cpu_before = time.perf_counter(), cpu_s(worker_pid)
    with transaction(engine) as session:
        person, catalog = Person(name="Ana", email="ana@example.org"), Catalog(name=folder.name)
        session.add_all([person, catalog])
        session.flush()
        job_id = ingest.request_intake(session, catalog, folder, person).job_id
        assert job_id is not None
    query = select(func.count()).select_from(Signals).where(Signals.version == SIGNALS_VERSION)
    while True:
        broker.send_due(engine, redis_url)
        with transaction(engine) as session:
            job = session.get_one(Job, job_id)
            assert job.state in ("queued", "running", "done"), job.failure
            if job.state == "done" and session.scalar(query) == count:
                break
        time.sleep(POLL_S)
    return Spent(time.perf_counter() - before, cpu_s(worker_pid) - cpu_before)


def cpu_s(pid: int) -> float:
    """Seconds of processor time of a process and those below it."""
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(time.user + time.system for time in times)


def by_cleanvision(folder: Path) -> Spent:
    """What cleanvision says it took."""
    command = [sys.executable, "-c", CLEANVISION, str(folder), str(PROCESSES)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    cpu, seconds = map(float, done.stdout.split()[-2:])
    return Spent(seconds, cpu)


def by_opencv(photos: Sequence[Path], out: Path) -> Spent:
    """What the bare loop takes."""
    out.mkdir(exist_ok=True)
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        pool.map(bare, [(photo, out) for photo in photos[:8]])
        before = time.perf_counter()
        spent = pool.map(bare, [(photo, out) for photo in photos], chunksize=32)
        return Spent(time.perf_counter() - before, sum(spent))


def bare(asked: tuple[Path, Path]) -> float:
    """One photo decoded, and written as WebP in two sizes; seconds of a processor."""
    import cv2

    cv2.setNumThreads(1)
    photo, out = asked
    before = time.process_time()
    picture = cv2.imdecode(np.frombuffer(photo.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    for side_px in (1024, 256):
        scale = min(1.0, side_px / max(picture.shape[:2]))
        smaller = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(out / f"{photo.stem}-{side_px}.webp"), smaller, [cv2.IMWRITE_WEBP_QUALITY, 82])
    return time.process_time() - before


if __name__ == "__main__":
    main()
