"""Lookalikes: photos so much more alike than what else is near them that they show one product. Pure.

How alike two products look depends on the catalog: shirts that one person laid on one bed are nearer to each other than
two shelves with the same juice. So a pair counts by how far it stands out from the surroundings of both, as in the
comparison of word vectors (Conneau et al. 2018, CSLS), and only where its colours are the same. Limits by measurement
on real photos of groceries and clothes; see `docs/decisions/same-product-by-margin.md` and
`benchmarks/same_product.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.catalog.fingerprints import PLANES_BYTES, THUMB_SIDE, Bytes, Floats, Places

# What else is near a photo: the likeness of its nearest but nine. Products with more photos stand out from nothing.
SURROUNDINGS: Final = 10
# Cosines; by how much twice the likeness of two photos is more than their surroundings together.
LIKE_AT_LEAST: Final = 0.75
MARGIN_AT_LEAST: Final = 0.35
# Colours of 8 x 8 fields, wherever they are in the frame: how far one set has to be moved in a* and b* to be the other,
# as a share of how colourful they are, and in any case.
MOVED_AT_MOST: Final = 0.22
MOVED_FLOOR: Final = 2.0
_DIRECTIONS: Final = np.arange(8) * np.pi / 8
_AT_ONCE: Final = 256
_COLUMNS: Final = 8_192

Vectors = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Lookalike:
    """Two photos, the smaller number first; `likeness` is their cosine, `margin` by how much they stand out."""

    first_id: int
    second_id: int
    likeness: float
    margin: float


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest others of some photos: their places (n, k) int64 and likeness (n, k) float32, nearest first."""

    places: Places
    likeness: Floats


def nearest(vectors: Vectors, asked: Places, count: int = SURROUNDINGS) -> Nearest:
    """The nearest of (n, d) vectors of length 1 to those at the `asked` places, n above 1, each compared with all."""
    count = min(count, len(vectors) - 1)
    places, likeness = np.empty((len(asked), count), np.int64), np.empty((len(asked), count), np.float32)
    for at in range(0, len(asked), _AT_ONCE):
        some = asked[at : at + _AT_ONCE]
        ours = vectors[some].astype(np.float32)
        seen = np.empty((len(some), len(vectors)), np.float32)
        for column in range(0, len(vectors), _COLUMNS):
            part = slice(column, column + _COLUMNS)
            seen[:, part] = ours @ vectors[part].astype(np.float32).T
        seen[np.arange(len(some)), some] = -2
        best = np.argpartition(-seen, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(seen, best, axis=1)
        order = np.lexsort((best, -values), axis=1)
        places[at : at + _AT_ONCE] = np.take_along_axis(best, order, axis=1)
        likeness[at : at + _AT_ONCE] = np.take_along_axis(values, order, axis=1)
    return Nearest(places, likeness)


def outstanding(ids: Sequence[int], asked: Collection[int], near: Callable[[Places], Nearest]) -> Iterator[Lookalike]:
    """Pairs among the photos `ids` that stand out, one of each asked about; `near` tells the nearest of some places.

    Where there are no more than two photos there are no surroundings, and nothing stands out.
    """
    wanted = np.array([place for place, number in enumerate(ids) if number in asked], np.int64)
    if len(ids) < 3 or not len(wanted):
        return
    seen = near(wanted)
    surroundings = dict(zip(wanted.tolist(), seen.likeness[:, -1].tolist(), strict=True))
    rows, columns = np.nonzero(seen.likeness >= LIKE_AT_LEAST)
    alike = zip(
        wanted[rows].tolist(), seen.places[rows, columns].tolist(), seen.likeness[rows, columns].tolist(), strict=True
    )
    pairs = {(min(left, right), max(left, right)): likeness for left, right, likeness in alike}
    others = np.array(sorted({place for pair in pairs for place in pair} - surroundings.keys()), np.int64)
    if len(others):
        surroundings |= dict(zip(others.tolist(), near(others).likeness[:, -1].tolist(), strict=True))
    for (left, right), likeness in sorted(pairs.items()):
        margin = 2 * likeness - surroundings[left] - surroundings[right]
        if margin >= MARGIN_AT_LEAST:
            first, second = sorted((ids[left], ids[right]))
            yield Lookalike(first, second, likeness, margin)


def in_one_colour(pairs: Sequence[Lookalike], thumbs: Mapping[int, bytes]) -> list[Lookalike]:
    """Those of the pairs whose colours are the same by their `thumbs`; where one has none, nobody can tell."""
    return [
        pair
        for pair in pairs
        if pair.first_id in thumbs
        and pair.second_id in thumbs
        and moved(_colours(thumbs[pair.first_id]), _colours(thumbs[pair.second_id])) <= 1
    ]


def moved(first: Floats, second: Floats) -> float:
    """How far colours (n, 2) differ from others, whatever their order: up to 1 is the same.

    The mean over eight directions of how far one has to be moved to be the other: the sliced Wasserstein distance
    (Rabin et al. 2011).
    """
    apart = np.mean([np.abs(np.sort(first @ way) - np.sort(second @ way)).mean() for way in _ways()])
    colourful = (np.linalg.norm(first, axis=1).mean() + np.linalg.norm(second, axis=1).mean()) / 2
    return float(apart / max(MOVED_FLOOR, MOVED_AT_MOST * colourful))


def _ways() -> Iterator[Floats]:
    for angle in _DIRECTIONS:
        yield np.array([np.cos(angle), np.sin(angle)], np.float32)


def _colours(thumb: bytes) -> Floats:
    """a* and b* of the whole frame's fields, (64, 2)."""
    packed: Bytes = np.frombuffer(thumb, np.uint8)[THUMB_SIDE * THUMB_SIDE : PLANES_BYTES]
    return packed.view(np.int8).reshape(2, -1).T.astype(np.float32)
