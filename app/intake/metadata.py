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
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, Final, NoReturn

from app.errors import Refused
from app.intake.plain_files import Unread, read_plain
from app.intake.sources.entry import Entry
from app.intake.sources.naming import shortened

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
# Tables that people put beside photos under other names: not read, and said so.
TABLES: Final = (*KINDS, ".ndjson", *(kind for kind in UNREAD_KINDS if kind not in (".xml", ".yaml", ".yml")))
# What programs write where a value is missing.
_MISSING: Final = frozenset(
    {"nan", "none", "null", "n/a", "#n/a", "#ref!", "#value!", "#name?", "<na>", "undefined", "-"}
)
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
_FACTS: Final = ("title", "category", "description", "product", "caption")
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


def is_metadata(met: Entry) -> bool:
    """Whether a file is named as metadata, in whatever case: it is read, or said why not."""
    path = PurePosixPath(met.name.lower())
    return met.kind == "other" and path.stem == STEM and path.suffix in {*KINDS, *UNREAD_KINDS}


def read_metadata(files: Iterable[Entry]) -> Rows:
    """What the metadata files among `files` say, wherever in the folder they lie.

    A link, a pipe or a device is not read, nor is a `.json` file that lists no photos: others use that name too.
    Raises Refused, naming file and line: two tables in one folder, not UTF-8 (UTF-16 with a mark is fine), no column
    `file_name`, a row with too many or too few fields, a photo told of twice in different words, a text, a line or
    the number of rows over its limit, broken JSON lines.
    """
    rows = Rows()
    folders: dict[str, list[Entry]] = defaultdict(list)
    for met in files:
        if is_metadata(met):
            folders[posixpath.dirname(met.name)].append(met)
        elif met.kind == "other" and PurePosixPath(met.name.lower()).suffix in TABLES:
            rows.unread[met.name] = (
                f"Not read: a table beside photos is read where it is called {STEM}.csv, .tsv, .jsonl or .json."
            )
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


def _kind(met: Entry) -> str:
    return PurePosixPath(met.name.lower()).suffix


def _read_folder(rows: Rows, place: str, tables: list[Entry]) -> None:
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
        _refuse(name, line, f"names {key_of(said.name)}, which {at} names too. {_differing(before, said)}")
    rows.by_key.setdefault(key, said)


def _differing(before: PhotoMetadata, said: PhotoMetadata) -> str:
    first, second = (row.extra | {fact: getattr(row, fact) for fact in _FACTS} for row in (before, said))
    differing = [fact[:50] for fact in {**first, **second} if first.get(fact) != second.get(fact)]
    return f"They say different things of it. What differs: {', '.join(differing[:5])}"


def _decode(name: str, data: bytes) -> str:
    if data.startswith(b"PK\x03\x04"):
        raise Refused(f"{name} is a workbook under another name. Save the sheet as CSV UTF-8. Nothing was taken in.")
    encoding = _encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        _refuse(name, line, "is not UTF-8 text. Save the file as UTF-8; in a spreadsheet choose CSV UTF-8")


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
                _refuse(name, line, problem + (f".{hint}" if hint else ""))
            else:
                yield line, dict(zip(header, cells, strict=False))
    except csv.Error as error:
        hint = ". A quote inside a quoted text is written twice" if '"' in str(error) else ""
        _refuse(name, start, f"cannot be read as a table: {error}{hint}")


def _header(name: str, cells: list[str]) -> list[str]:
    # A column without a name is told apart by its place, so that none takes the value of another.
    header = [_seen(cell) or f"column {place}" for place, cell in enumerate(cells, start=1)]
    lower = [_heading(cell) for cell in header]
    if not any(key in lower for key in _KEYS):
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
def _heading(column: str) -> str:
    """A column's name for comparing: "File Name", "file-name" and "FILE_NAME" are one."""
    return re.sub(r"[\s_-]+", "_", _seen(column).lower())


def _may_be_key(heading: str) -> bool:
    pieces = set(heading.split("_"))
    return not pieces.isdisjoint(
        ("file", "filename", "image", "images", "img", "picture", "photo", "path", "dateiname", "bild")
    )


def _parsed(text: str) -> Any:
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
            _refuse(name, line, f"has {len(row):,} characters; {MAX_LINE:,} are the limit")
        try:
            value = _parsed(row)
        except (ValueError, RecursionError) as error:
            _refuse(name, line, f"is not JSON: {str(error)[:200]}")
        if not isinstance(value, dict):
            _refuse(name, line, "is not a JSON object with names and values")
        if not any(_heading(key) in _KEYS for key in value):
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
        if len(lists) > 1:
            raise Unread("It holds several lists; write one list, whose rows have a file_name.")
        by_name = {
            key: {"caption": row} if isinstance(row, str) and PurePosixPath(key).suffix else row
            for key, row in value.items()
        }
        named = [{"file_name": key, **row} for key, row in by_name.items() if isinstance(row, dict)]
        is_row = any(_heading(key) in _KEYS for key in value)
        value = [value] if is_row else lists[0] if lists else named if len(named) == len(value) else []
    rows = value if isinstance(value, list) else []
    if not rows or not all(isinstance(row, dict) and any(_heading(key) in _KEYS for key in row) for row in rows):
        raise Unread("It lists no photos: rows need a file_name.")
    return list(enumerate(rows, start=1))


def _facts(source: str, line: int, row: dict[str, Any]) -> PhotoMetadata:
    if len(row) > MAX_COLUMNS:
        _refuse(source, line, f"has {len(row)} values; {MAX_COLUMNS} are the limit")
    name, texts, extra, seen = "", dict[str, str | None](), dict[str, Any](), set[str]()
    for column, value in row.items():
        heading = _heading(column)
        if _is_unkept(heading):
            _refuse(source, line, "has a column whose name holds a character that no database keeps")
        if heading in seen:
            _refuse(source, line, f"has {column.strip()[:100]} twice, in other letters")
        seen.add(heading)
        if heading in _KEYS:
            name = name or _text(source, line, heading, value, 4096) or ""
        elif heading in CAPTIONS and isinstance(value, list):
            # Several captions of one photo, as COCO has them: the first counts, all are kept.
            texts[heading] = _text(source, line, heading, next(iter(value), None), LIMITS[heading])
            _text(source, line, heading, json.dumps(value, ensure_ascii=False), EXTRA_LIMIT)
            extra[column.strip()] = value
        elif heading in LIMITS:
            text = _text(source, line, heading, value, LIMITS[heading])
            texts[heading] = None if text and text.casefold() in _MISSING else text
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
