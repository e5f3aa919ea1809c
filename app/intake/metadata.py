"""Metadata files beside photos: `metadata.csv`, `.tsv`, `.jsonl` or `.json`, as image folders on model hubs have them.

A column `file_name` holds the path of a photo relative to the file's own folder. `title`, `category`, `description` and
`product` are understood, `text`, `caption` or `prompt` is the photo's caption, and every other column is kept as it is.
A table with a mistake is refused whole, with the line it is on: half a catalogue with titles is harder to mend than
none.
"""

from __future__ import annotations

import csv
import io
import json
import math
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Final, NoReturn

from app.errors import Refused
from app.intake.folders import Met, shortened
from app.intake.plain_files import Unread, read_plain

STEM: Final = "metadata"
KINDS: Final = (".csv", ".tsv", ".jsonl", ".json")
# What people also call so, and why it is not read.
UNREAD_KINDS: Final = {
    ".parquet": "Parquet is not read; write the rows as metadata.csv or metadata.jsonl.",
    ".xlsx": "Workbooks are not read; save the sheet as CSV UTF-8.",
    ".xls": "Workbooks are not read; save the sheet as CSV UTF-8.",
    ".ods": "Workbooks are not read; save the sheet as CSV UTF-8.",
    ".xml": "XML is not read; write the rows as metadata.csv or metadata.jsonl.",
    ".yaml": "YAML is not read; write the rows as metadata.csv or metadata.jsonl.",
    ".yml": "YAML is not read; write the rows as metadata.csv or metadata.jsonl.",
}
MAX_BYTES: Final = 256 * 1024 * 1024
# Parsed, a text of brackets takes twenty times its bytes: one JSON value is read at a time, and none of any size.
MAX_JSON_BYTES: Final = 64 * 1024 * 1024
MAX_LINE: Final = 4_000_000
# A row takes some 500 bytes of memory, however short it is.
MAX_ROWS: Final = 1_000_000
CAPTIONS: Final = ("text", "caption", "prompt")
LIMITS: Final = {"title": 500, "category": 200, "product": 200, "description": 20_000} | dict.fromkeys(CAPTIONS, 4_000)
EXTRA_LIMIT: Final = 4_000
MAX_COLUMNS: Final = 100
_KEYS: Final = ("file_name", "filename")


@dataclass(frozen=True, slots=True)
class PhotoMetadata:
    """What a metadata file says about one photo, and where. Empty texts are None.

    `name` is the photo's path as the row has it, `source` the file relative to the folder that is taken in.
    """

    line: int
    title: str | None = None
    category: str | None = None
    description: str | None = None
    product: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    caption: str | None = None
    name: str = field(default="", compare=False)
    source: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a folder's metadata files, by `key_of` paths; how many each file has; why others were not read."""

    by_key: dict[str, PhotoMetadata] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)


def is_metadata(met: Met) -> bool:
    """Whether a file is named as metadata, in whatever case: it is read, or said why not."""
    path = PurePosixPath(met.name.lower())
    return met.kind == "other" and path.stem == STEM and path.suffix in {*KINDS, *UNREAD_KINDS}


def read_metadata(files: Iterable[Met]) -> Rows:
    """What the metadata files among `files` say, wherever in the folder they lie.

    A link, a pipe or a device is not read, nor is a `.json` file that lists no photos: others use that name too.
    Raises Refused, naming file and line: two tables in one folder, not UTF-8 (UTF-16 with a mark is fine), no column
    `file_name`, a row with too many or too few fields, a photo told of twice in different words, a text, a line or
    the number of rows over its limit, broken JSON lines.
    """
    rows = Rows()
    folders: dict[str, list[Met]] = defaultdict(list)
    for met in files:
        if is_metadata(met):
            folders[posixpath.dirname(met.name)].append(met)
    for place, present in folders.items():
        tables = [met for met in present if _kind(met) in KINDS]
        for met in present:
            if met not in tables:
                rows.unread[met.name] = UNREAD_KINDS[_kind(met)]
        _read_folder(rows, place, tables)
    return rows


def key_of(path: str) -> str:
    """A relative path in the one spelling used for comparing: forward slashes, no leading ./, Unicode composed.

    Control characters are replaced as they are in the names of files that were met.
    """
    plain = unicodedata.normalize("NFC", path.strip().replace("\\", "/").removeprefix("./"))
    if plain.isprintable():
        return plain
    return "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in plain)


def _kind(met: Met) -> str:
    return PurePosixPath(met.name.lower()).suffix


def _read_folder(rows: Rows, place: str, tables: list[Met]) -> None:
    """Add the rows of a folder's one table."""
    texts: dict[str, str] = {}
    for met in tables:
        try:
            limit = MAX_JSON_BYTES if _kind(met) == ".json" else MAX_BYTES
            texts[met.name] = _decode(met.name, read_plain(met.path, limit))
        except Unread as refusal:
            rows.unread[met.name] = refusal.sentence
    listed: dict[str, list[tuple[int, dict[str, Any]]] | Iterator[tuple[int, dict[str, Any]]]] = {}
    for name, text in texts.items():
        if name.lower().endswith(".json"):
            try:
                listed[name] = _listed(text)
            except Unread as refusal:
                rows.unread[name] = refusal.sentence
        else:
            listed[name] = _json_rows(name, text) if name.lower().endswith(".jsonl") else _csv_rows(name, text)
    if len(listed) > 1:
        first, second, *_ = sorted(posixpath.basename(name) for name in listed)
        where = f"The folder {place}" if place else "The folder"
        raise Refused(f"{where} has both {first} and {second}; keep the one that counts.")
    for name, its in listed.items():
        rows.files[name] = 0
        for line, row in its:
            _add(rows, name, place, line, row)


def _add(rows: Rows, name: str, place: str, line: int, row: dict[str, Any]) -> None:
    """Add one row. The same words about a photo may stand twice, but not different ones."""
    said = _facts(name, line, row)
    key = key_of(said.name)
    if place:
        key = posixpath.normpath(f"{place}/{key}") if ".." in key else f"{place}/{key}"
    key = shortened(key)
    rows.files[name] += 1
    if len(rows.by_key) >= MAX_ROWS:
        _refuse(name, line, f"is one more than {MAX_ROWS:,} rows, the limit of one intake; take the folders in apart")
    before = rows.by_key.get(key)
    if before is not None and replace(before, line=line) != said:
        at = f"line {before.line}" if before.source == name else f"line {before.line} of {before.source}"
        _refuse(name, line, f"names {key_of(said.name)}, which {at} names too. They say different things of it")
    rows.by_key.setdefault(key, said)


def _decode(name: str, data: bytes) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        _refuse(name, line, "is not UTF-8 text. Save the file as UTF-8; in a spreadsheet choose CSV UTF-8")


def _csv_rows(name: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows by header name. The separator is that of , ; and tab which the header line uses most, or as `sep=` says."""
    skipped = 0
    if said := re.match(r"\s*sep=([,;\t])\r?\n", text, re.IGNORECASE):
        text, skipped = text[said.end() :], 1
    head = next((line for line in re.split(r"[\r\n]", text) if line.strip()), "")
    separator = said[1] if said else max(",;\t", key=head.count)
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
            elif len(cells) != len(header):
                hint = " A separator inside a text needs quotes around the text" if len(cells) > len(header) else ""
                problem = f"has {len(cells)} fields where the header has {len(header)}"
                _refuse(name, line, problem + (f".{hint}" if hint else ""))
            else:
                yield line, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        _refuse(name, start, f"cannot be read as a table: {error}")


def _header(name: str, cells: list[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    lower = [heading.lower() for heading in header]
    if not any(key in lower for key in _KEYS):
        shown = ", ".join(heading or "(no name)" for heading in header[:8])
        raise Refused(f"{name} has no column file_name; its first line reads: {shown[:200]}.")
    # Before they are compared with each other.
    if len(header) > MAX_COLUMNS:
        raise Refused(f"{name} has {len(header)} columns; {MAX_COLUMNS} are the limit.")
    twice = next((heading for heading in lower if heading and lower.count(heading) > 1), None)
    if twice:
        raise Refused(f"{name} has two columns named {twice[:100]}.")
    return header


def _parsed(text: str) -> Any:
    """A JSON value that a database keeps. Raises ValueError or RecursionError."""

    def refuse_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is no JSON")

    def finite(digits: str) -> float:
        if math.isinf(number := float(digits)):
            raise ValueError(f"{digits} is too large a number")
        return number

    return json.loads(text, parse_constant=refuse_constant, parse_float=finite)


def _json_rows(name: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    # Only the newline parts lines: JSON texts may hold U+2028 and its like.
    for line, row in enumerate(text.split("\n"), start=1):
        if not row.strip():
            continue
        if len(row) > MAX_LINE:
            _refuse(name, line, f"has {len(row):,} characters; {MAX_LINE:,} are the limit")
        try:
            value = _parsed(row)
        except (ValueError, RecursionError) as error:
            _refuse(name, line, f"is not JSON: {str(error)[:200]}")
        if not isinstance(value, dict):
            _refuse(name, line, "is not a JSON object with names and values")
        if not any(key.strip().lower() in _KEYS for key in value):
            _refuse(name, line, "has no file_name")
        yield line, value


def _listed(text: str) -> list[tuple[int, dict[str, Any]]]:
    """The rows of one JSON value: a list of objects with a `file_name`, or an object of objects by file name.

    Their "lines" are their places in it. Raises Unread for everything else: the file may be another program's.
    """
    try:
        value = _parsed(text)
    except (ValueError, RecursionError) as error:
        raise Unread(f"It is not JSON: {str(error)[:200]}.") from error
    if isinstance(value, dict):
        lists = [part for part in value.values() if isinstance(part, list) and part and isinstance(part[0], dict)]
        named = [{"file_name": key, **row} for key, row in value.items() if isinstance(row, dict)]
        value = lists[0] if len(lists) == 1 else named if len(named) == len(value) else []
    rows = value if isinstance(value, list) else []
    if not rows or not all(isinstance(row, dict) and any(key.strip().lower() in _KEYS for key in row) for row in rows):
        raise Unread("It lists no photos: rows need a file_name.")
    return list(enumerate(rows, start=1))


def _facts(source: str, line: int, row: dict[str, Any]) -> PhotoMetadata:
    if len(row) > MAX_COLUMNS:
        _refuse(source, line, f"has {len(row)} values; {MAX_COLUMNS} are the limit")
    name, texts, extra = "", dict[str, str | None](), dict[str, Any]()
    for column, value in row.items():
        heading = column.strip().lower()
        if _is_unkept(heading):
            _refuse(source, line, "has a column whose name holds a character that no database keeps")
        if heading in _KEYS:
            name = name or _text(source, line, heading, value, 4096) or ""
        elif heading in CAPTIONS and isinstance(value, list):
            # Several captions of one photo, as COCO has them: the first counts, all are kept.
            texts[heading] = _text(source, line, heading, next(iter(value), None), LIMITS[heading])
            _text(source, line, heading, json.dumps(value, ensure_ascii=False), EXTRA_LIMIT)
            extra[column.strip()] = value
        elif heading in LIMITS:
            texts[heading] = _text(source, line, heading, value, LIMITS[heading])
        elif isinstance(value, str):
            if kept := _text(source, line, heading or "a column without a name", value, EXTRA_LIMIT):
                extra[column.strip()[:100]] = kept
        elif value is not None:
            _text(source, line, heading, json.dumps(value, ensure_ascii=False), EXTRA_LIMIT)
            extra[column.strip()[:100]] = value
    if not key_of(name):
        _refuse(source, line, "has no file name")
    captions = {column: text for column in CAPTIONS if (text := texts.pop(column, None))}
    caption, *others = captions or [None]
    # One of them is the caption; what the others say is kept with the photo.
    extra |= {column: captions[column] for column in others if column}
    return PhotoMetadata(
        line, extra=extra, caption=captions[caption] if caption else None, name=name, source=source, **texts
    )


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
