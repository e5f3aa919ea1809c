"""Photos inside Parquet files, as image data sets on model hubs are kept: read row group by row group.

A column of pictures holds bytes, or a struct of `bytes` and `path`. The other columns are what the row says of its
photo. A file without such a column holds no pictures: it may still be a table of metadata.
"""

from __future__ import annotations

import json
import math
import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from app.intake.sources.entry import Entry, Unopened, too_large
from app.intake.sources.naming import PICTURE_NAMES, tidy

MAX_ROWS: Final = 10_000_000
# So many rows are decoded at once: pictures of 5 MB then take 80.
ROWS_AT_ONCE: Final = 16
# A footer that lies of rows ends an iteration too early.
_DAMAGE: Final = (
    pa.ArrowException, OSError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, StopIteration,
)  # fmt: skip
_DAMAGED: Final = "The Parquet file is damaged or of a kind that cannot be read."

Beat = Callable[[], None]


def walk_parquet(path: Path, name: str, beat: Beat) -> Iterator[Entry]:
    """The pictures that a Parquet file holds, each with its row's other fields; the file itself where it holds none."""
    try:
        with pq.ParquetFile(path, memory_map=False) as file:
            column = picture_column(file.schema_arrow)
            if column is None:
                yield Entry("other", path, name)
                return
            if file.metadata.num_rows > MAX_ROWS:
                yield Entry("refused", path, name, f"The file has more than {MAX_ROWS:,} rows; split it.")
                return
            is_empty = True
            for entry in _rows(file, path, name, column, beat):
                is_empty = False
                yield entry
            if is_empty:
                yield Entry("refused", path, name, "The Parquet file holds no rows.")
    except _DAMAGE:
        yield Entry("refused", path, name, _DAMAGED)


def picture_column(schema: pa.Schema) -> str | None:
    """The first column that can hold the bytes of pictures."""
    for field in schema:
        kind = field.type
        if _is_bytes(kind):
            return str(field.name)
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 and _is_bytes(kind.field("bytes").type):
            return str(field.name)
    return None


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def said_columns(schema: pa.Schema) -> list[str]:
    """The columns that say something of a photo in words, numbers or lists of them: none that holds bytes."""
    return [field.name for field in schema if not _holds_bytes(field.type)]


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(_holds_bytes(kind.field(index).type) for index in range(kind.num_fields))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _holds_bytes(kind.value_type)
    return _is_bytes(kind) or bool(pa.types.is_fixed_size_binary(kind))


def _rows(file: pq.ParquetFile, path: Path, name: str, column: str, beat: Beat) -> Iterator[Entry]:
    schema = file.schema_arrow
    is_struct = pa.types.is_struct(schema.field(column).type)
    has_path = is_struct and schema.field(column).type.get_field_index("path") >= 0
    columns = said_columns(schema) + ([f"{column}.path"] if has_path else [])
    names = class_names(schema)
    line = 0
    for group in range(file.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        rows = _said(file, group, columns, names) if columns else ({} for _ in range(count))
        for number, row in enumerate(rows):
            beat()
            line += 1
            own = row.pop(column, None) or {} if has_path else {}
            yield Entry(
                "picture",
                path,
                tidy(f"{name}/{_file_name(own.get('path') or row.get('file_name'), line)}"),
                steps=(("row", column, group, number),),
                said=row,
                line=line,
                table=name,
            )


def _said(
    file: pq.ParquetFile, group: int, columns: list[str], names: dict[str, list[str]]
) -> Iterator[dict[str, Any]]:
    for batch in file.iter_batches(1_000, row_groups=[group], columns=columns, use_threads=False):
        for row in batch.to_pylist():
            yield {column: _named(_plain(value), names.get(column)) for column, value in row.items()}


def class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """The names of classes by column, where a data set of `datasets` keeps numbers for them."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            column: [str(name) for name in feature["names"]]
            for column, feature in features.items()
            if feature.get("_type") == "ClassLabel"
        }
    except (LookupError, ValueError, TypeError, AttributeError):
        return {}


def _named(value: Any, names: list[str] | None) -> Any:
    is_class = names is not None and isinstance(value, int) and 0 <= value < len(names)
    return names[value] if names is not None and is_class else value


def _plain(value: Any) -> Any:
    """A value as JSON has it: dates and the like as texts, what is no number as nothing."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return str(value)


def _file_name(given: object, line: int) -> str:
    """The row's own name for its picture, after its number: data sets give all of them the same one, or none."""
    own = posixpath.basename(str(given or "").replace("\\", "/"))
    number = f"{line:07d}"
    is_name = posixpath.splitext(own)[1].lower() in PICTURE_NAMES
    return f"{number} {own}" if is_name else number


def table_rows(data: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a Parquet file in memory, with their numbers from 1; no bytes. Raises Unopened."""
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            columns = said_columns(file.schema_arrow)
            names = class_names(file.schema_arrow)
            line = 0
            for group in range(file.num_row_groups):
                for row in _said(file, group, columns, names):
                    line += 1
                    yield line, row
    except _DAMAGE:
        raise Unopened(_DAMAGED) from None


class ParquetPictures:
    """The pictures of one Parquet file, read onward: the row group that was read last stays open. For one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = pq.ParquetFile(path, memory_map=False)
        except FileNotFoundError:
            raise Unopened("The file vanished while the folder was taken in.") from None
        except _DAMAGE:
            raise Unopened(_DAMAGED) from None
        self._place: tuple[str, int] | None = None
        self._next = 0
        self._batches: Iterator[Any] = iter(())
        self._held: list[bytes | None] = []

    def read(self, steps: tuple[tuple[str | int, ...], ...], max_bytes: int) -> bytes:
        """The bytes at ("row", column, row group, row in it). Raises Unopened, saying why there are none."""
        _, column, group, number = steps[0]
        try:
            data = self._at(str(column), int(group), int(number))
        except _DAMAGE:
            raise Unopened(_DAMAGED) from None
        if data is None:
            raise Unopened("The row holds no bytes of a picture.")
        if len(data) > max_bytes:
            raise too_large(len(data), max_bytes)
        return data

    def _at(self, column: str, group: int, number: int) -> bytes | None:
        first = self._next - len(self._held)
        if self._place != (column, group) or number < first:
            is_struct = pa.types.is_struct(self._file.schema_arrow.field(column).type)
            columns = [f"{column}.bytes" if is_struct else column]
            self._batches = self._file.iter_batches(
                ROWS_AT_ONCE, row_groups=[group], columns=columns, use_threads=False
            )
            self._place, self._next, self._held = (column, group), 0, []
        while number >= self._next:
            values = next(self._batches).column(0).to_pylist()
            self._held = [value["bytes"] if isinstance(value, dict) else value for value in values]
            self._next += len(self._held)
        return self._held[number - (self._next - len(self._held))]

    def close(self) -> None:
        """Close the file."""
        self._file.close()
