"""The tables of lookalikes: which photos wait to be held against all others by their looks, and what came of it.

Where the space has an index (`EmbeddingSpace.is_indexed`), it is asked for the nearest ones; before, all are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from sqlalchemy import BigInteger, Float, any_, cast, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, array, insert
from sqlalchemy.orm import Session

from app.catalog import lookalikes
from app.catalog.copies import components
from app.catalog.duplicate_tables import CopyPair, LookPair
from app.catalog.embeddings import vectors_of
from app.catalog.fingerprints import Places
from app.catalog.lookalikes import SURROUNDINGS, Lookalike, Nearest
from app.catalog.near import nearest_photos
from app.catalog.tables import Embedding, EmbeddingSpace

# Pairs known before are looked at again while that takes seconds: more photos may have come into what is near them.
LOOKED_AGAIN_AT_MOST: Final = 400_000_000


@dataclass(frozen=True, slots=True)
class LooksWaiting:
    """The photos of a catalog in its newest space, one for all its copies, and which of them wait to be compared."""

    space: EmbeddingSpace
    ids: list[int]
    waiting: list[int]


def start(session: Session, catalog_id: int) -> LooksWaiting | None:
    """What is to be compared of a catalog; None where nothing is. Forgets what was known of these photos."""
    space_id = session.scalar(select(func.max(Embedding.space_id)).where(Embedding.catalog_id == catalog_id))
    if space_id is None:
        return None
    of_space = (Embedding.catalog_id == catalog_id, Embedding.space_id == space_id)
    is_new = Embedding.compared_at.is_(None)
    rows = session.execute(select(Embedding.image_id, is_new).where(*of_space).order_by(Embedding.image_id)).all()
    first_of = _first_copies(session, catalog_id)
    ids = [number for number, _ in rows if first_of.get(number, number) == number]
    waiting = {number for number, is_new in rows if is_new}
    if not waiting:
        return None
    known = select(LookPair.first_id, LookPair.second_id).where(LookPair.catalog_id == catalog_id)
    before = {number for pair in session.execute(known) for number in pair}
    if len(before | waiting) * len(ids) <= LOOKED_AGAIN_AT_MOST:
        waiting |= before
    asked = any_(cast(sorted(waiting), ARRAY(BigInteger)))
    session.execute(delete(LookPair).where(or_(LookPair.first_id == asked, LookPair.second_id == asked)))
    session.execute(update(Embedding).where(Embedding.image_id == asked).values(compared_at=None))
    return LooksWaiting(session.get_one(EmbeddingSpace, space_id), ids, sorted(waiting))


def finder(session: Session, catalog_id: int, looks: LooksWaiting) -> Callable[[Session, Places], Nearest]:
    """What tells the nearest photos of some, by their places in `looks.ids`."""
    if not looks.space.is_indexed:
        vectors = vectors_of(session, looks.space.id, looks.ids)
        return lambda _session, places: lookalikes.nearest(vectors, places)
    place_of = {number: place for place, number in enumerate(looks.ids)}
    return lambda session, places: _by_index(session, catalog_id, looks.ids, place_of, places)


def record(
    session: Session, catalog_id: int, compared: Sequence[int], pairs: Sequence[Lookalike], at: datetime
) -> None:
    """Keep the lookalikes of the photos that were compared."""
    chosen = any_(cast(list(compared), ARRAY(BigInteger)))
    session.execute(
        update(Embedding).where(Embedding.image_id == chosen, Embedding.made_at <= at).values(compared_at=at)
    )
    rows: list[dict[str, Any]] = [
        {
            "first_id": pair.first_id, "second_id": pair.second_id, "catalog_id": catalog_id,
            "likeness": pair.likeness, "margin": pair.margin,
        }
        for pair in pairs
    ]  # fmt: skip
    if rows:
        session.execute(insert(LookPair).values(rows).on_conflict_do_nothing())


def pairs_of(session: Session, catalog_id: int) -> list[Lookalike]:
    """The lookalikes of a catalog."""
    query = select(LookPair.first_id, LookPair.second_id, LookPair.likeness, LookPair.margin)
    return [Lookalike(*row) for row in session.execute(query.where(LookPair.catalog_id == catalog_id))]


def _first_copies(session: Session, catalog_id: int) -> dict[int, int]:
    """Of photos that are copies of each other, the first one stands for all."""
    pairs = select(CopyPair.first_id, CopyPair.second_id).where(
        CopyPair.catalog_id == catalog_id, CopyPair.is_variant.is_(False)
    )
    joined = [tuple(row) for row in session.execute(pairs)]
    numbers = sorted({number for pair in joined for number in pair})
    places = {number: place for place, number in enumerate(numbers)}
    labels = components(len(numbers), [(places[left], places[right]) for left, right in joined])
    return {number: numbers[label] for number, label in zip(numbers, labels, strict=True)}


def _by_index(
    session: Session, catalog_id: int, ids: Sequence[int], place_of: dict[int, int], asked: Places
) -> Nearest:
    """The same by the index; copies among the nearest are passed over."""
    wanted = [ids[place] for place in asked.tolist()]
    of_asked = select(Embedding.image_id, Embedding.vector).where(
        Embedding.image_id == any_(cast(wanted, ARRAY(BigInteger)))
    )
    ours = of_asked.subquery("ours")
    near = nearest_photos(catalog_id, array([ours.c.image_id]), at_most=3 * SURROUNDINGS).lateral("near")
    likeness = 1 - Embedding.vector.op("<=>", return_type=Float())(ours.c.vector)
    rows = session.execute(
        select(ours.c.image_id, Embedding.image_id, likeness)
        .select_from(ours)
        .join(near, near.c.image_id != ours.c.image_id)
        .join(Embedding, Embedding.image_id == near.c.image_id)
        .order_by(likeness.desc(), Embedding.image_id)
    )
    nearby: dict[int, list[tuple[int, float]]] = {number: [] for number in wanted}
    for number, other, value in rows:
        if other in place_of:
            nearby[number].append((place_of[other], float(value)))
    # With fewer that are no copies, nothing can stand out: what is near is as near as the photo itself.
    some = [(nearby[number] + [(place_of[number], 1.0)] * SURROUNDINGS)[:SURROUNDINGS] for number in wanted]
    packed = np.array(some, np.float64).reshape(len(wanted), SURROUNDINGS, 2)
    return Nearest(packed[..., 0].astype(np.int64), packed[..., 1].astype(np.float32))
