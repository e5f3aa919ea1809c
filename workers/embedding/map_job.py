"""The body of `photos.map`: a catalog's photos laid out by their looks, and what is found on the map, named."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from sqlalchemy import func, select

from app import jobs
from app.catalog.tables import Embedding, Image
from app.errors import Refused
from app.selection import map_words, maps
from app.selection.maps import DRAWN_AT_MOST, LaidOut, NewSet
from workers.celery_app import Work
from workers.embedding import layout
from workers.embedding.layout import MapLayout

_ROWS: Final = 2000


def map_photos(work: Work) -> dict[str, Any]:
    """Make a catalog's map anew. Of more photos than a map holds, some by chance are on it. Raises Refused without any
    vector."""
    began = time.monotonic()
    catalog_id = int(work.arguments["catalog_id"])
    space_id, ids, vectors, photos = _vectors(work, catalog_id)
    work.tell(total=photos, note=f"Laying out {len(ids):,} photos")
    made = layout.lay_out(vectors)
    work.tell(note="Naming what lies together")
    with work.transaction() as session:
        words = maps.texts_of(session, ids)
        rows = session.execute(select(Image.id, Image.category_key).where(Image.catalog_id == catalog_id))
        kinds = {row.id: row.category_key for row in rows}
    same_kind, categorised = _same_kind(made, [kinds.get(image_id) for image_id in ids])
    placed = LaidOut(
        space_id, ids, made.points, photos, made.method, layout.SEED, made.near.shape[1], made.kept, same_kind,
        categorised, time.monotonic() - began,
    )  # fmt: skip
    sets = _sets(made, ids, words)
    with work.transaction() as session:
        jobs.beat(session, work.claim)
        maps.record(session, catalog_id, placed, sets)
    return {"photos": len(ids), "sets": len(sets)}


def _vectors(work: Work, catalog_id: int) -> tuple[int, list[int], np.ndarray[Any, Any], int]:
    """The catalog's newest space, photos with vectors in it and these vectors, and how many photos there are."""
    with work.transaction() as session:
        of_catalog = Embedding.catalog_id == catalog_id
        space_id = session.scalar(select(func.max(Embedding.space_id)).where(of_catalog))
        if space_id is None:
            raise Refused("The embedder has looked at none of these photos yet, so there is nothing to make a map of.")
        in_space = (of_catalog, Embedding.space_id == space_id)
        ids = np.array(session.scalars(select(Embedding.image_id).where(*in_space).order_by(Embedding.image_id)).all())
        photos = session.scalar(select(func.count()).select_from(Image).where(Image.catalog_id == catalog_id)) or 0
        if len(ids) > DRAWN_AT_MOST:
            ids = np.sort(np.random.default_rng(layout.SEED).permutation(ids)[:DRAWN_AT_MOST])
        pieces = []
        # As bytes: a vector written out in digits takes five times as long to read.
        packed = func.halfvec_send(Embedding.vector)
        for start in range(0, len(ids), _ROWS):
            some = ids[start : start + _ROWS].tolist()
            rows = session.scalars(select(packed).where(Embedding.image_id.in_(some)).order_by(Embedding.image_id))
            pieces.append(np.stack([np.frombuffer(row, dtype=">f2", offset=4) for row in rows]).astype(np.float16))
    return space_id, ids.tolist(), np.concatenate(pieces), photos


def _same_kind(made: MapLayout, kinds: Sequence[str | None]) -> tuple[float | None, int]:
    """Of the photos of a category whose nearest photo has one too: the share where it is the same, and how many."""
    if not made.near.shape[1]:
        return None, 0
    pairs = [(kind, kinds[place]) for kind, place in zip(kinds, made.near[:, 0], strict=True) if kind is not None]
    both = [kind == other for kind, other in pairs if other is not None]
    return (float(np.mean(both)) if both else None), len(both)


def _sets(made: MapLayout, ids: Sequence[int], words: Mapping[int, set[str]]) -> list[NewSet]:
    everywhere = map_words.counted(words.values())
    sets = []
    for number in range(int(made.clusters.max(initial=-1)) + 1):
        members = np.flatnonzero(made.clusters == number)
        places = members.tolist()
        inside = map_words.counted(words.get(ids[place], set()) for place in places)
        telling = map_words.telling(inside, len(members), everywhere, len(ids))
        centre = ids[layout.middle_of(made.points, members)]
        sets.append(NewSet("cluster", [ids[place] for place in places], map_words.named(telling), centre))
    far = [ids[place] for place in np.flatnonzero(made.is_far).tolist()]
    return [*sets, NewSet("far", far)] if far else sets
