"""Duplicates: the groups of a catalog, two photos side by side, and what a person says of a group."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app import jobs
from app.bulk.acts import photos
from app.catalog import reading
from app.errors import Refused
from app.review import best_order, duplicates
from app.review.duplicates import Ruled, Ruling
from app.web.dependencies import CurrentPerson, Page, Read, Write
from app.web.leading import Receipt, lead
from app.web.security import safe_next
from app.web.views import duplicates as view

router = APIRouter()
Text = Annotated[str, Form()]


@router.get("/catalogs/{catalog_id}/duplicates")
def show(
    catalog_id: int,
    session: Read,
    page: Page,
    grade: str = "",
    state: str = "open",
    after: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    order: str | None = None,
) -> HTMLResponse:
    """The groups, the closest first; of one grade where it is asked for."""
    catalog = reading.get(session, catalog_id)
    return page("duplicates/groups.html", view.read(session, catalog, grade, state, after, order))


@router.post("/catalogs/{catalog_id}/duplicates/order")
def change_order(catalog_id: int, request: Request, session: Write, me: CurrentPerson, order: Text) -> Response:
    """Choose the best photos by these criteria, the first one first."""
    reading.get(session, catalog_id)
    best_order.change(session, catalog_id, best_order.read(order.split(",")), me)
    said = Receipt("The best photo of each open group is chosen in this order now")
    return lead(request, f"/catalogs/{catalog_id}/duplicates", said)


@router.get("/catalogs/{catalog_id}/duplicates/{group_id}")
def side_by_side(
    catalog_id: int,
    group_id: int,
    session: Read,
    page: Page,
    other: Annotated[int | None, Query()] = None,
) -> HTMLResponse:
    """The best photo of a group beside another one."""
    return page("duplicates/side.html", view.side(session, reading.get(session, catalog_id), group_id, other))


@router.post("/catalogs/{catalog_id}/duplicates")
def look(catalog_id: int, session: Write, me: CurrentPerson) -> Response:
    """Measure what is not measured yet, and compare it with all other photos."""
    reading.get(session, catalog_id)
    jobs.request_once(session, "signals.measure", {"catalog_id": catalog_id}, me)
    return RedirectResponse(f"/catalogs/{catalog_id}/duplicates", 303)


@router.post("/catalogs/{catalog_id}/duplicates/sure")
def link_sure(
    catalog_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    expected_count: Annotated[int | None, Form()] = None,
) -> Response:
    """Keep the best of every sure group and link the rest, as one act."""
    reading.get(session, catalog_id)
    ruled = duplicates.link_sure(session, catalog_id, me, expected_count)
    return lead(request, f"/catalogs/{catalog_id}/duplicates", _said("linked", ruled))


@router.post("/catalogs/{catalog_id}/duplicates/{group_id}")
def rule(
    catalog_id: int,
    group_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    kind: Text,
    best_id: Annotated[int | None, Form()] = None,
    seen_id: Annotated[int | None, Form()] = None,
    next: Text = "",
) -> Response:
    """Keep the best and link the rest, keep all, say they are no duplicates, or make another photo the best."""
    reading.get(session, catalog_id)
    if kind not in duplicates.SAID:
        raise Refused("That cannot be said of a group of duplicates.")
    ruled = duplicates.rule(session, group_id, me, cast(Ruling, kind), best_id, seen_id)
    address = safe_next(next) if next else f"/catalogs/{catalog_id}/duplicates"
    return lead(request, address, _said(cast(Ruling, kind), ruled))


def _said(kind: Ruling, ruled: Ruled) -> Receipt:
    """What was said of groups, and how it is taken back: "Kept the best and linked the rest: 3 photos"."""
    sentence = duplicates.SAID[kind]
    if kind == "linked":
        groups = f" of {ruled.groups:,} groups" if ruled.groups > 1 else ""
        sentence = f"Kept the best{groups} and linked {photos(ruled.linked)}"
    return Receipt(sentence, undo="/undo")
