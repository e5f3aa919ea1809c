"""The points of a map as a browser takes them: one file of numbers, which WebGL draws as it came."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.tables import PhotoMap
from app.selection.query import Selection
from app.selection.tables import PhotoIndex

# What points are coloured by, and the values in the order of their numbers in the file.
DECISIONS: Final = ("unseen", "kept", "rejected", "needs_work")
BACKGROUNDS: Final = ("white", "plain", "scene", "cannot tell")
CATEGORIES_AT_MOST: Final = 7
OTHERS: Final = "other categories"
NONE: Final = "no category"


@dataclass(frozen=True, slots=True)
class Colouring:
    """What points can be coloured by, and its values in the order of their numbers."""

    key: str
    values: tuple[str, ...]


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
            [{"key": colouring.key, "values": colouring.values} for colouring in self.colourings]
        ).encode()
        legend += b" " * (-len(legend) % 8)
        head = np.array([len(self.ids), len(legend)], dtype="<u4").tobytes() + legend
        parts = (self.ids.astype("<f8"), self.places.astype("<f4"), self.is_chosen, self.codes)
        return head + b"".join(part.tobytes() for part in parts)


def points(session: Session, made: PhotoMap, chosen: Selection) -> Points:
    """The map's points as they stand now; photos that are gone are left out."""
    rows = session.execute(
        select(PhotoIndex.image_id, PhotoIndex.verdict, PhotoIndex.background, PhotoIndex.category).where(
            PhotoIndex.catalog_id == made.catalog_id
        )
    ).all()
    facts = {row[0]: row for row in rows}
    within = facts.keys() if chosen.is_everything else set(session.scalars(chosen.select(PhotoIndex.image_id)))
    places = np.frombuffer(made.points, dtype="<f4").reshape(-1, 2)
    there = [number for number, image_id in enumerate(made.image_ids) if image_id in facts]
    ids = [made.image_ids[number] for number in there]
    categories = _categories([facts[image_id][3] for image_id in ids])
    of_category = {name: place for place, name in enumerate(categories)}
    others = of_category.get(OTHERS, 0)
    values = (DECISIONS, categories, BACKGROUNDS)
    codes = np.array(
        [
            (
                DECISIONS.index(facts[image_id][1]),
                of_category.get(facts[image_id][3] or NONE, others),
                BACKGROUNDS.index(facts[image_id][2]),
            )
            for image_id in ids
        ],
        dtype=np.uint8,
    ).reshape(-1, 3)
    keys = ("decision", "category", "background")
    colourings = tuple(Colouring(key, names) for key, names in zip(keys, values, strict=True))
    return Points(
        np.array(ids, dtype=np.float64), places[there], np.array([n in within for n in ids], dtype=np.uint8),
        np.ascontiguousarray(codes.T), colourings,
    )  # fmt: skip


def _categories(names: list[str | None]) -> tuple[str, ...]:
    """The commonest categories, a word for all the others where there are any, and one for none."""
    kinds, counts = np.unique([name for name in names if name is not None] or np.array([], str), return_counts=True)
    common = [str(kinds[place]) for place in np.argsort(-counts, kind="stable")]
    shown = common[:CATEGORIES_AT_MOST] + ([OTHERS] if len(common) > CATEGORIES_AT_MOST else [])
    return (*shown, NONE)
