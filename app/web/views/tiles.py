"""Some photos of the grid in a row, as the template draws them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.catalog import reading
from app.catalog.tables import Catalog
from app.selection import assigned
from app.selection.browse import Tile
from app.selection.query import Selection


@dataclass(frozen=True)
class TilesView:
    """Some photos in a row. `copies` counts more files of the same bytes, `close_copies` more photos in the same group.

    `assignees` says whose a photo is. `first` is the place of the first one, from 1.
    """

    catalog: Catalog
    selection: Selection
    sort: str
    tiles: list[Tile]
    copies: dict[int, int]
    close_copies: dict[int, int]
    assignees: dict[int, str]
    first: int


def of(session: Session, catalog: Catalog, selection: Selection, sort: str, tiles: list[Tile], first: int) -> TilesView:
    """These tiles with what is known of their copies, and whose they are."""
    ids = [tile.id for tile in tiles]
    copies, close = reading.copies(session, ids), reading.close_copies(session, ids)
    return TilesView(catalog, selection, sort, tiles, copies, close, assigned.names(session, ids), first)
