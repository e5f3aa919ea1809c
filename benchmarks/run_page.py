"""How quick the page of a long run is, against the limits the house promises.

    python -m benchmarks.run_page [steps]

Fills an embedded PostgreSQL with a run of 100,000 `step` events, and times over HTTP, warm, one request at a time: the
whole page, its curves, the parts that are asked for again and again, and the replay of the newest 500 events; in
Chromium the drawing of all charts; and what it costs a worker to record one more step. Limits (95th percentile): page
and replay 200 ms, curves 300 ms, drawing 16 ms.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import sync_playwright
from sqlalchemy import text

from app import jobs, people
from app.catalog.tables import Catalog
from app.database import migrate, transaction, utc_now
from app.datasets.tables import DatasetVersion
from app.host import servers
from app.people import Person
from app.settings import Settings
from app.training import run_events, runs
from app.training.tables import TrainingRun
from app.web.main import create_app

PAGE_MS, CURVES_MS, REPLAY_MS, DRAW_MS = 200, 300, 200, 16
REPLAYED = 500
TURNS = 40
# Every five thousandth step validates and saves, as a run of this length would.
FILL = """
insert into run_event (run_id, seq, kind, at, data)
select :run_id, n + 1, 'step', now() - make_interval(secs => (:steps - n) * 0.3), jsonb_build_object(
  'step', n, 'loss', 0.3, 'lr', 1e-4, 'grad_norm', 0.4, 'step_s', 0.3, 'data_wait_s', 0.0004,
  'images_per_s', 213 + 3 * random(), 'memory_bytes', 76450000000, 'memory_total_bytes', 85899345920,
  'loss_by_band', jsonb_build_array(0.13 + 0.02 * random(), 0.25 + 0.02 * random(), null, 0.59 + 0.02 * random()))
from generate_series(1, :steps) n
"""


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder, _app(Path(folder)) as (app, url):
        run_id, link = fill(app, steps)
        print(f"{steps:,} steps, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        print(f"{'':34}{'p50':>7}{'p95':>7}{'limit':>7}  ms")
        with httpx.Client(base_url=url, follow_redirects=True, timeout=60) as client:
            _sign_in(client, f"{url}/links/{link}")
            report(client, run_id, steps)
        _line(
            "recording one more step", None, [_timed(lambda n=n: _record(app, run_id, steps, n)) for n in range(TURNS)]
        )
        draw(app, url, run_id)


def fill(app: FastAPI, steps: int) -> tuple[int, str]:
    """A live run with so many steps told; its id, and a link that signs the owner in."""
    with transaction(app.state.engine) as session:
        owner = Person(name="Ana", email="ana@example.org", role="owner")
        catalog = Catalog(name="Autumn")
        session.add_all([owner, catalog])
        session.flush()
        version = DatasetVersion(
            catalog_id=catalog.id, number=1, selection="", sentence="All photos.", content_hash="5e" * 32,
            train_count=1000, validation_count=100, frozen_at=utc_now(),
        )  # fmt: skip
        session.add(version)
        session.flush()
        run = runs.request_run(session, version, "models/nano", runs.plan("models/nano", 2 * steps), owner)
        jobs.claim(session, run.job_id or 0, "worker", lease_s=36_000)
        runs.begin(session, run)
        run_events.record(session, run, [_event(1, "started", step=0, device="NVIDIA H100", parameters=1_290_000_000)])
        session.execute(text(FILL), {"run_id": run.id, "steps": steps})
        run.step = steps
        validations = [
            _event(steps + 2 + n, "validation", step=n * 500, loss=0.4 - n / 1e4) for n in range(steps // 500)
        ]
        run_events.record(session, run, validations)
        run_id, link = run.id, people.make_link(session, owner)
    with app.state.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))
    return run_id, link


def report(client: httpx.Client, run_id: int, steps: int) -> None:
    """Time each request and print p50 and p95 beside the limit."""
    page = f"/runs/{run_id}"
    size = len(client.get(f"{page}/curves").content)
    _line("page", PAGE_MS, [_timed(lambda: client.get(page).raise_for_status()) for _ in range(TURNS)])
    _line(f"curves, {size / 1000:.0f} kB", CURVES_MS, [
        _timed(lambda: client.get(f"{page}/curves").raise_for_status()) for _ in range(TURNS)
    ])  # fmt: skip
    _line("parts that change", PAGE_MS, [
        _timed(lambda: client.get(f"{page}/live").raise_for_status()) for _ in range(TURNS)
    ])  # fmt: skip
    newest = steps + 1 + steps // 500
    _line(f"replay of the newest {REPLAYED} events", REPLAY_MS, [
        _timed(lambda: _replay(client, page, newest)) for _ in range(TURNS)
    ])  # fmt: skip


def draw(app: FastAPI, url: str, run_id: int) -> None:
    """Time drawing all charts in Chromium, layout included."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        print("drawing all charts: not measured, there is no Chromium")
        return
    with transaction(app.state.engine) as session:
        link = people.make_link(session, session.get_one(Person, 1))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{url}/links/{link}")
        page.wait_for_url(lambda address: "/links/" not in address)
        page.goto(f"{url}/runs/{run_id}")
        page.locator("#loss path.line").first.wait_for()
        # Pressing an axis draws at once; reading a height afterwards makes the browser lay it out as well.
        times: list[float] = page.evaluate(
            """(turns) => Array.from({ length: turns }, (_, i) => {
                 const button = document.querySelectorAll("[data-axis]")[i % 3];
                 const began = performance.now();
                 button.click();
                 document.querySelector("#loss").getBoundingClientRect();
                 return performance.now() - began;
               })""",
            3 * TURNS,
        )
        browser.close()
    _line("drawing all charts", DRAW_MS, times)


@contextmanager
def _app(folder: Path) -> Iterator[tuple[FastAPI, str]]:
    """The app on an empty database, and its address."""
    (folder / "pg").mkdir()
    server = servers.postgres(folder, is_durable=False)
    with servers.run(server):
        migrate(server.url)
        app = create_app(Settings(data_dir=folder / "data", database_url=server.url))
        web = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=web.run, daemon=True)
        thread.start()
        while not web.started:
            time.sleep(0.02)
        yield app, f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}"
        web.should_exit = True
        thread.join()
        app.state.engine.dispose()


def _sign_in(client: httpx.Client, link: str) -> None:
    """Follow a one-time link as a browser does: open it, then send its form."""
    page = client.get(link).text
    token = page.split('name="csrf" value="')[1].split('"')[0] if 'name="csrf" value="' in page else ""
    client.post(link, data={"csrf": token}, headers={"Origin": str(client.base_url).rstrip("/")}).raise_for_status()


def _replay(client: httpx.Client, page: str, newest: int) -> None:
    left = REPLAYED
    with client.stream("GET", f"{page}/events", headers={"Last-Event-ID": str(newest - REPLAYED)}) as answer:
        for line in answer.iter_lines():
            left -= line.startswith("id: ")
            if not left:
                return


def _record(app: FastAPI, run_id: int, steps: int, number: int) -> None:
    with transaction(app.state.engine) as session:
        run = session.get_one(TrainingRun, run_id)
        seq = run_events.last_seq(session, run_id) + 1
        facts = {"loss": 0.3, "loss_by_band": [0.1, 0.2, 0.3, 0.4], "images_per_s": 213.0}
        run_events.record(session, run, [_event(seq, "step", step=steps + number + 1, **facts)])


def _event(seq: int, kind: str, **facts: object) -> dict[str, object]:
    return {"seq": seq, "at": datetime.now(UTC).isoformat(), "kind": kind, **facts}


def _line(name: str, limit_ms: int | None, times_ms: list[float]) -> None:
    p95 = statistics.quantiles(times_ms, n=20)[-1]
    over = "  over" if limit_ms is not None and p95 > limit_ms else ""
    print(f"{name:34}{statistics.median(times_ms):7.1f}{p95:7.1f}{limit_ms if limit_ms is not None else '':>7}{over}")


def _timed(act: Callable[[], object]) -> float:
    """Milliseconds for one act."""
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    main()
