"""Tables that people and other tools write: their encoding, their separator, their rows; and cells that run as nothing.

Pure. What is assumed of a file is told, and a row that cannot be read costs nothing but itself.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn

from app.errors import Refused

# A spreadsheet takes a cell that begins so for a formula (OWASP, "CSV Injection"). An apostrophe before it says that it
# is none, and is one more where it stands there already: what is read back is what was written, and '90s stays '90s.
_FORMULA: Final = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_GUARDED: Final = re.compile("'+[=+\\-@\t\r\n＝＋－＠]")
_HALF: Final = re.compile("[\ud800-\udfff]")
MAX_LINE: Final = 1_000_000
JSON_LINES: Final = (".jsonl", ".ndjson")
Row = tuple[int, "dict[str, Any] | str"]


def guarded(cell: str) -> str:
    """A cell that no spreadsheet runs: a ' in front of what would be a formula, or looks guarded already."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def bare(cell: str) -> str:
    """A cell of a table that was written here, without the apostrophe of `guarded`."""
    return cell[1:] if _GUARDED.match(cell) else cell


def decoded(name: str, data: bytes) -> tuple[str, str]:
    """The text of a file, and what was assumed of it, in a sentence; empty for UTF-8 and what carries a mark.

    What is not UTF-8 and has no mark of UTF-16 or UTF-32 is read as UTF-16 where every other of its first bytes is
    null, or else as Windows-1252, which spreadsheets in Europe and America save. Raises Refused for what is no text.
    """
    encoding, assumed = _encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        if encoding != "utf-8-sig":
            raise Refused(f"“{name}” begins like {encoding.upper()} and is none.") from None
        try:
            text, assumed = data.decode("cp1252"), f"“{name}” is not UTF-8 and was read as Windows-1252."
        except UnicodeDecodeError:
            raise Refused(f"“{name}” is neither UTF-8 nor Windows-1252. Save it as UTF-8.") from None
    if "\0" in text:
        raise Refused(f"“{name}” holds null characters; it is no text.")
    return text, assumed


def _encoding(data: bytes) -> tuple[str, str]:
    if data[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32", ""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16", ""
    first = data[:8]
    if len(first) == 8 and (first[1::2], first[::2]).count(b"\0" * 4) == 1:
        return ("utf-16-le" if first[1] == 0 else "utf-16-be"), "It has no mark of its encoding and was read as UTF-16."
    return "utf-8-sig", ""


def rows(
    name: str, text: str, columns: Mapping[str, Sequence[str]], needed: Sequence[str], own: Collection[str]
) -> Iterator[Row]:
    """The rows of a table with their lines: CSV, or JSON lines by the name's ending. A row that cannot be read is a
    sentence in its place.

    `columns` are those that are read, each with the headings it is known by, in lower case; others are left. A CSV with
    all headings of `own` was written here, and its cells lose the apostrophe of `guarded`; of any other, an apostrophe
    is part of the text. Raises Refused where a table has none of the `needed` columns.
    """
    known = {heading: column for column, headings in columns.items() for heading in (column, *headings)}
    if name.lower().endswith(JSON_LINES):
        return _json_rows(name, text, known, needed)
    return _csv_rows(name, text, known, needed, own)


def _csv_rows(
    name: str, text: str, known: Mapping[str, str], needed: Sequence[str], own: Collection[str]
) -> Iterator[Row]:
    text, skipped, separator = _separated(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    head: list[str | None] = []
    read: Callable[[str], str] = str
    line = 1 + skipped
    try:
        for cells in reader:
            start, line = line, reader.line_num + 1 + skipped
            if not any(cell.strip() for cell in cells):
                continue
            if not head:
                head = _head(name, cells, known, needed)
                read = bare if set(own) <= {cell.strip() for cell in cells} else str
            elif any(cell.strip() for cell in cells[len(head) :]):
                hint = f"a text with “{separator}” in it stands between quotes"
                yield start, f"it has {len(cells)} cells where the table has {len(head)} columns; {hint}."
            else:
                yield start, {key: read(cell) for key, cell in zip(head, cells, strict=False) if key}
    except csv.Error as error:
        yield line, f"from here on the file cannot be read as CSV: {error}."
    if not head:
        raise Refused(f"“{name}” is empty.")


def _separated(text: str) -> tuple[str, int, str]:
    """The table, how many lines were left out before it, and what parts its cells: as `sep=` says, or what the first
    line has most of."""
    if said := re.match(r"\s*sep=([,;|\t])\r?\n", text, re.IGNORECASE):
        return text[said.end() :], 1, said[1]
    head = text.lstrip("\r\n").partition("\n")[0]
    return text, 0, max(",;\t|", key=head.count)


def _head(name: str, cells: Sequence[str], known: Mapping[str, str], needed: Sequence[str]) -> list[str | None]:
    head = [known.get(re.sub(r"[\s-]+", "_", cell.strip().lower())) for cell in cells]
    if twice := next((key for key in head if key and head.count(key) > 1), None):
        raise Refused(f"“{name}” has two columns for {twice}.")
    if missing := [key for key in needed if key not in head]:
        had = ", ".join(cell.strip() for cell in cells)[:200]
        raise Refused(f"“{name}” has no column {missing[0]}; it has {had}.")
    return head


def _json_rows(name: str, text: str, known: Mapping[str, str], needed: Sequence[str]) -> Iterator[Row]:
    is_empty = True
    # Only the newline parts lines: JSON texts may hold U+2028 and its like.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        is_empty = False
        value = json_value(line) if len(line) <= MAX_LINE else None
        if not isinstance(value, dict):
            yield number, "it is no JSON object."
            continue
        row = {known[key.lower()]: cell for key, cell in value.items() if key.lower() in known and cell is not None}
        if missing := [key for key in needed if key not in row]:
            yield number, f"it has no {missing[0]}."
        else:
            yield number, row
    if is_empty:
        raise Refused(f"“{name}” is empty.")


def json_value(text: str) -> Any:
    """A JSON value that a database keeps; None for a text that is none, or holds what is no character."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(constant)

    try:
        value = json.loads(text, parse_constant=refuse)
        written = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return None if _HALF.search(written) or "\\u0000" in written else value
