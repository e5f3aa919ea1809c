"""Looking things up in catalogs: a catalog, a photo, the photos of one product, how many copies a photo has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Select, Text, any_, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.catalog.tables import Catalog, Image, RemovedPhoto, SourceFile
from app.database import array
from app.errors import NotFound


class Chosen(Protocol):
    """What acts on many photos need of a selection, which most of them lie below."""

    @property
    def catalog_id(self) -> int: ...

    def select(self, *columns: Any) -> Select[*tuple[Any, ...]]: ...


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """A catalog and how many photos it holds."""

    catalog: Catalog
    photos: int


def get(session: Session, catalog_id: int) -> Catalog:
    """The catalog with this number. Raises NotFound."""
    catalog = session.get(Catalog, catalog_id)
    if catalog is None:
        raise NotFound(f"There is no catalog {catalog_id}.")
    if catalog.removed_at is not None:
        raise NotFound("This catalog was removed. What its versions hold is kept with them.")
    return catalog


def is_removed(session: Session, catalog_id: int) -> bool:
    """Whether a catalog was removed, or only hides photos that were removed from another."""
    return session.scalar(select(Catalog.removed_at).where(Catalog.id == catalog_id)) is not None


def removed(session: Session, catalog_id: int, sha256s: Collection[str]) -> dict[str, RemovedPhoto]:
    """Which of these bytes an owner removed from a catalog, so that nobody takes them in again."""
    query = select(RemovedPhoto).where(
        RemovedPhoto.catalog_id == catalog_id, RemovedPhoto.sha256 == any_(array(sorted(sha256s), Text()))
    )
    return {row.sha256: row for row in session.scalars(query)}


def photo(session: Session, image_id: int) -> Image:
    """The photo with this number. Raises NotFound."""
    image = session.get(Image, image_id)
    if image is None:
        raise NotFound(f"There is no photo {image_id}.")
    return image


def held(session: Session, image_ids: Collection[int], catalog_id: int | None = None) -> set[int]:
    """Those of these photos that are there, and in this catalog where one is given. Nobody removes or mends them until
    the transaction ends.

    Whoever writes rows about photos that were chosen earlier asks first: an owner may have removed some meanwhile. One
    that a version holds is there, hidden in another catalog.
    """
    return showing(session, image_ids, {}, catalog_id)


def showing(
    session: Session, image_ids: Collection[int], views: Mapping[int, str], catalog_id: int | None = None
) -> set[int]:
    """As `held`, and those that show another view than `views` says, SHA-256s by photo, are left out.

    Whoever kept a photo's picture for long asks with the view it is of: somebody may have mended the photo meanwhile.
    """
    chosen = any_(array(sorted(image_ids)))
    there = select(Image.id, Image.view_sha256).where(Image.id == chosen).order_by(Image.id)
    if catalog_id is not None:
        there = there.where(Image.catalog_id == catalog_id)
    rows = session.execute(there.with_for_update(read=True, key_share=True))
    return {row.id for row in rows if views.get(row.id, row.view_sha256) == row.view_sha256}


def shown(session: Session, image_id: int) -> Image:
    """The photo with this number, unless an owner took it down. Raises NotFound."""
    image = photo(session, image_id)
    if session.scalar(select(Catalog.removed_from_id).where(Catalog.id == image.catalog_id)) is not None:
        raise NotFound("This photo was removed. The versions that hold it keep its file, and nobody is shown it.")
    return image


def named(session: Session, catalog_id: int) -> Iterator[tuple[int, str, str]]:
    """The photos of a catalog, each its number, its file's name and its SHA-256."""
    query = select(Image.id, Image.file_name, Image.sha256).where(Image.catalog_id == catalog_id)
    rows = session.execute(query.execution_options(yield_per=5_000))
    return ((row[0], row[1], row[2]) for row in rows)


def everything(session: Session) -> list[CatalogRow]:
    """All catalogs, newest first."""
    counts = select(Image.catalog_id, func.count().label("n")).group_by(Image.catalog_id).subquery()
    rows = session.execute(
        select(Catalog, func.coalesce(counts.c.n, 0))
        .outerjoin(counts, counts.c.catalog_id == Catalog.id)
        .where(Catalog.removed_at.is_(None))
        .order_by(Catalog.id.desc())
    )
    return [CatalogRow(catalog, count) for catalog, count in rows]


def of_same_product(session: Session, image: Image, limit: int = 6) -> Sequence[Image]:
    """Other photos of this photo's product, oldest first; none where the product is not known."""
    if image.product_key is None:
        return []
    return session.scalars(
        select(Image)
        .where(Image.catalog_id == image.catalog_id, Image.product_key == image.product_key, Image.id != image.id)
        .order_by(Image.id)
        .limit(limit)
    ).all()


def among(column: InstrumentedAttribute[Any], numbers: Collection[int]) -> ColumnElement[bool]:
    """Whether a column holds one of these numbers, which are one value of the statement.

    Written out, a page of them makes a statement that is taken apart anew each time, for longer than it runs.
    """
    return column == any_(array(numbers))


def close_copies(session: Session, image_ids: Sequence[int]) -> dict[int, int]:
    """How many more photos show the very same photo, by photo; photos without any are left out."""
    rows = session.execute(
        select(Image.id, Image.copy_count).where(among(Image.id, image_ids), Image.copies.in_(("pixels", "photo")))
    )
    return {row.id: row.copy_count for row in rows}


def copies(session: Session, image_ids: Sequence[int]) -> dict[int, int]:
    """How many more files of an intake had the same bytes, by photo; photos without copies are left out."""
    rows = session.execute(
        select(SourceFile.image_id, func.count())
        .where(among(SourceFile.image_id, image_ids), SourceFile.outcome == "same_bytes")
        .group_by(SourceFile.image_id)
    )
    return {image_id: count for image_id, count in rows if image_id is not None}
