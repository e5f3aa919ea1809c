"""One catalog's photos in memory, asked as the pages ask: pages of the grid, places, counts, facets."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection

from app.selection.columns import numbers
from app.selection.columns.asking import Asker
from app.selection.columns.looks import AlikeRows, LooksInMemory
from app.selection.columns.numbers import Array, NumberColumn, counts_of, rows_of
from app.selection.columns.orders import ORDERED, SORTED_BY, Orders
from app.selection.columns.room import KeptPart
from app.selection.columns.rows import Columns
from app.selection.columns.shape import SHAPES, WORDS, digits, name_of
from app.selection.keys import ASKED, LISTED, MEASURED, SEVERAL
from app.selection.kinds import NOTHING, Column, Label, Measure
from app.selection.labelled import Labelled
from app.selection.near import Inside, Looking, Wished
from app.selection.query import Selection
from app.selection.tables import PhotoIndex
from app.selection.when import When, Who

Counted = dict[str, dict[str | None, int]]
_MASKS_KEPT: Final = 4


@dataclass(frozen=True, slots=True)
class Ordered:
    """A selection in an order, by its name; by likeness, with what it goes by."""

    selection: Selection
    sort: str
    aims: Wished = ()


class CatalogInMemory:
    """Answers for one catalog, each call with a connection in one repeatable-read transaction, after `catch_up`."""

    def __init__(self, catalog_id: int) -> None:
        self.columns = Columns(catalog_id)
        self.looks = LooksInMemory(self.columns)
        self._asker = Asker(self.columns, self.looks)
        self._orders = Orders(self.columns)
        self._tallies: dict[str, tuple[tuple[int, int], tuple[Array, Array]]] = {}
        self._masks: OrderedDict[Selection, tuple[int, Array]] = OrderedDict()

    def catch_up(self, connection: Connection) -> None:
        """Follow what was committed until this connection's transaction began."""
        self._asker.follow(connection, self.columns.catch_up(connection))
        self.looks.let_go(time.monotonic())

    @property
    def memory_bytes(self) -> int:
        """What it takes in all."""
        worked_out = [mask for _, mask in list(self._masks.values())]
        worked_out += [array for _, tally in list(self._tallies.values()) for array in tally]
        kept_bytes = sum(kept.memory_bytes for kept in (self.columns, self.looks, self._asker, self._orders))
        return kept_bytes + sum(array.nbytes for array in worked_out)

    def parts(self) -> Iterator[KeptPart]:
        """What can go while the rest stays: all but what each page of the grid asks for."""
        yield from self.columns.parts()
        yield from self.looks.parts()
        yield from self._asker.parts()

    def prefetch(self, connection: Connection) -> None:
        """Read what the facet pane and the sort orders ask for, which stays as long as the catalog does."""
        named = [key.spelling for key in LISTED.values() if isinstance(key, Label)]
        columns = [*named, *(key.column for key in (*MEASURED.values(), *SEVERAL.values()))]
        asked = [WORDS.name, *map(name_of, columns), *ORDERED]
        self.columns.prefetch(connection, asked)
        self.columns.staying |= set(asked)
        for ordered in ORDERED:
            self._orders.rows(connection, ordered)

    def ready(self, connection: Connection, columns: Sequence[Column]) -> None:
        """Have these columns read, at once where they were not yet. Raises NotReadYet, of all that are missing."""
        self.columns.prefetch(connection, map(name_of, columns))

    def chosen(self, connection: Connection, selection: Selection) -> Array:
        """Whether the selection holds each row's photo (bool)."""
        kept = self._masks.get(selection)
        if kept is not None and kept[0] == self.columns.changes:
            return kept[1]
        mask = np.ones(self.columns.count, bool)
        for limit in self._asker.masks(connection, selection).values():
            mask &= limit
        self._keep_mask(selection, mask)
        return mask

    def _keep_mask(self, selection: Selection, mask: Array) -> None:
        """Have it known which photos the selection holds, until one changes."""
        # Who is nearest, what people and labels are called and which day it is change with what no column holds.
        changing = Looking | Inside | When | Who | Labelled
        if not any(isinstance(ASKED[term.key], changing) for term in selection.every_term):
            self._masks[selection] = (self.columns.changes, mask)
            if len(self._masks) > _MASKS_KEPT:
                self._masks.popitem(last=False)

    def count(self, connection: Connection, selection: Selection) -> int:
        """How many photos there are."""
        which = self._which(connection, selection)
        return self.columns.count if which is None else int(np.count_nonzero(which))

    def holds(self, connection: Connection, selection: Selection, image_id: int) -> bool:
        """Whether a photo is one of them."""
        row = self.columns.place(image_id)
        return row is not None and bool(self.chosen(connection, selection)[row])

    def coded(self, connection: Connection, column: Column, number: Callable[[Any], int]) -> Array:
        """For each photo, the number (0..255) that `number` gives the value of a column of few words; uint8."""
        name = name_of(column)
        of_codes = np.zeros(256, np.uint8)
        words = (None, *SHAPES[name].values)
        of_codes[: len(words)] = [number(word) for word in words]
        return self.columns.words(connection, name).each(of_codes.take)

    def has(self, connection: Connection, column: Column, *words: Any) -> Array:
        """Whether a column of few words has one of these for a photo (bool); a missing value is none of them."""
        return self.coded(connection, column, lambda word: word in words).astype(bool)

    def measured(self, connection: Connection, column: Column) -> NumberColumn:
        """A measure's values, one for each photo; NaN where nothing was measured."""
        return self.columns.measured(connection, name_of(column))

    def bars(
        self, connection: Connection, column: Column, which: Array | None, step: Callable[[Array], Array], bins: int
    ) -> list[int]:
        """As `NumberColumn.bars`."""
        measured = self.measured(connection, column)
        if measured.codes is None:
            return measured.bars(which, step, bins)
        return numbers.bars(*self._tally(connection, name_of(column), which), step, bins)

    def _tally(self, connection: Connection, name: str, which: Array | None) -> tuple[Array, Array]:
        """As `NumberColumn.tally`. How many of all photos have each number is kept while the column stays."""
        measured = self.columns.measured(connection, name)
        if which is not None or measured.codes is None:
            return measured.tally(which)
        stamp = (self.columns.stamps.get(name, 0), self.columns.count)
        kept = self._tallies.get(name)
        if kept is None or kept[0] != stamp:
            kept = self._tallies[name] = (stamp, measured.tally())
        return kept[1]

    def tally(
        self, connection: Connection, selection: Selection, columns: Sequence[Column]
    ) -> dict[tuple[Any, ...], int]:
        """How many photos of the selection there are of each combination of the values of columns of `TOGETHER`."""
        combined, counts = self._tally(connection, WORDS.name, self._which(connection, selection))
        names = [name_of(column) for column in columns]
        words = [(None, *SHAPES[name].values) for name in names]
        places, row_of = np.unique([digits(combined, name) for name in names], axis=1, return_inverse=True)
        photos = np.bincount(row_of, counts).astype(np.int64)
        return {
            tuple(values[place] for values, place in zip(words, row, strict=True)): count
            for row, count in zip(places.T.tolist(), photos.tolist(), strict=True)
        }

    def _which(self, connection: Connection, selection: Selection) -> Array | None:
        """The photos of a selection, as in `picked`."""
        return None if selection.is_everything else self.chosen(connection, selection)

    def beside(
        self, connection: Connection, asked: Ordered, image_id: int | None, size: int, forwards: bool
    ) -> list[int] | None:
        """Numbers of up to `size` photos behind (or before) a photo, nearest first; of the first ones for None.

        None where there is no such photo, or the order is none that columns tell.
        """
        row = None if image_id is None else self.columns.place(image_id)
        if row is None and image_id is not None:
            return None
        if asked.aims:
            return self._beside_alike(connection, asked, row, size, forwards)
        column, is_down = SORTED_BY[asked.sort]
        mask, rows = self.chosen(connection, asked.selection), self._orders.rows(connection, column)
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

    def position(self, connection: Connection, asked: Ordered, image_id: int) -> int | None:
        """How many photos stand before this one, counting from 1; None as in `beside`."""
        row = self.columns.place(image_id)
        if row is None:
            return None
        if asked.aims:
            alike = self._alike(connection, asked, row)
            return None if alike is None else alike.place(row) + 1
        column, is_down = SORTED_BY[asked.sort]
        mask, rows = self.chosen(connection, asked.selection), self._orders.rows(connection, column)
        place = self._orders.place(connection, column, row)
        before = slice(place + 1, None) if is_down else slice(0, place)
        return int(np.count_nonzero(mask[before] if rows is None else mask.take(rows[before]))) + 1

    def at(self, connection: Connection, asked: Ordered, place: int) -> tuple[int | None] | None:
        """The photo just before `place` (from 2), None where there is none; in brackets, for None alone is as above."""
        if asked.aims:
            alike = self._alike(connection, asked)
            if alike is None:
                return None
            return (int(self.columns.ids[alike.up_to(place)[place - 2]]) if place - 2 < len(alike.rows) else None,)
        column, is_down = SORTED_BY[asked.sort]
        mask, rows = self.chosen(connection, asked.selection), self._orders.rows(connection, column)
        places = rows_of(mask if rows is None else mask.take(rows))
        if place - 2 >= len(places):
            return (None,)
        there = places[-(place - 1)] if is_down else places[place - 2]
        return (int(self.columns.ids[there if rows is None else rows[there]]),)

    def _beside_alike(
        self, connection: Connection, asked: Ordered, row: int | None, size: int, forwards: bool
    ) -> list[int] | None:
        alike = self._alike(connection, asked, row)
        if alike is None:
            return None
        if forwards:
            start = 0 if row is None else alike.place(row) + 1
            rows = alike.up_to(start + size)[start : start + size]
        else:
            end = len(alike.rows) if row is None else alike.place(row)
            rows = alike.up_to(end)[max(0, end - size) : end][::-1]
        near: list[int] = self.columns.ids[rows].tolist()
        return near

    def _alike(self, connection: Connection, asked: Ordered, row: int | None = None) -> AlikeRows | None:
        """Rows of the selection by likeness, and this one at its place though the selection need not hold it."""
        mask = self.chosen(connection, asked.selection)
        if row is not None and not mask[row]:
            mask = mask.copy()
            mask[row] = True
        return self.looks.ordered(connection, np.flatnonzero(mask).astype(np.int32), asked.aims)

    def facets(
        self, connection: Connection, selection: Selection, bins: int, measured: Mapping[str, Measure]
    ) -> Counted:
        """Counts of each facet's values, of the bars of each histogram, and of all photos by who decided ("total").

        The counts of a facet follow every other filter but not its own.
        """
        self.ready(connection, [measure.column for measure in measured.values()])
        counting = _Counting(self._asker, connection, selection, self._tally)
        self._keep_mask(selection, counting.chosen)
        counted: Counted = {"total": counting.words(name_of(PhotoIndex.decided_by))}
        for key, listed in LISTED.items():
            if isinstance(listed, Label):
                counted[key] = self._names(connection, listed, counting.all_but(key))
                continue
            counted[key] = counting.words(name_of(listed.column), key)
            if selection.is_wide(key) and listed.widening:
                for value, count in counting.words(name_of(listed.widening.column), key).items():
                    if value is not None:
                        counted[key][value] = counted[key].get(value, 0) + count
        for key, measure in measured.items():
            counted[key] = self._bars(connection, measure, counting.all_but(key), bins)
        for key, several in SEVERAL.items():
            bits, counts = self._tally(connection, name_of(several.column), counting.all_but(key))
            values = SHAPES[name_of(several.column)].values
            of_values = {value: int(counts[bits & (1 << place) != 0].sum()) for place, value in enumerate(values)}
            counted[key] = {value: count for value, count in of_values.items() if count}
            if NOTHING in selection.values(key):
                counted[key][NOTHING] = int(counts[bits == 0].sum())
        return counted

    def labels(self, connection: Connection, selection: Selection) -> dict[int, int]:
        """How many photos have each label, by its number."""
        return self._asker.labels.counts(connection, self.chosen(connection, selection))

    def _names(self, connection: Connection, key: Label, which: Array | None) -> dict[str | None, int]:
        name = name_of(key.spelling)
        codes, names = self.columns.column(connection, name), self.columns.names[name].values
        counts = counts_of(codes, which, len(names))
        return {names[code]: int(counts[code]) for code in np.flatnonzero(counts).tolist()}

    def _bars(self, connection: Connection, key: Measure, rows: Array | None, bins: int) -> dict[str | None, int]:
        counts = self.bars(
            connection, key.column, rows, lambda values: (values - key.bars_from) * (bins / key.bars_over), bins
        )
        bars: dict[str | None, int] = {str(bar): count for bar, count in enumerate(counts) if count}
        photos = self.columns.count if rows is None else len(rows)
        untold = photos - sum(counts)
        return bars | {None: untold} if untold else bars


class _Counting:
    """The photos that every key but one lets through, for each: told from how many keys leave a photo out."""

    def __init__(
        self,
        asker: Asker,
        connection: Connection,
        selection: Selection,
        tally: Callable[[Connection, str, Array | None], tuple[Array, Array]],
    ) -> None:
        self._left_out: dict[str, Array] = {}
        self._wide: dict[str, Array] = {}
        self._failures = np.zeros(asker.columns.count, np.uint8)
        self._tally = partial(tally, connection, WORDS.name)
        self._rows: dict[str, Array | None] = {}
        self._tallies: dict[str, tuple[Array, Array]] = {}
        for key, mask in asker.masks(connection, selection).items():
            self._left_out[key] = ~mask
            self._failures += self._left_out[key]
            widening = ASKED[key].widening if key in ASKED else None
            if widening and key in LISTED and widening.key in LISTED:
                terms = [term for term in selection.terms if term.key == key]
                wide = [asker.term(connection, term, selection.asked, is_wide=True) for term in terms]
                self._wide[key] = ~np.logical_and.reduce(wide)

    @property
    def chosen(self) -> Array:
        """The photos that every key lets through (bool)."""
        return np.asarray(self._failures == 0)

    def all_but(self, own: str = "") -> Array | None:
        """The rows of the photos that every other key lets through; None for all of them."""
        known = self._known(own)
        if known not in self._rows:
            self._rows[known] = self._worked_out(known)
        return self._rows[known]

    def _known(self, own: str) -> str:
        """The key under which it is known what every key but this one lets through: most limit nothing themselves."""
        return own if own in self._left_out or self._widened(own) else ""

    def _worked_out(self, own: str) -> Array | None:
        if not self._left_out or (list(self._left_out) == [own]):
            return None
        failures = self._failures - self._left_out[own] if own in self._left_out else self._failures
        # Beside the options of the key that widens, each is widened: what it adds is of photos of that option alone.
        for key in self._widened(own):
            failures = failures - self._left_out[key] + self._wide[key]
        return rows_of(failures == 0)

    def words(self, name: str, own: str = "") -> dict[str | None, int]:
        """How many photos have each value of a column of `TOGETHER`, of those that every key but `own` lets through."""
        known = self._known(own)
        if known not in self._tallies:
            self._tallies[known] = self._tally(self.all_but(known))
        combined, tally = self._tallies[known]
        counts = np.bincount(digits(combined, name), tally, 256).astype(np.int64).tolist()
        values = (None, *SHAPES[name].values)
        return {value: counts[code] for code, value in enumerate(values) if counts[code]}

    def _widened(self, own: str) -> list[str]:
        """The keys that are widened beside the options of this one."""
        return [key for key in self._wide if (widening := ASKED[key].widening) and widening.key == own]


def _slices(start: int, count: int, upwards: bool) -> Iterator[tuple[int, int]]:
    """Parts of an order from `start` on, growing, so that neither a near page nor a far one is read in vain."""
    size = 1024
    while 0 <= start < count:
        low, high = (start, min(count, start + size)) if upwards else (max(0, start - size + 1), start + 1)
        yield low, high
        start = high if upwards else low - 1
        size *= 4
