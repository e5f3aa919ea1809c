"""Sort orders over columns: rows in an order, and each row's place in it, kept while the column stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from sqlalchemy import Connection

from app.selection.columns.rows import NAME_HASH, Columns
from app.selection.columns.shape import PIXELS, SHARPNESS, Array


class Orders:
    """The sorted positions of one catalog's photos."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._sorted: dict[str, tuple[tuple[int, ...], Array, Array]] = {}

    def rows(self, connection: Connection, column: str) -> Array | None:
        """Rows by a column of `ORDERED`, ascending, ties by number; None for that of the numbers."""
        return self._kept(connection, column)[0] if column else None

    def place(self, connection: Connection, column: str, row: int) -> int:
        """Where a row stands in that order, from 0."""
        return int(self._kept(connection, column)[1][row]) if column else row

    def _kept(self, connection: Connection, column: str) -> tuple[Array, Array]:
        rows = ORDERED[column](self.columns, connection)
        stamp = (self.columns.stamps.get(column, 0), self.columns.count, id(rows) if column == NAME_HASH.name else 0)
        kept = self._sorted.get(column)
        if kept is None or kept[0] != stamp:
            order = rows if column == NAME_HASH.name else np.argsort(rows, kind="stable").astype(np.int32)
            place = np.empty_like(order)
            place[order] = np.arange(len(order), dtype=order.dtype)
            kept = self._sorted[column] = (stamp, order, place)
        return kept[1], kept[2]


def _sharpness(columns: Columns, connection: Connection) -> Array:
    # Unmeasured photos stand where the softest do.
    return np.nan_to_num(columns.column(connection, SHARPNESS.name), nan=-1.0)


# By the column it sorts: how its values are had; for names, the rows in order.
ORDERED: Final[dict[str, Callable[[Columns, Connection], Array]]] = {
    SHARPNESS.name: _sharpness,
    PIXELS.name: lambda columns, connection: columns.column(connection, PIXELS.name),
    NAME_HASH.name: lambda columns, connection: columns.by_name(connection),
}
# By the name of a sort order: the column, empty for the photos' numbers, and whether it runs downwards.
SORTED_BY: Final[dict[str, tuple[str, bool]]] = {
    "newest": ("", True),
    "oldest": ("", False),
    "name": (NAME_HASH.name, False),
    "sharpest": (SHARPNESS.name, True),
    "softest": (SHARPNESS.name, False),
    "largest": (PIXELS.name, True),
}
