"""How long freezing 100,000 kept photos takes, step by step, against the limit of a minute.

    python -m benchmarks.freeze [photos]

Fills an embedded PostgreSQL with made-up rows, and a data folder with a small picture file for each photo. Photos are
measured, compared and have fingerprints, a fifth of them one copy; the steps are those of the job. Then the version is
frozen again from other captions, and the two are compared. Limit: 60 s for 100,000.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Engine, text

from app.database import engine_for, transaction
from app.datasets import arranging, card, comparing, freezing, verifying
from app.datasets.tables import DatasetVersion
from app.host import servers
from app.storage import Storage
from benchmarks.catalog_rows import fill

LIMIT_S = 60.0
_Result = TypeVar("_Result")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        server = servers.postgres(Path(folder), is_durable=False)
        with servers.run(server):
            engine = engine_for(server.url)
            fill(engine, count)
            storage = Storage(Path(folder) / "data")
            make_whole(engine, storage, count)
            took_s = report(engine, storage, count)
            engine.dispose()
    sys.exit(took_s > LIMIT_S * max(1.0, count / 100_000))


def make_whole(engine: Engine, storage: Storage, count: int) -> None:
    """Everything kept and captioned; a picture file, fingerprint and, for a fifth, a copy for each."""
    digests = []
    for number in range(1, count + 1):
        content = f"picture {number}".encode()
        digests.append(hashlib.sha256(content).hexdigest())
        file = storage.path("renders", digests[-1], ".png")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    paths = [str(storage.path("renders", digest, ".png").relative_to(storage.root)) for digest in digests]
    draw = random.Random(2)
    with engine.begin() as connection:
        connection.execute(
            text("update image set render_path = made.path from unnest(cast(:paths as text[])) with ordinality"
                 " as made (path, n) where image.id = made.n"), {"paths": paths},
        )  # fmt: skip
        for statement in (
            "update signals set compared_at = now(), measured_at = now(),"
            " frame_keys = decode(md5(image_id::text), 'hex')",
            "insert into caption (image_id, text, written_by, captioner, settings, created_at)"
            " select id, 'A mug on a white table.', 'captioner', 'facts', '{}', now() from image where id % 20 = 0",
            "delete from decision",
            "insert into decision (image_id, verdict, person_id, created_at) select id, 'kept', 1, now() from image",
        ):
            connection.execute(text(statement))
        pairs = [(n, min(count, n + draw.randint(1, 400))) for n in range(1, count, 10)]
        connection.execute(
            text("insert into copy_pair (first_id, second_id, catalog_id, rest, pose, cut, first_frame, second_frame,"
                 " is_variant) select one, other, 1, 0.01, 0, 0, 0, 0, false from"
                 " unnest(cast(:ones as bigint[]), cast(:others as bigint[])) as pair (one, other) where one < other"),
            {"ones": [first for first, _ in pairs], "others": [second for _, second in pairs]},
        )  # fmt: skip
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))


def report(engine: Engine, storage: Storage, count: int) -> float:
    """Freeze twice and compare; how long the first took, in seconds."""
    print(f"{count:,} photos, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    first_id, took_s = frozen(engine, storage)
    print(f"{'freeze':28}{took_s:8.1f} s   limit {LIMIT_S:g} s")
    with transaction(engine) as session:
        session.execute(text("update caption set superseded_at = now() where image_id % 10 = 0"))
        session.execute(
            text("insert into caption (image_id, text, written_by, captioner, settings, created_at) select id,"
                 " 'A blue mug on a table.', 'captioner', 'facts', '{}', now() from image where id % 10 = 0")
        )  # fmt: skip
    second_id, _ = frozen(engine, storage)
    with transaction(engine) as session:
        second, first = (session.get_one(DatasetVersion, number) for number in (second_id, first_id))
        counted = timed("difference, counted", lambda: comparing.changes(session, second, first))
        assert counted.recaptioned == count // 10, counted
        timed("difference, a page", lambda: comparing.listed(session, second, first, "recaptioned"))
        timed("card", lambda: card.card(session, second_id))
        rows = timed("verify, hashes", lambda: verifying.manifest_of(session, storage, second))
    timed("verify, picture files", lambda: list(verifying.faults(storage, second_id, rows)))
    return took_s


def frozen(engine: Engine, storage: Storage) -> tuple[int, float]:
    """A version of every kept photo, and the seconds it took."""
    with transaction(engine) as session:
        version_id = freezing.request_freeze(session, 1).id
        session.execute(text("update job set state = 'done'"))
    began = time.perf_counter()
    with transaction(engine) as session:
        version = session.get_one(DatasetVersion, version_id)
        gathered = timed("  gather", lambda: freezing.gather(session, version))
    placed = timed("  files, copies and split", lambda: arranging.arrange(storage, gathered, version.seed))
    with transaction(engine) as session:
        version = session.get_one(DatasetVersion, version_id)
        timed("  record", lambda: freezing.record(session, storage, version, placed, gathered.opted_out))
    return version_id, time.perf_counter() - began


def timed(name: str, work: Callable[[], _Result]) -> _Result:
    began = time.perf_counter()
    result = work()
    print(f"{name:28}{time.perf_counter() - began:8.2f} s", flush=True)
    return result


if __name__ == "__main__":
    main()
