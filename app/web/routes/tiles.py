"""Pieces of a catalog's grid that its script asks for as one scrolls and picks: photos in a row, ranges, changes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, JSONResponse

from app.catalog import reading
from app.selection import browse, changes, ranges
from app.selection.browse import PAGE
from app.selection.columns.memory import one_look
from app.selection.ordering import order_named
from app.selection.query import Selection
from app.web.dependencies import CurrentPerson, Page, Read
from app.web.views import blind, tiles

router = APIRouter()


@router.get("/catalogs/{catalog_id}/tiles")
def show(
    catalog_id: int,
    session: Read,
    page: Page,
    me: CurrentPerson,
    q: str = "",
    sort: str = "newest",
    at: Annotated[int, Query(ge=1)] = 1,
    after: int | None = None,
    before: int | None = None,
    size: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
    id: Annotated[list[int], Query(max_length=PAGE)] = [],  # noqa: B006  (FastAPI copies it)
) -> HTMLResponse:
    """Up to `size` photos as a fragment: those behind photo `after`, those before `before`, these by their numbers, or
    those from the place `at` on. `at` is the place of the first one in any case."""
    catalog, chosen = reading.get(session, catalog_id), blind.chosen(session, me, q, catalog_id)
    order_named(sort)
    if id:
        listed = browse.page(session, Selection(catalog_id).narrowed(id=id))
        shown = sorted(listed, key=lambda tile: id.index(tile.id))
    elif before is not None:
        shown = browse.tiles(session, browse.neighbours(session, chosen, sort, before, size, 0)[0])
    else:
        with one_look(session, catalog_id):
            behind = after if after is not None else browse.at(session, chosen, sort, at)
            shown = browse.page(session, chosen, sort, behind, size) if behind or at == 1 else []
    shown = blind.tiles(session, me, shown)
    return page.fragment("catalog/_tiles.html", tiles.of(session, catalog, chosen, sort, shown, at))


@router.get("/catalogs/{catalog_id}/range")
def between(
    catalog_id: int,
    session: Read,
    me: CurrentPerson,
    start: Annotated[int, Query(alias="from")],
    end: Annotated[int, Query(alias="to")],
    q: str = "",
    sort: str = "newest",
) -> JSONResponse:
    """Which photos lie from one to another, also where the browser has seen neither page nor number of them."""
    reading.get(session, catalog_id)
    id_range = ranges.between(session, blind.chosen(session, me, q, catalog_id), sort, start, end)
    return JSONResponse(asdict(id_range))


@router.get("/catalogs/{catalog_id}/changes")
def changed(catalog_id: int, session: Read) -> JSONResponse:
    """A mark of what was changed in the catalog so far: a page whose mark is another one counts again."""
    reading.get(session, catalog_id)
    return JSONResponse({"mark": changes.mark(session, catalog_id)})
