"""Find and replace over many captions: the preview, the act, and its one undo, against the limits the house promises.

    python -m benchmarks.replace [photos]

Fills an embedded PostgreSQL with made-up rows, one caption each, at which the rules have looked, as they do when photos
come in. Measured are a search that a part of the captions holds, as they do when a word is corrected, and the worst
case, in which every caption changes. Limits at 100,000 captions: 2 s for the preview, 10 s for the act and its undo
each; seconds of processors' time of this process and of the database, user and system, for other work shares the
machine.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psutil
from sqlalchemy import Engine, text

from app.bulk import operations, rewording
from app.bulk.rewording import ListedPhotos, RewordWish
from app.database import engine_for, transaction
from app.host import servers
from app.people import Person
from app.review import decisions
from app.selection.query import parse
from benchmarks.catalog_rows import fill

PREVIEW_S: Final = 2.0
APPLY_S: Final = 10.0
LIMIT_OF: Final = 100_000
SEARCHES: Final[tuple[tuple[str, RewordWish], ...]] = (
    ("a colour, by an expression", RewordWish(find="(pure )?white", replacement="${1}ivory", is_expression=True)),
    ("a word in every caption", RewordWish(find="background", replacement="ground")),
    ("nothing", RewordWish(find="samovar", replacement="kettle")),
)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else LIMIT_OF
    with tempfile.TemporaryDirectory() as folder:
        server = servers.postgres(Path(folder), is_durable=False)
        with servers.run(server):
            engine = engine_for(server.url)
            fill(engine, count)
            _look(engine)
            is_met = report(engine, count)
            engine.dispose()
    raise SystemExit(0 if is_met or count != LIMIT_OF else 1)


def report(engine: Engine, count: int) -> bool:
    """Print the figures; whether each is within its limit."""
    print(
        f"{count:,} captions, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; processors' seconds (by the clock)"
    )
    print(f"{'':30}{'changes':>9}{'preview':>16}{'apply':>18}{'undo':>18}")
    is_met = True
    for name, wish in SEARCHES:
        preview_s, plan = _measured(lambda wish=wish: _preview(engine, wish))
        lines, _, newest = plan
        ids = tuple(dict.fromkeys(line.image_id for line in lines if line.fate == "changes"))
        apply_s, number = _measured(lambda wish=wish, ids=ids, newest=newest: _apply(engine, wish, ids, newest))
        undo_s, _ = _measured(lambda number=number: _undo(engine, number))
        print(f"{name:30}{len(ids):9,}" + "".join(f"{said:>18}" for said in map(_said, (preview_s, apply_s, undo_s))))
        is_met = is_met and preview_s[0] <= PREVIEW_S and max(apply_s[0], undo_s[0]) <= APPLY_S
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("vacuum analyze caption, photo_index, decision"))
    return is_met


def _look(engine: Engine) -> None:
    """Let the rules look at every photo."""
    with transaction(engine) as session:
        batches = list(decisions.in_batches(session, 1))
    for batch in batches:
        with transaction(engine) as session:
            decisions.apply_rules(session, batch)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))


def _preview(engine: Engine, wish: RewordWish) -> tuple[list[rewording.Rewording], int, int]:
    with transaction(engine) as session:
        return rewording.looked_at(session, parse("", 1), wish)


def _apply(engine: Engine, wish: RewordWish, ids: tuple[int, ...], newest: int) -> int:
    if not ids:
        return 0
    with transaction(engine) as session:
        value: dict[str, Any] = {**wish.as_json(), "newest": newest}
        ana = session.get_one(Person, 1)
        number = operations.begin(session, ListedPhotos(1, ids), ana, "reword", value, "").id
    _each_batch(engine, lambda session: operations.do_next(session, number))
    return number


def _undo(engine: Engine, number: int) -> None:
    if not number:
        return
    with transaction(engine) as session:
        operations.undo(session, number, session.get_one(Person, 1))
    _each_batch(engine, lambda session: operations.undo_next(session, number))


def _each_batch(engine: Engine, step: Callable[[Any], int]) -> None:
    count = 1
    while count:
        with transaction(engine) as session:
            count = step(session)


def _measured(work: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    """Processors' seconds and seconds by the clock of some work, and what it gives."""
    start, before = time.perf_counter(), _used()
    given = work()
    return (_used() - before, time.perf_counter() - start), given


def _used() -> float:
    """Seconds that this process and those it started have used, those that ended among them."""
    own = psutil.Process()
    total = 0.0
    for process in [own, *own.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def _said(seconds: tuple[float, float]) -> str:
    return f"{seconds[0]:.2f} ({seconds[1]:.1f})"


if __name__ == "__main__":
    main()
