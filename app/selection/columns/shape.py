"""What columns there are in memory, their types and how they are read: made of the keys of the filter language.

Each is read as one number of fixed width a photo, many photos at a time, as arrays in PostgreSQL's binary format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sqlalchemy import Boolean, Integer
from sqlalchemy.dialects import postgresql

from app.catalog.tables import Image
from app.selection.columns.numbers import CODE, Array
from app.selection.keys import ASKED, LISTED
from app.selection.kinds import Column, Key, Label, Measure, OneOf, SomeOf, YesNo
from app.selection.tables import PhotoIndex
from app.selection.when import When, Who

BIGINT: Final[np.dtype[Any]] = np.dtype(">i8")


@dataclass(frozen=True, slots=True)
class Shape:
    """One column: how PostgreSQL gives it (`sql`, of SQL type `sql_type`), and what it is kept as (`dtype`).

    `values` are what the codes of a column of few words mean, from 1 on; 0 is a missing value, or one we do not know.
    A column that `is_named` is read as hashes of names, which the reader numbers. These numbers, and the codes of one
    that `is_number`, take two bytes while they are few enough, and the column is kept as `dtype` from then on.
    """

    name: str
    sql: str
    sql_type: str
    dtype: str
    values: tuple[Any, ...] = ()
    is_named: bool = False
    of_image: bool = False
    is_number: bool = False

    @property
    def kept_as(self) -> np.dtype[Any]:
        """Its type in memory, at first."""
        return CODE if self.is_number or self.is_named else np.dtype(self.dtype)

    @property
    def wire(self) -> np.dtype[Any]:
        """Its type in PostgreSQL's binary format: big-endian."""
        return np.dtype({"int2": ">i2", "int8": ">i8", "float8": ">f8"}[self.sql_type])


def _sql(column: Column) -> str:
    return str(column.expression.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]


def _words(column: Column, values: Sequence[str]) -> Shape:
    listed = ", ".join(f"'{value.replace(chr(39), chr(39) * 2)}'" for value in values)
    sql = f"coalesce(array_position(array[{listed}]::text[], {_sql(column)}::text), 0)"
    return Shape(name_of(column), sql, "int2", "uint8", tuple(values), of_image=column.class_ is Image)


def _yes_no(column: Column) -> Shape:
    sql = f"coalesce({_sql(column)}::int + 1, 0)"
    return Shape(name_of(column), sql, "int2", "uint8", (False, True), of_image=column.class_ is Image)


def _bits(column: Column, values: Sequence[str]) -> Shape:
    """A list of few words: the n-th word is the n-th bit."""
    listed = ", ".join(f"'{value}'" for value in values)
    place = f"array_position(array[{listed}], word)"
    each = f"select bit_or(1::bigint << ({place} - 1)) from unnest({_sql(column)}) as word"  # noqa: S608 (words of ours)
    sql = f"case when {_sql(column)} = '{{}}' then 0 else coalesce(({each}), 0) end"
    return Shape(name_of(column), sql, "int8", "int64", tuple(values), of_image=column.class_ is Image, is_number=True)


def _named(column: Column) -> Shape:
    # Among a million names two of one 64-bit hash are one chance in 37 million; the reader notices.
    sql = f"coalesce(hashtextextended({_sql(column)}, 0), 0)"
    return Shape(name_of(column), sql, "int8", "int32", is_named=True, of_image=column.class_ is Image)


def _number(column: Column) -> Shape:
    of_image = column.class_ is Image
    if isinstance(column.type, Integer) and not column.expression.nullable:
        return Shape(name_of(column), _sql(column), "int8", "int32", of_image=of_image, is_number=True)
    # Whole numbers below 2^24 are exact in four bytes: counts of parts, characters and words.
    dtype = "float32" if isinstance(column.type, Integer) else "float64"
    sql = f"coalesce({_sql(column)}::float8, 'NaN')"
    return Shape(name_of(column), sql, "float8", dtype, of_image=of_image, is_number=True)


NEVER: Final = -(2**31)
"""The day of what did not happen."""


def _day(column: Column) -> Shape:
    """Days in UTC since 1970, which is all that is asked of a moment."""
    sql = f"coalesce(floor(extract(epoch from {_sql(column)}) / 86400), {NEVER})"
    return Shape(name_of(column), sql, "int8", "int32", of_image=column.class_ is Image, is_number=True)


def _numbered(column: Column) -> Shape:
    """Numbers of people; 0 is nobody."""
    sql = f"coalesce({_sql(column)}, 0)"
    return Shape(name_of(column), sql, "int8", "int32", of_image=column.class_ is Image, is_number=True)


def name_of(column: Column) -> str:
    """The name a column has in memory."""
    return f"{column.class_.__tablename__}.{column.key}"


def _shapes_of(key: Key) -> list[Shape]:
    """The columns that a key is answered from; none where only PostgreSQL can judge: texts, looks, places on a map."""
    if isinstance(key, SomeOf):
        return [_bits(key.column, [value for value in key.choices if value != "none"])]
    if isinstance(key, YesNo) and isinstance(key.column.type, Boolean):
        return [_yes_no(key.column)]
    if isinstance(key, OneOf):
        widening = [_words(key.widening.column, tuple(key.choices))] if key.widening else []
        return [_words(key.column, tuple(key.choices)), *widening]
    if isinstance(key, Label) and key.title:
        return [_named(key.spelling)]
    if isinstance(key, Measure):
        return [_number(key.column)]
    if isinstance(key, When):
        return [_day(key.column)]
    if isinstance(key, Who):
        return [_numbered(key.column)]
    return []


PIXELS: Final = Shape(
    "pixels", "image.width_px::bigint * image.height_px", "int8", "int64", of_image=True, is_number=True
)
# What the rules of a catalog look at and no key of the filter language asks for.
_OF_RULES: Final = (_yes_no(PhotoIndex.is_contradicted),)
SHAPES: Final[dict[str, Shape]] = {
    shape.name: shape for key in ASKED.values() for shape in _shapes_of(key)
} | {shape.name: shape for shape in (PIXELS, *_OF_RULES)}  # fmt: skip
# What facets list, with what widens it and what a freeze looks at: kept as one number, of which there are as many as
# combinations of these words, some hundred however many photos there are. All facets are counted in one pass over it.
_FACETS: Final = [key for key in LISTED.values() if isinstance(key, OneOf)]
_OF_FACETS: Final = [
    column for key in _FACETS for column in (key.column, key.widening.column if key.widening else None)
]
TOGETHER: Final = tuple(SHAPES[name_of(column)] for column in (*_OF_FACETS, Image.opt_out) if column is not None)
SHARPNESS: Final = SHAPES[name_of(PhotoIndex.sharpness)]


def _combined() -> Shape:
    """The words of `TOGETHER` as digits of one number, the first one's last."""
    sql = "0"
    for shape in reversed(TOGETHER):
        sql = f"({sql})::bigint * {len(shape.values) + 1} + ({shape.sql})"
    return Shape("words", sql, "int8", "int64", of_image=True, is_number=True)


WORDS: Final = _combined()


def digits(numbers: Array, name: str) -> Array:
    """The codes (uint8) that numbers of the column `WORDS` hold of one of the columns in it. Raises KeyError."""
    for shape in TOGETHER:
        if shape.name == name:
            return (numbers % (len(shape.values) + 1)).astype(np.uint8)
        numbers = numbers // (len(shape.values) + 1)
    raise KeyError(name)


def statement(shapes: Sequence[Shape], only_changed: bool) -> str:
    """SQL that gives the numbers of up to `rows` photos of a catalog behind photo `after`, in their order, and these
    columns: one row of arrays."""
    wanted = ", ".join(
        ["photo_index.image_id::int8 as id"]
        + [f"({shape.sql})::{shape.sql_type} as c{place}" for place, shape in enumerate(shapes)]
    )
    arrays = ", ".join(["array_agg(id)", *(f"array_agg(c{place})" for place in range(len(shapes)))])
    join = " join image on image.id = photo_index.image_id" if any(shape.of_image for shape in shapes) else ""
    limit = " and photo_index.image_id = any(%(ids)s)" if only_changed else ""
    return (
        f"select {arrays} from (select {wanted} from photo_index{join} "  # noqa: S608 (names of ours)
        f"where photo_index.catalog_id = %(catalog)s and photo_index.image_id > %(after)s{limit} "
        f"order by photo_index.image_id limit %(rows)s) as block"
    )


def array_of(value: bytes | None, wire: np.dtype[Any]) -> Array:
    """An array in PostgreSQL's binary format, of one dimension and without nulls; None is an empty one.

    A header of five whole numbers of four bytes, then of each element its length and itself (`array_recv` in
    https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/arrayfuncs.c).
    """
    if value is None:
        return np.empty(0, wire)
    array: Array = np.frombuffer(value, [("length", ">i4"), ("value", wire)], offset=20)["value"]
    return array
