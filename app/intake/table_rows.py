"""The rows of a table of photos: CSV with any separator, TSV, JSON lines, one JSON value, Parquet.

A table with a mistake is refused whole, with the line it is on: half a catalogue with titles is harder to mend than
none.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, Final, NoReturn

from app.errors import Refused
from app.intake.plain_files import Unread, read_plain
from app.intake.sources.entry import Entry, Unopened
from app.intake.sources.opening import Opener

KINDS: Final = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
MAX_BYTES: Final = 256 * 1024 * 1024
# Parsed, a text of brackets takes twenty times its bytes: one JSON value is read at a time, and none of any size.
MAX_JSON_BYTES: Final = 64 * 1024 * 1024
_HEAD_BYTES: Final = 64 * 1024
MAX_LINE: Final = 4_000_000
MAX_COLUMNS: Final = 100
# What columns of web addresses are called, in order: they name the photo where no `file_name` does.
ADDRESS_COLUMNS: Final = ("url", "image_url", "image_link", "picture_url", "photo_url")
KEYS: Final = ("file_name", "filename", *ADDRESS_COLUMNS)


def holds_addresses(met: Entry) -> bool:
    """Whether a table seems to name photos by web addresses: told from its beginning."""
    try:
        return b"://" in read_plain(met.path, MAX_BYTES)[:_HEAD_BYTES]
    except Unread:
        return False


def kind_of(met: Entry) -> str:
    """The ending of a table's name in lower case, which says how it is read."""
    return PurePosixPath(met.name.lower()).suffix


def rows_in(met: Entry) -> Iterable[tuple[int, dict[str, Any]]]:
    """The rows of one table with their lines, read as they are asked for. Raises Unread and Refused."""
    kind = kind_of(met)
    data = _bytes(met, MAX_JSON_BYTES if kind == ".json" else MAX_BYTES)
    if kind == ".parquet":
        return _parquet_rows(met.name, data)
    text = _decode(met.name, data)
    if kind == ".json":
        return _listed(text)
    return _json_rows(met.name, text) if kind == ".jsonl" else _csv_rows(met.name, text)


def _bytes(met: Entry, limit: int) -> bytes:
    if not met.steps:
        return read_plain(met.path, limit)
    try:
        with Opener(max_bytes=limit) as opener:
            return opener.open_entry(met)
    except Unopened as refusal:
        raise Unread(refusal.sentence) from refusal


def _parquet_rows(name: str, data: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    # Only tables need it, and the web process, which reads none, is spared 50 MB.
    from app.intake.sources import parquet

    try:
        for line, row in parquet.table_rows(data):
            if not any(heading_of(key) in KEYS for key in row):
                raise Refused(f"{name} has no column file_name; it has {', '.join(row)[:200]}. Nothing was taken in.")
            yield line, row
    except Unopened as refusal:
        raise Refused(f"{name} cannot be read: {refusal.sentence} Nothing was taken in.") from refusal


def _decode(name: str, data: bytes) -> str:
    if data.startswith(b"PK\x03\x04"):
        raise Refused(f"{name} is a workbook under another name. Save the sheet as CSV UTF-8. Nothing was taken in.")
    encoding = _encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        refuse(name, line, "is not UTF-8 text. Save the file as UTF-8; in a spreadsheet choose CSV UTF-8")


def _encoding(data: bytes) -> str:
    """UTF-8, or UTF-16 or UTF-32 by their marks; UTF-16 without a mark by the empty half of its first letters."""
    if data[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    first = data[:8]
    if len(first) == 8 and (first[1::2], first[::2]).count(b"\0" * 4) == 1:
        return "utf-16-le" if first[1] == 0 else "utf-16-be"
    return "utf-8-sig"


def _csv_rows(name: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows by header name. The separator is that of , ; | and tab that the header line uses most, or as `sep=` says."""
    skipped = 0
    if said := re.match(r"\s*sep=([,;|\t])\r?\n", text, re.IGNORECASE):
        text, skipped = text[said.end() :], 1
    head = next((line for line in re.split(r"[\r\n]", text) if line.strip()), "")
    separator = said[1] if said else max(",;\t|", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header: list[str] = []
    start = 1 + skipped
    try:
        for cells in reader:
            line, start = start, reader.line_num + 1 + skipped
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = _header(name, cells)
            elif len(cells) < len(header) or any(cell.strip() for cell in cells[len(header) :]):
                hint = " A separator inside a text needs quotes around the text" if len(cells) > len(header) else ""
                problem = f"has {len(cells)} fields where the header has {len(header)}"
                refuse(name, line, problem + (f".{hint}" if hint else ""))
            else:
                yield line, dict(zip(header, cells, strict=False))
    except csv.Error as error:
        hint = ". A quote inside a quoted text is written twice" if '"' in str(error) else ""
        refuse(name, start, f"cannot be read as a table: {error}{hint}")


def _header(name: str, cells: list[str]) -> list[str]:
    # A column without a name is told apart by its place, so that none takes the value of another.
    header = [_seen(cell) or f"column {place}" for place, cell in enumerate(cells, start=1)]
    lower = [heading_of(cell) for cell in header]
    if not any(key in lower for key in KEYS):
        shown = ", ".join(_seen(cell) or "(no name)" for cell in cells[:20])
        likely = next((cell for cell, heading in zip(header, lower, strict=True) if _may_be_key(heading)), None)
        hint = f" If {likely[:100]} holds the names of the pictures, rename that column to file_name." if likely else ""
        raise Refused(f"{name} has no column file_name; its first line reads: {shown[:200]}.{hint}")
    # Before they are compared with each other.
    if len(header) > MAX_COLUMNS:
        raise Refused(f"{name} has {len(header)} columns; {MAX_COLUMNS} are the limit.")
    twice = next((heading for heading in lower if lower.count(heading) > 1), None)
    if twice:
        raise Refused(f"{name} has two columns named {twice[:100]}.")
    return header


def _seen(text: str) -> str:
    """Without white space at the ends, and without letters of no width anywhere."""
    return "".join(letter for letter in text if unicodedata.category(letter) != "Cf").strip()


@lru_cache(maxsize=4096)
def heading_of(column: str) -> str:
    """A column's name for comparing: "File Name", "file-name" and "FILE_NAME" are one."""
    return re.sub(r"[\s_-]+", "_", _seen(column).lower())


def _may_be_key(heading: str) -> bool:
    pieces = set(heading.split("_"))
    return not pieces.isdisjoint(
        ("file", "filename", "image", "images", "img", "picture", "photo", "path", "dateiname", "bild")
    )


def value_of(text: str) -> Any:
    """A JSON value that a database keeps. Raises ValueError or RecursionError."""

    def refuse_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is no JSON")

    def finite(digits: str) -> float:
        if math.isinf(number := float(digits)):
            raise ValueError(f"{digits} is too large a number")
        return number

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) < len(pairs):
            names = [name for name, _ in pairs]
            raise ValueError(
                f"{next(name for name in names if names.count(name) > 1)[:100]} stands twice in one object"
            )
        return row

    return json.loads(text, parse_constant=refuse_constant, parse_float=finite, object_pairs_hook=unique)


def _json_rows(name: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    # Only the newline parts lines: JSON texts may hold U+2028 and its like.
    for line, row in enumerate(text.split("\n"), start=1):
        if not row.strip():
            continue
        if len(row) > MAX_LINE:
            refuse(name, line, f"has {len(row):,} characters; {MAX_LINE:,} are the limit")
        try:
            value = value_of(row)
        except (ValueError, RecursionError) as error:
            refuse(name, line, f"is not JSON: {str(error)[:200]}")
        if not isinstance(value, dict):
            refuse(name, line, "is not a JSON object with names and values")
        if not any(heading_of(key) in KEYS for key in value):
            refuse(name, line, "has no file_name")
        yield line, value


def _listed(text: str) -> list[tuple[int, dict[str, Any]]]:
    """The rows of one JSON value: a list of objects with a `file_name`, or an object of objects by file name.

    Their "lines" are their places in it. Raises Unread for everything else: the file may be another program's.
    """
    try:
        value = value_of(text)
    except (ValueError, RecursionError) as error:
        raise Unread(f"It is not JSON: {str(error)[:200]}.") from error
    if isinstance(value, dict):
        lists = [part for part in value.values() if isinstance(part, list) and part and isinstance(part[0], dict)]
        if len(lists) > 1:
            raise Unread("It holds several lists; write one list, whose rows have a file_name.")
        by_name = {
            key: {"caption": row} if isinstance(row, str) and PurePosixPath(key).suffix else row
            for key, row in value.items()
        }
        named = [{"file_name": key, **row} for key, row in by_name.items() if isinstance(row, dict)]
        is_row = any(heading_of(key) in KEYS for key in value)
        value = [value] if is_row else lists[0] if lists else named if len(named) == len(value) else []
    rows = value if isinstance(value, list) else []
    if not rows or not all(isinstance(row, dict) and any(heading_of(key) in KEYS for key in row) for row in rows):
        raise Unread("It lists no photos: rows need a file_name.")
    return list(enumerate(rows, start=1))


def refuse(source: str, line: int, problem: str) -> NoReturn:
    """Refuse a table for what is on one of its lines. Raises Refused, always."""
    raise Refused(f"{source}, line {line:,}, {problem}. Nothing was taken in.")
