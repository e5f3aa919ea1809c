"""Numbers kept as codes are the numbers themselves, whatever they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.selection.columns import numbers
from app.selection.columns.numbers import Array, NumberColumn, Numbers

MEASURED = st.one_of(
    st.sampled_from((0.0, 0.1, 0.25, 0.5, 1.0, 55.5, float("nan"))), st.floats(0, 100), st.just(float("nan"))
)


@given(st.lists(st.lists(MEASURED, max_size=20), min_size=1, max_size=4))
def test_a_code_means_the_very_number(batches: list[list[float]]) -> None:
    kept = Numbers(np.dtype(np.float64))
    coded = [kept.codes(np.array(batch, np.float64)) for batch in batches]
    for batch, codes in zip(batches, coded, strict=True):
        assert codes is not None and codes.dtype == numbers.CODE
        np.testing.assert_array_equal(kept.values[codes], np.array(batch, np.float64))
    assert len(kept.values) == len(np.unique(np.concatenate([np.array(batch, np.float64) for batch in batches])))


@given(st.lists(MEASURED, min_size=1, max_size=40), st.one_of(st.floats(0, 100), st.just(0.25)))
def test_codes_answer_as_the_numbers_do(measured: list[float], bound: float) -> None:
    plain = np.array(measured, np.float64)
    kept = Numbers(plain.dtype)
    codes = kept.codes(plain)
    mask: Array = np.arange(len(plain)) % 3 > 0
    for column in (NumberColumn(kept.values, codes), NumberColumn(plain, None)):
        assert (column < bound).tolist() == (plain < bound).tolist()
        assert (column > bound).tolist() == (plain > bound).tolist()
        assert (column >= bound).tolist() == (plain >= bound).tolist()
        assert column.is_told.tolist() == (~np.isnan(plain)).tolist()
        there = [value for value in plain[mask].tolist() if value == value]
        bars = [0] * 20
        for value in there:
            bars[min(int(value * 0.5), 19)] += 1
        assert column.bars(mask, lambda values: values * 0.5, 20) == bars
        in_order = sorted(range(len(plain)), key=lambda row: -1.0 if plain[row] != plain[row] else plain[row])
        assert column.ascending(missing=-1.0).tolist() == in_order
        for which in (mask, numbers.rows_of(mask)):
            values, counts = column.tally(which)
            assert counts.sum() == mask.sum() and len(values) == len(np.unique(plain[mask]))


def test_photos_are_picked_and_counted_alike_in_one_block_and_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = (np.arange(101) * 7 % 5).astype(numbers.CODE)
    column = NumberColumn(np.array([0.5, 1.5, np.nan, 3.5, 4.5]), codes)
    mask: Array = np.arange(101) % 3 > 0
    for rows_of_block in (7, 101, 1000):
        monkeypatch.setattr(numbers, "_BLOCK_ROWS", rows_of_block)
        assert numbers.rows_of(mask).tolist() == np.flatnonzero(mask).tolist()
        assert numbers.rows_of(mask[:0]).tolist() == []
        for which in (mask, np.flatnonzero(mask)):
            assert numbers.picked(codes, which).tolist() == codes[mask].tolist()
            assert numbers.counts_of(codes, which, 6).tolist() == np.bincount(codes[mask], minlength=6).tolist()
        assert numbers.counts_of(codes, None, 6).tolist() == np.bincount(codes, minlength=6).tolist()
        assert numbers.counts_of(codes, mask & False, 6).tolist() == [0] * 6
        np.testing.assert_array_equal(column.each(lambda values: values * 2), (column.values * 2)[codes])


def test_too_many_numbers_have_no_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "MOST_CODES", 3)
    kept = Numbers(np.dtype(np.int64))
    assert kept.codes(np.array([5, 5, 7])) is not None
    assert kept.codes(np.array([5, 8, 9])) is None
    assert (kept.codes(np.array([7, 5])) == [1, 0]).all(), "what it knew it knows"
