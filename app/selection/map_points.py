"""The points of a map as a browser takes them: one file of numbers, which WebGL draws as it came.

Of more photos than are drawn, all that the filter selects come first and then others by chance, so that what is looked
for is never what was left out. A lasso takes the photos inside that were not drawn too. A browser that has no time for
all of them draws the first: they come by chance, one that the filter selects and one that it does not in turn.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sqlalchemy import ColumnElement, LargeBinary, SmallInteger, Text, cast, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from app.catalog.tables import PhotoMap
from app.selection.query import Selection
from app.selection.tables import PhotoIndex

DRAWN_AT_MOST: Final = 100_000
# What points are coloured by, and the values in the order of their numbers in the file.
DECISIONS: Final = ("unseen", "kept", "rejected", "needs_work")
BACKGROUNDS: Final = ("white", "plain", "scene", "cannot tell")
CATEGORIES_AT_MOST: Final = 7
OTHERS: Final = "other categories"
NONE: Final = "no category"
KEYS: Final = ("decision", "category", "background")


@dataclass(frozen=True, slots=True)
class Colouring:
    """What points can be coloured by, its values in the order of their numbers, and how many photos on the map have
    each, drawn or not."""

    key: str
    values: tuple[str, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Points:
    """n points: numbers of photos (n,), places (n, 2) float32 of 0 to 1, whether the selection holds them (n,), and for
    each colouring the place of its value (n,) uint8."""

    ids: np.ndarray[Any, np.dtype[np.float64]]
    places: np.ndarray[Any, np.dtype[np.float32]]
    is_chosen: np.ndarray[Any, np.dtype[np.uint8]]
    codes: np.ndarray[Any, np.dtype[np.uint8]]
    colourings: tuple[Colouring, ...]

    def packed(self) -> bytes:
        """Little-endian: the count and the length of what follows as uint32; the colourings as JSON, filled up to
        eighths with spaces; n float64 numbers of photos; n pairs of float32; then n bytes each: whether it is chosen,
        and its value of each colouring in their order."""
        legend = json.dumps(
            [
                {"key": colouring.key, "values": colouring.values, "counts": colouring.counts}
                for colouring in self.colourings
            ]
        ).encode()
        legend += b" " * (-len(legend) % 8)
        head = np.array([len(self.ids), len(legend)], dtype="<u4").tobytes() + legend
        parts = (self.ids.astype("<f8"), self.places.astype("<f4"), self.is_chosen, self.codes)
        return head + b"".join(part.tobytes() for part in parts)


def points(session: Session, made: PhotoMap, chosen: Selection, at_most: int, unseen: Collection[int] = ()) -> Points:
    """The map's points as they stand now, `at_most` of them; photos that are gone are left out, and what was decided on
    those `unseen` is not told."""
    catalog_id = made.catalog_id
    categories = _categories(session, catalog_id)
    rows = _facts(session, catalog_id, categories)
    ids = np.array(made.image_ids, dtype=np.int64)
    at = np.searchsorted(rows["id"], ids)
    at[at == len(rows)] = 0
    is_there = rows["id"][at] == ids if len(rows) else np.zeros(len(ids), dtype=bool)
    ids, at = ids[is_there], at[is_there]
    places = np.frombuffer(made.points, dtype="<f4").reshape(-1, 2)[is_there]
    codes = np.stack([rows[key][at] for key in KEYS]).astype(np.uint8)
    codes[KEYS.index("decision"), np.isin(ids, list(unseen))] = DECISIONS.index("unseen")
    is_chosen = np.ones(len(ids), dtype=np.uint8)
    if not chosen.is_everything:
        is_chosen = np.isin(ids, _ids(session, chosen)).astype(np.uint8)
    colourings = tuple(
        Colouring(key, names, tuple(np.bincount(of_key, minlength=len(names)).tolist()))
        for key, names, of_key in zip(KEYS, (DECISIONS, categories, BACKGROUNDS), codes, strict=True)
    )
    # In the map's own order those that were laid out come first, and the others by chance.
    drawn = np.sort(np.argsort(1 - is_chosen, kind="stable")[:at_most])
    taken = is_chosen[drawn] == 1
    drawn = drawn[np.argsort(np.where(taken, np.cumsum(taken), np.cumsum(~taken)), kind="stable")]
    return Points(
        ids[drawn].astype(np.float64), places[drawn], is_chosen[drawn], np.ascontiguousarray(codes[:, drawn]),
        colourings,
    )  # fmt: skip


def _facts(session: Session, catalog_id: int, categories: tuple[str, ...]) -> np.ndarray[Any, np.dtype[Any]]:
    """What points are coloured by, of every photo of the catalog by its id, as the database packs it: a row each would
    take longer to read than everything else together."""
    category = func.array_position(_texts(categories), func.coalesce(PhotoIndex.category, NONE))
    others = categories.index(OTHERS) + 1 if OTHERS in categories else len(categories)
    places = (
        func.array_position(_texts(DECISIONS), PhotoIndex.verdict),
        func.coalesce(category, others),
        func.array_position(_texts(BACKGROUNDS), PhotoIndex.background),
    )
    packed: ColumnElement[bytes] = func.int8send(PhotoIndex.image_id, type_=LargeBinary)
    for place in places:
        packed = packed.op("||")(func.int2send(cast(place - 1, SmallInteger), type_=LargeBinary))
    gathered = select(func.string_agg(packed, literal(b""))).where(PhotoIndex.catalog_id == catalog_id)
    kinds = [("id", ">i8"), *((key, ">i2") for key in KEYS)]
    rows = np.frombuffer(session.scalar(gathered) or b"", dtype=kinds)
    return rows[np.argsort(rows["id"])]


def _ids(session: Session, chosen: Selection) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The ids of the photos that a filter selects."""
    packed = chosen.select(func.string_agg(func.int8send(PhotoIndex.image_id, type_=LargeBinary), literal(b"")))
    return np.frombuffer(session.scalar(packed) or b"", dtype=">i8").astype(np.int64)


def _texts(words: tuple[str, ...]) -> Any:
    return cast(list(words), ARRAY(Text))


def _categories(session: Session, catalog_id: int) -> tuple[str, ...]:
    """The values that categories are drawn by, of the catalog's photos."""
    of_catalog = (PhotoIndex.catalog_id == catalog_id, PhotoIndex.category.is_not(None))
    counted = select(PhotoIndex.category, func.count()).where(*of_catalog).group_by(PhotoIndex.category)
    return named({str(row[0]): int(row[1]) for row in session.execute(counted)})


def named(counts: Mapping[str, int]) -> tuple[str, ...]:
    """The commonest categories, a word for all the others where there are any, and one for none."""
    common = sorted(counts, key=lambda name: (-counts[name], name))
    shown = common[:CATEGORIES_AT_MOST] + ([OTHERS] if len(common) > CATEGORIES_AT_MOST else [])
    return (*shown, NONE)
