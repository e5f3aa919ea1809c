"""Keys of the filter language that ask how photos look, and for what was drawn on the map.

What they ask for lies in no column: the nearest photos of a photo, of several, of words, or those inside a lasso. Each
is a set of photos, so that it is combined with every other key; which of them is nearest, `nearness` tells.
"""

from __future__ import annotations

import functools
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    Select,
    TableValuedAlias,
    cast,
    false,
    func,
    or_,
    select,
    true,
)

from app.catalog.near import look_aim, nearest_photos
from app.catalog.tables import Embedding, MapSet
from app.selection.kinds import Around, NotUnderstood, Number, Part
from app.selection.tables import PhotoIndex

NEAREST: Final = 200
"""How many photos "similar" takes in, the photo itself among them."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What photos shall look like: the middle of `wanted`, away from that of `unwanted`, or what the words say."""

    wanted: tuple[int, ...] = ()
    unwanted: tuple[int, ...] = ()
    looks: str | None = None

    def nearest(self, catalog_id: int) -> Select[Any]:
        """The `NEAREST` photos of a catalog, the nearest first, as a statement of one column."""
        return select(nearest_photos(catalog_id, self.wanted, self.unwanted, self.looks, NEAREST).c.image_id)

    def sought(self) -> TableValuedAlias:
        """As a row of a statement; see `look_aim`."""
        return look_aim(self.wanted, self.unwanted, self.looks)


class Looking(ABC):
    """What keys that ask how photos look have in common: each gives the photos nearest to one of some aims."""

    @abstractmethod
    def aims(self, values: Sequence[Any], beside: Around) -> list[Aim]:
        """What is looked for, in the order of the values."""

    def limits(self, values: Sequence[Any], is_not: bool, beside: Around) -> tuple[list[Aim], bool]:
        """The aims whose nearest photos are asked for, or, where the second is true, left out."""
        return self.aims(values, beside), is_not

    def clause(
        self, values: Sequence[Any], is_not: bool = False, is_wide: bool = False, beside: Around = Around()
    ) -> ColumnElement[bool]:
        """The condition on a photo's row of `PhotoIndex`."""
        aims, is_left_out = self.limits(values, is_not, beside)
        near = or_(false(), *(PhotoIndex.image_id.in_(aim.nearest(beside.catalog_id)) for aim in aims))
        return near.is_not(true()) if is_left_out else near


@dataclass(frozen=True, kw_only=True)
class Similar(Looking, Number):
    """The photos that look most like one photo, or most like another one."""

    most: int = 20

    def aims(self, values: Sequence[Any], beside: Around) -> list[Aim]:
        return [Aim((value,)) for value in values]


@dataclass(frozen=True, kw_only=True)
class Like(Similar):
    """The photos nearest to the middle of some; of the key `partner`, those that they shall not look like."""

    most: int = 200
    partner: str = "unlike"
    is_any: ClassVar[bool] = False  # the middle of some is near to none of them

    def adds_up(self, is_not: bool) -> bool:
        return False

    def aims(self, values: Sequence[Any], beside: Around) -> list[Aim]:
        return [Aim(tuple(values), beside.values)]


@dataclass(frozen=True, kw_only=True)
class Unlike(Like):
    """Around `like`, what that one turns away from. By itself, all but the photos nearest to the middle of these."""

    partner: str = "like"

    def aims(self, values: Sequence[Any], beside: Around) -> list[Aim]:
        return [Aim(tuple(values))]

    def limits(self, values: Sequence[Any], is_not: bool, beside: Around) -> tuple[list[Aim], bool]:
        if beside.values and not is_not:
            return [], True
        return self.aims(values, beside), not is_not


@dataclass(frozen=True, kw_only=True)
class Looks(Looking, Part):
    """The photos that look most like what words say, to an embedder that reads words."""

    most: int = 5

    def aims(self, values: Sequence[Any], beside: Around) -> list[Aim]:
        return [Aim(looks=value) for value in values]


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


FARTHEST: Final = 1_000_000
"""How far apart a photo is of which nobody knows how it looks."""
Wished = tuple[tuple[Aim, ...], ...]
"""What an order by likeness goes by: of each tuple the aim that a photo is nearest to counts, and these add up."""


def apart(aim: Aim) -> ColumnElement[int]:
    """How far a photo is from what is looked for, in hundred thousandths of cosine distance; `FARTHEST` without a
    vector."""
    sought = aim.sought()
    distance = cast(func.round(Embedding.vector.op("<=>", return_type=Float())(sought.c.aim) * 100_000), Integer)
    known = select(distance).select_from(sought).join(Embedding, Embedding.space_id == sought.c.aim_space)
    own = known.where(Embedding.image_id == PhotoIndex.image_id).scalar_subquery()
    return func.coalesce(own, FARTHEST)


def nearness(aims: Wished) -> ColumnElement[int]:
    """What an order by likeness sorts by, the most alike first."""
    parts = [func.least(*(apart(aim) for aim in some)) for some in aims]
    return functools.reduce(operator.add, parts)
