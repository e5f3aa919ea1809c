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
from app.intake.sources.naming import PICTURE_NAMES, starts_like_picture, tidy

MAX_ROWS: Final = 10_000_000
# Without a buffer all of a column in a row group is read at once, which may be all of the file's pictures.
_BUFFER_BYTES: Final = 1 << 20
# Words are read so many rows at once, or as many as take this when each is as long as all of them together: a value
# that is kept once for a million rows is a bomb. Pictures are read one by one.
_ROWS_AT_ONCE: Final = 1_000
_WORDS_BYTES: Final = 64 * 1024**2
# A footer that lies of rows ends an iteration too early.
_DAMAGE: Final = (
    pa.ArrowException, OSError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, StopIteration,
)  # fmt: skip
_DAMAGED: Final = "The Parquet file is damaged or of a kind that cannot be read."
_LISTS: Final = "Its pictures stand in lists, several in a row; write one picture a row."

Beat = Callable[[], None]


def walk_parquet(path: Path, name: str, beat: Beat) -> Iterator[Entry]:
    """The pictures that a Parquet file holds, each with its row's other fields; the file itself where it holds none."""
    try:
        with _opened(path) as file:
            column = _picture_column(file)
            if column is None:
                hides_pictures = any(_lists_bytes(field.type) for field in file.schema_arrow)
                yield Entry("refused", path, name, _LISTS) if hides_pictures else Entry("other", path, name)
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


def _opened(source: Any) -> pq.ParquetFile:
    return pq.ParquetFile(source, memory_map=False, buffer_size=_BUFFER_BYTES)


def _picture_column(file: pq.ParquetFile) -> str | None:
    """The column that holds the bytes of pictures: of several that hold bytes, the first whose bytes are a picture's.

    Some programs keep article numbers and all other words as bytes.
    """
    columns = [str(field.name) for field in file.schema_arrow if _can_hold_picture(field.type)]
    if len(columns) < 2:
        return next(iter(columns), None)
    pictures = (column for column in columns if starts_like_picture(_first_bytes(file, column)))
    return next(pictures, columns[0])


def _can_hold_picture(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_bytes(kind.field("bytes").type)
    return _is_bytes(kind)


def _lists_bytes(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return is_list and _can_hold_picture(kind.value_type)


def _first_bytes(file: pq.ParquetFile, column: str) -> bytes:
    """The beginning of the first value among some rows; empty where there is none."""
    for number, value in enumerate(_values(file, column, 0) if file.num_row_groups else ()):
        if value or number == _ROWS_AT_ONCE:
            return (value or b"")[:16]
    return b""


def _values(file: pq.ParquetFile, column: str, group: int) -> Iterator[bytes | None]:
    """The bytes in a column of a row group, one by one."""
    is_struct = pa.types.is_struct(file.schema_arrow.field(column).type)
    columns = [f"{column}.bytes" if is_struct else column]
    for batch in file.iter_batches(1, row_groups=[group], columns=columns, use_threads=False):
        value = batch.column(0)[0].as_py()
        yield value["bytes"] if isinstance(value, dict) else value


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
    about = file.metadata.row_group(group)
    chunks = [about.column(number) for number in range(about.num_columns)]
    wanted = tuple(f"{column}." for column in columns)
    read = [chunk for chunk in chunks if f"{chunk.path_in_schema}.".startswith(wanted)]
    size_bytes = sum(chunk.total_uncompressed_size for chunk in read)
    at_once = max(1, min(_ROWS_AT_ONCE, _WORDS_BYTES // max(1, size_bytes)))
    for batch in file.iter_batches(at_once, row_groups=[group], columns=columns, use_threads=False):
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
        with _opened(pa.BufferReader(data)) as file:
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
    """The pictures of one Parquet file, read onward in the row group that was read last. For one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = _opened(path)
        except FileNotFoundError:
            raise Unopened("The file vanished while the folder was taken in.") from None
        except _DAMAGE:
            raise Unopened(_DAMAGED) from None
        self._place: tuple[str, int] | None = None
        self._values: Iterator[bytes | None] = iter(())
        self._next = 0

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
        if self._place != (column, group) or number < self._next:
            self._place, self._values, self._next = (column, group), _values(self._file, column, group), 0
        while number > self._next:
            next(self._values)
            self._next += 1
        self._next += 1
        return next(self._values)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
