"""Suites: the list, a version, its editor, a catalog's product suite, files in and out, opening what is held out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, Response

from app.catalog import reading
from app.errors import Conflict, Refused
from app.evaluation import hold_out, sheets, suite_editing, suite_files, suites
from app.evaluation.tables import Suite
from app.web import tables
from app.web.dependencies import CurrentPerson, Page, Read, Sent, Write
from app.web.leading import Receipt, lead
from app.web.routes.compare import title_of
from app.web.views import suites as view

router = APIRouter()


@router.get("/suites")
def index(session: Read, page: Page, catalog_id: int | None = None) -> HTMLResponse:
    """All suites with their versions, or those of a catalog."""
    return page("suites/index.html", view.list_of(session, catalog_id))


@router.get("/suites/new")
def new(session: Read, page: Page, catalog_id: int | None = None) -> HTMLResponse:
    """What the product suite of a catalog would be."""
    return page("suites/new.html", view.new(session, catalog_id))


@router.post("/suites")
def make(
    request: Request, session: Write, page: Page, me: CurrentPerson, sent: Sent, catalog_id: Annotated[int, Form()]
) -> Response:
    """Make the product suite of a catalog."""
    catalog = reading.get(session, catalog_id)
    try:
        suite = suite_editing.make_for(session, catalog, str(sent.get("name", "")), view.sampling_of(sent), me)
    except Refused as refusal:
        return page("suites/new.html", view.new(session, catalog_id, sent, refusal.sentence), 422)
    return lead(request, f"/suites/{suite.id}", _receipt(suite))


@router.post("/suites/imports", max_body_size=suite_files.BYTES_AT_MOST + (1 << 16))
def bring_in(
    request: Request,
    session: Write,
    page: Page,
    me: CurrentPerson,
    chosen: Annotated[UploadFile, File()],
    catalog_id: Annotated[int | None, Form()] = None,
) -> Response:
    """Take a suite from a file of JSON lines, all of it or nothing."""
    try:
        file = suite_files.read(chosen.file.read())
        if catalog_id is not None:
            reading.get(session, catalog_id)
        suite = suite_editing.bring_in(session, file, me, catalog_id)
    except Refused as refusal:
        return page("suites/index.html", view.list_of(session, catalog_id, refusal.sentence), 422)
    return lead(request, f"/suites/{suite.id}", _receipt(suite))


@router.get("/suites/{suite_id}")
def show(suite_id: int, session: Read, page: Page, me: CurrentPerson) -> HTMLResponse:
    """One version: its prompts by category, what changed, what is drawn from it."""
    return page("suites/suite.html", view.read(session, suite_id, me, title_of))


@router.get("/suites/{suite_id}/edit")
def edit(suite_id: int, session: Read, page: Page, me: CurrentPerson) -> HTMLResponse:
    """The editor."""
    return page("suites/edit.html", view.editor(session, suite_id, me))


@router.post("/suites/{suite_id}")
def save(suite_id: int, request: Request, session: Write, page: Page, me: CurrentPerson, sent: Sent) -> Response:
    """Make a new version of what was edited; what is refused is shown again as it was typed."""
    suite = suites.get(session, suite_id)
    try:
        draft = view.draft(session, suite, me, sent)
        saved = suite_editing.save(session, suite, draft, me, view.expected(sent))
    except (Refused, Conflict) as refusal:
        return page("suites/edit.html", view.typed(session, suite, me, sent, refusal.sentence), refusal.status)
    return lead(request, f"/suites/{saved.id}", _receipt(saved, saved.id == suite.id))


@router.get("/suites/{suite_id}/suite.jsonl")
def as_json_lines(suite_id: int, request: Request, session: Read, me: CurrentPerson) -> Response:
    """The version as JSON lines, without what is held out and hidden."""
    suite = suites.get(session, suite_id)
    prompts = hold_out.shown(session, suite, me)
    held_back = len(suites.prompts_of(session, suite)) - len(prompts)
    draft = suite_editing.draft_of(session, suite, prompts)
    rows = list(suite_files.lines(suite.name, suite.version, suite.content_hash, draft, held_back))
    return tables.json_lines(request, f"suite-{suite.id}-version-{suite.version}.jsonl", lambda _: rows)


@router.post("/suites/{suite_id}/hold-out")
def open_hold_out(
    suite_id: int, request: Request, session: Write, me: CurrentPerson, sheet_id: Annotated[int, Form()]
) -> Response:
    """Open the held-out prompts for a sheet."""
    suite = suites.get(session, suite_id)
    hold_out.open_for(session, suite, sheets.get(session, sheet_id), me)
    return lead(request, f"/suites/{suite_id}#hold-out", Receipt("Opened; it counts from now on"))


def _receipt(suite: Suite, is_same: bool = False) -> Receipt:
    if is_same:
        return Receipt("Nothing differs, so no version was made")
    return Receipt(f"This is version {suite.version} of “{suite.name}”")
