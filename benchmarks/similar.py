"""How quick and how right a search for similar photos is among very many, with a filter, beside the exact answer.

    python -m benchmarks.similar [photos [folder of photos]]

Made-up vectors of 512 numbers (seed printed) lie around a thousand middles, as photos of products do. They are asked
for as the page asks: all photos that other keys choose, in the order of their likeness to one (`sort=alike:similar:N`),
the first page, its tiles and the exact count, each time to another photo. In the same run, as a rival, pgvector's HNSW
index in its own defaults with the same filter (iterative scans in strict order, `ef_search` 200). Recall is the share
of the exact ten nearest that the filter lets through, which numpy finds by looking at each vector. Limits: 60 ms (95th
percentile), recall@10 of 0.95.

Where there are real photos, their vectors by the built-in embedder (1,280 numbers) are mixed to as many, each of three
that look alike and noise, and recall of the same codes is told for these too; there is no database in that part.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from PIL import Image as Pillow
from sqlalchemy import Engine, text

import app.tables  # noqa: F401  (fills the metadata)
from app.catalog import embeddings, look_codes
from app.catalog.embeddings import EmbedderFacts
from app.catalog.near import LOOKED_AT
from app.catalog.tables import Embedding
from app.database import Base, engine_for, transaction
from app.host import servers
from app.selection import browse
from app.selection.columns.memory import kept_catalogs
from app.selection.query import parse
from app.selection.tables import PhotoIndex
from workers.embedding import efficientnet

Array = np.ndarray[Any, Any]
SEED: Final = 12
DIMENSIONS: Final = 512
MIDDLES: Final = 1_000
NEAREST: Final = 10
LIMIT_MS: Final = 60
LIMIT_RECALL: Final = 0.95
LIMIT_MEMORY_MB: Final = 400
TURNS: Final = 40
# Nearly all, half, a twelfth and one in 240.
FILTERS: Final = ("", "background:white", "decision:kept sharpness:>0.7", "category:Dresses colour:red sharpness:>0.5")
_AT_ONCE: Final = 20_000
_WEB_PROCESS: Final = """
import sys, psutil
from pathlib import Path
from sqlalchemy.orm import Session
from app.selection import browse
from app.selection.columns.memory import kept_catalogs
from app.selection.query import Selection
from app.settings import Settings
from app.web.main import create_app
app = create_app(Settings(data_dir=Path(sys.argv[1]), database_url=sys.argv[2]))
kept = kept_catalogs(app.state.engine)
kept.load(1)
print(psutil.Process().memory_info().rss >> 20)
for _ in range(2):
    with Session(app.state.engine) as session:
        browse.page(session, Selection(1), "alike:similar:1", size=11)
    kept.settle()
print(psutil.Process().memory_info().rss >> 20)
"""
_PHOTOS: Final = """
insert into image (id, catalog_id, intake_id, sha256, file_name, format, size_bytes, width_px, height_px, had_alpha,
    had_profile, was_turned, was_read_strictly, render_path, thumb_sha256, view_sha256, category, extra, taken_in_at)
select n, 1, 1, lpad(to_hex(n), 64, '0'), 'IMG_' || n || '.jpg', 'JPEG', 900000, 1600, 2132, false, false, false, true,
    'x', 'x', 'x', (array['Dresses', 'Shoes', 'Hats', 'Mugs', 'Lamps', 'Bags'])[1 + (hashint8(n) & 7)], '{}', now()
from generate_series(1, :count) as n"""
_STAND: Final = """
insert into photo_index
    (image_id, catalog_id, category, category_key, background, colour, sharpness, verdict, decided_by)
select id, 1, category, category_key, (array['white', 'plain'])[1 + (hashint8(id * 7) & 1)],
    (array['red', 'blue', 'green', 'black', 'white'])[1 + abs(hashint8(id * 11)) % 5],
    abs(hashint8(id * 13)) % 1000 / 1000.0, (array['kept', 'unseen', 'rejected', 'kept'])[1 + (hashint8(id * 17) & 3)],
    'person'
from image"""


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    data = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).resolve().parents[2] / "shared" / "data"
    print(f"seed {SEED}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {count:,} photos x {DIMENSIONS}")
    with tempfile.TemporaryDirectory() as folder:
        server = servers.postgres(Path(folder), is_durable=False)
        with servers.run(server):
            engine = engine_for(server.url)
            Base.metadata.create_all(engine)
            report(engine, count, Path(folder))
            engine.dispose()
    if data.is_dir():
        real(data, count)
    else:
        print(f"no photos at {data}: recall on real photos is not measured")


@dataclass(frozen=True, slots=True)
class _Case:
    """One filter: its photos' rows, and for each photo that is asked about the exact nearest among them."""

    query: str
    rows: Array
    exact: list[list[int]]


def report(engine: Engine, count: int, folder: Path) -> None:
    """Times and recall of each way, with each filter."""
    vectors = np.concatenate(list(_clustered(count)))
    began, processor = time.perf_counter(), time.process_time()
    fill(engine, vectors)
    print(f"rows made in {time.perf_counter() - began:.0f} s, {time.process_time() - processor:.0f} s of this process")
    space_id = _coded(engine)
    asked = random.Random(SEED).sample(range(count), min(TURNS, count))
    kept_catalogs(engine).load(1)
    _by_codes(engine, asked[0], "")
    kept_catalogs(engine).settle()
    cases = []
    for query in FILTERS:
        with transaction(engine) as session:
            ids = session.scalars(parse(query, 1).select(PhotoIndex.image_id).order_by(PhotoIndex.image_id)).all()
        rows = np.asarray(ids, np.int64) - 1
        cases.append(_Case(query, rows, _exact(vectors, asked, rows)))
        print(f"{query or 'no other key'}: {len(rows):,} photos")
        _line(engine, "  by codes", lambda row, query=query: _by_codes(engine, row, query), asked, cases[-1].exact)
    _memory(engine, folder)
    _written(engine, "without an index")
    _index(engine, space_id)
    for case in cases:
        print(f"{case.query or 'no other key'}: {len(case.rows):,} photos")
        _line(engine, "  by HNSW", lambda row, case=case: _by_index(engine, row, case.query), asked, case.exact)


def fill(engine: Engine, vectors: Array) -> None:
    """Photos with what the filters ask for, and their vectors, copied in as PostgreSQL keeps them."""
    with engine.begin() as connection:
        for statement in (
            "insert into person (name, email, role, created_at) values ('Ana', 'ana@example.org', 'owner', now())",
            "insert into catalog (name, created_at) values ('Autumn', now())",
            "insert into intake (catalog_id, folder, created_at, accepted, already_there, refused)"
            " values (1, '/photos', now(), 0, 0, 0)",
            # Triggers would note each of a million photos; what they keep is written here.
            "set local session_replication_role = replica",
        ):
            connection.execute(text(statement))
        for statement in (_PHOTOS, _STAND):
            connection.execute(text(statement), {"count": len(vectors)} if statement is _PHOTOS else {})
    with transaction(engine) as session:
        space_id = embeddings.space_of(session, EmbedderFacts("made up", "1", "none", vectors.shape[1], False))
        driver: Any = session.connection().connection.driver_connection
        columns = "image_id, catalog_id, space_id, vector, made_at"
        with driver.cursor() as cursor, cursor.copy(f"copy embedding ({columns}) from stdin (format binary)") as copy:
            copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            for start in range(0, len(vectors), _AT_ONCE):
                copy.write(_packed(vectors[start : start + _AT_ONCE], start + 1, space_id))
            copy.write(b"\xff\xff")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))


def _packed(vectors: Array, first_id: int, space_id: int) -> bytes:
    """Rows of `embedding` in PostgreSQL's binary format: a count of fields, then each behind its length."""
    fields: list[Any] = [("fields", ">i2")]
    for name in ("image", "catalog", "space"):
        fields += [(f"{name}_length", ">i4"), (name, ">i8")]
    size = vectors.shape[1]
    fields += [("vector_length", ">i4"), ("size", ">i2"), ("unused", ">i2"), ("vector", ">f2", size)]
    fields += [("made_length", ">i4"), ("made", ">i8")]
    rows = np.zeros(len(vectors), fields)
    rows["fields"], rows["vector_length"], rows["size"], rows["made_length"] = 5, 4 + 2 * size, size, 8
    for name, values in (("image", np.arange(first_id, first_id + len(vectors))), ("catalog", 1), ("space", space_id)):
        rows[f"{name}_length"], rows[name] = 8, values
    rows["vector"] = vectors
    return rows.tobytes()


def _coded(engine: Engine) -> int:
    """Make the codes as a worker does."""
    began, processor = time.perf_counter(), _Processors(engine)
    with transaction(engine) as session:
        space_id = session.scalars(text("select id from embedding_space")).one()
        look_codes.lay(session, space_id)
    print(f"codes made in {time.perf_counter() - began:.0f} s, {processor.lap():.0f} s of processors")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze look_code, look_axis"))
        print(f"  they take {connection.scalar(text(_SIZE), {'name': 'look_code'})} in the database")
    return int(space_id)


_SIZE: Final = "select pg_size_pretty(pg_total_relation_size(:name))"


def _index(engine: Engine, space_id: int) -> None:
    """The rival, made with the memory that its graph needs."""
    began, processor = time.perf_counter(), _Processors(engine)
    with engine.begin() as connection:
        connection.execute(text("set local maintenance_work_mem = '3GB'"))
        connection.execute(
            text(
                f"create index near on embedding using hnsw ((vector::halfvec({DIMENSIONS})) halfvec_cosine_ops) "
                f"where space_id = {space_id}"
            )
        )
        size = connection.scalar(text(_SIZE), {"name": "near"})
    print(
        f"HNSW index made in {time.perf_counter() - began:.0f} s, {processor.lap():.0f} s of processors, takes {size}"
    )
    _written(engine, "with that index")


def _written(engine: Engine, how: str) -> None:
    """What it costs to write a vector."""
    processor, turns = _Processors(engine), 200
    with engine.begin() as connection:
        for number in range(1, turns + 1):
            connection.execute(text("update embedding set vector = vector where image_id = :id"), {"id": number})
    print(f"a vector written {how}: {processor.lap() / turns * 1000:.2f} ms of processors")


def _clustered(count: int) -> Iterator[Array]:
    """Unit vectors (n, 512) float16, which is how the database keeps them."""
    draw = np.random.default_rng(SEED)
    middles = draw.normal(size=(MIDDLES, DIMENSIONS)).astype(np.float32)
    for start in range(0, count, _AT_ONCE):
        size = min(_AT_ONCE, count - start)
        some = middles[draw.integers(0, MIDDLES, size)] + draw.standard_normal((size, DIMENSIONS), np.float32)
        yield (some / np.linalg.norm(some, axis=1, keepdims=True)).astype(np.float16)


def _exact(vectors: Array, asked: list[int], rows: Array) -> list[list[int]]:
    """The nearest of these rows to each that is asked about, itself left out."""
    aims = vectors[asked].astype(np.float32)
    parts = [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]
    likeness = np.concatenate([vectors[part].astype(np.float32) @ aims.T for part in parts]) if parts else aims[:0]
    nearest = []
    for column, row in enumerate(asked):
        best = rows[np.argsort(-likeness[:, column], kind="stable")[: NEAREST + 1]].tolist()
        nearest.append([near for near in best if near != row][:NEAREST])
    return nearest


def _by_codes(engine: Engine, row: int, query: str) -> list[int]:
    with transaction(engine) as session:
        chosen = parse(query, 1)
        tiles = browse.page(session, chosen, f"alike:similar:{row + 1}", size=NEAREST + 1)
        browse.count(session, chosen)
    return [tile.id - 1 for tile in tiles if tile.id != row + 1][:NEAREST]


def _by_index(engine: Engine, row: int, query: str) -> list[int]:
    with transaction(engine) as session:
        session.execute(text("set local hnsw.iterative_scan = strict_order"))
        session.execute(text("set local hnsw.ef_search = 200"))
        aim = session.scalar(text("select vector::text from embedding where image_id = :id"), {"id": row + 1})
        near = text(f"vector::halfvec({DIMENSIONS}) <=> cast(:aim as halfvec({DIMENSIONS}))").bindparams(aim=aim)
        asked = parse(query, 1).select(PhotoIndex.image_id)
        asked = asked.join(Embedding, Embedding.image_id == PhotoIndex.image_id)
        asked = asked.where(Embedding.space_id == 1, Embedding.catalog_id == 1)
        ids = session.scalars(asked.order_by(near).limit(NEAREST + 1)).all()
        browse.tiles(session, list(ids))
    return [number - 1 for number in ids if number != row + 1][:NEAREST]


class _Processors:
    """The processors' time of this process and of the database's, as laps."""

    def __init__(self, engine: Engine) -> None:
        with engine.connect() as connection:
            listed = connection.scalars(text("select pid from pg_stat_activity where backend_type = 'client backend'"))
            self._server = psutil.Process(listed.all()[0]).parent()
        self._at: dict[int, float] = {}
        self.lap()

    def lap(self) -> float:
        """Seconds since the last lap; of the database's, those of processes that are still there."""
        now = {0: time.process_time()}
        for child in self._server.children() if self._server else ():
            ran = Path(f"/proc/{child.pid}/schedstat")
            now[child.pid] = int(ran.read_text().split()[0]) / 1e9 if ran.exists() else 0.0
        before, self._at = self._at, now
        return sum(now[pid] - before.get(pid, 0.0) for pid in now)


def _memory(engine: Engine, folder: Path) -> None:
    """What a web process takes that has read the catalog, and then the codes."""
    address = engine.url.render_as_string(hide_password=False)
    done = subprocess.run([sys.executable, "-c", _WEB_PROCESS, str(folder), address], capture_output=True, text=True)
    before, after = done.stdout.split()[-2:] if done.returncode == 0 else (0, 0)
    over = "" if int(after) <= LIMIT_MEMORY_MB else "  over"
    print(f"memory of a web process: {before} MB, with codes {after} MB, limit {LIMIT_MEMORY_MB} MB{over}{done.stderr}")


def _line(
    engine: Engine, name: str, search: Callable[[int], list[int]], asked: list[int], exact: list[list[int]]
) -> None:
    search(asked[-1])
    processors = _Processors(engine)
    times, works, recalls = [], [], []
    for row, right in zip(asked, exact, strict=True):
        processors.lap()
        began = time.perf_counter()
        near = search(row)
        times.append((time.perf_counter() - began) * 1000)
        works.append(processors.lap() * 1000)
        recalls.append(len(set(near) & set(right)) / max(len(right), 1))
    recall = statistics.mean(recalls)
    under = "" if recall >= LIMIT_RECALL else "  under"
    print(
        f"{name}: {_figures(times)}; processors {_figures(works)}; "
        f"recall@{NEAREST} {recall:.3f}, limit {LIMIT_RECALL}{under}",
        flush=True,
    )


def _figures(times_ms: list[float]) -> str:
    p95 = statistics.quantiles(times_ms, n=20)[-1]
    over = "" if p95 <= LIMIT_MS else "  over"
    return f"p50 {statistics.median(times_ms):.0f} ms, p95 {p95:.0f} ms, limit {LIMIT_MS} ms{over}"


def real(data: Path, count: int) -> None:
    """Recall of codes on vectors of real photos, mixed to as many."""
    photos = _seen(data)
    for name, vectors in (("as they are", photos.astype(np.float16)), ("mixed", mixed(photos, count))):
        step = max(1, len(vectors) // look_codes.SAMPLE)
        axes = look_codes.laid(vectors[::step][: look_codes.SAMPLE].astype(np.float32))
        codes = [axes.codes(vectors[start : start + _AT_ONCE]) for start in range(0, len(vectors), _AT_ONCE)]
        words = np.ascontiguousarray(np.concatenate(codes).view(np.uint64).T)
        asked = random.Random(SEED).sample(range(len(vectors)), min(TURNS, len(vectors)))
        exact = _exact(vectors, asked, np.arange(len(vectors)))
        recalls = []
        for row, right in zip(asked, exact, strict=True):
            few = look_codes.least(look_codes.differing(words, words[:, row]), min(LOOKED_AT, len(vectors) // 12))
            recalls.append(len(set(right) & set(few.tolist())) / NEAREST)
        print(
            f"real photos, {name}: {len(vectors):,} x {vectors.shape[1]}, of which "
            f"{min(LOOKED_AT, len(vectors) // 12):,} are looked at: recall@{NEAREST} {statistics.mean(recalls):.3f}"
        )


def _seen(data: Path) -> Array:
    """The vectors (n, 1280) float32 of all photos of a folder."""
    with tempfile.TemporaryDirectory() as cache:
        network = efficientnet.load(Path(cache))
    vectors, files = [], sorted(data.rglob("*.jpg"))
    for start in range(0, len(files), 16):
        pictures = []
        for path in files[start : start + 16]:
            with Pillow.open(path) as opened:
                opened.draft("RGB", (network.wanted_px, network.wanted_px))
                pictures.append(opened.convert("RGB"))
        vectors.append(network.look(pictures))
    return np.concatenate(vectors)


def mixed(photos: Array, count: int) -> Array:
    """As many unit vectors, float16: each of one photo, two of the eleven that look most like it, and noise of a third
    of each number's own spread, none below zero, as those of the built-in embedder are."""
    draw = np.random.default_rng(SEED)
    near = np.argsort(-(photos @ photos.T), axis=1)[:, :12]
    spread = photos.std(axis=0) / 3
    made = np.empty((count, photos.shape[1]), np.float16)
    for start in range(0, count, _AT_ONCE):
        size = min(_AT_ONCE, count - start)
        of = draw.integers(0, len(photos), size)
        shares = draw.dirichlet((2, 1, 1), size).astype(np.float32)
        some = shares[:, :1] * photos[of]
        for place in (1, 2):
            some += shares[:, place : place + 1] * photos[near[of, draw.integers(1, 12, size)]]
        some = np.maximum(some + draw.standard_normal(some.shape, np.float32) * spread, 0)
        made[start : start + size] = some / np.linalg.norm(some, axis=1, keepdims=True)
    return made


if __name__ == "__main__":
    main()
