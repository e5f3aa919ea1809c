"""How long an act on many photos takes, and its undo, against the limit the house promises.

    python -m benchmarks.bulk [photos ...]

Fills an embedded PostgreSQL with made-up rows and does what a worker does: one batch after another, each committed.
Limit: 5 s each at 100,000 photos; other sizes are printed beside it, at the same time for each photo. The longest batch
is how long another person's decision may wait.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.bulk import operations
from app.database import engine_for, transaction
from app.host import servers
from app.labels import sets
from app.people import Person
from app.review.tables import Operation
from app.selection.query import parse
from benchmarks.catalog_rows import fill

LIMIT_S: Final = 5.0
LIMIT_OF: Final = 100_000
ACTS: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    ("keep every photo", "decide", {"verdict": "kept", "reason": None}),
    ("accept every suggestion", "accept", {}),
    ("assign every photo", "assign", {"person_id": 1}),
    ("tag every photo", "label", {"is_taken": False}),
)


def main() -> None:
    counts = [int(count) for count in sys.argv[1:]] or [LIMIT_OF, 1_000_000]
    missed = [count for count in counts if not measured(count)]
    raise SystemExit(1 if missed else 0)


def measured(count: int) -> bool:
    """Time each act and its undo on so many photos; whether each is within the limit, which is for `LIMIT_OF`."""
    with tempfile.TemporaryDirectory() as folder:
        server = servers.postgres(Path(folder), is_durable=False)
        with servers.run(server):
            engine = engine_for(server.url)
            fill(engine, count)
            is_met = report(engine, count)
            engine.dispose()
    return is_met or count != LIMIT_OF


def report(engine: Engine, count: int) -> bool:
    """Print the figures; whether each is within the limit."""
    limit_s = LIMIT_S * count / LIMIT_OF
    print(f"{count:,} photos, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; limit {limit_s:.0f} s each")
    print(f"{'':26}{'photos':>10}{'asked':>8}{'done':>8}{'undone':>8}  s{'longest batch':>16}")
    is_met = True
    for name, kind, value in ACTS:
        start = time.perf_counter()
        with transaction(engine) as session:
            ana = session.get_one(Person, 1)
            if kind == "label":
                label_set, tag = sets.tag(session, 1, ana, "summer")
                value = {**value, "set_id": label_set.id, "value_id": tag.id}
            number = operations.begin(session, parse("", 1), ana, kind, value, "").id
        asked_s = time.perf_counter() - start
        done = _batches(engine, operations.do_next, number)
        with transaction(engine) as session:
            changed = session.get_one(Operation, number).changed
            operations.undo(session, number, session.get_one(Person, 1))
        undone = _batches(engine, operations.undo_next, number)
        done_s, undone_s = sum(done), sum(undone)
        print(f"{name:26}{changed:10,}{asked_s:8.2f}{done_s:8.2f}{undone_s:8.2f}{max(done + undone):16.2f} s")
        is_met = is_met and max(asked_s + done_s, undone_s) <= limit_s
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("vacuum analyze decision, labelling, assignment, photo_index"))
    return is_met


def _batches(engine: Engine, step: Callable[[Session, int], int], number: int) -> list[float]:
    """Seconds of each batch, with its commit."""
    times = []
    count = 1
    while count:
        start = time.perf_counter()
        with transaction(engine) as session:
            count = step(session, number)
        times.append(time.perf_counter() - start)
    return times


if __name__ == "__main__":
    main()
