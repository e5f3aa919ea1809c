"""Catalogs: the list, and one catalog's grid with its filter.

One address serves the page, the pieces that scripts swap in (`part=`), and the next photos; what is asked for is the
same selection in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app.catalog import reading
from app.catalog.reading import CatalogRow
from app.catalog.tables import Catalog
from app.datasets import freezing
from app.datasets.freezing import Offer
from app.people import Person
from app.review.decisions import REASONS
from app.selection import browse, saved_views
from app.selection.browse import PAGE, SORTS, Order, Tile
from app.selection.kinds import NotUnderstood
from app.selection.query import Selection, parse
from app.selection.saved_views import SavedView
from app.selection.wording import Description, describe, examples
from app.web.dependencies import CurrentPerson, Page, Read
from app.web.views import facets as pane
from app.web.views import labels, photos
from app.web.views.facets import Histogram, Listing, address
from app.web.views.labels import LabelStrip
from app.web.views.photos import Photo

router = APIRouter()


@dataclass(frozen=True)
class CatalogsView:
    """All catalogs, newest first."""

    catalogs: list[CatalogRow]


@dataclass(frozen=True)
class RefusedFilter:
    """A query that was not understood, cut in three at the place, and the words that would be."""

    sentence: str
    before: str
    there: str
    allowed: tuple[str, ...]


@dataclass(frozen=True)
class TilesView:
    """Some photos in a row. `copies` counts more files of the same bytes, `close_copies` more photos in the same group.

    `first` is the place of the first one, from 1.

    `next` is the address of the fragment with those behind, `next_page` that of the page that starts there, if any.
    """

    catalog: Catalog
    selection: Selection
    sort: str
    tiles: list[Tile]
    copies: dict[int, int]
    close_copies: dict[int, int]
    first: int
    next: str | None
    next_page: str | None


@dataclass(frozen=True)
class LinkedView:
    """A saved view, and the address that opens it."""

    view: SavedView
    owner: str
    is_own: bool
    address: str


@dataclass(frozen=True)
class GridView:
    """A catalog's grid. `facets` and `tiles` belong to `selection`, `said` says it in words with the exact count.

    `suggested` of its photos wait for a person to accept what a rule suggests. `offer` is what it has to freeze.
    `examples` explain the filter language: what to type, and what it gives.
    """

    catalog: Catalog
    selection: Selection
    query: str
    refusal: RefusedFilter | None
    sort: str
    sorts: dict[str, Order]
    facets: list[Listing | Histogram]
    total: int
    suggested: int
    offer: Offer | None
    catalog_total: int
    said: Description
    tiles: TilesView
    places: tuple[tuple[int, str], ...]
    earlier: str | None
    reasons: tuple[str, ...]
    photo: Photo | None
    examples: list[tuple[str, str]]
    views: list[LinkedView]
    label_sets: tuple[LabelStrip, ...]


@dataclass(frozen=True)
class CardView:
    """The detail pane of one photo."""

    photo: Photo


@router.get("/catalogs")
def index(session: Read, page: Page) -> Response:
    """The list of catalogs, or the only one there is."""
    catalogs = reading.everything(session)
    if len(catalogs) == 1:
        return RedirectResponse(f"/catalogs/{catalogs[0].catalog.id}", 303)
    return page("catalog/index.html", CatalogsView(catalogs))


@router.get("/catalogs/{catalog_id}")
def show(
    catalog_id: int,
    request: Request,
    session: Read,
    page: Page,
    me: CurrentPerson,
    q: str = "",
    sort: str = "newest",
    after: int | None = None,
    at: Annotated[int, Query(ge=1)] = 1,
    part: str = "",
) -> HTMLResponse:
    """The grid. `at` jumps to a place; `part=tiles` gives the photos behind `after`, `part=grid` the page's inside."""
    catalog = reading.get(session, catalog_id)
    browse.order_named(sort)
    if part == "tiles":
        return page.fragment("catalog/_more.html", _tiles(session, catalog, parse(q, catalog_id), sort, after, at))
    view = _grid(session, catalog, me, q, sort, at)
    if part == "grid":
        return page.fragment("catalog/_grid.html", view)
    return page("catalog/grid.html", view, status=422 if view.refusal else 200)


@router.get("/images/{image_id}/card")
def card(image_id: int, session: Read, page: Page) -> HTMLResponse:
    """The detail pane of one photo, as a fragment."""
    return page.fragment("catalog/_card.html", CardView(photos.read(session, image_id, is_compared=True)))


def _grid(session: Session, catalog: Catalog, me: Person, query: str, sort: str, at: int) -> GridView:
    """The whole page. A query that is not understood shows what the whole catalog has, beside the refusal."""
    refusal = None
    try:
        chosen = parse(query, catalog.id)
    except NotUnderstood as error:
        refusal = _refusal(error, query)
        chosen = Selection(catalog.id)
    counted = browse.facets(session, chosen)
    at = min(at, max(counted.total, 1))
    tiles = _tiles(session, catalog, chosen, sort, browse.at(session, chosen, sort, at), at)
    return GridView(
        catalog=catalog,
        selection=chosen,
        query=query if refusal else chosen.query,
        refusal=refusal,
        sort=sort,
        sorts=SORTS,
        facets=_facets(pane.draw(counted, chosen, sort), labels.facets(session, chosen, sort)),
        total=counted.total,
        suggested=counted.suggested,
        offer=_offer(session, chosen),
        catalog_total=browse.count(session, Selection(catalog.id)),
        said=describe(chosen, counted.total),
        tiles=tiles,
        places=_places(chosen, sort, counted.total),
        earlier=address(catalog.id, chosen.query, sort, at=max(1, at - PAGE)) if at > 1 else None,
        reasons=REASONS,
        photo=photos.read(session, tiles.tiles[0].id, is_compared=True) if tiles.tiles else None,
        examples=examples(),
        views=[
            LinkedView(shown.view, shown.owner, shown.is_own, address(catalog.id, shown.view.query, shown.view.sort))
            for shown in saved_views.visible(session, catalog.id, me)
        ],
        label_sets=labels.strips(session, catalog.id),
    )


def _facets(drawn: list[Listing | Histogram], of_labels: list[Listing]) -> list[Listing | Histogram]:
    """What a team asks itself stands right behind what it decided."""
    return [*drawn[:2], *of_labels, *drawn[2:]]


def _tiles(
    session: Session, catalog: Catalog, chosen: Selection, sort: str, after: int | None, first: int
) -> TilesView:
    tiles = browse.page(session, chosen, sort, after)
    ids = [tile.id for tile in tiles]
    copies, close = reading.copies(session, ids), reading.close_copies(session, ids)
    more = page = None
    if len(tiles) == PAGE:
        behind = first + PAGE
        more = address(catalog.id, chosen.query, sort, part="tiles", after=tiles[-1].id, at=behind)
        page = address(catalog.id, chosen.query, sort, at=behind)
    return TilesView(catalog, chosen, sort, tiles, copies, close, first, more, page)


def _offer(session: Session, chosen: Selection) -> Offer | None:
    """The kept ones of the selected photos, to be frozen, and those that rules suggest to keep, where `by` asks for no
    others; None where the selection asks for other decisions."""
    decision = chosen.values("decision")
    if (decision and "kept" not in decision) or "kept" in chosen.values("decision", is_not=True):
        return None
    return freezing.offer(session, chosen.catalog_id, chosen.narrowed(decision=("kept",)).query)


def _places(chosen: Selection, sort: str, total: int) -> tuple[tuple[int, str], ...]:
    """Five places along the whole selection, each with the address that jumps there."""
    marks = dict.fromkeys(max(1, round(total * quarter / 4)) for quarter in range(5))
    return tuple((mark, address(chosen.catalog_id, chosen.query, sort, at=mark)) for mark in marks) if total else ()


def _refusal(error: NotUnderstood, query: str) -> RefusedFilter:
    place = error.position
    end = next((spot for spot in range(place, len(query)) if query[spot].isspace()), len(query))
    return RefusedFilter(error.sentence, query[:place], query[place:end] or " ", error.allowed)
