"""How fast photos are embedded, how well the vectors tell kinds apart, and how fast alike ones are found.

    python -m benchmarks.alike [folder of photos]

Real photos (`clothing` and `grocery/in_store`) are embedded on one thread; the limit is 25 images a second of one
core's time at 224 px, from views as they lie in a data folder. The share of photos whose nearest other one is of the
same kind stands beside that of colours and gradients (8 x 8 CIELAB means and 8 x 8 x 9 gradient histograms).
Then 100,000 made-up vectors (seed printed) are searched as a filter does, each looked at and by codes.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import io
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image as Pillow
from sqlalchemy import Engine, text

import app.tables  # noqa: F401  (fills the metadata)
from app.catalog import embeddings, look_codes
from app.catalog.colours import lab_from_srgb
from app.catalog.embeddings import EmbedderFacts
from app.catalog.files import VIEW_SIDE_PX
from app.database import engine_for, transaction, utc_now
from app.host import servers
from app.selection import browse
from app.selection.columns.memory import kept_catalogs
from app.selection.query import parse
from benchmarks import catalog_rows
from workers.embedding import efficientnet

LIMIT: Final = 25.0
SEARCH_MS: Final = 1000
EACH: Final = 60
BATCH: Final = 16
SEED: Final = 12
ROWS: Final = 100_000
TURNS: Final = 7


def main() -> None:
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "shared" / "data"
    print(f"seed {SEED}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if data.is_dir():
        with tempfile.TemporaryDirectory() as cache:
            told_apart(data, Path(cache))
    else:
        print(f"no photos at {data}: speed and accuracy are not measured")
    with tempfile.TemporaryDirectory() as folder:
        server = servers.postgres(Path(folder), is_durable=False)
        with servers.run(server):
            engine = engine_for(server.url)
            search(engine)
            engine.dispose()


def told_apart(data: Path, cache: Path) -> None:
    """Speed on both sets, and the nearest neighbour's kind by either descriptor."""
    network = efficientnet.load(cache)
    spent, count = 0.0, 0
    for name, photos in (("clothing", _clothing(data)), ("grocery, in store", _grocery(data))):
        if not photos:
            continue
        views = [_view(path) for _, path in photos]
        network.look([_opened(views[0], network.wanted_px)])
        began = time.process_time()
        vectors = np.concatenate(
            [
                network.look([_opened(view, network.wanted_px) for view in views[start : start + BATCH]])
                for start in range(0, len(views), BATCH)
            ]
        )
        spent, count = spent + time.process_time() - began, count + len(views)
        kinds = [kind for kind, _ in photos]
        plain = np.stack([_colours_and_gradients(_opened(view, 256)) for view in views])
        mine, theirs = _same_kind(vectors, kinds), _same_kind(plain, kinds)
        print(
            f"{name}: nearest is of the same kind for {mine:.1%} of {len(kinds)} photos of {len(set(kinds))} kinds; "
            f"by colours and gradients {theirs:.1%}; ratio {mine / theirs:.2f}"
        )
    if count:
        pace = count / spent
        print(f"embedding from views: {pace:.1f} images/s a core; limit {LIMIT:.0f}; ratio {pace / LIMIT:.2f}")


def _clothing(data: Path) -> list[tuple[str, Path]]:
    folders = sorted(folder for folder in (data / "clothing").glob("*") if folder.is_dir())
    return [(folder.name, path) for folder in folders for path in sorted(folder.rglob("*.jpg"))[:EACH]]


def _grocery(data: Path) -> list[tuple[str, Path]]:
    files = sorted((data / "grocery" / "in_store").glob("*.jpg"))
    return [(re.sub(r"_\d+$", "", path.stem), path) for path in files]


def _view(path: Path) -> bytes:
    """The photo as its view lies in a data folder."""
    with Pillow.open(path) as photo:
        view = photo.convert("RGB")
    view.thumbnail((VIEW_SIDE_PX, VIEW_SIDE_PX))
    data = io.BytesIO()
    view.save(data, "JPEG", quality=92, subsampling=0)
    return data.getvalue()


def _opened(view: bytes, wanted_px: int) -> Any:
    picture = Pillow.open(io.BytesIO(view))
    picture.draft("RGB", (wanted_px, wanted_px))
    return picture.convert("RGB")


def _colours_and_gradients(picture: Any) -> np.ndarray[Any, Any]:
    """What a descriptor without a network does: mean colours, and directions of edges, in 8 x 8 fields."""
    small = np.asarray(picture.resize((128, 128)), dtype=np.float64)
    lab = lab_from_srgb(small)
    means = lab.reshape(8, 16, 8, 16, 3).mean(axis=(1, 3)).ravel()
    down, across = np.gradient(lab[..., 0])
    places = ((np.arctan2(down, across) % np.pi) / np.pi * 9).astype(int) % 9
    strength = np.hypot(down, across)
    edges = np.stack([np.where(places == place, strength, 0.0) for place in range(9)], axis=-1)
    sums = edges.reshape(8, 16, 8, 16, 9).sum(axis=(1, 3)).ravel()
    return np.concatenate([_centred(means), _centred(sums)])


def _centred(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    apart = values - values.mean()
    return np.asarray(apart / max(float(np.linalg.norm(apart)), 1e-9))


def _same_kind(vectors: np.ndarray[Any, Any], kinds: Sequence[str]) -> float:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -2)
    return float(np.mean([kinds[place] == kinds[near] for place, near in enumerate(likeness.argmax(axis=1).tolist())]))


def search(engine: Engine) -> None:
    """The first page of what looks like a photo, with its count, among many."""
    catalog_rows.fill(engine, ROWS)
    draw = np.random.default_rng(SEED)
    with transaction(engine) as session:
        space = embeddings.space_of(session, EmbedderFacts("made up", "1", "none", efficientnet.DIMENSIONS, False))
        # Around 200 middles, as photos of products are.
        middles = draw.normal(size=(200, efficientnet.DIMENSIONS))
        with (
            session.connection().connection.cursor() as cursor,
            cursor.copy("copy embedding (image_id, catalog_id, space_id, vector, made_at) from stdin") as copy,
        ):
            for number in range(1, ROWS + 1):
                vector = middles[number % 200] + draw.normal(size=efficientnet.DIMENSIONS)
                digits = ",".join(f"{value:.4g}" for value in vector / np.linalg.norm(vector))
                copy.write_row((number, 1, space, f"[{digits}]", utc_now()))
    _analyse(engine)
    exact, near = _timed(engine, "each vector looked at")
    began = time.monotonic()
    with transaction(engine) as session:
        look_codes.lay(session, space)
    print(f"codes of {ROWS:,} vectors made in {time.monotonic() - began:.0f} s")
    kept_catalogs(engine).settle()
    coded, by_codes = _timed(engine, "by codes")
    recall = statistics.mean(
        len(set(exactly) & set(nearly)) / len(exactly) for exactly, nearly in zip(near, by_codes, strict=True)
    )
    print(f"recall of codes {recall:.3f}; exact {exact:.0f} ms, by codes {coded:.0f} ms, limit {SEARCH_MS} ms")
    print(f"ratio {SEARCH_MS / exact:.2f}")


def _analyse(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))


def _timed(engine: Engine, how: str) -> tuple[float, list[list[int]]]:
    """The median time of a page and its count, in ms, and what was on the pages."""
    draw, spent, pages = random.Random(SEED), [], []
    for _ in range(TURNS):
        chosen = parse(f"similar:{draw.randrange(1, ROWS)}", 1)
        began = time.monotonic()
        with transaction(engine) as session:
            pages.append([tile.id for tile in browse.page(session, chosen, "alike")])
            browse.count(session, chosen)
        spent.append((time.monotonic() - began) * 1000)
    print(f"similar photos of {ROWS:,}, {how}: median {statistics.median(spent):.0f} ms, worst {max(spent):.0f} ms")
    return statistics.median(spent), pages


if __name__ == "__main__":
    main()
