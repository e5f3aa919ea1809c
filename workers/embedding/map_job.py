"""The body of `photos.map`: a catalog's photos laid out by their looks, and what is found on the map, named."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sqlalchemy import BigInteger, any_, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from app import jobs
from app.catalog.tables import Embedding, Image
from app.errors import Refused
from app.selection import map_words, maps
from app.selection.maps import LaidOut, NewSet
from workers.celery_app import Cancelled, Work
from workers.embedding import layout
from workers.embedding.layout import LAID_OUT_AT_MOST, MapLayout

PLACED_AT_ONCE: Final = 20_000
_ROWS: Final = 2000


def map_photos(work: Work) -> dict[str, Any]:
    """Make a catalog's map anew. Of more photos than can be laid out, some by chance are, and the others placed among
    them. Raises Refused without any vector."""
    began = time.monotonic()
    catalog_id = int(work.arguments["catalog_id"])
    space_id, ids, photos = _embedded(work, catalog_id)
    work.tell(total=photos, note=f"Laying out {min(len(ids), LAID_OUT_AT_MOST):,} photos")
    laid, vectors = _read(work, space_id, np.sort(ids[:LAID_OUT_AT_MOST]))
    made = layout.lay_out(vectors)
    del vectors
    placed_ids, everywhere = _place_others(work, space_id, made, laid, ids[LAID_OUT_AT_MOST:])
    work.tell(note="Naming what lies together")
    with work.transaction() as session:
        words = maps.texts_of(session, laid)
        rows = session.execute(select(Image.id, Image.category_key).where(Image.catalog_id == catalog_id))
        kinds = {row.id: row.category_key for row in rows}
    same_kind, categorised = _same_kind(made, [kinds.get(image_id) for image_id in laid])
    placed = LaidOut(
        space_id, placed_ids, everywhere.points, photos, made.method, layout.SEED, made.near.shape[1], made.kept,
        same_kind, categorised, time.monotonic() - began, everywhere.apart,
    )  # fmt: skip
    sets = _sets(made, laid, words, placed_ids, everywhere)
    with work.transaction() as session:
        # Cancelled meanwhile, it writes nothing: its catalog may be on its way out.
        if jobs.beat(session, work.claim):
            raise Cancelled
        maps.record(session, catalog_id, placed, sets)
    return {"photos": len(placed_ids), "sets": len(sets)}


@dataclass(frozen=True)
class Everywhere:
    """All photos on a map, those laid out first: `points` (n, 2), `clusters` (n,), `apart` (n,), as in MapLayout."""

    points: layout.Floats
    clusters: layout.Numbers
    apart: layout.Floats


def _place_others(
    work: Work, space_id: int, made: MapLayout, laid: Sequence[int], others: layout.Numbers
) -> tuple[list[int], Everywhere]:
    """The photos laid out and behind them the others, each where its like lie."""
    ids, parts = list(laid), [(made.points, made.clusters, made.apart)]
    for start in range(0, len(others), PLACED_AT_ONCE):
        some, vectors = _read(work, space_id, others[start : start + PLACED_AT_ONCE])
        if some:
            ids += some
            parts.append(layout.place(made, vectors))
        work.tell(done=len(ids), note="Placing the others")
    points, clusters, apart = zip(*parts, strict=True)
    return ids, Everywhere(np.concatenate(points), np.concatenate(clusters), np.concatenate(apart))


def _embedded(work: Work, catalog_id: int) -> tuple[int, layout.Numbers, int]:
    """The catalog's newest space, photos with vectors in it, and how many photos there are. The photos are shuffled
    where they are more than can be laid out."""
    with work.transaction() as session:
        of_catalog = Embedding.catalog_id == catalog_id
        space_id = session.scalar(select(func.max(Embedding.space_id)).where(of_catalog))
        if space_id is None:
            raise Refused("The embedder has looked at none of these photos yet, so there is nothing to make a map of.")
        in_space = (of_catalog, Embedding.space_id == space_id)
        ids = np.array(session.scalars(select(Embedding.image_id).where(*in_space).order_by(Embedding.image_id)).all())
        photos = session.scalar(select(func.count()).select_from(Image).where(Image.catalog_id == catalog_id)) or 0
    if len(ids) > LAID_OUT_AT_MOST:
        ids = np.random.default_rng(layout.SEED).permutation(ids)
    return space_id, ids, photos


def _read(work: Work, space_id: int, ids: layout.Numbers) -> tuple[list[int], np.ndarray[Any, Any]]:
    """The vectors (n, d) float16 of these photos, and their ids in the same order; photos may have gone meanwhile."""
    read, pieces = list[int](), []
    # As bytes: a vector written out in digits takes five times as long to read.
    packed = func.halfvec_send(Embedding.vector)
    with work.transaction() as session:
        for start in range(0, len(ids), _ROWS):
            some = cast(ids[start : start + _ROWS].tolist(), ARRAY(BigInteger))
            rows = session.execute(
                select(Embedding.image_id, packed)
                .where(Embedding.image_id == any_(some), Embedding.space_id == space_id)
                .order_by(Embedding.image_id)
            ).all()
            read += [row[0] for row in rows]
            pieces += [np.frombuffer(row[1], dtype=">f2", offset=4).astype(np.float16) for row in rows]
    return read, np.stack(pieces) if pieces else np.empty((0, 0), dtype=np.float16)


def _same_kind(made: MapLayout, kinds: Sequence[str | None]) -> tuple[float | None, int]:
    """Of the photos of a category whose nearest photo has one too: the share where it is the same, and how many."""
    if not made.near.shape[1]:
        return None, 0
    pairs = [(kind, kinds[place]) for kind, place in zip(kinds, made.near[:, 0], strict=True) if kind is not None]
    both = [kind == other for kind, other in pairs if other is not None]
    return (float(np.mean(both)) if both else None), len(both)


def _sets(
    made: MapLayout, laid: Sequence[int], words: Mapping[int, set[str]], ids: Sequence[int], everywhere: Everywhere
) -> list[NewSet]:
    """What lies together, named by the words of what was laid out, and what is far from everything."""
    all_words = map_words.counted(words.values())
    sets: list[NewSet] = []
    for number in range(int(made.clusters.max(initial=-1)) + 1):
        members = np.flatnonzero(made.clusters == number)
        inside = map_words.counted(words.get(laid[place], set()) for place in members.tolist())
        telling = map_words.telling(inside, len(members), all_words, len(laid))
        centre = laid[layout.middle_of(made.points, members)]
        of_all = [ids[place] for place in np.flatnonzero(everywhere.clusters == number).tolist()]
        name = map_words.named(telling, [named.words for named in sets])
        sets.append(NewSet("cluster", of_all, name, centre))
    far = [ids[place] for place in np.flatnonzero(everywhere.apart >= made.far_from).tolist()]
    return [*sets, NewSet("far", far)] if far else sets
