"""Checks of samples: a sheet's by column, one sample's with what shows why, and measuring what is not measured."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from app.evaluation import sheets
from app.web.dependencies import CurrentPerson, Files, Page, Read, Write
from app.web.leading import Receipt, lead
from app.web.routes.compare import title_of
from app.web.views import checks as view

router = APIRouter()


@router.get("/compare/{sheet_id}/checks")
def of_sheet(
    sheet_id: int, session: Read, page: Page, me: CurrentPerson, profile: str = "", check: str = "", column: str = "",
    answer: str = "",
) -> HTMLResponse:  # fmt: skip
    """The checks of a sheet, counted by column."""
    title = title_of(sheets.get(session, sheet_id))
    return page("checks/sheet.html", view.of_sheet(session, sheet_id, title, profile, check, column, answer, me))


@router.post("/compare/{sheet_id}/measuring")
def measure(sheet_id: int, request: Request, session: Write, me: CurrentPerson) -> Response:
    """Measure what is not measured."""
    view.ask_to_measure(session, sheet_id, me)
    return lead(request, f"/compare/{sheet_id}/checks", Receipt("The pictures are being checked"))


@router.get("/samples/{sample_id}/checks")
def of_sample(
    sample_id: int, session: Read, page: Page, me: CurrentPerson, profile: str = "", show: str = ""
) -> HTMLResponse:
    """One sample with its checks."""
    return page("checks/sample.html", view.of_sample(session, sample_id, profile, show, me))


@router.get("/samples/{sample_id}/evidence", response_class=Response)
def evidence(sample_id: int, session: Read, files: Files, of: str = "") -> Response:
    """Pixels to lay over a sample, PNG."""
    drawn = view.drawn(session, files, sample_id, of)
    # It may be measured anew.
    return Response(drawn, media_type="image/png", headers={"Cache-Control": "private, no-cache"})
