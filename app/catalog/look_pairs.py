"""The tables of lookalikes: which photos wait to be held against all others by their looks, and what came of it.

Up to `COMPARED_AT_MOST` photos all are compared; beyond, the `_LOOKED_AT` whose codes differ least (`look_codes`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, any_, cast, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from app.catalog import look_codes, lookalikes
from app.catalog.copies import components
from app.catalog.duplicate_tables import CopyPair, LookPair
from app.catalog.embeddings import vectors_of
from app.catalog.fingerprints import Places
from app.catalog.lookalikes import SURROUNDINGS, Lookalike, Nearest
from app.catalog.tables import Embedding, EmbeddingSpace

COMPARED_AT_MOST: Final = 100_000
# Photos of one product lie far nearer than what else does, so fewer are looked at than where people search.
_LOOKED_AT: Final = 200
_ASKED_AT_ONCE: Final = 64
# Pairs known before are looked at again while that takes seconds: more photos may have come into what is near them.
LOOKED_AGAIN_AT_MOST: Final = 400_000_000
_LIKENESS: Final = text("""
    select 1 - (ours.vector <=> other.vector)
    from unnest(cast(:asked as bigint[]), cast(:others as bigint[])) with ordinality as pair (ours, other, n)
    join embedding as ours on ours.image_id = pair.ours join embedding as other on other.image_id = pair.other
    order by n""")
Words = NDArray[np.uint64]


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
    if len(looks.ids) <= COMPARED_AT_MOST or not looks.space.coded_photos:
        vectors = vectors_of(session, looks.space.id, looks.ids)
        return lambda _session, places: lookalikes.nearest(vectors, places)
    ids = np.array(looks.ids, np.int64)
    codes = look_codes.codes_of(session, looks.space.id, looks.ids)
    return lambda session, places: _by_codes(session, ids, codes, places)


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


def _by_codes(session: Session, ids: Places, codes: Words, asked: Places) -> Nearest:
    """The same among those whose codes differ least. `codes` are (8, n) uint64."""
    places, likeness = [], []
    for start in range(0, len(asked), _ASKED_AT_ONCE):
        some = asked[start : start + _ASKED_AT_ONCE]
        few = np.stack([look_codes.nearest(codes, place, _LOOKED_AT) for place in some.tolist()])
        pairs = {"asked": np.repeat(ids[some], few.shape[1]).tolist(), "others": ids[few].ravel().tolist()}
        rows = np.array([row[0] for row in session.execute(_LIKENESS, pairs)], np.float32).reshape(few.shape)
        order = np.lexsort((few, -rows), axis=1)[:, :SURROUNDINGS]
        places.append(np.take_along_axis(few, order, axis=1))
        likeness.append(np.take_along_axis(rows, order, axis=1))
    return Nearest(np.concatenate(places), np.concatenate(likeness))
