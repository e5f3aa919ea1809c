"""One catalog's photos in memory, asked as the pages ask: pages of the grid, places, counts, facets."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection

from app.selection.columns.asking import Asker
from app.selection.columns.orders import ORDERED, SORTED_BY, Orders
from app.selection.columns.rows import Columns
from app.selection.columns.shape import SHAPES, Array, name_of
from app.selection.keys import ASKED, LISTED, MEASURED, SEVERAL
from app.selection.kinds import NOTHING, Column, Label, Measure, OneOf
from app.selection.labelled import Labelled
from app.selection.near import Inside, Looks, Similar
from app.selection.query import Selection
from app.selection.tables import PhotoIndex
from app.selection.when import When, Who

Counted = dict[str, dict[str | None, int]]
_MASKS_KEPT: Final = 4


class CatalogInMemory:
    """Answers for one catalog, each call with a connection in one repeatable-read transaction, after `catch_up`."""

    def __init__(self, catalog_id: int) -> None:
        self.columns = Columns(catalog_id)
        self._asker = Asker(self.columns)
        self._orders = Orders(self.columns)
        self._masks: OrderedDict[Selection, tuple[int, Array]] = OrderedDict()

    def catch_up(self, connection: Connection) -> None:
        """Follow what was committed until this connection's transaction began."""
        self._asker.follow(connection, self.columns.catch_up(connection))

    def prefetch(self, connection: Connection) -> None:
        """Read what the facet pane and the sort orders ask for."""
        columns = [
            key.spelling if isinstance(key, Label) else key.column for key in (*LISTED.values(), *MEASURED.values())
        ]
        columns += [key.column for key in SEVERAL.values()]
        columns += [key.widening.column for key in LISTED.values() if key.widening]
        self.columns.prefetch(connection, [*map(name_of, columns), *ORDERED])
        for ordered in ORDERED:
            self._orders.rows(connection, ordered)

    def chosen(self, connection: Connection, selection: Selection) -> Array:
        """Whether the selection holds each row's photo (bool)."""
        kept = self._masks.get(selection)
        if kept is not None and kept[0] == self.columns.changes:
            return kept[1]
        mask = np.ones(self.columns.count, bool)
        for limit in self._asker.masks(connection, selection).values():
            mask &= limit
        # Who is nearest, what people and labels are called and which day it is change with what no column holds.
        changing = Similar | Looks | Inside | When | Who | Labelled
        if not any(isinstance(ASKED[term.key], changing) for term in selection.every_term):
            self._masks[selection] = (self.columns.changes, mask)
            if len(self._masks) > _MASKS_KEPT:
                self._masks.popitem(last=False)
        return mask

    def count(self, connection: Connection, selection: Selection) -> int:
        """How many photos there are."""
        return int(np.count_nonzero(self.chosen(connection, selection)))

    def holds(self, connection: Connection, selection: Selection, image_id: int) -> bool:
        """Whether a photo is one of them."""
        row = self.columns.place(image_id)
        return row is not None and bool(self.chosen(connection, selection)[row])

    def coded(self, connection: Connection, column: Column, number: Callable[[Any], int]) -> Array:
        """For each photo, the number (0..255) that `number` gives the value of a column of few words; uint8."""
        name = name_of(column)
        numbers = np.zeros(256, np.uint8)
        words = (None, *SHAPES[name].values)
        numbers[: len(words)] = [number(word) for word in words]
        return numbers[self.columns.column(connection, name)]

    def has(self, connection: Connection, column: Column, *words: Any) -> Array:
        """Whether a column of few words has one of these for a photo (bool); a missing value is none of them."""
        return self.coded(connection, column, lambda word: word in words).astype(bool)

    def measured(self, connection: Connection, column: Column) -> Array:
        """A measure's values, one for each photo: float64, NaN where nothing was measured."""
        return self.columns.column(connection, name_of(column))

    def tally(
        self, connection: Connection, selection: Selection, columns: Sequence[Column]
    ) -> dict[tuple[Any, ...], int]:
        """How many photos of the selection there are of each combination of the values of columns of few words."""
        mask = self.chosen(connection, selection)
        words = [(None, *SHAPES[name_of(column)].values) for column in columns]
        combined = np.zeros(int(np.count_nonzero(mask)), np.uint16)
        for column, values in zip(columns, words, strict=True):
            combined *= len(values)
            combined += self.columns.column(connection, name_of(column))[mask]
        counts = np.bincount(combined)
        there = np.flatnonzero(counts)
        places = np.stack(np.unravel_index(there, [len(values) for values in words]), axis=1)
        return {
            tuple(values[place] for values, place in zip(words, row, strict=True)): count
            for row, count in zip(places.tolist(), counts[there].tolist(), strict=True)
        }

    def beside(
        self, connection: Connection, selection: Selection, sort: str, image_id: int | None, size: int, forwards: bool
    ) -> list[int] | None:
        """Numbers of up to `size` photos behind (or before) a photo, nearest first; of the first ones for None.

        None where there is no such photo.
        """
        column, is_down = SORTED_BY[sort]
        mask, rows = self.chosen(connection, selection), self._orders.rows(connection, column)
        row = None if image_id is None else self.columns.place(image_id)
        if row is None and image_id is not None:
            return None
        upwards = is_down != forwards
        count = self.columns.count
        start = (0 if upwards else count - 1) if row is None else self._orders.place(connection, column, row)
        if row is not None:
            start += 1 if upwards else -1
        chosen: list[int] = []
        for low, high in _slices(start, count, upwards):
            part = np.arange(low, high) if rows is None else rows[low:high]
            part = part[mask[part]]
            chosen += self.columns.ids[part if upwards else part[::-1]][: size - len(chosen)].tolist()
            if len(chosen) == size:
                break
        return chosen

    def position(self, connection: Connection, selection: Selection, sort: str, image_id: int) -> int | None:
        """How many photos stand before this one, counting from 1; None where there is no such photo."""
        row = self.columns.place(image_id)
        if row is None:
            return None
        column, is_down = SORTED_BY[sort]
        mask, rows = self.chosen(connection, selection), self._orders.rows(connection, column)
        place = self._orders.place(connection, column, row)
        before = slice(place + 1, None) if is_down else slice(0, place)
        return int(np.count_nonzero(mask[before] if rows is None else mask[rows[before]])) + 1

    def at(self, connection: Connection, selection: Selection, sort: str, place: int) -> int | None:
        """The photo just before `place` (from 2)."""
        column, is_down = SORTED_BY[sort]
        mask, rows = self.chosen(connection, selection), self._orders.rows(connection, column)
        chosen = np.flatnonzero(mask) if rows is None else rows[mask[rows]]
        if place - 2 >= len(chosen):
            return None
        return int(self.columns.ids[chosen[-(place - 1)] if is_down else chosen[place - 2]])

    def facets(
        self, connection: Connection, selection: Selection, bins: int, measured: Mapping[str, Measure]
    ) -> Counted:
        """Counts of each facet's values, of the bars of each histogram, and of all photos by who decided ("total").

        The counts of a facet follow every other filter but not its own.
        """
        counting = _Counting(self._asker, connection, selection)
        every = counting.all_but()
        by = name_of(PhotoIndex.decided_by)
        counted: Counted = {"total": self._codes(connection, by, every)}
        for key, listed in LISTED.items():
            mask = counting.all_but(key)
            counted[key] = self._values(connection, listed, mask)
            if selection.is_wide(key) and listed.widening:
                besides = self._codes(connection, name_of(listed.widening.column), mask)
                for value, count in besides.items():
                    if value is not None:
                        counted[key][value] = counted[key].get(value, 0) + count
        for key, measure in measured.items():
            counted[key] = self._bars(connection, measure, counting.all_but(key), bins)
        for key, several in SEVERAL.items():
            bits = self.columns.column(connection, name_of(several.column))[counting.all_but(key)]
            values = SHAPES[name_of(several.column)].values
            counted[key] = {value: int(np.count_nonzero(bits & (1 << place))) for place, value in enumerate(values)}
            counted[key] = {value: count for value, count in counted[key].items() if count}
            if NOTHING in selection.values(key):
                counted[key][NOTHING] = int(np.count_nonzero(bits == 0))
        return counted

    def labels(self, connection: Connection, selection: Selection) -> dict[int, int]:
        """How many photos have each label, by its number."""
        return self._asker.labels.counts(connection, self.chosen(connection, selection))

    def _values(self, connection: Connection, key: OneOf | Label, mask: Array) -> dict[str | None, int]:
        if not isinstance(key, Label):
            return self._codes(connection, name_of(key.column), mask)
        name = name_of(key.spelling)
        counts = np.bincount(self.columns.column(connection, name)[mask])
        names = self.columns.names[name].values
        return {names[code]: int(counts[code]) for code in np.flatnonzero(counts).tolist()}

    def _codes(self, connection: Connection, name: str, mask: Array) -> dict[str | None, int]:
        counts = np.bincount(self.columns.column(connection, name)[mask], minlength=256)
        values = (None, *SHAPES[name].values)
        return {value: int(counts[code]) for code, value in enumerate(values) if counts[code]}

    def _bars(self, connection: Connection, key: Measure, mask: Array, bins: int) -> dict[str | None, int]:
        column = self.columns.column(connection, name_of(key.column))[mask]
        is_told = ~np.isnan(column)
        from_start = column[is_told] - key.bars_from
        bars = np.clip(np.floor(from_start * (bins / key.bars_over)), 0, bins - 1).astype(np.uint8)
        counts = np.bincount(bars, minlength=bins)
        told: dict[str | None, int] = {str(bar): int(count) for bar, count in enumerate(counts.tolist()) if count}
        untold = len(column) - len(from_start)
        return told | {None: untold} if untold else told


class _Counting:
    """The photos that every key but one lets through, for each: told from how many keys leave a photo out."""

    def __init__(self, asker: Asker, connection: Connection, selection: Selection) -> None:
        self._left_out: dict[str, Array] = {}
        self._wide: dict[str, Array] = {}
        self._failures = np.zeros(asker.columns.count, np.uint8)
        for key, mask in asker.masks(connection, selection).items():
            self._left_out[key] = ~mask
            self._failures += self._left_out[key]
            widening = ASKED[key].widening if key in ASKED else None
            if widening and key in LISTED and widening.key in LISTED:
                terms = [term for term in selection.terms if term.key == key]
                wide = [asker.term(connection, term, selection.asked, is_wide=True) for term in terms]
                self._wide[key] = ~np.logical_and.reduce(wide)

    def all_but(self, own: str = "") -> Array:
        """The photos that every other key lets through (bool)."""
        failures = self._failures - self._left_out[own] if own in self._left_out else self._failures
        # Beside the options of the key that widens, each is widened: what it adds is of photos of that option alone.
        for key, left_out in self._wide.items():
            widening = ASKED[key].widening
            if widening and widening.key == own:
                failures = failures - self._left_out[key] + left_out
        return np.asarray(failures == 0)


def _slices(start: int, count: int, upwards: bool) -> Iterator[tuple[int, int]]:
    """Parts of an order from `start` on, growing, so that neither a near page nor a far one is read in vain."""
    size = 1024
    while 0 <= start < count:
        low, high = (start, min(count, start + size)) if upwards else (max(0, start - size + 1), start + 1)
        yield low, high
        start = high if upwards else low - 1
        size *= 4
