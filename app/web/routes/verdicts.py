"""The verdict of a comparison: its page, the pictures behind each number, and the gate that a lead sets."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from app.evaluation import sheets
from app.web.dependencies import Config, CurrentPerson, Page, Read, Sent, Write
from app.web.leading import Receipt, lead
from app.web.routes.compare import title_of
from app.web.views.verdict import gate_form
from app.web.views.verdict import page as verdict_page
from app.web.views.verdict import pictures as evidence_page

router = APIRouter()


@router.get("/compare/{sheet_id}/verdict")
def show(
    sheet_id: int, session: Read, page: Page, config: Config, me: CurrentPerson, candidate: str = ""
) -> HTMLResponse:
    """The verdict on a candidate, or on the one that leads."""
    sheet = sheets.get(session, sheet_id)
    view = verdict_page.view(session, config, sheet, title_of(sheet), me, candidate or None)
    return page("verdict/verdict.html", view)


@router.get("/compare/{sheet_id}/verdict/pictures")
def behind(
    sheet_id: int, session: Read, page: Page, me: CurrentPerson, column: str, of: str, category: str = ""
) -> HTMLResponse:
    """Exactly the pictures that a number counts."""
    sheet = sheets.get(session, sheet_id)
    return page("verdict/pictures.html", evidence_page.view(session, sheet, title_of(sheet), me, column, of, category))


@router.post("/compare/{sheet_id}/gate")
def set_gate(
    sheet_id: int, request: Request, session: Write, page: Page, config: Config, me: CurrentPerson, sent: Sent
) -> Response:
    """Set the gate, or say what is wrong with it and lose nothing."""
    sheet = sheets.get(session, sheet_id)
    refused = gate_form.taken(session, sheet, me, {key: str(value) for key, value in sent.items()})
    if refused is not None:
        view = verdict_page.view(session, config, sheet, title_of(sheet), me, form=refused)
        return page("verdict/verdict.html", view, status=422)
    return lead(request, f"/compare/{sheet_id}/verdict", Receipt("The gate is set"))
