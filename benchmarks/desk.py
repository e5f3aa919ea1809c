"""How long a person at the desk waits for the next photo: from the key down until it is painted, at 100,000 photos.

    python -m benchmarks.desk [photos] [seed]

Made-up rows in an embedded PostgreSQL, pictures drawn at the size of real views, the app in a process of its own, a
headless Chromium. The keys (keep, needs work, skip, reject without a reason) and the pauses between them
(0.25 to 0.7 s) are drawn by chance; the seed is printed. A time begins with the key's own time stamp and ends at the
frame after the one that has the new picture (`requestAnimationFrame` twice: a frame of 16.7 ms is in it), which must be
complete and decoded by then. Beside it: what `PerformanceEventTiming` says of the same keys, to the paint itself, in
steps of 8 ms. Limit: 50 ms for the 95th percentile. The processors' time of the page for each key tells a busy machine
from a slow page.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter
from playwright.sync_api import CDPSession, Page, sync_playwright
from sqlalchemy import Engine, text

from app import people
from app.catalog.files import VIEW_SIDE_PX
from app.database import engine_for, transaction
from app.desk import queues
from app.host import servers
from app.people import Person
from app.selection.query import parse
from app.settings import Settings
from app.storage import Storage
from app.web import security
from benchmarks.catalog_rows import fill

LIMIT_MS: Final = 50.0
PRESSES: Final = 100
PICTURES: Final = 40
STARTS_WITHIN_S: Final = 120
KEYS: Final = ("a", "a", "a", "f", "s", "x x")
SERVE: Final = """
import sys, uvicorn
from pathlib import Path
from app.settings import Settings
from app.web.main import create_app
settings = Settings(data_dir=Path(sys.argv[1]), database_url=sys.argv[2], port=int(sys.argv[3]))
uvicorn.run(create_app(settings), host="127.0.0.1", port=int(sys.argv[3]), log_level="warning")
"""
# Of each key: when the next photo had its frame, whether its picture was whole by then.
WATCH: Final = """
window.waits = []; window.paints = {};
let pressed = null;
addEventListener("keydown", (event) => { pressed = event.timeStamp; }, true);
document.addEventListener("swapped", (event) => {
  if (!event.target.matches("[data-desk]") || pressed === null) return;
  const at = pressed; pressed = null;
  const moved = performance.now();
  requestAnimationFrame(() => requestAnimationFrame((now) => {
    const picture = document.querySelector("[data-picture]");
    waits.push({ ms: performance.now() - at, moved: moved - at, whole: picture.complete && picture.naturalWidth > 0 });
  }));
});
new PerformanceObserver((list) => {
  for (const { name, startTime, duration } of list.getEntries()) if (name === "keydown") paints[startTime] = duration;
}).observe({ type: "event", durationThreshold: 16, buffered: true });
"""


def main() -> None:
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    count, seed = [*numbers, 100_000][0], (numbers[1:] or [11])[0]
    chromium = os.environ.get("PACKSHOT_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("No Chromium: nothing is painted, so nothing was measured.")
    print(f"{count:,} photos, seed {seed}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        server = servers.postgres(Path(folder), is_durable=False)
        with servers.run(server):
            engine = engine_for(server.url)
            fill(engine, count)
            draw(engine, Storage(Path(folder)), random.Random(seed))
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            web = subprocess.Popen([sys.executable, "-c", SERVE, folder, server.url, str(port)])
            try:
                served = psutil.Process(web.pid)
                is_over = at_the_desk(engine, Path(folder), f"http://127.0.0.1:{port}", chromium, seed, served)
            finally:
                web.terminate()
                web.wait()
                engine.dispose()
    sys.exit(1 if is_over else 0)


def draw(engine: Engine, storage: Storage, chance: random.Random) -> None:
    """Pictures like packshots, as large as views and about as hard to decode, shared by all photos in turn."""
    kept: dict[str, list[str]] = {"views": [], "thumbs": []}
    for _ in range(PICTURES):
        noise = Pillow.effect_noise((VIEW_SIDE_PX, VIEW_SIDE_PX), 40).filter(ImageFilter.GaussianBlur(1))
        colour = tuple(chance.randrange(30, 220) for _ in range(3))
        picture = Pillow.merge("RGB", [noise.point(lambda value, base=base: (value + base) // 2) for base in colour])
        x, y = chance.randrange(100, 300), chance.randrange(100, 300)
        ImageDraw.Draw(picture).ellipse((x, y, x + 600, y + 600), fill=colour, outline="white", width=9)
        for kind, side, suffix in (("views", VIEW_SIDE_PX, ".jpg"), ("thumbs", 256, ".webp")):
            data = BytesIO()
            picture.resize((side, side)).save(data, "JPEG" if suffix == ".jpg" else "WEBP", quality=88)
            kept[kind].append(storage.put(kind, data.getvalue(), suffix))  # type: ignore[arg-type]
    with engine.begin() as connection:
        connection.execute(text("set local session_replication_role = replica"))  # what triggers keep is not of files
        connection.execute(
            text("""
                update image set view_sha256 = (cast(:views as text[]))[1 + id % :pictures],
                    thumb_sha256 = (cast(:thumbs as text[]))[1 + id % :pictures]
            """),
            {**kept, "pictures": PICTURES},
        )


def at_the_desk(engine: Engine, folder: Path, url: str, chromium: str, seed: int, served: psutil.Process) -> bool:
    """Sit at the desk, in the catalog's own queue and in a queue of a lead's; whether one of them is over the limit."""
    with transaction(engine) as session:
        me = people.make_owner(session)
        token = people.begin_session(session, me)
        queue_id = queues.make(session, session.get_one(Person, me.id), parse("category:Shoes", 1), "Shoes").id
    settings = Settings(data_dir=folder, port=int(url.rsplit(":", 1)[1]))
    cookie = {"name": security.cookie_name(settings), "value": token, "url": url}
    answers(url)
    is_over = False
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, address in (("the catalog’s queue", "/desk"), ("a queue", f"/desk?queue_id={queue_id}")):
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            context.add_cookies([cookie])  # type: ignore[list-item]
            context.add_init_script(WATCH)
            page = context.new_page()
            page.set_default_timeout(STARTS_WITHIN_S * 1000)
            page.goto(url + address)
            page.wait_for_load_state("networkidle")
            is_over |= press(page, context.new_cdp_session(page), name, random.Random(seed), served)
            context.close()
        browser.close()
    return is_over


def answers(url: str) -> None:
    """Until the app answers, and has its columns in memory."""
    until = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < until:
        try:
            if httpx.get(f"{url}/sign-in").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError("The web app did not start.")


def press(page: Page, wire: CDPSession, name: str, chance: random.Random, served: psutil.Process) -> bool:
    """Keys as a person presses them, each after the photo of the last one is there; prints times, says whether over."""
    wire.send("Performance.enable")
    before, served_before = used(wire), sum(served.cpu_times()[:2])
    for number in range(PRESSES):
        for key in chance.choice(KEYS).split():
            page.keyboard.press(key)
        page.wait_for_function("(count) => waits.length >= count", arg=number + 1)
        page.wait_for_timeout(chance.uniform(250, 700))
    waits: list[dict[str, Any]] = page.evaluate("waits")
    paints: list[float] = page.evaluate("Object.values(paints)")
    times = [wait["ms"] for wait in waits]
    p50, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    moved = statistics.quantiles([wait["moved"] for wait in waits], n=20)[-1]
    painted = statistics.quantiles(paints, n=20)[-1] if len(paints) > 1 else 0.0
    broken = sum(not wait["whole"] for wait in waits)
    cpu = (used(wire) - before) * 1000 / PRESSES
    of_server = (sum(served.cpu_times()[:2]) - served_before) * 1000 / PRESSES
    late = sum(wait["moved"] > LIMIT_MS for wait in waits)
    print(
        f"{name:20} {len(times)} photos: p50 {p50:.0f} ms, p95 {p95:.0f} ms, limit {LIMIT_MS:.0f} ms"
        f"{'  over' if p95 > LIMIT_MS else ''}; the scripts till then p95 {moved:.0f} ms; paint by event timing p95 "
        f"{painted:.0f} ms; processor a key: page {cpu:.0f} ms, server {of_server:.0f} ms; "
        f"not there yet when asked for: {late}; not whole: {broken}; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return p95 > LIMIT_MS or broken > 0


def used(wire: CDPSession) -> float:
    """Processor time that the page's main thread has taken, in seconds."""
    metrics = wire.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))


if __name__ == "__main__":
    main()
