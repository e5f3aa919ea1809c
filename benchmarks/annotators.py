"""Fifty annotators at once on one queue, and two hundred who ask for a photo at the same moment.

    python -m benchmarks.annotators [photos] [seconds]

Fills an embedded PostgreSQL with made-up rows (100,000), makes a queue of the photos that nobody has seen, and

- lets 200 people ask for a photo at once, on 24 connections: all different, p95 at most 100 ms;
- lets 50 people decide twice a second each for five minutes, over HTTP to a web process of its own, on photos that they
  hold: p95 of a decision at most 50 ms, none lost, none twice, none on a wrong photo;
- lets them fetch each next photo's page besides, as browsers do, as fast as the machine gives it: how many photos a
  second that is, and what a page takes.

Times are those that the client sees on the loopback, so the server's are below them. The verdicts are drawn with a
fixed seed; afterwards each is compared with what the database holds.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import socket
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
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
PAGED, PAGES = 4, 25
VERDICTS: Final = ("kept", "rejected:blurred", "needs_work")


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

    with ExitStack() as opened:  # as in a web process that has been asked before: its connections stand
        for _ in range(ASKED_ON):
            opened.enter_context(engine.connect())
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
        persons = [session.get_one(Person, person_id) for person_id in person_ids]
        tokens = [people.begin_session(session, person) for person in persons]
        queue = queues.get(session, queue_id)
        held = [holding.ahead(session, queue, person, round(seconds / EVERY_S)) for person in persons]
    context = multiprocessing.get_context("spawn")
    port, process = context.Value("i", 0), None
    try:
        process = context.Process(target=serve, args=(url, folder, port), daemon=True)
        process.start()
        while not port.value:
            time.sleep(0.05)
        address = f"http://127.0.0.1:{port.value}"
        cookie = security.cookie_name(Settings(data_dir=folder / "data", database_url=url))
        sent, times = asyncio.run(shift(address, cookie, tokens, queue_id, held))
        pages = asyncio.run(pages_too(address, cookie, tokens[:PAGED], queue_id))
    finally:
        if process is not None:
            process.terminate()
            process.join()
    p95 = said(f"decision, {ANNOTATORS} annotators, {len(times):,} decisions", times, DECIDE_MS)
    wrong, twice, lost = compared(engine, queue_id, person_ids, sent)
    print(f"{'':40}{lost} lost, {twice} twice, {wrong} on a wrong photo or with another verdict")
    said(f"page of a photo, {PAGED} at once", pages, None)
    print(f"{'':40}{PAGED * 1000 / statistics.mean(pages):.0f} pages a second")
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
    web = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        port.value = listening.getsockname()[1]
        web.run(sockets=[listening])


async def shift(
    address: str, cookie: str, tokens: list[str], queue_id: int, held: list[list[int]]
) -> tuple[list[tuple[int, int, str]], list[float]]:
    """What each annotator sent (which one, photo, verdict), and how long each answer took in ms."""
    sent: list[tuple[int, int, str]] = []
    times: list[float] = []
    begun = time.perf_counter() + 2
    async with asyncio.TaskGroup() as group:
        for number, token in enumerate(tokens):
            client = client_of(address, cookie, token)
            group.create_task(_annotate(number, client, queue_id, held[number], begun, sent, times))
    return sent, times


async def _annotate(
    number: int,
    client: httpx.AsyncClient,
    queue_id: int,
    held: list[int],
    begun: float,
    sent: list[tuple[int, int, str]],
    times: list[float],
) -> None:
    draw = random.Random(SEED * 1000 + number)
    async with client:
        for turn, here in enumerate(held):
            due = begun + EVERY_S * (turn + number / ANNOTATORS)
            await asyncio.sleep(max(0, due - time.perf_counter()))
            verdict = draw.choice(VERDICTS)
            began = time.perf_counter()
            answer = await client.post(
                f"/images/{here}/decisions",
                data={"verdict": verdict, "expected_id": "0", "queue_id": str(queue_id)},
                headers={"Accept": "application/json"},
            )
            times.append((time.perf_counter() - began) * 1000)
            answer.raise_for_status()
            sent.append((number, here, verdict.partition(":")[0]))


async def pages_too(address: str, cookie: str, tokens: list[str], queue_id: int) -> list[float]:
    """How long pages of photos take, several asked for at once, in ms."""
    times: list[float] = []

    async def read(client: httpx.AsyncClient) -> None:
        async with client:
            opened = await client.get(f"/desk?queue_id={queue_id}")
            here = opened.headers["location"]
            for _ in range(PAGES):
                began = time.perf_counter()
                (await client.get(here, headers={"X-Fragment": "1"})).raise_for_status()
                times.append((time.perf_counter() - began) * 1000)

    async with asyncio.TaskGroup() as group:
        for token in tokens:
            group.create_task(read(client_of(address, cookie, token)))
    return times


def client_of(address: str, cookie: str, token: str) -> httpx.AsyncClient:
    """A browser with somebody signed in."""
    headers = {"Origin": address, "X-CSRF-Token": security.csrf_token(token)}
    return httpx.AsyncClient(base_url=address, cookies={cookie: token}, headers=headers, timeout=60)


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


def said(name: str, times_ms: list[float], limit_ms: int | None) -> float:
    """Print p50 and p95 beside the limit, where there is one; gives p95 in ms."""
    p95 = statistics.quantiles(times_ms, n=20)[-1]
    over = "  over" if limit_ms is not None and p95 > limit_ms else ""
    limit = f"  limit {limit_ms} ms{over}" if limit_ms is not None else ""
    print(f"{name:44}p50 {statistics.median(times_ms):7.1f}  p95 {p95:7.1f}{limit}")
    return p95


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
