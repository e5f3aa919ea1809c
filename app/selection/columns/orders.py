"""Sort orders over columns: rows in an order, and each row's place in it, kept while the column stays."""

from __future__ import annotations

from typing import Final

import numpy as np
from sqlalchemy import Connection

from app.selection.columns.numbers import Array
from app.selection.columns.rows import NAME_HASH, Columns
from app.selection.columns.shape import PIXELS, SHARPNESS


class Orders:
    """The sorted positions of one catalog's photos."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._sorted: dict[str, tuple[tuple[int, ...], Array]] = {}

    @property
    def memory_bytes(self) -> int:
        """What they take; that of names is counted with the columns."""
        return sum(rows.nbytes for _, rows in list(self._sorted.values()))

    def rows(self, connection: Connection, column: str) -> Array | None:
        """Rows by a column of `ORDERED` (int32), ascending, ties by number; None for that of the numbers."""
        if not column:
            return None
        if column == NAME_HASH.name:
            return self.columns.by_name(connection)
        measured = self.columns.measured(connection, column)
        stamp = (self.columns.stamps.get(column, 0), self.columns.count)
        kept = self._sorted.get(column)
        if kept is None or kept[0] != stamp:
            kept = self._sorted[column] = (stamp, measured.ascending(missing=-1.0))
        return kept[1]

    def place(self, connection: Connection, column: str, row: int) -> int:
        """Where a row stands in that order, from 0."""
        rows = self.rows(connection, column)
        # Kept for all rows, places would be as large as the orders; one is found in a third of a millisecond.
        return row if rows is None else int(np.argmax(rows == row))


# What is sorted by. Unmeasured photos stand where the softest do.
ORDERED: Final = (SHARPNESS.name, PIXELS.name, NAME_HASH.name)
# By the name of a sort order: the column, empty for the photos' numbers, and whether it runs downwards.
SORTED_BY: Final[dict[str, tuple[str, bool]]] = {
    "newest": ("", True),
    "oldest": ("", False),
    "name": (NAME_HASH.name, False),
    "sharpest": (SHARPNESS.name, True),
    "softest": (SHARPNESS.name, False),
    "largest": (PIXELS.name, True),
    # Where nothing is looked for; otherwise see `LooksInMemory`.
    "alike": ("", False),
}
