"""Races of two writers for one caption: every loser is told, and no text is lost.

    python -m benchmarks.caption_races [races]

The real web app on an embedded PostgreSQL. In each race two people who saw the same caption of a photo, of one kind or
another, send theirs at the same moment from two threads. Counted are the conflicts that were shown, and the texts that
are nowhere any more: the winner's has to be the caption that stands and be in the loser's answer, beside the one that
both came from. The loser, who has what they wrote still, then saves it over the winner's; at the end every text of all
races is looked for in the histories. Target: as many conflicts as races (1,000), no text lost.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import people
from app.captions import writing
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
JSON: Final = {"Accept": "application/json"}
KINDS: Final[tuple[Kind, ...]] = tuple(OF_KIND)


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
        writers = [_signed_in(web, session, settings, name) for name in ("Ana", "Mei")]
    print(f"{races:,} races over {len(photos)} photos, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    counts: Counter[str] = Counter()
    texts: set[tuple[int, str]] = set()
    begun, used = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(len(writers)) as pool:
        for race in range(races):
            _race(web, pool, writers, photos[race % len(photos)], race, counts, texts)
    wall_s, used_s = time.perf_counter() - begun, time.process_time() - used
    with transaction(web.state.engine) as session:
        stand = {(row[0], row[1]) for row in session.execute(select(CaptionText.image_id, CaptionText.text))}
    lost = len([each for each in texts if each not in stand]) + counts["not told"]
    print(
        f"{counts['won']:,} won, {counts['conflicts']:,} conflicts shown, {lost:,} texts lost (target: {races:,} and 0)"
    )
    print(f"{wall_s:.1f} s, {used_s * 1000 / races:.1f} ms of this process a race")
    return counts["won"] == counts["conflicts"] == races and lost == 0


def _race(
    web: FastAPI, pool: ThreadPoolExecutor, writers: list[TestClient], photo: int, race: int,
    counts: Counter[str], texts: set[tuple[int, str]],
) -> None:  # fmt: skip
    """One race, and what the loser does with what they are told. Texts are noted as they were sent."""
    kind = KINDS[race % len(KINDS)]
    with transaction(web.state.engine) as session:
        seen = writing.current_kinds(session, photo).get(kind)
    both = threading.Barrier(len(writers))
    words = [f"{who} wrote this in race {race}." for who in ("Ana", "Mei")]
    base = seen.text if seen else None

    def send(place: int) -> Any:
        fields = {"text": words[place], "kind": kind, "expected_id": seen.id if seen else ""}
        both.wait()
        return writers[place].post(f"/images/{photo}/captions", data=fields, headers=JSON)

    answers = list(pool.map(send, range(len(writers))))
    texts |= {(photo, text) for text in words}
    for place, answer in enumerate(answers):
        if answer.status_code == 200:
            counts["won"] += 1
            continue
        error = answer.json()["error"]
        other = words[1 - place]
        if answer.status_code != 409 or (error.get("other"), error.get("base")) != (other, base):
            counts["not told"] += 1
            continue
        counts["conflicts"] += 1
        with transaction(web.state.engine) as session:
            now = writing.current_kinds(session, photo)[kind]
        if now.text != error["other"]:
            counts["not told"] += 1
        saved = {"text": words[place], "kind": kind, "expected_id": now.id}
        if writers[place].post(f"/images/{photo}/captions", data=saved, headers=JSON).status_code != 200:
            counts["not told"] += 1


def _signed_in(web: FastAPI, session: Session, settings: Settings, name: str) -> TestClient:
    person = Person(name=name, email=f"{name.lower()}@races.example", role="annotator")
    session.add(person)
    session.flush()
    address = "http://127.0.0.1:8700"
    browser = TestClient(web, base_url=address, headers={"Origin": address})
    token = people.begin_session(session, person)
    browser.cookies.set(security.cookie_name(settings), token)
    browser.headers["X-CSRF-Token"] = security.csrf_token(token)
    return browser


if __name__ == "__main__":
    main()
