"""What columns there are in memory, their types and how they are read: made of the keys of the filter language.

Each is read as one number of fixed width a photo, so that a million rows in PostgreSQL's binary format are one array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Boolean, Integer
from sqlalchemy.dialects import postgresql

from app.catalog.tables import Image
from app.selection.keys import ASKED
from app.selection.kinds import Column, Key, Label, Measure, OneOf, SomeOf, YesNo
from app.selection.tables import PhotoIndex
from app.selection.when import When, Who

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """One column: how PostgreSQL gives it (`sql`, of SQL type `sql_type`), and what it is kept as (`dtype`).

    `values` are what the codes of a column of few words mean, from 1 on; 0 is a missing value, or one we do not know.
    A column that `is_named` is read as hashes of names, which the reader numbers.
    """

    name: str
    sql: str
    sql_type: str
    dtype: str
    values: tuple[Any, ...] = ()
    is_named: bool = False
    of_image: bool = False

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
    return Shape(name_of(column), sql, "int8", "int64", tuple(values), of_image=column.class_ is Image)


def _named(column: Column) -> Shape:
    # Among a million names two of one 64-bit hash are one chance in 37 million; the reader notices.
    sql = f"coalesce(hashtextextended({_sql(column)}, 0), 0)"
    return Shape(name_of(column), sql, "int8", "int32", is_named=True, of_image=column.class_ is Image)


def _number(column: Column) -> Shape:
    if isinstance(column.type, Integer) and not column.expression.nullable:
        return Shape(name_of(column), _sql(column), "int8", "int32", of_image=column.class_ is Image)
    # Whole numbers below 2^24 are exact in four bytes: counts of parts, characters and words.
    dtype = "float32" if isinstance(column.type, Integer) else "float64"
    sql = f"coalesce({_sql(column)}::float8, 'NaN')"
    return Shape(name_of(column), sql, "float8", dtype, of_image=column.class_ is Image)


NEVER: Final = -(2**31)
"""The day of what did not happen."""


def _day(column: Column) -> Shape:
    """Days in UTC since 1970, which is all that is asked of a moment."""
    sql = f"coalesce(floor(extract(epoch from {_sql(column)}) / 86400), {NEVER})"
    return Shape(name_of(column), sql, "int8", "int32", of_image=column.class_ is Image)


def _numbered(column: Column) -> Shape:
    """Numbers of people; 0 is nobody."""
    return Shape(name_of(column), f"coalesce({_sql(column)}, 0)", "int8", "int32", of_image=column.class_ is Image)


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


PIXELS: Final = Shape("pixels", "image.width_px::bigint * image.height_px", "int8", "int64", of_image=True)
# What the rules of a catalog look at and no key of the filter language asks for.
_OF_RULES: Final = (_yes_no(PhotoIndex.is_contradicted),)
SHAPES: Final[dict[str, Shape]] = {
    shape.name: shape for key in ASKED.values() for shape in _shapes_of(key)
} | {shape.name: shape for shape in (PIXELS, *_OF_RULES)}  # fmt: skip
SHARPNESS: Final = SHAPES[name_of(PhotoIndex.sharpness)]


def statement(shapes: Sequence[Shape], only_changed: bool) -> str:
    """SQL that gives the number of each photo of a catalog and these columns, in the order of the numbers."""
    wanted = ", ".join(["photo_index.image_id::int8", *(f"({shape.sql})::{shape.sql_type}" for shape in shapes)])
    join = " join image on image.id = photo_index.image_id" if any(shape.of_image for shape in shapes) else ""
    limit = " and photo_index.image_id = any(%(ids)s)" if only_changed else ""
    return (
        f"copy (select {wanted} from photo_index{join} where photo_index.catalog_id = %(catalog)s{limit} "  # noqa: S608
        "order by photo_index.image_id) to stdout (format binary)"
    )


def read(chunks: bytes | bytearray, shapes: Sequence[Shape]) -> Array:
    """Rows of PostgreSQL's binary COPY format as a structured array: field `id`, and one of each shape's name.

    A header of 19 bytes, then of each row the count of its fields and before each field its length, then -1
    (https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format").
    """
    fields: list[tuple[str, Any]] = [("fields", ">i2"), ("id_length", ">i4"), ("id", ">i8")]
    for shape in shapes:
        fields += [(f"{shape.name}_length", ">i4"), (shape.name, shape.wire)]
    row = np.dtype(fields)
    count = (len(chunks) - 19 - 2) // row.itemsize
    return np.frombuffer(chunks, row, count, 19)
