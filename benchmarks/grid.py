"""How fast the grid, its facets and a decision are on 100,000 photos or a million, against the limits of the house.

    python -m benchmarks.grid [photos [photos after growing]] [address of a database filled before]

Fills an embedded PostgreSQL with made-up rows and times what the pages ask of it, warm, one request at a time. Limits
(95th percentile): a page with its HTML through the app, signed in, 100 ms; facets and histograms 300 ms; saving a
decision 100 ms; memory of the process 400 MB. Beside the times stands the processor time that this process and the
database took for each, which tells a busy machine from a slow page. Said too: how long SQL answers at the start, what
notes of changes cost on write, and what each of four web processes takes.

With a second number the catalog grows to that, everything is timed again, and what it costs then is held against what
it cost: no line may grow by more than the photos did, and pages of the grid by no more than a quarter.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fastapi.testclient import TestClient
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app import people
from app.bulk import undoing
from app.catalog.tables import Image
from app.database import engine_for, transaction
from app.desk import queue
from app.host import servers
from app.people import Person
from app.review import decisions, rule_sets
from app.review.rules import RuleSettings
from app.selection import browse, rulings
from app.selection.columns.memory import kept_catalogs
from app.selection.ordering import SORTS as OFFERED
from app.selection.query import parse
from app.settings import Settings
from app.web import security
from app.web.main import create_app
from benchmarks.catalog_rows import fill, fill_looks
from benchmarks.figures import Figures

FILTERS = (
    "",
    "decision:kept",
    "background:white,plain sharpness:>0.42 fill:75..96",
    "decision:unseen category:Dresses colour:red",
    "decision:kept by:rule",
    "red summer dress",
)
PAGE_MS, FACETS_MS, SAVE_MS, MEMORY_MB = 100, 300, 100, 400
MEMORY_OF = 1_000_000  # photos, at most, of which the limit of the memory speaks
# Pages show as much of two million photos as of one; facets and first questions look at all of them.
FLAT = 1.25
SORTS = ("newest", "name", "sharpest", "largest")
PROCESSES = 4
STARTS_WITHIN_S = 600
RULED_BATCHES = 10
ADDRESS = "http://127.0.0.1"
# A web process that reads a catalog: its memory in MB without it, with what the grid asks for, with every column that
# anything asks for, with the codes of how photos look, labels and answers of broad words beside, and at most meanwhile.
WEB_PROCESS = """
import re, sys, psutil
from pathlib import Path
from sqlalchemy.orm import Session
from app.settings import Settings
from app.web.main import create_app
from app.selection import browse
from app.selection.columns.memory import kept_catalogs
from app.selection.columns.shape import SHAPES, TOGETHER
from app.selection.query import parse
app, process, taken = create_app(Settings(data_dir=Path(sys.argv[1]), database_url=sys.argv[2])), psutil.Process(), []
kept = kept_catalogs(app.state.engine)
taken.append(process.memory_info().rss >> 20)
kept.load(1)
taken.append(process.memory_info().rss >> 20)
kept.read_more(1, [name for name, shape in SHAPES.items() if shape not in TOGETHER])
taken.append(process.memory_info().rss >> 20)
for query, sort in (("", "alike:similar:1"), ("label:none", "name"), ("daylight", "newest"), ("white", "largest")):
    for _ in range(2):
        with Session(app.state.engine) as session:
            browse.page(session, parse(query, 1), sort)
        kept.settle()
taken.append(process.memory_info().rss >> 20)
taken.append(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10)
print(*taken)
"""
TURNS = 8


def main() -> None:
    counts = [int(word) for word in sys.argv[1:] if word.isdigit()] or [100_000]
    address = next((word for word in sys.argv[1:] if "://" in word), None)
    with tempfile.TemporaryDirectory() as folder:
        if address:
            measure(engine_for(address), counts, is_filled=True)
            return
        server = servers.postgres(Path(folder), is_durable=False)
        with servers.run(server):
            measure(engine_for(server.url), counts, is_filled=False)


def measure(engine: Engine, counts: list[int], is_filled: bool) -> None:
    """Every line at each of these numbers of photos, and how it grew."""
    before, figures = 0, None
    for count in counts:
        if before or not is_filled:
            began = time.perf_counter()
            fill(engine, count - before, before)
            fill_looks(engine, count - before, before)
            print(f"filled with {count - before:,} made-up photos in {time.perf_counter() - began:.0f} s")
        larger = report(engine, count)
        if figures is not None:
            figures.grown_to(larger, count / before)
        before, figures = count, larger
    engine.dispose()


def report(engine: Engine, count: int) -> Figures:
    """Time each thing over every filter and print p50 and p95 beside the limit."""
    kept_catalogs(engine).forget()
    print(f"{count:,} photos, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    at_the_start(engine, count)
    figures = Figures(engine)
    through_the_app(engine, figures, count // 2)
    without_the_app(engine, figures, count // 2)
    writing(engine, figures)
    ruling(engine, figures)
    return figures


def without_the_app(engine: Engine, figures: Figures, middle: int) -> None:
    """What the pages ask of a catalog, each by itself, once it is in memory: how long that takes is told before."""
    kept_catalogs(engine).load(1)
    filters = [parse(query, 1) for query in FILTERS for _ in range(TURNS)]
    figures.line("grid page", PAGE_MS, [_timed(engine, browse.page, chosen) for chosen in filters], FLAT)
    far = [_timed(engine, browse.page, chosen, "newest", middle) for chosen in filters]
    figures.line("grid page, far down", PAGE_MS, far, FLAT)
    figures.line("facets and exact count", FACETS_MS, [_timed(engine, browse.facets, chosen) for chosen in filters])
    for sort in OFFERED:
        times = [_timed(engine, browse.page, parse("", 1), sort, middle) for _ in range(TURNS)]
        figures.line(f"grid page, {OFFERED[sort].label.lower()}", PAGE_MS, times, FLAT)
    jumps = [_timed(engine, browse.at, chosen, "newest", middle) for chosen in filters]
    figures.line("jump to the middle", PAGE_MS, jumps)
    figures.line("next in the queue", PAGE_MS, [_timed(engine, _next) for _ in range(TURNS)])


def writing(engine: Engine, figures: Figures) -> None:
    """A decision and its undo, and what it costs that a decision notes which photo it changed."""
    figures.line("decision", SAVE_MS, [_timed(engine, _keep, number) for number in range(1, 61)], FLAT)
    figures.line("undo", SAVE_MS, [_timed(engine, _undo) for _ in range(20)], FLAT)
    with engine.begin() as connection:
        connection.execute(text("alter table photo_index disable trigger note_change_update"))
    unnoted = [_timed(engine, _keep, number) for number in range(61, 121)]
    figures.line("decision, its change not noted", SAVE_MS, unnoted, FLAT)
    with engine.begin() as connection:
        connection.execute(text("alter table photo_index enable trigger note_change_update"))
    kept_catalogs(engine).forget()  # what was not noted was not followed
    kept_catalogs(engine).load(1)


def ruling(engine: Engine, figures: Figures) -> None:
    """What other rules would change, and rules applied."""
    for _ in range(2):
        _timed(engine, rulings.changes, 1, RuleSettings())
        _timed(engine, rulings.histograms, 1)
        kept_catalogs(engine).settle()
    figures.begin()
    tried = [RuleSettings(blurred_below=limit / 20) for limit in range(TURNS)]
    changes = [_timed(engine, rulings.changes, 1, rules) for rules in tried]
    figures.line("what other rules would change", FACETS_MS, changes)
    figures.line("histograms of the limits", FACETS_MS, [_timed(engine, rulings.histograms, 1) for _ in range(TURNS)])
    for rules, words in ((RuleSettings(), "the first time"), (RuleSettings("scenes", blurred_below=0.5), "set anew")):
        _timed(engine, _set_rules, rules)
        with transaction(engine) as session:
            batches = list(decisions.in_batches(session, 1))[:RULED_BATCHES]
        photos = sum(map(len, batches))
        times = [_timed(engine, decisions.apply_rules, batch) for batch in batches]
        each = sum(times) / photos * 10_000
        print(f"rules over {photos:,} photos, {words}: {each:.0f} ms for 10,000, at most {max(times):.0f} ms at a time")


def at_the_start(engine: Engine, count: int) -> None:
    """How long columns take to be read, what SQL answers meanwhile, and the memory of web processes that have them."""
    address = engine.url.render_as_string(hide_password=False)
    kept = kept_catalogs(engine)
    asked, began, used = [], time.perf_counter(), time.process_time()
    kept.load_beside()
    while time.perf_counter() - began < STARTS_WITHIN_S:
        asked.append(_timed(engine, browse.page, parse("", 1)))
        if 1 in kept.known():
            break
    spent, used = time.perf_counter() - began, time.process_time() - used
    print(
        f"columns answer after {spent:.1f} s, {used:.1f} s of this process's processor time; a grid page meanwhile "
        f"at most {max(asked):.0f} ms"
    )
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", WEB_PROCESS, folder, address]
        began = time.perf_counter()
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
        taken = [[int(word) for word in process.communicate()[0].split()] for process in started]
        if any(process.returncode for process in started):
            raise RuntimeError("A web process failed.")
        spent = time.perf_counter() - began
    empty, shown, every, together, most = (max(column) for column in zip(*taken, strict=True))
    over = "  over" if most > MEMORY_MB and count <= MEMORY_OF else ""
    print(
        f"{PROCESSES} web processes at once, the largest: {empty} MB without a catalog, {shown} MB with what the grid "
        f"asks for, {every} MB with every column, {together} MB with codes of looks, labels and broad words too, "
        f"{most} MB at most on the way, limit {MEMORY_MB} for a million{over}; {spent:.1f} s"
    )


def through_the_app(engine: Engine, figures: Figures, middle: int) -> None:
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

        kept_catalogs(web.state.engine).load(1)
        for query in FILTERS:
            get("/catalogs/1", q=query)
        get("/catalogs/1/rules")
        kept_catalogs(web.state.engine).settle()
        figures.begin()
        turns = range(TURNS)
        pages = [(query, sort) for query in FILTERS for sort in SORTS]
        whole = [get("/catalogs/1", q=q, sort=by) for q, by in pages for _ in turns]
        figures.line("page: filter, order, facets, HTML", PAGE_MS, whole)
        more = [get("/catalogs/1/tiles", q=q, sort=by, at=121) for q, by in pages for _ in turns]
        figures.line("more tiles", PAGE_MS, more, FLAT)
        jumped = [get("/catalogs/1", q=q, at=middle // 4) for q in FILTERS for _ in turns]
        figures.line("page, jumped to the middle", PAGE_MS, jumped)
        queued = [get(f"/images/{middle + n}") for n in turns]
        figures.line("desk, in the queue", PAGE_MS, queued)
        selected = [get(f"/images/{middle}", q=q) for q in FILTERS for _ in turns]
        figures.line("desk, in a selection", PAGE_MS, selected)
        figures.line("page of rules", FACETS_MS, [get("/catalogs/1/rules") for _ in turns])
        kept_catalogs(web.state.engine).forget()
        web.state.engine.dispose()


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
