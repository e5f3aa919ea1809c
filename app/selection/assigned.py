"""Whose photos are to look at, for the pages: the names on tiles, and whether somebody has any."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.reading import among
from app.people import Person
from app.selection.tables import PhotoIndex


def names(session: Session, image_ids: Sequence[int]) -> dict[int, str]:
    """Whose each of these photos is; photos that are nobody's are left out."""
    rows = session.execute(
        select(PhotoIndex.image_id, Person.name)
        .join(Person, Person.id == PhotoIndex.assignee_id)
        .where(among(PhotoIndex.image_id, image_ids))
    )
    return {row.image_id: row.name for row in rows}


def has_any(session: Session, catalog_id: int, person: Person) -> bool:
    """Whether a photo of a catalog is this person's."""
    hers = select(PhotoIndex.image_id).where(
        PhotoIndex.assignee_id == person.id, PhotoIndex.assignee_id.is_not(None), PhotoIndex.catalog_id == catalog_id
    )
    return session.scalar(hers.limit(1)) is not None
