"""Tables for spreadsheets: CSV of any length, sent a piece at a time, with no cell that runs as a formula."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from fastapi import Request
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from app.catalog import reading
from app.intake import sidecars
from app.web.dependencies import opened

CHUNK: Final = 2_000
"""How many rows are worth reading at once."""
_SENT_AT_ONCE: Final = 1 << 16
# A spreadsheet takes a cell that begins so for a formula (OWASP, "CSV Injection").
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

Row = Sequence[str]


def answer(request: Request, name: str, head: Row, rows: Callable[[Session], Iterable[Row]]) -> StreamingResponse:
    """A table to be kept under this name. `rows` gets a session of its own: the request's is closed by then."""

    def lines() -> Iterator[str]:
        with opened(request) as reader:
            yield from _lines(head, rows(reader))

    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines(), media_type="text/csv; charset=utf-8", headers=headers)


def json_lines(
    request: Request, name: str, rows: Callable[[Session], Iterable[Mapping[str, Any]]]
) -> StreamingResponse:
    """The same as JSON, an object a line."""

    def lines() -> Iterator[str]:
        with opened(request) as reader:
            yield from (json.dumps(row, ensure_ascii=False) + "\n" for row in rows(reader))

    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines(), media_type="application/jsonl", headers=headers)


def sidecars_of(
    request: Request, name: str, catalog_id: int, texts: Callable[[Session], Iterable[tuple[int, str]]]
) -> StreamingResponse:
    """A ZIP of texts by the number of their photo, each named like it, sent while it is made."""

    def pieces() -> Iterator[bytes]:
        with opened(request) as reader:
            names = sidecars.names_of(reading.named(reader, catalog_id))
            yield from sidecars.packed((names[number], text) for number, text in texts(reader))

    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(pieces(), media_type="application/zip", headers=headers)


def plain_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula: one that begins like it gets a ' in front."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _lines(head: Row, rows: Iterable[Row]) -> Iterator[str]:
    """Lines of a table, with a mark in front by which spreadsheets know UTF-8."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write("\ufeff")
    writer.writerow(head)
    for row in rows:
        writer.writerow([plain_cell(cell) for cell in row])
        if buffer.tell() > _SENT_AT_ONCE:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()
