"""The map of a catalog as its page shows it: what was found on it, what is selected, and how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from sqlalchemy.orm import Session

from app.catalog import embeddings, reading
from app.catalog.embeddings import Coverage
from app.catalog.tables import Catalog, EmbeddingSpace, PhotoMap
from app.jobs import Job
from app.people import Person
from app.review.decisions import REASONS
from app.selection import browse, maps
from app.selection.browse import Tile
from app.selection.kinds import NotUnderstood
from app.selection.map_points import DRAWN_AT_MOST
from app.selection.maps import SetCount, SetLooks
from app.selection.query import Selection
from app.selection.wording import Description, describe
from app.settings import Settings
from app.web.views import blind


@dataclass(frozen=True)
class ShownSet:
    """A cluster or what is far from everything, as a link to its photos."""

    count: SetCount
    label: str
    href: str
    is_on: bool


@dataclass(frozen=True)
class MapView:
    """The page. `made` is None while there is no map; `job` is what is under way for it, or has failed last.

    `looks` is what the pane shows of the selection, None where everything is selected. Of the sets that the filter
    names, `missing` are no more: clusters go with the map that they were found on. Of the `placed`
    photos on the map `drawn` are drawn.
    """

    catalog: Catalog
    selection: Selection
    query: str
    refusal: str | None
    said: Description
    total: int
    made: PhotoMap | None
    space: EmbeddingSpace | None
    coverage: Coverage
    clusters: Sequence[ShownSet]
    far: ShownSet | None
    looks: SetLooks | None
    middle: Sequence[Tile]
    odd: Sequence[Tile]
    outside: Sequence[Tile]
    job: Job | None
    embedder: str | None
    reads_words: bool
    reasons: tuple[str, ...]
    address: str
    missing: int
    placed: int
    drawn: int


def read(session: Session, catalog_id: int, query: str, settings: Settings, me: Person) -> MapView:
    """The map's page for a filter. Raises NotFound."""
    catalog = reading.get(session, catalog_id)
    refusal = None
    try:
        chosen = blind.chosen(session, me, query, catalog_id)
    except NotUnderstood as error:
        refusal, chosen = error.sentence, Selection(catalog_id)
    total = browse.count(session, chosen)
    made, coverage = maps.of(session, catalog_id), embeddings.coverage(session, catalog_id)
    shown = [_shown(count, chosen) for count in maps.sets(session, catalog_id)]
    placed = len(made.image_ids) if made else 0
    looks = None if chosen.is_everything or not total else maps.looks(session, chosen)
    return MapView(
        catalog=catalog,
        selection=chosen,
        query=query if refusal else chosen.query,
        refusal=refusal,
        said=describe(chosen, total),
        total=total,
        made=made,
        space=session.get(EmbeddingSpace, made.space_id) if made else coverage.space,
        coverage=coverage,
        clusters=[linked for linked in shown if linked.count.kind == "cluster"],
        far=next((linked for linked in shown if linked.count.kind == "far"), None),
        looks=looks,
        middle=_tiles(session, me, looks.middle) if looks else (),
        odd=_tiles(session, me, looks.odd) if looks else (),
        outside=_tiles(session, me, looks.outside) if looks else (),
        job=maps.under_way(session, catalog_id),
        embedder=settings.embedder,
        reads_words=coverage.space is not None and coverage.space.reads_words,
        reasons=REASONS,
        address=f"/catalogs/{catalog_id}/map" + (f"?q={quote(chosen.query)}" if chosen.query else ""),
        missing=len(maps.unknown_sets(session, catalog_id, _sets_named(chosen))),
        placed=placed,
        drawn=min(placed, DRAWN_AT_MOST),
    )


def _tiles(session: Session, me: Person, image_ids: Sequence[int]) -> list[Tile]:
    return blind.tiles(session, me, browse.tiles(session, list(image_ids)))


def _sets_named(chosen: Selection) -> list[str]:
    return [name for term in chosen.every_term if term.key == "in" and not term.is_not for name in term.values]


def _shown(count: SetCount, chosen: Selection) -> ShownSet:
    label = "Far from everything" if count.kind == "far" else count.words or f"cluster {count.name.partition('-')[2]}"
    href = f"/catalogs/{chosen.catalog_id}/map?q=in:{count.name}"
    return ShownSet(count, label, href, chosen.values("in") == (count.name,))
