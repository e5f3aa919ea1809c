"""How file names name the photos of a catalog: rules offered on real photos, accepted by a person, and taken back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.captions import naming_history
from app.catalog import reading
from app.web.dependencies import CurrentPerson, Page, Read, Write
from app.web.views import naming

router = APIRouter()


@router.get("/catalogs/{catalog_id}/naming")
def show(catalog_id: int, session: Read, page: Page) -> HTMLResponse:
    """The rule that holds, the rules that could, each on five photos, and who decided what when."""
    return page("intakes/naming.html", naming.read(session, reading.get(session, catalog_id)))


@router.post("/catalogs/{catalog_id}/naming")
def accept(
    catalog_id: int,
    session: Write,
    me: CurrentPerson,
    rule: Annotated[str, Form()],
    seen: Annotated[list[int], Form()] = [],  # noqa: B006
    expected_id: Annotated[int | None, Form()] = None,
) -> Response:
    """Let a rule name the photos, after it was seen on examples."""
    naming_history.accept(session, catalog_id, rule, seen, me, expected_id)
    return RedirectResponse(f"/catalogs/{catalog_id}/naming", 303)


@router.post("/catalogs/{catalog_id}/naming/withdrawal")
def take_back(
    catalog_id: int, session: Write, me: CurrentPerson, expected_id: Annotated[int | None, Form()] = None
) -> Response:
    """Take the rule back."""
    naming_history.take_back(session, catalog_id, me, expected_id)
    return RedirectResponse(f"/catalogs/{catalog_id}/naming", 303)
