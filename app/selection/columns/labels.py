"""Labels of a catalog's photos in memory: which photo has which, and how they follow the database.

A photo has any number of labels, so they are pairs beside the columns. A pair takes 16 bytes, and 4 more for its row.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection

from app.selection.columns.numbers import Array
from app.selection.columns.room import KeptPart
from app.selection.columns.rows import Columns, arrays_of
from app.selection.columns.shape import BIGINT

# Of so many photos at a time: as rows, pairs are many times what becomes of them.
_PHOTOS_AT_ONCE: Final = 1 << 15
_READ: Final = """
    select array_agg(image_id), array_agg(label) from (
        select image_id, unnest(labels)::int8 as label from (
            select image_id, labels from photo_index
            where catalog_id = %(catalog)s and labels <> '{{}}' and image_id > %(after)s{some}
            order by image_id limit %(photos)s) as labelled
        order by image_id) as pairs"""
_ALL: Final = _READ.format(some="")
_SOME: Final = _READ.format(some=" and image_id = any(%(ids)s)")


class LabelPairs:
    """Pairs of a photo and a label, by number, in the order of the photos. Read when they are first asked for."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.asked_at = time.monotonic()
        self._pairs: Array | None = None
        self._rows: Array | None = None
        self._rows_as_of = -1

    @property
    def memory_bytes(self) -> int:
        """What they take."""
        return sum(kept.nbytes for kept in (self._pairs, self._rows) if kept is not None)

    def parts(self) -> Iterator[KeptPart]:
        """All of them, where they were read."""
        if self._pairs is not None:
            yield KeptPart(self.asked_at, self.memory_bytes, self._let_go)

    def _let_go(self) -> None:
        self._pairs = self._rows = None

    def follow(self, connection: Connection, changed: Array | None) -> None:
        """Bring them up to date for the photos that changed; None: read them anew when they are asked for."""
        if changed is None:
            self._pairs = None
        elif self._pairs is not None and len(changed):
            fresh = self._read(connection, changed)
            stay = self._pairs[~np.isin(self._pairs[:, 0], changed)]
            both = np.concatenate([stay, fresh])
            self._pairs = both[np.argsort(both[:, 0], kind="stable")]
        self._rows = None

    def having(self, connection: Connection, numbers: Collection[int]) -> Array:
        """Whether each row's photo has one of these labels (bool)."""
        mask = np.zeros(self.columns.count, bool)
        pairs, rows = self._placed(connection)
        mask[rows[np.isin(pairs[:, 1], list(numbers))]] = True
        return mask

    def unlabelled(self, connection: Connection) -> Array:
        """Whether each row's photo has no label at all (bool)."""
        mask = np.ones(self.columns.count, bool)
        mask[self._placed(connection)[1]] = False
        return mask

    def counts(self, connection: Connection, mask: Array) -> dict[int, int]:
        """How many of the photos in `mask` have each label, by its number; those that none has are left out."""
        pairs, rows = self._placed(connection)
        numbers, counts = np.unique(pairs[mask[rows], 1], return_counts=True)
        return dict(zip(numbers.tolist(), counts.tolist(), strict=True))

    def _placed(self, connection: Connection) -> tuple[Array, Array]:
        """The pairs, int64 N x 2, and the row of each pair's photo."""
        self.asked_at = time.monotonic()
        if self._pairs is None:
            self._pairs = self._read(connection)
            self._rows = None
        if self._rows is None or self._rows_as_of != self.columns.changes:
            self._rows = np.searchsorted(self.columns.ids, self._pairs[:, 0]).astype(np.int32)
            self._rows_as_of = self.columns.changes
        return self._pairs, self._rows

    def _read(self, connection: Connection, image_ids: Array | None = None) -> Array:
        asked: dict[str, Any] = {"catalog": self.columns.catalog_id, "after": 0, "photos": _PHOTOS_AT_ONCE}
        if image_ids is not None:
            asked["ids"] = image_ids.tolist()
        blocks = [np.empty((0, 2), np.int64)]
        while True:
            pairs = arrays_of(connection, _ALL if image_ids is None else _SOME, asked, [BIGINT, BIGINT])
            if not len(pairs[0]):
                return np.concatenate(blocks)
            blocks.append(np.stack(pairs, axis=1).astype(np.int64))
            asked["after"] = int(pairs[0][-1])
