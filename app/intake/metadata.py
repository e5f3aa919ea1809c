"""Metadata files beside photos: `metadata.csv`, `.tsv`, `.jsonl`, `.json` or `.parquet`, as image folders have them.

A column `file_name` holds the path of a photo relative to the file's own folder, or its web address; one named `url`
or alike holds that where there is no other. `title`, `category`, `description` and
`product` are understood, `text`, `caption` or `prompt` is the photo's caption, and every other column is kept as it is.
A table with a mistake is refused whole, with the line it is on: half a catalogue with titles is harder to mend than
none.
"""

from __future__ import annotations

import json
import posixpath
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Final

from app.errors import Refused
from app.intake.plain_files import Unread
from app.intake.sources.entry import Entry
from app.intake.sources.naming import shortened
from app.intake.table_rows import ADDRESS_COLUMNS, KEYS, KINDS, MAX_COLUMNS, heading_of, kind_of, refuse, rows_in

STEM: Final = "metadata"
# What people also call so, and why it is not read.
UNREAD_KINDS: Final = {
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
# A row takes some 500 bytes of memory, however short it is.
MAX_ROWS: Final = 1_000_000
CAPTIONS: Final = ("text", "caption", "prompt")
LIMITS: Final = {"title": 500, "category": 200, "product": 200, "description": 20_000} | dict.fromkeys(CAPTIONS, 4_000)
EXTRA_LIMIT: Final = 4_000
_FACTS: Final = ("title", "category", "description", "product", "caption")


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
    is_named_so = path.stem == STEM and path.suffix in {*KINDS, *UNREAD_KINDS}
    return met.kind == "other" and (is_named_so or met.is_catalogue)


def is_table(met: Entry) -> bool:
    """Whether a file is a table of any name: metadata, or what is said not to be read."""
    return is_metadata(met) or (met.kind == "other" and kind_of(met) in TABLES)


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
        elif is_table(met):
            rows.unread[met.name] = (
                f"Not read: a table beside photos is read where it is called {STEM}.csv, .tsv, .jsonl or .parquet."
            )
    for place, present in folders.items():
        tables = [met for met in present if kind_of(met) in KINDS]
        for met in present:
            if met not in tables:
                rows.unread[met.name] = UNREAD_KINDS[kind_of(met)]
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


def is_address(name: str) -> bool:
    """Whether a row names its photo by a web address."""
    return name[:8].lower().startswith(("http://", "https://"))


def _read_folder(rows: Rows, place: str, tables: list[Entry]) -> None:
    """Add the rows of a folder's one table."""
    listed: dict[str, Iterable[tuple[int, dict[str, Any]]]] = {}
    for met in tables:
        try:
            listed[met.name] = rows_in(met)
        except Unread as refusal:
            rows.unread[met.name] = refusal.sentence
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
    said = row_said(name, line, row)
    key = key_of(said.name)
    if place and not is_address(said.name):
        key = posixpath.normpath(f"{place}/{key}") if ".." in key else f"{place}/{key}"
    key = shortened(key)
    rows.files[name] += 1
    if len(rows.by_key) >= MAX_ROWS:
        refuse(name, line, f"is one more than {MAX_ROWS:,} rows, the limit of one intake; take the folders in apart")
    before = rows.by_key.get(key)
    if before is not None and replace(before, line=line) != said:
        at = f"line {before.line}" if before.source == name else f"line {before.line} of {before.source}"
        refuse(name, line, f"names {key_of(said.name)}, which {at} names too. {_differing(before, said)}")
    rows.by_key.setdefault(key, said)


def _differing(before: PhotoMetadata, said: PhotoMetadata) -> str:
    first, second = (row.extra | {fact: getattr(row, fact) for fact in _FACTS} for row in (before, said))
    differing = [fact[:50] for fact in {**first, **second} if first.get(fact) != second.get(fact)]
    return f"They say different things of it. What differs: {', '.join(differing[:5])}"


def row_said(source: str, line: int, row: dict[str, Any]) -> PhotoMetadata:
    """What one row says, by its columns. Raises Refused for a text over its limit and what no database keeps."""
    if len(row) > MAX_COLUMNS:
        refuse(source, line, f"has {len(row)} values; {MAX_COLUMNS} are the limit")
    name, texts, extra, seen = "", dict[str, str | None](), dict[str, Any](), set[str]()
    addresses: dict[str, str] = {}
    for column, value in row.items():
        heading = heading_of(column)
        if _is_unkept(heading):
            refuse(source, line, "has a column whose name holds a character that no database keeps")
        if heading in seen:
            refuse(source, line, f"has {column.strip()[:100]} twice, in other letters")
        seen.add(heading)
        if heading in ADDRESS_COLUMNS:
            # Beside a file of its own, where a photo is from on the web is what the row says of it.
            address = _text(source, line, heading, value, 4096)
            addresses |= {heading: address} if address else {}
            extra |= {column.strip(): address} if address else {}
        elif heading in KEYS:
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
    name = name or next((addresses[column] for column in ADDRESS_COLUMNS if column in addresses), "")
    if not key_of(name):
        refuse(source, line, "has no file name")
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
        refuse(source, line, f"has a {heading} that is no text")
    text = str(value).strip()
    if len(text) > limit:
        refuse(source, line, f"has a {heading} of {len(text):,} characters; {limit:,} are the limit")
    if _is_unkept(text):
        refuse(source, line, f"has a {heading} with a character that no database keeps")
    return text or None


def _is_unkept(text: str) -> bool:
    return "\0" in text or "\\u0000" in text or any("\ud800" <= letter <= "\udfff" for letter in text)
