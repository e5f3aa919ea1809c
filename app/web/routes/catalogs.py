"""Catalogs: the list, and one catalog's grid with its filter.

One address serves the page and, with `part=grid`, its inside that scripts swap in; the photos as one scrolls come from
`tiles`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app import people
from app.bulk import operations
from app.bulk.operations import OperationRow
from app.catalog import reading
from app.catalog.reading import CatalogRow
from app.catalog.tables import Catalog
from app.datasets import freezing
from app.datasets.freezing import Offer
from app.errors import NotFound
from app.people import Person
from app.review.decisions import REASONS
from app.selection import assigned, browse, changes, saved_views
from app.selection.browse import PAGE
from app.selection.columns.memory import one_look
from app.selection.kinds import NotUnderstood
from app.selection.ordering import Order, order_named, orders_beside
from app.selection.query import Selection
from app.selection.saved_views import SavedView
from app.selection.wording import Description, describe, examples
from app.web.dependencies import Config, CurrentPerson, Page, Read
from app.web.views import blind, labels, measures, photos, tiles
from app.web.views import facets as pane
from app.web.views.facets import Histogram, Listing, address
from app.web.views.labels import LabelStrip
from app.web.views.measures import MeasureChoice
from app.web.views.photos import Photo
from app.web.views.tiles import TilesView

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
class LinkedView:
    """A saved view, and the address that opens it."""

    view: SavedView
    owner: str
    is_own: bool
    address: str


@dataclass(frozen=True)
class GridView:
    """A catalog's grid. `facets` and `tiles` belong to `selection`, `said` says it in words with the exact count.

    `tiles` are up to `page_size` of them, around photo `near` where one was asked for and is there; `earlier` and
    `later` are the addresses of the pages around, for browsers without scripts. `suggested` of its photos wait for a
    person to accept what a rule suggests. `offer` is what it has to freeze. `examples` explain the filter language:
    what to type, and what it gives. `change` is the mark of the last change that is counted here. `under_way` are acts
    on many photos that a worker has; `captioner` is the model that writes captions, where one is set; `yours` is the
    filter that gives `me` what is assigned to them, where anything is.
    """

    catalog: Catalog
    selection: Selection
    query: str
    refusal: RefusedFilter | None
    sort: str
    sorts: dict[str, Order]
    facets: list[Listing | Histogram]
    measures: list[MeasureChoice]
    total: int
    suggested: int
    offer: Offer | None
    catalog_total: int
    said: Description
    tiles: TilesView
    near: int | None
    change: str
    page_size: int
    places: tuple[tuple[int, str], ...]
    earlier: str | None
    later: str | None
    reasons: tuple[str, ...]
    photo: Photo | None
    examples: list[tuple[str, str]]
    views: list[LinkedView]
    label_sets: tuple[LabelStrip, ...]
    under_way: list[OperationRow]
    captioner: str | None
    team: Sequence[Person]
    me: Person
    yours: str | None


@dataclass(frozen=True)
class FacetView:
    """One facet, as it is swapped while somebody types in its field."""

    catalog: Catalog
    facet: Listing


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
    config: Config,
    q: str = "",
    sort: str = "newest",
    at: Annotated[int, Query(ge=1)] = 1,
    near: int | None = None,
    part: str = "",
) -> HTMLResponse:
    """The grid. `at` jumps to a place, `near` to a photo where it is in the selection; `part=grid` gives the inside."""
    catalog = reading.get(session, catalog_id)
    order_named(sort)
    view = _grid(session, catalog, me, q, sort, at, near, request.cookies.get(measures.COOKIE), config.caption_model)
    if part == "grid":
        return page.fragment("catalog/_grid.html", view)
    return page("catalog/grid.html", view, status=422 if view.refusal else 200)


@router.get("/catalogs/{catalog_id}/facets/{key}")
def facet(
    catalog_id: int,
    key: str,
    session: Read,
    page: Page,
    me: CurrentPerson,
    q: str = "",
    sort: str = "newest",
    find: str = "",
) -> HTMLResponse:
    """The choices of one facet as a fragment: those that have `find` in their words."""
    catalog, chosen = reading.get(session, catalog_id), blind.chosen(session, me, q, catalog_id)
    counted = browse.facets(session, blind.narrowed(session, me, chosen, is_counted=True), {})
    if not counted.options.get(key):
        raise NotFound(f"There is no facet “{key}”.")
    return page.fragment("catalog/_choices.html", FacetView(catalog, pane.listing(key, counted, chosen, sort, find)))


@router.get("/images/{image_id}/card")
def card(image_id: int, session: Read, page: Page, me: CurrentPerson) -> HTMLResponse:
    """The detail pane of one photo, as a fragment."""
    return page.fragment("catalog/_card.html", CardView(_card(session, image_id, me)))


def _card(session: Session, image_id: int, me: Person) -> Photo:
    photo = photos.read(session, image_id, is_compared=True)
    return photo.unseen() if blind.is_held(session, me, image_id) else photo


def _grid(
    session: Session, catalog: Catalog, me: Person, query: str, sort: str, at: int, near: int | None,
    chosen_measures: str | None, captioner: str | None,
) -> GridView:  # fmt: skip
    """The whole page. A query that is not understood shows what the whole catalog has, beside the refusal."""
    refusal = None
    try:
        chosen = blind.chosen(session, me, query, catalog.id)
    except NotUnderstood as error:
        refusal = _refusal(error, query)
        chosen = Selection(catalog.id)
    measured = measures.shown(chosen_measures, chosen)
    change = changes.mark(session, catalog.id)  # before anything is counted
    # What is counted and what is shown belong together: nobody's decision falls between them.
    with one_look(session, catalog.id):
        open_to_me = blind.narrowed(session, me, chosen, is_counted=True)
        counted = browse.facets(session, open_to_me, measured)
        if open_to_me is not chosen:
            counted = replace(counted, total=browse.count(session, chosen))
        if near is not None and not browse.holds(session, chosen, near):
            near = None
        if near is not None:
            at = max(1, browse.position(session, chosen, sort, near) - PAGE // 2)
        at = min(at, max(counted.total, 1))
        shown = blind.tiles(session, me, browse.page(session, chosen, sort, browse.at(session, chosen, sort, at)))
        of_labels = labels.facets(session, chosen, sort)
        offer = _offer(session, chosen)
        catalog_total = browse.count(session, Selection(catalog.id))
    return GridView(
        catalog=catalog,
        selection=chosen,
        query=query if refusal else chosen.query,
        refusal=refusal,
        sort=sort,
        sorts=orders_beside(sort),
        facets=_facets(pane.draw(counted, chosen, sort), of_labels),
        measures=measures.choices(measured),
        total=counted.total,
        suggested=counted.suggested,
        offer=offer,
        catalog_total=catalog_total,
        said=describe(chosen, counted.total),
        tiles=tiles.of(session, catalog, chosen, sort, shown, at),
        near=near,
        change=change,
        page_size=PAGE,
        places=_places(chosen, sort, counted.total),
        earlier=address(catalog.id, chosen.query, sort, at=max(1, at - PAGE)) if at > 1 else None,
        later=address(catalog.id, chosen.query, sort, at=at + PAGE) if at + PAGE <= counted.total else None,
        reasons=REASONS,
        photo=_card(session, shown[0].id, me) if shown else None,
        examples=examples(),
        views=_views(session, catalog, me),
        label_sets=labels.strips(session, catalog.id),
        under_way=operations.under_way(session, catalog.id),
        captioner=captioner,
        team=people.enabled(session),
        me=me,
        yours=_yours(session, catalog, me),
    )


def _views(session: Session, catalog: Catalog, me: Person) -> list[LinkedView]:
    return [
        LinkedView(shown.view, shown.owner, shown.is_own, address(catalog.id, shown.view.query, shown.view.sort))
        for shown in saved_views.visible(session, catalog.id, me)
    ]


def _yours(session: Session, catalog: Catalog, me: Person) -> str | None:
    is_any = assigned.has_any(session, catalog.id, me)
    return Selection(catalog.id).narrowed(assigned=(me.email,)).query if is_any else None


def _facets(drawn: list[Listing | Histogram], of_labels: list[Listing]) -> list[Listing | Histogram]:
    """What a team asks itself stands right behind what it decided."""
    return [*drawn[:2], *of_labels, *drawn[2:]]


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
