"""How quick the map is at 100,000 points: the data route, the page beside it, a frame, and a lasso's count.

    python -m benchmarks.map [photos]

Made-up photos lie in thirty islands (seed printed). The limits are the app's own: the route of the points 1 s and the
page 1 s (95th percentile of warm requests), a frame 16 ms, a lasso of 500 corners counted in a frame too. Frames are
drawn by a headless Chromium, whose WebGL is a program (SwiftShader) where there is no GPU: what drew is printed. A
frame draws the part of the points that it has time for, and at rest the frames behind it add the others: both are
timed, with the part and the number of frames. Without Chromium nothing is drawn, and the benchmark says so.

Beyond 100,000 photos the points are thinned: all that a filter selects, then others by chance.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

import app.tables  # noqa: F401  (fills the metadata)
from app.catalog import embeddings
from app.catalog.embeddings import EmbedderFacts
from app.database import engine_for, transaction
from app.host import servers
from app.people import Person
from app.selection import map_points, maps
from app.selection.map_points import DRAWN_AT_MOST
from app.selection.maps import LaidOut, NewSet
from app.selection.query import parse
from app.settings import Settings
from app.web.views import maps as pages
from benchmarks import catalog_rows

SEED: Final = 12
ISLANDS: Final = 30
ROUTE_MS, PAGE_MS, FRAME_MS = 1000.0, 1000.0, 16.0
TURNS: Final = 7
STATIC: Final = Path(__file__).resolve().parents[1] / "app" / "web" / "static"
# The page's own modules draw and count; what a GPU does is waited for by reading a pixel.
MEASURE: Final = """async ([turns]) => {
  const { unpack, Lasso } = await import("/static/js/map_points.js");
  const { Painter } = await import("/static/js/map_gl.js");
  const points = unpack(await (await fetch("/points")).arrayBuffer());
  const canvas = document.querySelector("canvas");
  const painter = Painter.on(canvas);
  if (!painter) return null;
  painter.take(points);
  const colours = Array.from({ length: 9 }, (_, n) => [n / 9, 0.4, 1 - n / 9, 1]);
  painter.colourBy(points.codes[0], colours, [0, 1, 2, 3, 4, 0, 1, 2, 3], [0.7, 0.7, 0.7, 0.35]);
  const { gl } = painter;
  const timed = (draw) => {
    const began = performance.now();
    draw();
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    return performance.now() - began;
  };
  const at = (turn) => ({ x: 0.5 + turn / 1000, y: 0.5, scale: 700 + turn });
  for (let turn = 0; turn < 10; turn += 1) timed(() => painter.draw(at(turn)));
  const [moving, shares, resting, rests] = [[], [], [], []];
  for (let turn = 0; turn < turns; turn += 1) {
    moving.push(timed(() => painter.draw(at(turn))));
    shares.push(painter.drawn / painter.count);
  }
  for (let turn = 0; turn < turns; turn += 1) {
    const frames = [timed(() => painter.draw(at(turn)))];
    while (!painter.isWhole) frames.push(timed(() => painter.more()));
    resting.push(...frames);
    rests.push(frames.length);
  }
  const lasso = new Lasso(points);
  for (let n = 0; n < 499; n += 1) lasso.push([0.5 + 0.45 * Math.cos(n / 80), 0.5 + 0.45 * Math.sin(n / 80)]);
  const counts = [];
  for (let turn = 0; turn < turns; turn += 1) {
    const began = performance.now();
    lasso.push([0.9, 0.5 - turn / 1000]);
    lasso.inside(() => true);
    counts.push(performance.now() - began);
  }
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const drawn = gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
  return { moving, shares, resting, rests, counts, drawn, count: points.count };
}"""


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else DRAWN_AT_MOST
    print(f"seed {SEED}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {count:,} photos")
    with tempfile.TemporaryDirectory() as folder:
        server = servers.postgres(Path(folder), is_durable=False)
        with servers.run(server):
            engine = engine_for(server.url)
            catalog_rows.fill(engine, count)
            lay_out(engine, count)
            packed = served(engine, Settings(data_dir=Path(folder), database_url=server.url))
            engine.dispose()
    drawn(packed)


def lay_out(engine: Engine, count: int) -> None:
    """A map of the grid's photos, as `photos.map` keeps it; a hundred of them have vectors, which the page asks for."""
    draw = np.random.default_rng(SEED)
    island = draw.integers(0, ISLANDS, count)
    points = (draw.uniform(0.1, 0.9, (ISLANDS, 2))[island] + draw.normal(0, 0.02, (count, 2))).clip(0, 1)
    with transaction(engine) as session:
        ids = list(session.scalars(text("select id from image order by id")))
        space = embeddings.space_of(session, EmbedderFacts("made up", "1", "none", 2, False))
        embeddings.record(session, space, {image_id: [1.0, 0.0] for image_id in ids[:100]})
        apart = draw.uniform(0, 2, count).astype(np.float32)
        placed = LaidOut(space, ids, points.astype(np.float32), count, "umap", SEED, 15, 0.7, 0.6, count, 60.0, apart)
        members = [np.flatnonzero(island == number) for number in np.unique(island)]
        sets = [
            NewSet("cluster", [ids[at] for at in some], f"kind {n}", ids[some[0]]) for n, some in enumerate(members)
        ]
        maps.record(session, 1, placed, sets)


def served(engine: Engine, settings: Settings) -> bytes:
    """The times of what the server does, printed; the points, packed."""

    def points(session: Session, query: str) -> bytes:
        made = maps.of(session, 1)
        assert made is not None
        return map_points.points(session, made, parse(query, 1), DRAWN_AT_MOST).packed()

    packed = b""
    for query in ("", "decision:kept"):
        took, packed_now = timed(engine, lambda session, query=query: points(session, query))
        packed = packed or packed_now
        say(f"points, filter “{query}”, {len(packed_now) / 2**20:.1f} MB", took, ROUTE_MS)
    took, _ = timed(engine, lambda session: pages.read(session, 1, "", settings, session.get_one(Person, 1)))
    say("page, what it asks of the database", took, PAGE_MS)
    return packed


def timed(engine: Engine, ask: Callable[[Session], Any]) -> tuple[list[float], Any]:
    """Milliseconds of warm requests, each in a transaction of its own, and the last answer."""
    took, answer = [], None
    for _ in range(TURNS + 1):
        with transaction(engine) as session:
            began = time.perf_counter()
            answer = ask(session)
            took.append((time.perf_counter() - began) * 1000)
    return took[1:], answer


def drawn(packed: bytes) -> None:
    """The times of frames and of a lasso's count in a browser, printed."""
    from playwright.sync_api import Route, sync_playwright

    path = os.environ.get("PACKSHOT_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        print("no Chromium: nothing was drawn")
        return

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix("http://map.test/")
        if name == "points":
            route.fulfill(body=packed, content_type="application/octet-stream")
        elif name.startswith("static/"):
            route.fulfill(path=STATIC / name.removeprefix("static/"), content_type="text/javascript")
        else:
            page = "<!doctype html><canvas style='width: 900px; height: 700px'></canvas>"
            route.fulfill(body=page, content_type="text/html")

    with sync_playwright() as playwright:
        ways = ["--no-sandbox", "--enable-unsafe-swiftshader"]
        browser = playwright.chromium.launch(executable_path=path, args=ways)
        shown = browser.new_page()
        shown.route("**/*", answer)
        shown.goto("http://map.test/")
        said = shown.evaluate(MEASURE, [20])
        browser.close()
    if said is None:
        print("this Chromium has no WebGL: nothing was drawn")
        return
    print(f"drawn by {said['drawn']}, {said['count']:,} points on 900 x 700 px")
    say(f"a frame while moving, {statistics.median(said['shares']):.0%} of the points", said["moving"], FRAME_MS)
    say(f"a frame at rest, of {statistics.median(said['rests']):.0f} to all points", said["resting"], FRAME_MS)
    say("a lasso of 500 corners: the next corner and its count", said["counts"], FRAME_MS)


def say(what: str, took: list[float], limit_ms: float) -> None:
    worst = statistics.quantiles(took, n=20)[-1]
    print(f"{what}: median {statistics.median(took):.1f} ms, p95 {worst:.1f} ms, limit {limit_ms:.0f} ms", end="")
    print(f" ({worst / limit_ms:.2f} of it)")


if __name__ == "__main__":
    main()
