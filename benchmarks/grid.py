"""How fast the grid, its facets and a decision are on 100,000 photos or a million, against the limits of the house.

    python -m benchmarks.grid [photos [address of a database filled before]]

Fills an embedded PostgreSQL with made-up rows and times what the pages ask of it, warm, one request at a time. Limits
(95th percentile): a page with its HTML through the app, signed in, 100 ms; facets and histograms 300 ms; saving a
decision 100 ms; memory of the process 400 MB. Beside the times stands the processor time that this process took, which
tells a busy machine from a slow page. Said too: how long SQL answers at the start, what notes of changes cost on write,
and what each of four web processes takes.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

import app.tables  # noqa: F401  (fills the metadata)
from app import people
from app.bulk import undoing
from app.catalog.tables import Image
from app.database import Base, engine_for, transaction
from app.desk import queue
from app.host import servers
from app.people import Person
from app.review import decisions, rule_sets
from app.review.rules import RuleSettings
from app.selection import browse, rulings
from app.selection.columns.memory import kept_catalogs
from app.selection.query import parse
from app.settings import Settings
from app.web import security
from app.web.main import create_app

FILTERS = (
    "",
    "decision:kept",
    "background:white,plain sharpness:>0.42 fill:75..96",
    "decision:unseen category:Dresses colour:red",
    "decision:kept by:rule",
    "red summer dress",
)
PAGE_MS, FACETS_MS, SAVE_MS, MEMORY_MB = 100, 300, 100, 400
SORTS = ("newest", "name", "sharpest", "largest")
PROCESSES = 4
STARTS_WITHIN_S = 600
ADDRESS = "http://127.0.0.1"
# A web process that has read a catalog's columns, and its memory in MB.
WEB_PROCESS = """
import sys, psutil
from pathlib import Path
from app.settings import Settings
from app.web.main import create_app
from app.selection.columns.memory import kept_catalogs
app = create_app(Settings(data_dir=Path(sys.argv[1]), database_url=sys.argv[2]))
kept_catalogs(app.state.engine).load(1)
print(psutil.Process().memory_info().rss >> 20)
"""
TURNS = 8
COLOURS = ("red", "blue", "green", "black", "white", "grey", "beige", "navy", "pink", "brown", "yellow", "teal")
CATEGORIES = ("T-shirts", "Dresses", "Outerwear", "Shoes", "Hats", "Kettles", "Mugs", "Lamps", "Bags", "Cartons")


class Processor:
    """The processor time of this process, as laps."""

    def __init__(self) -> None:
        self._at = time.process_time()

    def lap(self) -> float:
        """Seconds since the last lap."""
        before, self._at = self._at, time.process_time()
        return self._at - before


_PROCESSOR = Processor()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    if len(sys.argv) > 2:
        engine = engine_for(sys.argv[2])
        report(engine, count)
        engine.dispose()
        return
    with tempfile.TemporaryDirectory() as folder:
        server = servers.postgres(Path(folder), is_durable=False)
        with servers.run(server):
            engine = engine_for(server.url)
            fill(engine, count)
            report(engine, count)
            engine.dispose()


def fill(engine: Engine, count: int) -> None:
    """Photos with signals, captions for 19 in 20, decisions for a third and suggestions for another, copied in."""
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        for statement in (
            "insert into person (name, email, role, created_at) values ('Ana', 'ana@example.org', 'owner', now())",
            "insert into catalog (name, created_at) values ('Autumn', now())",
            "insert into intake (catalog_id, folder, created_at, accepted, already_there, refused)"
            " values (1, '/photos', now(), 0, 0, 0)",
        ):
            connection.execute(text(statement))
        cursor = connection.connection.cursor()
        for table, rows in _tables(random.Random(1), count):
            with cursor.copy(f"copy {table} from stdin") as copy:
                for row in rows:
                    copy.write_row(row)
        for table in ("image", "caption", "decision"):
            connection.execute(text(f"select setval(pg_get_serial_sequence('{table}', 'id'), {count + 1})"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))


def _tables(draw: random.Random, count: int) -> Iterator[tuple[str, Iterable[tuple[Any, ...]]]]:
    """Tables with their columns, and rows for them."""
    products = [(draw.choice(COLOURS), draw.choice(CATEGORIES)) for _ in range(count)]
    numbered = list(enumerate(products, 1))
    yield (
        "image (id, catalog_id, intake_id, sha256, file_name, format, size_bytes, width_px, height_px, had_alpha,"
        " had_profile, was_turned, was_read_strictly, render_path, thumb_sha256, view_sha256, title, category, product,"
        " extra, taken_in_at)",
        (
            (n, 1, 1, f"{n:064x}", f"IMG_{n:06d}.jpg", "JPEG", 900_000, 1600, 2132, False, False, False, True,
             "x", "x", "x", f"{colour} {kind[:-1].lower()} {n % 977}", kind, f"P-{n // 3}", "{}", "2026-11-01")
            for n, (colour, kind) in numbered
        ),
    )  # fmt: skip
    yield (
        "signals (image_id, version, measured_at, sharpness, background, background_colour, fill, coverage, offset_x,"
        " offset_y,"
        " box, is_cropped, cropped_edges, subject_colour, confidence)",
        (
            (n, 1, "2026-11-01", draw.betavariate(4, 3),
             draw.choices(("white", "plain", "scene", "cannot tell"), (6, 2, 4, 0.2))[0], "pure white",
             draw.betavariate(8, 2), 0.5, 0.01, 0.02, "[0.1,0.1,0.9,0.9]", False, "[]", colour, 0.9)
            for n, (colour, _) in numbered
        ),
    )  # fmt: skip
    yield (
        "caption (id, image_id, text, written_by, captioner, settings, created_at)",
        (
            (n, n, f"{colour} {kind[:-1].lower()} in soft daylight, summer look, on a pure white background.",
             "captioner", "facts", "{}", "2026-11-01")
            for n, (colour, kind) in numbered if n % 20
        ),
    )  # fmt: skip
    yield (
        "decision (id, image_id, verdict, rule, person_id, created_at)",
        (
            (n, n, draw.choices(("kept", "rejected", "needs_work"), (8, 1, 1))[0], None if n % 2 else "clean",
             1 if n % 2 else None, "2026-11-01")
            for n in range(1, count + 1) if n % 3
        ),
    )  # fmt: skip


def report(engine: Engine, count: int) -> None:
    """Time each thing over every filter and print p50 and p95 beside the limit."""
    middle = count // 2
    print(f"{count:,} photos, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    at_the_start(engine)
    print(f"{'':34}{'p50':>7}{'p95':>7}{'cpu':>7}{'limit':>7}  ms")
    through_the_app(engine, middle)
    filters = [parse(query, 1) for query in FILTERS for _ in range(TURNS)]
    _line("grid page", PAGE_MS, [_timed(engine, browse.page, chosen) for chosen in filters])
    _line("grid page, far down", PAGE_MS, [_timed(engine, browse.page, chosen, "newest", middle) for chosen in filters])
    _line("facets and exact count", FACETS_MS, [_timed(engine, browse.facets, chosen) for chosen in filters])
    for sort in browse.SORTS:
        times = [_timed(engine, browse.page, parse("", 1), sort, middle) for _ in range(TURNS)]
        _line(f"grid page, {browse.SORTS[sort].label.lower()}", PAGE_MS, times)
    _line("jump to the middle", PAGE_MS, [_timed(engine, browse.at, chosen, "newest", middle) for chosen in filters])
    _line("next in the queue", PAGE_MS, [_timed(engine, _next) for _ in range(TURNS)])
    _line("decision", SAVE_MS, [_timed(engine, _keep, number) for number in range(1, 61)])
    _line("undo", SAVE_MS, [_timed(engine, _undo) for _ in range(20)])
    with engine.begin() as connection:
        connection.execute(text("alter table photo_index disable trigger note_change_update"))
    _line("decision, its change not noted", SAVE_MS, [_timed(engine, _keep, number) for number in range(61, 121)])
    with engine.begin() as connection:
        connection.execute(text("alter table photo_index enable trigger note_change_update"))
    kept_catalogs(engine).forget()  # what was not noted was not followed
    kept_catalogs(engine).load(1)
    _timed(engine, rulings.changes, 1, RuleSettings())
    kept_catalogs(engine).settle()
    _timed(engine, rulings.histograms, 1)
    kept_catalogs(engine).settle()
    _PROCESSOR.lap()
    tried = [RuleSettings(blurred_below=limit / 20) for limit in range(TURNS)]
    _line("what other rules would change", FACETS_MS, [_timed(engine, rulings.changes, 1, rules) for rules in tried])
    _line("histograms of the limits", FACETS_MS, [_timed(engine, rulings.histograms, 1) for _ in range(TURNS)])
    for rules, words in ((RuleSettings(), "the first time"), (RuleSettings("scenes", blurred_below=0.5), "set anew")):
        _timed(engine, _set_rules, rules)
        with transaction(engine) as session:
            batches = list(decisions.in_batches(session, 1))
        times = [_timed(engine, decisions.apply_rules, batch) for batch in batches]
        print(f"rules over {count:,} photos, {words}: {sum(times) / 1000:.1f} s, at most {max(times):.0f} ms at a time")


def at_the_start(engine: Engine) -> None:
    """How long columns take to be read, what SQL answers meanwhile, and the memory of web processes that have them."""
    address = engine.url.render_as_string(hide_password=False)
    kept = kept_catalogs(engine)
    asked, began = [], time.perf_counter()
    kept.load_beside()
    while time.perf_counter() - began < STARTS_WITHIN_S:
        asked.append(_timed(engine, browse.page, parse("", 1)))
        if 1 in kept.known():
            break
    spent = time.perf_counter() - began
    print(f"columns answer after {spent:.1f} s; a grid page meanwhile at most {max(asked):.0f} ms")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", WEB_PROCESS, folder, address]
        began = time.perf_counter()
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
        taken = [int(process.communicate()[0]) for process in started]
        spent = time.perf_counter() - began
    over = "" if max(taken) <= MEMORY_MB else "  over"
    print(f"{PROCESSES} web processes at once: {', '.join(map(str, taken))} MB, limit {MEMORY_MB}{over}; {spent:.1f} s")


def through_the_app(engine: Engine, middle: int) -> None:
    """Pages as a browser gets them: signed in, with their HTML."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), database_url=engine.url.render_as_string(hide_password=False))
        web = create_app(settings)
        with transaction(web.state.engine) as session:
            token = people.begin_session(session, session.get_one(Person, 1))
        browser = TestClient(web, base_url=ADDRESS, cookies={security.cookie_name(settings): token})

        def get(path: str, **asked: str | int) -> float:
            began = time.perf_counter()
            answer = browser.get(path, params=asked)
            spent = (time.perf_counter() - began) * 1000
            if answer.status_code != 200:
                raise RuntimeError(f"{path} {asked} answered {answer.status_code}.")
            return spent

        for query in FILTERS:
            get("/catalogs/1", q=query)
        get("/catalogs/1/rules")
        kept_catalogs(web.state.engine).settle()
        turns = range(TURNS)
        pages = [(query, sort) for query in FILTERS for sort in SORTS]
        _line(
            "page: filter, order, facets, HTML",
            PAGE_MS,
            [get("/catalogs/1", q=q, sort=by) for q, by in pages for _ in turns],
        )
        _line("more tiles", PAGE_MS, [get("/catalogs/1", q=q, sort=by, part="tiles") for q, by in pages for _ in turns])
        _line(
            "page, jumped to the middle",
            PAGE_MS,
            [get("/catalogs/1", q=q, at=middle // 4) for q in FILTERS for _ in turns],
        )
        _line("desk, in the queue", PAGE_MS, [get(f"/images/{middle + n}") for n in turns])
        _line("desk, in a selection", PAGE_MS, [get(f"/images/{middle}", q=q) for q in FILTERS for _ in turns])
        _line("page of rules", FACETS_MS, [get("/catalogs/1/rules") for _ in turns])


def _line(name: str, limit_ms: int, times_ms: list[float]) -> None:
    cpu = _PROCESSOR.lap() * 1000 / len(times_ms)
    p95 = statistics.quantiles(times_ms, n=20)[-1]
    over = "" if p95 <= limit_ms else "  over"
    print(f"{name:34}{statistics.median(times_ms):7.0f}{p95:7.0f}{cpu:7.0f}{limit_ms:7}{over}", flush=True)


def _keep(session: Session, number: int) -> None:
    decisions.decide(session, session.get_one(Image, number), session.get_one(Person, 1), "kept")


def _set_rules(session: Session, rules: RuleSettings) -> None:
    rule_sets.save(session, 1, session.get_one(Person, 1), rules)


def _undo(session: Session) -> None:
    undoing.undo(session, session.get_one(Person, 1))


def _next(session: Session) -> None:
    queue.upcoming(session, 1, session.get_one(Person, 1))


def _timed(engine: Engine, act: Callable[..., object], *arguments: object) -> float:
    """Milliseconds for one act in a transaction of its own."""
    start = time.perf_counter()
    with transaction(engine) as session:
        act(session, *arguments)
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    main()
