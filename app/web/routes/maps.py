"""The map of a catalog: its page, its points for the browser, lassos drawn on it, and asking for it to be made."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from app import jobs
from app.catalog import embeddings, reading
from app.catalog.embeddings import PHRASE_MOST
from app.cycles import spending
from app.errors import NotFound, Refused
from app.selection import map_points, maps
from app.selection.map_points import DRAWN_AT_MOST
from app.selection.maps import Way
from app.selection.query import Selection
from app.web import errors
from app.web.dependencies import Config, CurrentPerson, Page, Read, Write
from app.web.views import blind
from app.web.views import maps as view

router = APIRouter()
Text = Annotated[str, Form()]


@router.get("/catalogs/{catalog_id}/map")
def show(catalog_id: int, session: Read, page: Page, config: Config, me: CurrentPerson, q: str = "") -> HTMLResponse:
    """The map, with what the filter selects lit."""
    shown = view.read(session, catalog_id, q, config, me)
    return page("map/map.html", shown, status=422 if shown.refusal else 200)


@router.get("/catalogs/{catalog_id}/map/points")
def points(catalog_id: int, session: Read, me: CurrentPerson, q: str = "") -> Response:
    """The map's points, packed. Raises NotFound."""
    made = maps.of(session, catalog_id)
    if made is None:
        raise NotFound("This catalog has no map yet.")
    chosen, unseen = blind.chosen(session, me, q, catalog_id), blind.hidden(session, me)
    packed = map_points.points(session, made, chosen, DRAWN_AT_MOST, unseen)
    return Response(packed.packed(), media_type="application/octet-stream", headers={"Cache-Control": "no-store"})


@router.post("/catalogs/{catalog_id}/map")
def make(catalog_id: int, session: Write, me: CurrentPerson) -> Response:
    """Ask for the map to be made anew."""
    maps.request(session, catalog_id, me)
    return RedirectResponse(f"/catalogs/{catalog_id}/map", 303)


@router.post("/catalogs/{catalog_id}/embeddings")
def embed(catalog_id: int, session: Write, config: Config, me: CurrentPerson) -> Response:
    """Ask the embedder to look at the photos that it has not looked at."""
    if config.embedder is not None:  # it runs on a device; the built-in one costs nothing
        spending.refuse(session, config, me)
    embeddings.request(session, catalog_id, config, me)
    return RedirectResponse(f"/catalogs/{catalog_id}/map", 303)


@router.post("/catalogs/{catalog_id}/lassos")
def draw(
    catalog_id: int, request: Request, session: Write, me: CurrentPerson, corners: Text, q: Text = "", way: Text = "new"
) -> Response:
    """Keep the photos inside of a polygon, "x,y x,y x,y" in the map's 0 to 1, as a lasso with a name."""
    ways: dict[str, Way] = {"new": "new", "add": "add", "take": "take"}
    if way not in ways:
        raise Refused("A lasso is new, adds to what is selected, or takes away from it.")
    try:
        pairs = [(float(x), float(y)) for x, _, y in (corner.partition(",") for corner in corners.split())]
    except ValueError:
        raise Refused("Corners of a lasso are pairs of numbers.") from None
    chosen = blind.chosen(session, me, q, catalog_id)
    lasso = maps.draw_lasso(session, chosen if way != "new" else chosen.with_term("in", ()), pairs, me, ways[way])
    query = Selection(catalog_id).with_term("in", (lasso.name,)).query
    if errors.wants_json(request):
        return JSONResponse({"query": query, "photos": len(lasso.image_ids)})
    return RedirectResponse(f"/catalogs/{catalog_id}/map?q={quote(query)}", 303)


@router.post("/catalogs/{catalog_id}/phrases")
def look_for(catalog_id: int, session: Write, config: Config, me: CurrentPerson, phrase: Text) -> Response:
    """Look for photos that look as words say, by an embedder that reads words."""
    reading.get(session, catalog_id)
    phrase = " ".join(phrase.split())
    space = embeddings.coverage(session, catalog_id).space
    if config.embedder is None or space is None or not space.reads_words:
        raise Refused("Search by how photos look is not configured: set PACKSHOT_EMBEDDER to a SigLIP or CLIP model.")
    if not 0 < len(phrase) <= PHRASE_MOST:
        raise Refused(f"Words to look for have 1 to {PHRASE_MOST} characters.")
    spending.refuse(session, config, me)
    arguments = {"catalog_id": catalog_id, "model": config.embedder, "phrase": phrase}
    if not embeddings.has_phrase(session, space.id, phrase):
        jobs.request_once(session, "photos.read_phrase", arguments, me, is_running_enough=True)
    query = Selection(catalog_id).with_term("looks", (phrase,)).query
    return RedirectResponse(f"/catalogs/{catalog_id}/map?q={quote(query)}", 303)
