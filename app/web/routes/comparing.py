"""Putting a comparison together: any columns on a suite, with what it takes told before it is asked for."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.errors import Refused
from app.evaluation import choosing, sheets
from app.web.dependencies import Config, Files, Page, Read, Sent, Spender, Write
from app.web.views.comparing import form, two_runs

router = APIRouter()


@router.get("/compare/new")
def new(request: Request, session: Read, page: Page, config: Config) -> HTMLResponse:
    """The form, with what the address asks for chosen."""
    chosen = form.understood(session, request.query_params)
    return page("comparing/new.html", form.view(session, config, chosen, is_asked=bool(chosen.wishes)))


@router.post("/compare/new")
def look(session: Read, page: Page, config: Config, sent: Sent) -> HTMLResponse:
    """The same with what was just chosen: what it takes and what differs, before anything is asked for."""
    return page("comparing/new.html", form.view(session, config, form.understood(session, sent), is_asked=True))


@router.post("/compare")
def make(session: Write, page: Page, config: Config, files: Files, me: Spender, sent: Sent) -> Response:
    """Put it together, or change the columns of one, and draw what is missing."""
    chosen = form.understood(session, sent)
    if chosen.suite is None:
        raise Refused("There is no suite yet. The first run makes one.")
    shown = form.view(session, config, chosen, is_asked=True)
    if shown.fault:
        return page("comparing/new.html", shown, status=422)
    files.refuse_below_reserve()
    sheet = choosing.put_together(session, chosen.suite, chosen.wishes, me, chosen.name, chosen.sheet)
    sheets.request_drawing(session, sheet, me)
    return RedirectResponse(f"/compare/{sheet.id}", 303)


@router.get("/runs/compare")
def compare_runs(session: Read, page: Page, config: Config, a: int, b: int) -> HTMLResponse:
    """Two runs held against each other: what can be concluded, their curves, what differs."""
    return page("comparing/runs.html", two_runs.view(session, config, a, b))
