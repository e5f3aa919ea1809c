"""Keys of the filter language that ask how photos look, and for what was drawn on the map.

What they ask for lies in no column: the nearest photos of a photo, of several, of words, or those inside a lasso. Each
is a set of photos, so that it is combined with every other key; which of them is nearest, `nearness` tells.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from sqlalchemy import ColumnElement, ScalarSelect, Select, func, or_, select, true

from app.catalog.near import nearest_photos
from app.catalog.tables import MapSet
from app.selection.kinds import Around, Column, NotUnderstood, Number, Part
from app.selection.tables import PhotoIndex

NEAREST: Final = 200
"""How many photos "similar" takes in, the photo itself among them."""


def nearest(
    catalog_id: int, wanted: Sequence[int], unwanted: Sequence[int] = (), looks: str | None = None
) -> Select[Any]:
    """The nearest photos, the nearest first, as a statement of one column."""
    return select(nearest_photos(catalog_id, wanted, unwanted, looks, NEAREST).c.image_id)


@dataclass(frozen=True, kw_only=True)
class Similar(Number):
    """The photos that look most like one photo, or most like another one."""

    most: int = 20

    def sets(self, values: Sequence[Any], beside: Around) -> list[Select[Any]]:
        """Statements of which each gives some photos, the nearest first; the key asks for all of these."""
        return [nearest(beside.catalog_id, [value]) for value in values]

    def clause(
        self, values: Sequence[Any], is_not: bool = False, is_wide: bool = False, beside: Around = Around()
    ) -> ColumnElement[bool]:
        condition = or_(*(PhotoIndex.image_id.in_(some) for some in self.sets(values, beside)))
        return condition.is_not(true()) if is_not else condition


@dataclass(frozen=True, kw_only=True)
class Like(Similar):
    """The photos nearest to the middle of some; of the key `partner`, those that they shall not look like."""

    most: int = 200
    partner: str = "unlike"
    is_any: ClassVar[bool] = False  # the middle of some is near to none of them

    def adds_up(self, is_not: bool) -> bool:
        return False

    def sets(self, values: Sequence[Any], beside: Around) -> list[Select[Any]]:
        return [nearest(beside.catalog_id, values, beside.values)]


@dataclass(frozen=True, kw_only=True)
class Unlike(Like):
    """Around `like`, what that one turns away from. By itself, all but the photos nearest to the middle of these."""

    partner: str = "like"

    def clause(
        self, values: Sequence[Any], is_not: bool = False, is_wide: bool = False, beside: Around = Around()
    ) -> ColumnElement[bool]:
        alone = Around(beside.catalog_id)
        if beside.values and not is_not:
            return true()
        return super().clause(values, not is_not, is_wide, alone)

    def sets(self, values: Sequence[Any], beside: Around) -> list[Select[Any]]:
        return [nearest(beside.catalog_id, values)]


@dataclass(frozen=True, kw_only=True)
class Looks(Part):
    """The photos that look most like what words say, to an embedder that reads words."""

    most: int = 5

    def sets(self, values: Sequence[Any], beside: Around) -> list[Select[Any]]:
        """As those of `Similar`."""
        return [nearest(beside.catalog_id, (), looks=value) for value in values]

    def clause(
        self, values: Sequence[Any], is_not: bool = False, is_wide: bool = False, beside: Around = Around()
    ) -> ColumnElement[bool]:
        condition = or_(*(PhotoIndex.image_id.in_(some) for some in self.sets(values, beside)))
        return condition.is_not(true()) if is_not else condition


@dataclass(frozen=True, kw_only=True)
class Inside(Part):
    """The photos of a set that was drawn or found on the map, by its name."""

    def read(self, text: str, is_quoted: bool, position: int) -> str:
        if not re.fullmatch(r"(lasso|cluster|far)-[0-9]{1,9}", text.lower()):
            raise NotUnderstood(f"“{text}” names nothing on the map; write in:lasso-3.", position)
        return text.lower()

    def clause(
        self, values: Sequence[Any], is_not: bool = False, is_wide: bool = False, beside: Around = Around()
    ) -> ColumnElement[bool]:
        named = select(func.unnest(MapSet.image_ids)).where(
            MapSet.catalog_id == beside.catalog_id, MapSet.name.in_(values)
        )
        condition = PhotoIndex.image_id.in_(named)
        return condition.is_not(true()) if is_not else condition


def nearness(sets: Sequence[Select[Any]]) -> ColumnElement[int]:
    """How near a photo is to what was asked for: its place in the nearest of the sets, from 1; a million outside."""
    places: list[ColumnElement[Any]] = [_place(some, PhotoIndex.image_id) for some in sets]
    return func.coalesce(func.least(*places), 1_000_000)


def _place(some: Select[Any], column: Column) -> ColumnElement[Any]:
    # The list is made once for a statement, and no photo of it costs more than its length.
    listed: ScalarSelect[Any] = select(func.array(some.scalar_subquery())).scalar_subquery()
    return func.array_position(listed, column)
