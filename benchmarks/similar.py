"""How quick and how right a search for similar photos is among very many, with a filter, beside the exact answer.

    python -m benchmarks.similar [photos]

Made-up vectors of 512 numbers (seed printed) lie around a thousand middles, as photos of products do. They are asked
for as the page asks, `similar:N` with other keys, by the index that the product makes: of the 200 nearest, those that
the other keys let through. Recall is the share of the exact ten nearest that they let through, which numpy finds by
looking at each vector. In the same run, as a rival: a search over signs alone, one bit a number, of what the other keys
let through, whose nearest 400 are ranked again by their vectors. Limits: 60 ms (95th percentile), recall@10 of 0.95.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from sqlalchemy import Engine, text

import app.tables  # noqa: F401  (fills the metadata)
from app.catalog import embeddings
from app.catalog.embeddings import EmbedderFacts
from app.database import engine_for, transaction, utc_now
from app.host import servers
from app.selection import browse
from app.selection.query import parse
from app.selection.tables import PhotoIndex
from benchmarks import catalog_rows

Array = np.ndarray[Any, Any]
SEED: Final = 12
DIMENSIONS: Final = 512
MIDDLES: Final = 1_000
NEAREST: Final = 10
RANKED_AGAIN: Final = 400
LIMIT_MS: Final = 60
LIMIT_RECALL: Final = 0.95
TURNS: Final = 20
FILTERS: Final = ("", "background:white", "decision:kept sharpness:>0.42", "category:Dresses colour:red")
_AT_ONCE: Final = 20_000


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(f"seed {SEED}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {count:,} photos x {DIMENSIONS}")
    with tempfile.TemporaryDirectory() as folder:
        server = servers.postgres(Path(folder), is_durable=False)
        with servers.run(server):
            engine = engine_for(server.url)
            catalog_rows.fill(engine, count)
            report(engine, count)
            engine.dispose()


def report(engine: Engine, count: int) -> None:
    """Times and recall of each way, with each filter."""
    vectors = np.concatenate(list(_drawn(count)))
    _keep(engine, vectors)
    asked = random.Random(SEED).sample(range(count), TURNS)
    # Words of signs side by side: each is read once for all photos.
    signs = np.asfortranarray(np.packbits(vectors > 0, axis=1).view(np.uint64))
    print(f"signs take {signs.nbytes / 2**20:.0f} MB")
    for query in FILTERS:
        with transaction(engine) as session:
            ids = session.scalars(parse(query, 1).select(PhotoIndex.image_id).order_by(PhotoIndex.image_id)).all()
        rows = np.asarray(ids) - 1
        exact = [_nearest(vectors, row, rows) for row in asked]
        print(f"{query or 'no other key'}: {len(rows):,} photos")
        _line("  by index", lambda row, query=query: _by_index(engine, row, query), asked, exact)
        _line("  signs, ranked again", lambda row, rows=rows: _by_signs(vectors, signs, row, rows), asked, exact)


def _drawn(count: int) -> Iterator[Array]:
    """Unit vectors (n, 512) float16, which is how the database keeps them."""
    draw = np.random.default_rng(SEED)
    middles = draw.normal(size=(MIDDLES, DIMENSIONS)).astype(np.float32)
    for start in range(0, count, _AT_ONCE):
        size = min(_AT_ONCE, count - start)
        some = middles[draw.integers(0, MIDDLES, size)]
        some = some + draw.normal(size=(size, DIMENSIONS)).astype(np.float32)
        yield (some / np.linalg.norm(some, axis=1, keepdims=True)).astype(np.float16)


def _keep(engine: Engine, vectors: Array) -> None:
    """Embed the photos, and index them as the product does."""
    began = time.perf_counter()
    with transaction(engine) as session:
        space = embeddings.space_of(session, EmbedderFacts("made up, clustered", "1", "none", DIMENSIONS, False))
        columns = "image_id, catalog_id, space_id, vector, made_at"
        cursor = session.connection().connection.cursor()
        with cursor.copy(f"copy embedding ({columns}) from stdin") as copy:
            for number, vector in enumerate(vectors, 1):
                digits = ",".join(f"{value:.4g}" for value in vector.tolist())
                copy.write_row((number, 1, space, f"[{digits}]", utc_now()))
    print(f"vectors kept in {time.perf_counter() - began:.0f} s")
    embeddings.EXACT_AT_MOST = 0  # type: ignore[misc]
    began = time.perf_counter()
    with transaction(engine) as session:
        embeddings.index_large(session, space)
    print(f"index made in {time.perf_counter() - began:.0f} s")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))


def _nearest(vectors: Array, row: int, rows: Array) -> list[int]:
    """The nearest of these rows to one, itself left out."""
    aim = vectors[row].astype(np.float32)
    likeness = np.concatenate(
        [vectors[rows[start : start + _AT_ONCE]].astype(np.float32) @ aim for start in range(0, len(rows), _AT_ONCE)]
    )
    likeness[rows == row] = -2
    best = np.argsort(likeness)[-NEAREST:]
    return [near for near in rows[best].tolist() if near != row]


def _by_signs(vectors: Array, signs: Array, row: int, rows: Array) -> list[int]:
    """Distances are how many signs differ (Hamming): told by words of 64 bits."""
    apart = np.zeros(len(signs), np.uint16)
    for word in range(signs.shape[1]):
        apart += np.bitwise_count(signs[:, word] ^ signs[row, word])
    apart, few = apart[rows], min(RANKED_AGAIN, len(rows) - 1)
    return _nearest(vectors, row, rows[np.argpartition(apart, few)[: few + 1]])


def _by_index(engine: Engine, row: int, query: str) -> list[int]:
    with transaction(engine) as session:
        chosen = parse(f"similar:{row + 1} {query}", 1)
        tiles = browse.page(session, chosen, "alike", size=NEAREST + 1)
        browse.count(session, chosen)
    return [tile.id - 1 for tile in tiles if tile.id != row + 1][:NEAREST]


def _line(name: str, search: Callable[..., list[int]], asked: list[int], exact: list[list[int]]) -> None:
    times, recalls = [], []
    for row, right in zip(asked, exact, strict=True):
        began = time.perf_counter()
        near = search(row)
        times.append((time.perf_counter() - began) * 1000)
        recalls.append(len(set(near) & set(right)) / max(len(right), 1))
    recall = statistics.mean(recalls)
    over = "" if recall >= LIMIT_RECALL else "  under"
    print(f"{name}: {_figures(times)}; recall@{NEAREST} {recall:.3f}, limit {LIMIT_RECALL}{over}")


def _figures(times_ms: list[float]) -> str:
    p95 = statistics.quantiles(times_ms, n=20)[-1]
    over = "" if p95 <= LIMIT_MS else "  over"
    return f"p50 {statistics.median(times_ms):.0f} ms, p95 {p95:.0f} ms, limit {LIMIT_MS} ms{over}"


if __name__ == "__main__":
    main()
