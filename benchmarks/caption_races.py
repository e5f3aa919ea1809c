"""Races of two writers for one caption: every loser is told, and no text is lost.

    python -m benchmarks.caption_races [races]

The real web app on an embedded PostgreSQL. In each race two people who saw the same caption of a photo, of one kind or
another, send theirs at the same moment; some races run at once, over other photos. Counted are the conflicts that were
shown, and the texts that are nowhere any more: the winner's has to be the caption that stands and be in the loser's
answer, beside the one that both came from. The loser, who has what they wrote still, then saves it over the winner's;
at the end every text of all races is looked for in the histories. Target: as many conflicts as races (1,000), no text
lost.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import people
from app.captions.tables import OF_KIND, CaptionText, Kind
from app.catalog.tables import Image
from app.database import engine_for, transaction
from app.host import servers
from app.people import Person
from app.settings import Settings
from app.web import security
from app.web.main import create_app
from benchmarks.catalog_rows import fill

RACES: Final = 1_000
PHOTOS: Final = 200
# Divides the photos, so that no photo has two races at once.
AT_ONCE: Final = 4
NAMES: Final = ("Ana", "Mei")
ADDRESS: Final = "http://127.0.0.1:8700"
KINDS: Final[tuple[Kind, ...]] = tuple(OF_KIND)
# Captions by photo and kind: their numbers and texts.
Latest = dict[tuple[int, Kind], tuple[int, str]]


def main() -> None:
    races = int(sys.argv[1]) if len(sys.argv) > 1 else RACES
    with tempfile.TemporaryDirectory() as folder:
        server = servers.postgres(Path(folder), is_durable=False)
        with servers.run(server):
            fill(engine_for(server.url), PHOTOS)
            settings = Settings(
                data_dir=Path(folder) / "data", database_url=server.url, redis_url="redis://127.0.0.1:1/0"
            )
            is_met = report(create_app(settings), settings, races)
    raise SystemExit(0 if is_met else 1)


def report(web: FastAPI, settings: Settings, races: int) -> bool:
    """Print the figures; whether they are those that were promised."""
    with transaction(web.state.engine) as session:
        photos = list(session.scalars(select(Image.id).order_by(Image.id)))
        tokens = [_signed_in(session, name) for name in NAMES]
        current = session.scalars(select(CaptionText).where(CaptionText.superseded_at.is_(None)))
        latest = {(row.image_id, row.kind): (row.id, row.text) for row in current}
    print(f"{races:,} races over {len(photos)} photos, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    begun, used = time.perf_counter(), time.process_time()
    run = asyncio.run(_run(web, security.cookie_name(settings), tokens, photos, latest, races))
    wall_s, used_s = time.perf_counter() - begun, time.process_time() - used
    with transaction(web.state.engine) as session:
        stand = {(row[0], row[1]) for row in session.execute(select(CaptionText.image_id, CaptionText.text))}
    lost = len(run.texts - stand) + run.counts["not told"]
    won, conflicts = run.counts["won"], run.counts["conflicts"]
    print(f"{won:,} won, {conflicts:,} conflicts shown, {lost:,} texts lost (target: {races:,} and 0)")
    print(f"{wall_s:.1f} s, {used_s * 1000 / races:.1f} ms of this process a race")
    return won == conflicts == races and lost == 0


@dataclass
class Races:
    """The writers, what stands, what was sent, and what came of it."""

    writers: list[httpx.AsyncClient]
    latest: Latest
    texts: set[tuple[int, str]] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)

    async def race(self, photo: int, race: int) -> None:
        """One race, and what the loser does with what they are told."""
        kind = KINDS[race % len(KINDS)]
        number, base = self.latest.get((photo, kind), (None, None))
        words = [f"{who} wrote this in race {race}." for who in NAMES]
        self.texts |= {(photo, text) for text in words}
        answers = await asyncio.gather(*(self.save(place, photo, kind, words[place], number) for place in (0, 1)))
        winners = [place for place, answer in enumerate(answers) if answer.status_code == 200]
        self.counts["won"] += len(winners)
        if len(winners) != 1:
            self.counts["not told"] += 1
            return
        (winner,) = winners
        loser, won = 1 - winner, answers[winner].json()
        error = answers[loser].json()["error"]
        if answers[loser].status_code != 409 or (error.get("other"), error.get("base")) != (words[winner], base):
            self.counts["not told"] += 1
            return
        self.counts["conflicts"] += 1
        # Refused, were it not the winner's text that stands.
        over = await self.save(loser, photo, kind, words[loser], won["caption_id"])
        self.counts["not told"] += over.status_code != 200
        self.latest[photo, kind] = (over.json()["caption_id"], words[loser])

    async def save(self, place: int, photo: int, kind: Kind, text: str, expected_id: int | None) -> httpx.Response:
        fields = {"text": text, "kind": kind, "expected_id": "" if expected_id is None else str(expected_id)}
        return await self.writers[place].post(f"/images/{photo}/captions", data=fields)


async def _run(web: FastAPI, cookie: str, tokens: list[str], photos: list[int], latest: Latest, races: int) -> Races:
    """All races, some at once, each lane over photos of its own: a race has two writers, not four."""
    async with AsyncExitStack() as stack:
        writers = [await stack.enter_async_context(_browser(web, cookie, token)) for token in tokens]
        run = Races(writers, latest)

        async def lane(first: int) -> None:
            for race in range(first, races, AT_ONCE):
                await run.race(photos[race % len(photos)], race)

        async with asyncio.TaskGroup() as lanes:
            for first in range(AT_ONCE):
                lanes.create_task(lane(first))
    return run


def _browser(web: FastAPI, cookie: str, token: str) -> httpx.AsyncClient:
    """A browser with somebody signed in. The app runs in this process, its routes in threads of their own."""
    headers = {"Origin": ADDRESS, "X-CSRF-Token": security.csrf_token(token), "Accept": "application/json"}
    transport = httpx.ASGITransport(app=web)
    return httpx.AsyncClient(
        transport=transport, base_url=ADDRESS, cookies={cookie: token}, headers=headers, timeout=60
    )  # fmt: skip


def _signed_in(session: Session, name: str) -> str:
    person = Person(name=name, email=f"{name.lower()}@races.example", role="annotator")
    session.add(person)
    session.flush()
    return people.begin_session(session, person)


if __name__ == "__main__":
    main()
