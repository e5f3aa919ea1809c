"""The metadata file beside photos: `metadata.csv` or `metadata.jsonl`, as image folders on model hubs have it.

A column `file_name` holds the path of a photo relative to the folder. `title`, `category`, `description` and `product`
are understood; every other column is kept as it is. A file with a mistake is refused whole, with the line it is on:
half a catalogue with titles is harder to mend than none.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from app.errors import Refused

NAMES: Final = ("metadata.csv", "metadata.jsonl")
MAX_BYTES: Final = 256 * 1024 * 1024
LIMITS: Final = {"title": 500, "category": 200, "product": 200, "description": 20_000}
EXTRA_LIMIT: Final = 4_000
MAX_COLUMNS: Final = 100
_KEYS: Final = ("file_name", "filename")


@dataclass(frozen=True, slots=True)
class PhotoMetadata:
    """What the metadata file says about one photo, and on which line. Empty texts are None."""

    line: int
    title: str | None = None
    category: str | None = None
    description: str | None = None
    product: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def read_metadata(folder: Path) -> dict[str, PhotoMetadata]:
    """Facts by photo, from the metadata file at the top of `folder`; empty without one. Keys are `key_of` paths.

    Raises Refused, naming file and line: both files present, not UTF-8 (UTF-16 with a mark is fine), no column
    `file_name`, a row with too many or too few fields, a photo named twice, a text over its limit, broken JSON.
    """
    present = [folder / name for name in NAMES if (folder / name).is_file()]
    if len(present) > 1:
        raise Refused("The folder has both metadata.csv and metadata.jsonl; keep the one that counts.")
    if not present:
        return {}
    text = _decode(present[0])
    rows = _csv_rows(text) if present[0].suffix == ".csv" else _json_rows(text)
    photos: dict[str, PhotoMetadata] = {}
    for line, row in rows:
        name, facts = _facts(present[0].name, line, row)
        if name in photos:
            _refuse(present[0].name, line, f"names {name}, which line {photos[name].line} names too")
        photos[name] = facts
    return photos


def key_of(path: str) -> str:
    """A relative path in the one spelling used for comparing: forward slashes, no leading ./, Unicode composed."""
    return unicodedata.normalize("NFC", path.strip().replace("\\", "/").removeprefix("./"))


def _decode(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise Refused(f"{path.name} is larger than {MAX_BYTES // 1024**2} MB.")
    data = path.read_bytes()
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        _refuse(path.name, line, "is not UTF-8 text. Save the file as UTF-8; in a spreadsheet choose CSV UTF-8")


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows by header name. The separator is the one of , ; and tab that the header line uses most."""
    head = next((line for line in re.split(r"[\r\n]", text) if line.strip()), "")
    separator = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header: list[str] = []
    start = 1
    try:
        for cells in reader:
            line, start = start, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = _header(cells)
            elif len(cells) != len(header):
                hint = " A separator inside a text needs quotes around the text" if len(cells) > len(header) else ""
                problem = f"has {len(cells)} fields where the header has {len(header)}"
                _refuse("metadata.csv", line, problem + (f".{hint}" if hint else ""))
            else:
                yield line, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        _refuse("metadata.csv", start, f"cannot be read as a table: {error}")


def _header(cells: list[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    lower = [name.lower() for name in header]
    if not any(key in lower for key in _KEYS):
        shown = ", ".join(name or "(no name)" for name in header[:8])
        raise Refused(f"metadata.csv has no column file_name; its first line reads: {shown[:200]}.")
    twice = next((name for name in lower if name and lower.count(name) > 1), None)
    if twice:
        raise Refused(f"metadata.csv has two columns named {twice[:100]}.")
    if len(header) > MAX_COLUMNS:
        raise Refused(f"metadata.csv has {len(header)} columns; {MAX_COLUMNS} are the limit.")
    return header


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    def refuse_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is no JSON")

    def finite(digits: str) -> float:
        if math.isinf(number := float(digits)):
            raise ValueError(f"{digits} is too large a number")
        return number

    # Only the newline parts lines: JSON texts may hold U+2028 and its like.
    for line, row in enumerate(text.split("\n"), start=1):
        if not row.strip():
            continue
        try:
            value = json.loads(row, parse_constant=refuse_constant, parse_float=finite)
        except (ValueError, RecursionError) as error:
            _refuse("metadata.jsonl", line, f"is not JSON: {str(error)[:200]}")
        if not isinstance(value, dict):
            _refuse("metadata.jsonl", line, "is not a JSON object with names and values")
        if not any(key.strip().lower() in _KEYS for key in value):
            _refuse("metadata.jsonl", line, "has no file_name")
        if len(value) > MAX_COLUMNS:
            _refuse("metadata.jsonl", line, f"has {len(value)} values; {MAX_COLUMNS} are the limit")
        yield line, value


def _facts(source: str, line: int, row: dict[str, Any]) -> tuple[str, PhotoMetadata]:
    name, texts, extra = "", {}, {}
    for column, value in row.items():
        heading = column.strip().lower()
        if _is_unkept(heading):
            _refuse(source, line, "has a column whose name holds a character that no database keeps")
        if heading in _KEYS:
            name = key_of(_text(source, line, heading, value, 4096) or "")
        elif heading in LIMITS:
            texts[heading] = _text(source, line, heading, value, LIMITS[heading])
        elif isinstance(value, str):
            if kept := _text(source, line, heading or "a column without a name", value, EXTRA_LIMIT):
                extra[column.strip()[:100]] = kept
        elif value is not None:
            _text(source, line, heading, json.dumps(value, ensure_ascii=False), EXTRA_LIMIT)
            extra[column.strip()[:100]] = value
    if not name:
        _refuse(source, line, "has no file name")
    return name, PhotoMetadata(line=line, extra=extra, **texts)


def _text(source: str, line: int, heading: str, value: Any, limit: int) -> str | None:
    """A trimmed text, None where it is empty; numbers become texts."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        _refuse(source, line, f"has a {heading} that is no text")
    text = str(value).strip()
    if len(text) > limit:
        _refuse(source, line, f"has a {heading} of {len(text):,} characters; {limit:,} are the limit")
    if _is_unkept(text):
        _refuse(source, line, f"has a {heading} with a character that no database keeps")
    return text or None


def _is_unkept(text: str) -> bool:
    return "\0" in text or "\\u0000" in text or any("\ud800" <= letter <= "\udfff" for letter in text)


def _refuse(source: str, line: int, problem: str) -> NoReturn:
    raise Refused(f"{source}, line {line:,}, {problem}. Nothing was taken in.")
