"""Made-up rows of a large catalog, as taking in, measuring, captioning and reviewing photos would have left them.

Copied in by several connections with triggers off, and indexed afterwards as the triggers would: a million photos in a
few minutes instead of a quarter of an hour. A test compares what is made here with what the triggers make.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import Engine, text

import app.tables  # noqa: F401  (fills the metadata)
from app.database import Base
from app.selection.tables import PhotoText

WRITERS: Final = 2
_LINES: Final = 5_000
COLOURS: Final = (
    "red", "blue", "green", "black", "white", "grey", "beige", "navy", "pink", "brown", "yellow", "teal",
)  # fmt: skip
CATEGORIES: Final = (
    "T-shirts", "Dresses", "Outerwear", "Shoes", "Hats", "Kettles", "Mugs", "Lamps", "Bags", "Cartons",
)  # fmt: skip
_SIZES: Final = ((1600, 2132), (1200, 1200), (3000, 2000), (1024, 1536), (2400, 2400), (800, 1000))
_SEEN: Final = "2026-11-01 12:00:00+00"
_NULL: Final = r"\N"
# What is measured, and how many of its places are kept: the same as `workers/signals` keeps.
_SPACE: Final = (
    "insert into embedding_space (id, model, revision, preprocessing, dimensions, reads_words, coded_photos)"
    " values (1, 'drawn', '1', 'none', 64, false, 100000000)",
    "select setval(pg_get_serial_sequence('embedding_space', 'id'), 1)",
    "insert into look_axis (space_id, number, axis, bound) select 1, n,"
    " array(select sin(n * 12.9898 + k * 78.233)::real from generate_series(1, 64) as k)::halfvec, 0"
    " from generate_series(0, 511) as n",
)
_LOOKS: Final = (
    "insert into embedding (image_id, catalog_id, space_id, vector, made_at) select n, 1, 1,"
    " (array[n % 97 + 1, n % 31 + 1, n % 13 - 5, n % 7] || array_fill(0.5, array[60]))::halfvec, now()"
    " from generate_series(cast(:first as int), :last) as n",
    "insert into look_code (image_id, catalog_id, space_id, code) select n, 1, 1,"
    " ('x' || md5(n || 'a') || md5(n || 'b') || md5(n || 'c') || md5(n || 'd'))::bit(512)"
    " from generate_series(cast(:first as int), :last) as n",
)
_MEASURED: Final[dict[str, Callable[[random.Random], str]]] = {
    "sharpness": lambda draw: f"{draw.betavariate(4, 3):.4f}",
    "fill": lambda draw: f"{draw.betavariate(8, 2):.4f}",
    "contrast": lambda draw: f"{draw.gauss(50, 12):.2f}",
    "brightness": lambda draw: f"{draw.uniform(10, 95):.1f}",
    "clipped_light": lambda draw: f"{max(0.0, draw.gauss(-0.02, 0.02)):.4f}",
    "clipped_dark": lambda draw: f"{max(0.0, draw.gauss(-0.02, 0.02)):.4f}",
    "shadow": lambda draw: f"{max(0.0, draw.gauss(3, 4)):.1f}" if draw.random() < 0.8 else _NULL,
    "chroma": lambda draw: f"{draw.uniform(0, 120):.2f}",
    "blockiness": lambda draw: f"{draw.betavariate(2, 9):.3f}",
    "detail": lambda draw: f"{draw.betavariate(9, 2):.3f}",
    "border": lambda draw: f"{draw.uniform(0, 0.3):.4f}" if draw.random() < 0.05 else "0",
    "seam": lambda draw: f"{draw.betavariate(2, 5):.3f}",
    "background_delta_e": lambda draw: f"{draw.uniform(0, 60):.2f}",
    "whiteness": lambda draw: f"{draw.betavariate(2, 1):.4f}",
    "uniformity": lambda draw: f"{draw.betavariate(9, 2):.4f}",
    "parts": lambda draw: str(draw.choice((1, 1, 1, 1, 2, 3))),
}
_INDEXED: Final = f"""
    insert into photo_index (
        image_id, catalog_id, category, category_key, longest_px, shortest_px, background, colour, confidence,
        cropped, background_colour, coverage, offset_x, offset_y, {", ".join(_MEASURED)},
        captioned_by, captioned_at, author_id, caption_characters, caption_words,
        verdict, rule, suggested, decided_by, decided_at, decider_id, kinds, lints)
    select image.id, image.catalog_id, image.category, image.category_key, greatest(width_px, height_px),
        least(width_px, height_px), background, subject_colour, confidence,
        case when is_cropped then 'yes' when not is_cropped then 'no' else 'cannot tell' end, background_colour,
        coverage, offset_x, offset_y,
        {", ".join(f"signals.{name}" for name in _MEASURED)}, coalesce(caption.written_by, 'none'), caption.created_at,
        caption.person_id, length(caption.text), regexp_count(caption.text, '\\S+'),
        case when decision.person_id is null then 'unseen' else decision.verdict end, decision.rule,
        case when decision.rule is not null then decision.verdict end,
        case when decision.id is null then 'none' when decision.rule is null then 'person' else 'rule' end,
        case when decision.person_id is not null then decision.created_at end, decision.person_id,
        case when caption.id is null then '{{}}' else '{{long}}' end::text[],
        case when caption.id is null then '{{}}' else '{{unchecked}}' end::text[]
    from image join signals on signals.image_id = image.id left join caption on caption.image_id = image.id
        left join decision on decision.image_id = image.id
    where image.id between :first and :last"""  # noqa: S608 (names of ours)
# Captions are a few texts, each read for its words once.
_WORDED: Final = r"""
    insert into photo_text (image_id, of_image, of_caption, caption_id)
    with said as materialized (
        select text, search_words(E'\x1f ' || text) as words
        from (select distinct text from caption where image_id between :first and :last) as captions)
    select image.id,
        search_words(concat_ws(E' \x1f ', image.title, category, description, product, file_name)),
        coalesce(said.words, ''), caption.id
    from image left join caption on caption.image_id = image.id left join said on said.text = caption.text
    where image.id between :first and :last"""


def fill(engine: Engine, count: int, after: int = 0) -> None:
    """`count` photos behind photo `after`: signals, captions for 19 in 20, decisions for a third and suggestions for
    another. Without any before them, tables, a person and a catalog are made too."""
    if not after:
        _begin(engine)
    of_words = Base.metadata.tables[PhotoText.__tablename__].indexes
    for index in of_words:
        index.drop(engine, checkfirst=True)
    cuts = [after + count * part // WRITERS for part in range(WRITERS + 1)]
    with ThreadPoolExecutor(WRITERS) as writers:
        parts = pairwise(cuts)
        for written in [writers.submit(_write, engine, first + 1, last) for first, last in parts]:
            written.result()
    with engine.begin() as connection:
        connection.execute(text("set local maintenance_work_mem = '512MB'"))
        for index in of_words:
            index.create(connection)
        last = {"last": after + count}
        connection.execute(text("select setval(pg_get_serial_sequence('image', 'id'), :last)"), last)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))


def fill_looks(engine: Engine, count: int, after: int = 0) -> None:
    """Vectors of 64 numbers and codes for `count` photos behind photo `after`: for what searching costs, not finds."""
    with engine.begin() as connection:
        connection.execute(text("set local session_replication_role = replica"))
        for statement in () if after else _SPACE:
            connection.execute(text(statement))
        for statement in _LOOKS:
            connection.execute(text(statement), {"first": after + 1, "last": after + count})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze embedding, look_code"))


def _begin(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        for statement in (
            "insert into person (name, email, role, created_at) values ('Ana', 'ana@example.org', 'owner', now())",
            "insert into catalog (name, created_at) values ('Autumn', now())",
            "insert into intake (catalog_id, folder, created_at, accepted, already_there, refused)"
            " values (1, '/photos', now(), 0, 0, 0)",
        ):
            connection.execute(text(statement))


def _write(engine: Engine, first: int, last: int) -> None:
    """Photos `first` to `last` on a connection of its own."""
    with engine.begin() as connection:
        connection.execute(text("set local session_replication_role = replica"))
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor:
            for table, lines in _tables(random.Random(first), first, last):
                with cursor.copy(f"copy {table} from stdin") as copy:
                    _send(copy, lines)
        numbers = {"first": first, "last": last}
        connection.execute(text(_INDEXED), numbers)
        connection.execute(text(_WORDED), numbers)


def _send(copy: Any, lines: Iterator[str]) -> None:
    held: list[str] = []
    for line in lines:
        held.append(line)
        if len(held) == _LINES:
            copy.write("\n".join(held) + "\n")
            held.clear()
    if held:
        copy.write("\n".join(held) + "\n")


def _tables(draw: random.Random, first: int, last: int) -> Iterator[tuple[str, Iterator[str]]]:
    """Tables with their columns, and rows for them in the text format of COPY."""
    numbers = range(first, last + 1)
    products = [(draw.choice(COLOURS), draw.choice(CATEGORIES)) for _ in numbers]
    yield (
        "image (id, catalog_id, intake_id, sha256, file_name, format, size_bytes, width_px, height_px, had_alpha,"
        " had_profile, was_turned, was_read_strictly, render_path, thumb_sha256, view_sha256, title, category, product,"
        " extra, taken_in_at)",
        (_photo(draw, n, colour, kind) for n, (colour, kind) in zip(numbers, products, strict=True)),
    )
    yield (
        "signals (image_id, version, measured_at, background, background_colour, coverage, offset_x, offset_y, box,"
        f" is_cropped, cropped_edges, subject_colour, confidence, {', '.join(_MEASURED)})",
        (_signals(draw, n, colour) for n, (colour, _) in zip(numbers, products, strict=True)),
    )
    yield (
        "caption (image_id, text, written_by, captioner, settings, created_at)",
        (
            f"{n}\t{colour} {kind[:-1].lower()} in soft daylight, summer look, on a pure white background."
            f"\tcaptioner\tfacts\t{{}}\t{_SEEN}"
            for n, (colour, kind) in zip(numbers, products, strict=True) if n % 20
        ),
    )  # fmt: skip
    yield (
        "decision (image_id, verdict, rule, person_id, created_at)",
        (
            f"{n}\t{draw.choices(('kept', 'rejected', 'needs_work'), (8, 1, 1))[0]}"
            f"\t{_NULL if n % 2 else 'clean'}\t{1 if n % 2 else _NULL}\t{_SEEN}"
            for n in numbers if n % 3
        ),
    )  # fmt: skip


def _photo(draw: random.Random, n: int, colour: str, kind: str) -> str:
    width, height = draw.choice(_SIZES)
    return (
        f"{n}\t1\t1\t{n:064x}\tIMG_{n:06d}.jpg\tJPEG\t{draw.randint(150_000, 4_000_000)}\t{width}\t{height}"
        f"\tf\tf\tf\tt\tx\tx\tx\t{colour} {kind[:-1].lower()} {n % 977}\t{kind}\tP-{n // 3}\t{{}}"
        f"\t2026-11-{1 + n % 28:02d} 12:00:00+00"
    )


def _signals(draw: random.Random, n: int, colour: str) -> str:
    background = draw.choices(("white", "plain", "scene", "cannot tell"), (6, 2, 4, 0.2))[0]
    measured = "\t".join(of(draw) for of in _MEASURED.values())
    return (
        f"{n}\t1\t{_SEEN}\t{background}\tpure white\t0.5\t0.01\t0.02\t[0.1,0.1,0.9,0.9]\tf\t[]\t{colour}"
        f"\t{draw.uniform(0.5, 1):.3f}\t{measured}"
    )
