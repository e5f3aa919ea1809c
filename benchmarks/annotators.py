"""Fifty annotators at once on one queue, and two hundred who ask for a photo at the same moment.

    python -m benchmarks.annotators [photos] [seconds]

Fills an embedded PostgreSQL with made-up rows (100,000), makes a queue of the photos that nobody has seen, and

- lets 200 people ask for a photo at once, on 24 connections: all different, p95 at most 100 ms;
- lets 50 people decide twice a second each for five minutes, over HTTP to a web process of its own, each fetching the
  next photo's page as the browser does: p95 of a decision at most 50 ms, none lost, none twice, none on a wrong photo.

Times are those that the client sees on the loopback, so the server's are below them. The verdicts are drawn with a
fixed seed; afterwards each is compared with what the database holds.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import re
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx
import uvicorn
from sqlalchemy import Engine, select

from app import people
from app.database import engine_for, migrate, transaction
from app.desk import holding, queues
from app.desk.tables import QueueAnswer, ReviewQueue
from app.host import servers
from app.people import Person
from app.review.tables import Decision
from app.selection.query import parse
from app.settings import Settings
from app.web import security
from app.web.main import create_app
from benchmarks.catalog_rows import fill

SEED: Final = 11
ASKING, ASKED_ON, ASK_MS = 200, 24, 100
ANNOTATORS, EVERY_S, DECIDE_MS = 50, 0.5, 50
VERDICTS: Final = ("kept", "rejected:blurred", "needs_work")
_NEXT: Final = re.compile(r'data-next="/images/(\d+)')


def main() -> None:
    photos = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 300
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pg").mkdir()
        server = servers.postgres(Path(folder), is_durable=True)
        with servers.run(server):
            migrate(server.url)
            engine = engine_for(server.url)
            fill(engine, photos)
            print(f"{photos:,} photos, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, seed {SEED}")
            is_met = asked_at_once(engine) & deciding(engine, server.url, Path(folder), seconds)
            engine.dispose()
    raise SystemExit(0 if is_met else 1)


def asked_at_once(engine: Engine) -> bool:
    """200 people, one photo each."""
    queue_id, person_ids = begin(engine, "At once", ASKING)

    def ask(person_id: int) -> tuple[int, float]:
        began = time.perf_counter()
        with transaction(engine) as session:
            queue, person = session.get_one(ReviewQueue, queue_id), session.get_one(Person, person_id)
            image_id = holding.ahead(session, queue, person, 1)[0]
        return image_id, (time.perf_counter() - began) * 1000

    with ThreadPoolExecutor(ASKED_ON) as several:
        given = list(several.map(ask, person_ids))
    different = len({image_id for image_id, _ in given})
    p95 = said("a photo asked for, 200 at once", [took for _, took in given], ASK_MS)
    print(f"{'':40}{different} of {ASKING} different")
    return different == ASKING and p95 <= ASK_MS


def deciding(engine: Engine, url: str, folder: Path, seconds: float) -> bool:
    """50 annotators for so long, against a web process of its own."""
    queue_id, person_ids = begin(engine, "Fifty", ANNOTATORS)
    with transaction(engine) as session:
        tokens = [people.begin_session(session, session.get_one(Person, person_id)) for person_id in person_ids]
    context = multiprocessing.get_context("spawn")
    port, process = context.Value("i", 0), None
    try:
        process = context.Process(target=serve, args=(url, folder, port), daemon=True)
        process.start()
        while not port.value:
            time.sleep(0.05)
        address = f"http://127.0.0.1:{port.value}"
        cookie = security.cookie_name(Settings(data_dir=folder / "data", database_url=url))
        sent, times = asyncio.run(shift(address, cookie, tokens, queue_id, seconds))
    finally:
        if process is not None:
            process.terminate()
            process.join()
    p95 = said(f"decision, {ANNOTATORS} annotators, {len(times):,} decisions", times, DECIDE_MS)
    wrong, twice, lost = compared(engine, queue_id, person_ids, sent)
    print(f"{'':40}{lost} lost, {twice} twice, {wrong} on a wrong photo or with another verdict")
    return p95 <= DECIDE_MS and not (wrong or twice or lost)


def begin(engine: Engine, name: str, count: int) -> tuple[int, list[int]]:
    """A queue of what nobody has seen, and so many annotators."""
    with transaction(engine) as session:
        lead = session.get_one(Person, 1)
        made = [
            Person(name=f"{name} {n}", email=f"{name}{n}@example.org".lower().replace(" ", "")) for n in range(count)
        ]
        session.add_all(made)
        session.flush()
        queue = queues.make(session, lead, parse("decision:unseen", 1), name, "chance")
        return queue.id, [person.id for person in made]


def serve(url: str, folder: Path, port: multiprocessing.sharedctypes.Synchronized[int]) -> None:
    """The web process."""
    app = create_app(Settings(data_dir=folder / "data", database_url=url))
    web = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))

    async def run() -> None:
        serving = asyncio.create_task(web.serve())
        while not web.started:
            await asyncio.sleep(0.02)
        port.value = web.servers[0].sockets[0].getsockname()[1]
        await serving

    asyncio.run(run())


async def shift(
    address: str, cookie: str, tokens: list[str], queue_id: int, seconds: float
) -> tuple[list[tuple[int, int, str]], list[float]]:
    """What each annotator sent (which one, photo, verdict), and how long each answer took in ms."""
    sent: list[tuple[int, int, str]] = []
    times: list[float] = []
    begun = time.perf_counter() + 2
    async with asyncio.TaskGroup() as group:
        for number, token in enumerate(tokens):
            group.create_task(_annotate(number, address, cookie, token, queue_id, begun, begun + seconds, sent, times))
    return sent, times


async def _annotate(
    number: int,
    address: str,
    cookie: str,
    token: str,
    queue_id: int,
    begun: float,
    end: float,
    sent: list[tuple[int, int, str]],
    times: list[float],
) -> None:
    draw = random.Random(SEED * 1000 + number)
    headers = {"Origin": address, "X-CSRF-Token": security.csrf_token(token)}
    async with httpx.AsyncClient(
        base_url=address, cookies={cookie: token}, headers=headers, timeout=30, follow_redirects=False
    ) as client:
        opened = await client.get(f"/desk?queue_id={queue_id}")
        here = int(opened.headers["location"].split("/images/")[1].split("?")[0])
        turn = begun + EVERY_S * number / ANNOTATORS
        while turn < end:
            page = await client.get(f"/images/{here}?queue_id={queue_id}", headers={"X-Fragment": "1"})
            following = _NEXT.search(page.text)
            await asyncio.sleep(max(0, turn - time.perf_counter()))
            verdict = draw.choice(VERDICTS)
            began = time.perf_counter()
            answer = await client.post(
                f"/images/{here}/decisions", data={"verdict": verdict, "expected_id": "0", "queue_id": str(queue_id)},
                headers={"Accept": "application/json"},
            )  # fmt: skip
            times.append((time.perf_counter() - began) * 1000)
            answer.raise_for_status()
            sent.append((number, here, verdict.partition(":")[0]))
            if following is None:
                return
            here, turn = int(following[1]), turn + EVERY_S


def compared(
    engine: Engine, queue_id: int, person_ids: list[int], sent: list[tuple[int, int, str]]
) -> tuple[int, int, int]:
    """How many of what was sent are wrong, there twice, or not there."""
    with transaction(engine) as session:
        answers = {
            (row.person_id, row.image_id): row.verdict
            for row in session.scalars(select(QueueAnswer).where(QueueAnswer.queue_id == queue_id))
        }
        ids = [image_id for _, image_id, _ in sent]
        decided = session.execute(
            select(Decision.image_id, Decision.person_id, Decision.verdict).where(
                Decision.image_id.in_(ids), Decision.superseded_at.is_(None), Decision.person_id.in_(person_ids)
            )
        ).all()
    current = {(row.person_id, row.image_id): row.verdict for row in decided}
    wrong = sum(
        kept is not None and kept != verdict
        for number, image_id, verdict in sent
        for kept in (answers.get((person_ids[number], image_id)), current.get((person_ids[number], image_id)))
    )
    lost = sum((person_ids[number], image_id) not in current for number, image_id, _ in sent)
    return wrong + len(answers.keys() - {(person_ids[n], i) for n, i, _ in sent}), len(ids) - len(set(ids)), lost


def said(name: str, times_ms: list[float], limit_ms: int) -> float:
    """Print p50 and p95 beside the limit; gives p95 in ms."""
    p95 = statistics.quantiles(times_ms, n=20)[-1]
    over = "  over" if p95 > limit_ms else ""
    print(f"{name:44}p50 {statistics.median(times_ms):7.1f}  p95 {p95:7.1f}  limit {limit_ms} ms{over}")
    return p95


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
