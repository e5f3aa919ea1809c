"""The filter field of a catalog: saved views, and what could stand at the cursor."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.catalog import reading
from app.selection import saved_views
from app.selection.completing import complete
from app.selection.query import Selection
from app.web.dependencies import CurrentPerson, Read, Write
from app.web.leading import Receipt, lead
from app.web.views import blind
from app.web.views.facets import address

router = APIRouter()
Text = Annotated[str, Form()]


@router.get("/catalogs/{catalog_id}/completions")
def completions(catalog_id: int, session: Read, me: CurrentPerson, q: str = "", at: int = 0) -> dict[str, Any]:
    """What could stand at the character `at` of a filter, as JSON."""
    reading.get(session, catalog_id)
    counted = blind.narrowed(session, me, Selection(catalog_id), is_counted=True)
    return asdict(complete(session, counted, q, at))


@router.post("/catalogs/{catalog_id}/views")
def save(
    catalog_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    name: Text = "",
    q: Text = "",
    sort: Text = "newest",
    is_shared: Annotated[bool, Form()] = False,
) -> Response:
    """Keep a filter and an order by a name."""
    view = saved_views.save(session, catalog_id, me, name, q, sort, is_shared)
    return lead(request, address(catalog_id, view.query, view.sort), Receipt(f"Saved the view “{view.name}”"))


@router.post("/views/{view_id}")
def change(
    view_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    name: Text = "",
    is_shared: Annotated[bool, Form()] = False,
) -> Response:
    """Give one's own view another name; share it, or no more."""
    view = saved_views.change(session, view_id, me, name, is_shared)
    shared = "the team sees it" if view.is_shared else "only you see it"
    return lead(
        request, address(view.catalog_id, view.query, view.sort), Receipt(f"The view is “{view.name}”; {shared}")
    )


@router.post("/views/{view_id}/deletion")
def delete(view_id: int, request: Request, session: Write, me: CurrentPerson) -> Response:
    """Take one's own view away."""
    catalog_id = saved_views.delete(session, view_id, me)
    return lead(request, address(catalog_id), Receipt("Deleted the view; its photos stay"))
