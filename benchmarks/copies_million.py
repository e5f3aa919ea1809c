"""Grouping a million photos' keys: time and memory, and whether the time grows with the number of photos.

    python -m benchmarks.copies_million [photos [threads]]

Drawn keys and thumbs: waves whose strength falls with their frequency as photos' does, colours at random; every tenth
photo is a mirrored, noisy copy of another. They lie in an embedded PostgreSQL, as measuring leaves them.

In the five minutes: the whole job `photos.group`, from its claim to its end. Keys are read from rows, near keys found,
their thumbs read and laid onto each other, pairs written, groups made with the best of each, their members written, and
each photo marked with what it is now. Not in them: taking in and measuring, which make the keys (`take_in`), drawing
them here, and starting the server. Limits: 5 min and 4 GB for 1,000,000, and at most 15 times the time of a tenth of
them (10 would be linear). Memory is the peak of the worker's process; PostgreSQL's largest process is printed beside.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
from scipy.fft import idctn
from sqlalchemy import Engine, func, select, text

import app.tables  # noqa: F401  (fills the metadata)
from app import jobs
from app.catalog.duplicate_tables import CopyPair, DuplicateGroup
from app.catalog.fingerprints import COLOUR_SIDE, THUMB_SIDE, pack_key, pack_thumb
from app.catalog.tables import Catalog, Image, Intake
from app.database import engine_for, migrate, transaction
from app.host import servers
from app.settings import Settings
from workers import celery_app, group_job

MOST_S: Final = 300.0
MOST_GB: Final = 4.0
GROWTH_AT_MOST: Final = 15.0
SEED: Final = 9
COPY_EACH: Final = 10
BLOCK: Final = 500
DRAWN_AHEAD: Final = 16

_FREQUENCY: Final = np.maximum(np.hypot.outer(np.arange(THUMB_SIDE), np.arange(THUMB_SIDE)), 1.0)
Mark = tuple[bytes | None, bytes]


def drawn(block: int) -> list[Mark]:
    """Keys and thumbs of a block of photos; every tenth is the one before it, mirrored and a little noisy."""
    draw = np.random.default_rng((SEED, block))
    waves = draw.standard_normal((BLOCK, THUMB_SIDE, THUMB_SIDE), np.float32) / _FREQUENCY**1.2
    waves[:, 0, 0] = 0
    light = idctn(waves, norm="ortho", axes=(1, 2))
    light = 50 + 18 * light / light.std(axis=(1, 2), keepdims=True)
    fields = draw.normal(0, 14, (BLOCK, 2, 1, 1)) + draw.normal(0, 10, (BLOCK, 2, COLOUR_SIDE, COLOUR_SIDE))
    side = THUMB_SIDE // COLOUR_SIDE
    lab = np.concatenate([light[:, None], fields.repeat(side, axis=2).repeat(side, axis=3)], axis=1)
    copies = np.arange(COPY_EACH - 1, BLOCK, COPY_EACH)
    lab[copies] = lab[copies - 1, :, :, ::-1] + draw.normal(0, 1.0, (len(copies), *lab.shape[1:]))
    ground = np.zeros(3, np.float32)
    return [(pack_key(planes), pack_thumb(planes, (0, 0, 1, 1), ground)) for planes in lab.astype(np.float32)]


def fill(engine: Engine, first_block: int, blocks: int, catalog_id: int) -> None:
    """A catalog of so many blocks of photos, as measuring leaves them."""
    with transaction(engine) as session:
        session.add(Catalog(id=catalog_id, name=f"drawn {catalog_id}"))
        session.add(Intake(id=catalog_id, catalog_id=catalog_id, folder="/photos"))
    # In processes of their own, a few at a time, so that what drawing takes is not in this one's peak.
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        number, waiting = first_block * BLOCK, deque[Future[list[Mark]]]()
        for block in range(first_block, first_block + blocks + DRAWN_AHEAD):
            if block < first_block + blocks:
                waiting.append(pool.submit(drawn, block))
            if len(waiting) > DRAWN_AHEAD or (waiting and block >= first_block + blocks):
                marks = waiting.popleft().result()
                _copy(engine, number + 1, marks, catalog_id)
                number += len(marks)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))


def _copy(engine: Engine, first: int, marks: list[Mark], catalog_id: int) -> None:
    images = (
        (n, catalog_id, catalog_id, f"{n:064x}", f"IMG_{n:07d}.jpg", "JPEG", 900_000 - n % 977, 1600, 2132,
         False, False, False, True, "x", "x", f"{n:064x}", "{}", "2026-11-01")
        for n in range(first, first + len(marks))
    )  # fmt: skip
    signals = (
        (n, 1, "2026-11-01", 0.5, "white", 0.9, False, "[]", 0.9, key, thumb)
        for n, (key, thumb) in enumerate(marks, first)
    )
    with engine.begin() as connection:
        cursor = connection.connection.cursor()
        for table, rows in (
            (
                "image (id, catalog_id, intake_id, sha256, file_name, format, size_bytes, width_px, height_px,"
                " had_alpha, had_profile, was_turned, was_read_strictly, render_path, thumb_sha256, view_sha256,"
                " extra, taken_in_at)",
                images,
            ),
            (
                "signals (image_id, version, measured_at, sharpness, background, fill, is_cropped, cropped_edges,"
                " confidence, frame_keys, frame_thumbs)",
                signals,
            ),
        ):
            with cursor.copy(f"copy {table} from stdin") as copy:
                for row in rows:
                    copy.write_row(row)


def grouped(engine: Engine, settings: Settings, catalog_id: int) -> tuple[float, float]:
    """Seconds that the job takes, and seconds of this process's processor time in them."""
    with transaction(engine) as session:
        job_id = jobs.request(session, "photos.group", {"catalog_id": catalog_id}).id
    began, busy = time.perf_counter(), time.process_time()
    celery_app.do(job_id, group_job.group, settings)
    took = time.perf_counter() - began, time.process_time() - busy
    with transaction(engine) as session:
        if (job := jobs.get(session, job_id)).state != "done":
            sys.exit(f"The job ended as {job.state}: {job.error}")
    return took


def found(engine: Engine, catalog_id: int) -> tuple[int, int, int]:
    """Copies that were met, other pairs, and photos that say they are copies."""
    is_right = (CopyPair.second_id - CopyPair.first_id == 1) & (CopyPair.second_id % COPY_EACH == 0)
    with transaction(engine) as session:
        pairs = select(func.count().filter(is_right), func.count()).where(CopyPair.catalog_id == catalog_id)
        right, every = session.execute(pairs).one()
        groups = session.scalar(select(func.count()).where(DuplicateGroup.catalog_id == catalog_id)) or 0
        marked = select(func.count()).where(Image.catalog_id == catalog_id, Image.copies != "none")
        return right, every - right, min(session.scalar(marked) or 0, 2 * groups)


def of_postgres(engine: Engine) -> float:
    """The largest peak of a process of PostgreSQL, in GB; shared memory is in it."""
    with engine.connect() as connection:
        pids = connection.scalars(text("select pid from pg_stat_activity")).all()
    peaks = [_peak(pid) for pid in pids]
    return max(peaks, default=0.0) / 1e6


def _peak(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0.0)


def sizes(count: int) -> Iterator[int]:
    yield from (max(1, count // BLOCK // 10), max(1, count // BLOCK))


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(f"drawn keys, seed {SEED}; from keys in rows to groups in rows: {group_job.threads()} threads")
    took: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        server = servers.postgres(Path(folder), is_durable=False)
        with servers.run(server):
            migrate(server.url)
            engine = engine_for(server.url)
            settings = Settings(data_dir=Path(folder), database_url=server.url, redis_url="redis://127.0.0.1:1/0")
            first = 0
            for catalog_id, blocks in enumerate(sizes(count), 1):
                fill(engine, first, blocks, catalog_id)
                first += blocks
                seconds, busy = grouped(engine, settings, catalog_id)
                took.append(seconds)
                right, others, marked = found(engine, catalog_id)
                photos, copies = blocks * BLOCK, blocks * BLOCK // COPY_EACH
                print(
                    f"{photos:9,} photos {seconds:8.1f} s, {busy:7.1f} s of processor time   {right / copies:.4f} of"
                    f" {copies:,} copies, {others} other pairs, {marked:,} photos marked"
                )
            beside = of_postgres(engine)
            engine.dispose()
    peak, growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, took[1] / took[0]
    print(f"peak memory {peak:.2f} GB (limit {MOST_GB:g}), of PostgreSQL's largest process {beside:.2f} GB")
    print(f"limit {MOST_S:g} s for 1,000,000; {growth:.1f} times the time of a tenth, of at most {GROWTH_AT_MOST:g}")
    sys.exit(not (took[1] <= MOST_S * count / 1_000_000 and peak <= MOST_GB and growth <= GROWTH_AT_MOST))


if __name__ == "__main__":
    main()
