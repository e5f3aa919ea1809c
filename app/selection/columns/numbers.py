"""Numbers of photos in few bytes: each different one is kept once, and two bytes a photo say which it has.

What is measured is rounded to one to four places before it is kept, so a measure has some thousand different values
however many photos there are. Nothing is rounded here: a code means the very number that PostgreSQL holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
CODE: Final = np.dtype(np.uint16)
MOST_CODES: Final = 1 << 16
# So many photos are looked at together: what that takes besides stays in the processor's cache, where arrays of whole
# numbers for a million photos, which numpy makes of codes, are new memory each time.
_BLOCK_ROWS: Final = 1 << 15


def rows_of(mask: Array) -> Array:
    """The rows (int32) that a mask (bool) lets through, ascending."""
    rows = [
        (np.flatnonzero(mask[begin : begin + _BLOCK_ROWS]) + begin).astype(np.int32)
        for begin in range(0, len(mask), _BLOCK_ROWS)
    ]
    return np.concatenate([np.empty(0, np.int32), *rows])


def picked(values: Array, which: Array | None) -> Array:
    """The values of some photos: those of a mask (bool, one for each), of rows (by number), or None for all.

    As `values[which]`; but numpy picks by a mask with a branch, which half of the photos let through makes the
    processor guess wrong each other time: three times as slowly as by the rows in it.
    """
    if which is None:
        return values
    chosen: Array = values.take(rows_of(which) if which.dtype == bool else which)
    return chosen


def counts_of(codes: Array, which: Array | None, kinds: int) -> Array:
    """How many of some photos (as in `picked`) have each code below `kinds` (int64, `kinds` long)."""
    rows = rows_of(which) if which is not None and which.dtype == bool else which
    counts = np.zeros(kinds, np.int64)
    for begin in range(0, len(codes if rows is None else rows), _BLOCK_ROWS):
        part = slice(begin, begin + _BLOCK_ROWS)
        counts += np.bincount(codes[part] if rows is None else codes.take(rows[part]), minlength=kinds)
    return counts


def are_few(count: int) -> bool:
    """Whether two bytes tell so many apart."""
    return count <= MOST_CODES


class Numbers:
    """The different numbers in one column by their codes, from 0 on; NaN is a number like others."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.values: Array = np.empty(0, dtype)
        self._sorted: Array = self.values
        self._codes: Array = np.empty(0, CODE)

    def codes(self, numbers: Array) -> Array | None:
        """Codes (uint16) for numbers; None where two bytes would not tell all of them apart any more."""
        distinct, inverse = np.unique(numbers.astype(self.values.dtype), return_inverse=True)
        fresh = distinct[~self._are_known(distinct)]
        if not are_few(len(self.values) + len(fresh)):
            return None
        if len(fresh):
            self.values = np.concatenate([self.values, fresh])
            order = np.argsort(self.values, kind="stable")
            self._sorted, self._codes = self.values[order], order.astype(CODE)
        known: Array = self._codes[np.searchsorted(self._sorted, distinct)]
        return known[inverse]

    def _are_known(self, distinct: Array) -> Array:
        """Whether each is known; NaN stands last in a sorted array and equals nothing, not even itself."""
        places = np.searchsorted(self._sorted, distinct)
        known = places < len(self._sorted)
        there, asked = self._sorted[places[known]], distinct[known]
        known[known] = (there == asked) | ((there != there) & (asked != asked))
        return known


def bars(values: Array, counts: Array | None, step: Callable[[Array], Array], bins: int) -> list[int]:
    """As `NumberColumn.bars`, of different numbers and how many photos have each; of photos' numbers for None."""
    is_told = ~np.isnan(values)
    steps = np.clip(np.floor(step(values[is_told])), 0, bins - 1).astype(np.uint8)
    weights = None if counts is None else counts[is_told]
    counted: list[int] = np.bincount(steps, weights, bins).astype(np.int64).tolist()
    return counted


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """One number of each photo: `codes` (uint16) say which of the different `values`.

    Where they are too many for that, `codes` is None, and `values` are those of the photos themselves. It compares with
    a bound as an array does: bool, one for each photo; NaN is neither below nor above anything.
    """

    values: Array
    codes: Array | None

    def each(self, of: Callable[[Array], Array]) -> Array:
        """What `of` makes of each photo's number, worked out once for each different one."""
        made = of(self.values)
        if self.codes is None:
            return made
        of_photos = np.empty(len(self.codes), made.dtype)
        for begin in range(0, len(self.codes), _BLOCK_ROWS):
            part = slice(begin, begin + _BLOCK_ROWS)
            of_photos[part] = made.take(self.codes[part])
        return of_photos

    def __lt__(self, bound: float) -> Array:
        return self.each(lambda values: np.asarray(values < bound))

    def __gt__(self, bound: float) -> Array:
        return self.each(lambda values: np.asarray(values > bound))

    def __ge__(self, bound: float) -> Array:
        return self.each(lambda values: np.asarray(values >= bound))

    @property
    def is_told(self) -> Array:
        """Whether each photo's number is one (bool), not NaN."""
        return self.each(lambda values: ~np.isnan(values))

    def tally(self, which: Array | None = None) -> tuple[Array, Array]:
        """The different numbers of some photos (as in `picked`), and how many of them have each."""
        if self.codes is None:
            return np.unique(picked(self.values, which), return_counts=True)
        counts = counts_of(self.codes, which, len(self.values))
        there = np.flatnonzero(counts)
        return self.values[there], counts[there]

    def bars(self, which: Array | None, step: Callable[[Array], Array], bins: int) -> list[int]:
        """How many of some photos (as in `picked`) have a number in each of `bins` steps from 0; `step` gives the step
        of a number, as a fraction. Those beyond are in the last one, NaN is in none."""
        if self.codes is None:
            return bars(picked(self.values, which), None, step, bins)
        return bars(*self.tally(which), step, bins)

    def ascending(self, missing: float) -> Array:
        """Rows in the order of their numbers (int32), ties by row; NaN stands where `missing` does."""
        numbers = np.nan_to_num(self.values, nan=missing)
        if self.codes is not None:
            # Ranks in two bytes are sorted by their digits, ten times as fast as doubles by comparing.
            numbers = np.unique(numbers, return_inverse=True)[1].astype(CODE).take(self.codes)
        return np.argsort(numbers, kind="stable").astype(np.int32)
