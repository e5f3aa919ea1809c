"""How many photos of a selection have each combination of a few words: told from the catalog in memory, or in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.catalog.tables import Image
from app.selection.columns.memory import in_memory
from app.selection.kinds import Column
from app.selection.query import Selection
from app.selection.tables import PhotoIndex


def tally(session: Session, chosen: Selection, columns: Sequence[Column]) -> dict[tuple[Any, ...], int]:
    """Counts of photos by the values of these columns, which are columns of few words of `Image` and `PhotoIndex`.

    Combinations that no photo has are left out. A missing value is None.
    """
    counts = in_memory(session, chosen.catalog_id, lambda held, link: held.tally(link, chosen, columns))
    if counts is not None:
        return counts
    statement = select(*columns, func.count()).select_from(PhotoIndex)
    if any(column.class_ is Image for column in columns):
        statement = statement.join(Image, Image.id == PhotoIndex.image_id)
    of_chosen = (PhotoIndex.catalog_id == chosen.catalog_id, *chosen.clauses().values())
    rows = session.execute(statement.where(*of_chosen).group_by(*columns))
    return {tuple(row[:-1]): row[-1] for row in rows}
