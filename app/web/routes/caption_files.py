"""Captions in and out: as tables, JSON lines and sidecars; and files of them shown, then brought in.

A script that asks for JSON gets what a file would do, and what was done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app.bulk import importing, imports
from app.captions import files
from app.captions.tables import Kind
from app.catalog import reading
from app.catalog.tables import Catalog, Image
from app.people import Person
from app.selection import browse
from app.selection.query import Selection
from app.web import errors, tables
from app.web.dependencies import CurrentPerson, Page, Read, Write
from app.web.views import blind
from app.web.views import imports as view

router = APIRouter()
Text = Annotated[str, Form()]
Kinds = Annotated[list[Kind] | None, Query()]
MAX_REQUEST_BYTES: Final = imports.MAX_FILE_BYTES + (1 << 20)


@dataclass(frozen=True)
class CaptionFilesView:
    """The page: how many texts of each kind a filter's photos have, in the order of the kinds."""

    catalog: Catalog
    query: str
    photos: int
    counts: dict[Kind, int]


@router.get("/catalogs/{catalog_id}/captions")
def show(catalog_id: int, session: Read, page: Page, me: CurrentPerson, q: str = "") -> HTMLResponse:
    """What there is to take out, and a form that brings in."""
    catalog = reading.get(session, catalog_id)
    selection = blind.chosen(session, me, q, catalog_id)
    counts = files.counts(session, selection.select(Image.id))
    return page("captions/files.html", CaptionFilesView(catalog, q, browse.count(session, selection), counts))


@router.get("/catalogs/{catalog_id}/captions.csv")
def as_table(
    catalog_id: int,
    request: Request,
    session: Read,
    me: CurrentPerson,
    kind: Kinds = None,
    history: bool = False,
    q: str = "",
) -> Response:
    """Captions as a table, a row each."""
    chosen, unseen = _chosen(session, me, catalog_id, q), blind.hidden(session, me)

    def rows(reader: Session) -> Iterator[list[str]]:
        every = files.records(reader, chosen.select(Image.id), kind or files.KINDS, with_history=history, unseen=unseen)
        return files.csv_rows(every)

    return tables.answer(request, f"captions-of-catalog-{catalog_id}.csv", files.FIELDS, rows)


@router.get("/catalogs/{catalog_id}/captions.jsonl")
def as_json_lines(
    catalog_id: int,
    request: Request,
    session: Read,
    me: CurrentPerson,
    kind: Kinds = None,
    history: bool = False,
    q: str = "",
) -> Response:
    """Captions as JSON, an object a line."""
    chosen, unseen = _chosen(session, me, catalog_id, q), blind.hidden(session, me)

    def rows(reader: Session) -> Iterator[dict[str, Any]]:
        return files.records(reader, chosen.select(Image.id), kind or files.KINDS, with_history=history, unseen=unseen)

    return tables.json_lines(request, f"captions-of-catalog-{catalog_id}.jsonl", rows)


@router.get("/catalogs/{catalog_id}/captions.zip")
def as_sidecars(
    catalog_id: int, request: Request, session: Read, me: CurrentPerson, kind: Kind = "long", q: str = ""
) -> Response:
    """The captions of one kind as text files, each named like its photo."""
    chosen = _chosen(session, me, catalog_id, q)

    def texts(reader: Session) -> Iterator[tuple[int, str]]:
        return files.texts(reader, chosen.select(Image.id), kind)

    return tables.sidecars_of(request, f"{kind}-captions-of-catalog-{catalog_id}.zip", catalog_id, texts)


@router.post("/catalogs/{catalog_id}/captions/imports", max_body_size=MAX_REQUEST_BYTES)
def read_in(
    catalog_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    chosen: Annotated[UploadFile, File()],
    kind: Annotated[Kind, Form()] = "long",
    writer: Annotated[Literal["given", "person"], Form()] = "given",
) -> Response:
    """Read a file and keep what it says, to be shown; nothing is changed yet."""
    reading.get(session, catalog_id)
    read = importing.read_in(session, catalog_id, me, chosen.filename or "captions.csv", chosen.file, kind, writer)
    if not errors.wants_json(request):
        return RedirectResponse(f"/catalogs/{catalog_id}/captions/imports/{read.id}", 303)
    return JSONResponse(view.as_json(session, read))


@router.get("/catalogs/{catalog_id}/captions/imports/{import_id}")
def show_import(catalog_id: int, import_id: int, session: Read, page: Page) -> HTMLResponse:
    """What a file would do, or did."""
    return page("operations/import.html", view.read(session, catalog_id, "captions", import_id))


@router.post("/catalogs/{catalog_id}/captions/imports/{import_id}")
def bring_in(
    catalog_id: int,
    import_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    takes_over: Annotated[bool, Form()] = False,
) -> Response:
    """Bring a file in that was shown, as one operation; with `takes_over` also where a person wrote otherwise."""
    read = imports.get(session, catalog_id, "captions", import_id)
    done, status = view.carried_out(session, imports.carry_out(session, read, me, takes_over=takes_over), me)
    if not errors.wants_json(request):
        return RedirectResponse(f"/catalogs/{catalog_id}/captions/imports/{import_id}", 303)
    return JSONResponse(done, status)


def _chosen(session: Session, me: Person, catalog_id: int, q: str) -> Selection:
    reading.get(session, catalog_id)
    return blind.chosen(session, me, q, catalog_id)
