"""The rules of a catalog: looked at, tried, kept. What is tried lives in the address and changes nothing."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from app.catalog import reading
from app.review import rule_sets
from app.web.dependencies import CurrentPerson, Page, Read, Sent, Write
from app.web.leading import Receipt, lead
from app.web.views import rules as view

router = APIRouter()


@router.get("/catalogs/{catalog_id}/rules")
def show(catalog_id: int, request: Request, session: Read, page: Page, part: str = "") -> HTMLResponse:
    """The rules as they are kept, or as the address tries them. `part=counts` gives what would change."""
    shown = view.read(session, reading.get(session, catalog_id), request.query_params)
    status = 422 if shown.refusal else 200
    if part == "counts":
        return page.fragment("rules/_rules.html", shown)
    return page("rules/rules.html", shown, status)


@router.post("/catalogs/{catalog_id}/rules")
def save(
    catalog_id: int,
    request: Request,
    session: Write,
    page: Page,
    me: CurrentPerson,
    sent: Sent,
    expected_id: Annotated[int | None, Form()] = None,
) -> Response:
    """Keep what is set, and let the rules suggest by it."""
    catalog = reading.get(session, catalog_id)
    shown = view.read(session, catalog, sent, expected_id)
    if shown.refusal:
        return page("rules/rules.html", shown, 422)
    if shown.other:
        return page("rules/rules.html", shown, 409)
    rule_sets.save(session, catalog_id, me, shown.asked, expected_id)
    return lead(request, f"/catalogs/{catalog_id}/rules", Receipt("Saved; the rules suggest by this from now on"))
