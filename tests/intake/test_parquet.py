"""Parquet files of any shape: memory that does not grow with a row group, and the column that holds the pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.intake.sources.listing import walk
from app.intake.sources.opening import Opener
from tests.intake.conftest import encoded, picture

MIB = 1024**2
PHOTO = encoded(picture(1))


@contextmanager
def at_most(mib: int) -> Iterator[None]:
    """What Arrow may take meanwhile."""
    before = pa.default_memory_pool()
    mine = pa.proxy_memory_pool(before)
    pa.set_memory_pool(mine)
    try:
        yield
    finally:
        pa.set_memory_pool(before)
    print(f"{mine.max_memory() / MIB:.0f} MiB")
    assert mine.max_memory() < mib * MIB


def write(folder: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "a.parquet", **options)
    return folder / "a.parquet"


def test_a_huge_row_group_is_read_picture_by_picture(folder: Path) -> None:
    rows = [{"bytes": os.urandom(MIB), "path": f"{number}.jpg"} for number in range(48)]
    write(folder, {"image": rows}, write_batch_size=1, data_page_size=1000, use_dictionary=False)
    with at_most(12), Opener() as opener:
        for number, met in enumerate(walk(str(folder))):
            assert opener.open_entry(met) == rows[number]["bytes"]


@pytest.mark.parametrize("column", ["image", "text"])
def test_one_value_that_is_kept_for_many_rows_is_no_bomb(folder: Path, column: str) -> None:
    indices = pa.array([0] * 1000, type=pa.int32())
    columns: dict[str, Any] = {"image": [b"x"] * 1000, "text": ["a"] * 1000}
    large = b"\xff\xd8\xff" + bytes(2 * MIB) if column == "image" else "a" * MIB
    columns[column] = pa.DictionaryArray.from_arrays(indices, pa.array([large]))
    # As a writer keeps it that is not Arrow's.
    write(folder, columns, store_schema=False)
    with at_most(100), Opener() as opener:
        entries = [entry for _, entry in zip(range(40), walk(str(folder)), strict=False)]
        assert len(entries) == 40
        for met in entries:
            opener.open_entry(met)


def test_words_that_are_kept_as_bytes_are_no_pictures(folder: Path) -> None:
    rows = [None, PHOTO, encoded(picture(2))]
    write(folder, {"sku": [b"A1", b"A2", b"A3"], "photo": rows, "thumb": [b"x"] * 3})
    entries = list(walk(str(folder)))
    assert [met.steps[0][1] for met in entries] == ["photo"] * 3
    with Opener() as opener:
        assert opener.open_entry(entries[2]) == rows[2]
        assert opener.open_entry(entries[1]) == PHOTO


def test_pictures_in_lists_are_refused_in_words(folder: Path) -> None:
    write(folder, {"images": [[{"bytes": PHOTO, "path": "a.jpg"}]], "text": ["a"]})
    (met,) = walk(str(folder))
    assert (met.kind, met.reason) == (
        "refused",
        "Its pictures stand in lists, several in a row; write one picture a row.",
    )
