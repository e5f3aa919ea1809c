"""Removing for good: what would go and what has to stay is told first, then an owner says so once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse

from app import people
from app.catalog import reading
from app.catalog.reading import CatalogRow
from app.catalog.tables import RemovedPhoto
from app.datasets import reading as datasets
from app.removal import caches, catalogs, exports, photos, versions
from app.removal.consequences import Consequences
from app.review.decisions import name_of
from app.storage import free_on
from app.web.dependencies import Files, Owner, Page, Read, Write

router = APIRouter()


@dataclass(frozen=True)
class RemovalView:
    """What is about to be removed. `picture` is the number of a photo to show; `asks_reason` keeps why."""

    what: str
    deed: str
    consequences: Consequences
    action: str
    back: str
    picture: int | None = None
    asks_reason: bool = False


@dataclass(frozen=True)
class StorageView:
    """What takes room, and what was removed. Sizes in bytes."""

    catalogs: Sequence[CatalogRow]
    cache_bytes: int
    cache: Consequences
    exports_bytes: int
    free_bytes: int
    removed: Sequence[tuple[RemovedPhoto, str]]
    names: dict[int, str]


@router.get("/storage")
def show(session: Read, page: Page, files: Files, me: Owner) -> HTMLResponse:
    """The catalogs, the cache and the removed photos."""
    removed = photos.removed(session)
    ids = {row.removed_by_id for row, _ in removed if row.removed_by_id is not None}
    view = StorageView(
        catalogs=reading.everything(session),
        cache_bytes=caches.size_bytes(files.cache_folder),
        cache=caches.consequences(session, files),
        exports_bytes=caches.size_bytes(files.exports_folder),
        free_bytes=free_on(files.root),
        removed=removed,
        names=people.names(session, ids),
    )
    return page("removal/storage.html", view)


@router.post("/storage/cache/removal")
def empty_cache(session: Write, files: Files, me: Owner) -> RedirectResponse:
    """Empty the cache."""
    caches.empty(session, files, me)
    return RedirectResponse("/storage", 303)


@router.post("/storage/exports/removal")
def remove_exports(session: Write, files: Files, me: Owner) -> RedirectResponse:
    """Delete every export that is not being written."""
    exports.remove_all(session, files, me)
    return RedirectResponse("/storage", 303)


@router.post("/storage/photos/{removed_id}/return")
def allow_again(removed_id: int, session: Write, me: Owner) -> RedirectResponse:
    """Let intakes take in a removed photo again."""
    photos.allow_again(session, removed_id, me)
    return RedirectResponse("/storage", 303)


@router.get("/images/{image_id}/removal")
def ask_photo(image_id: int, session: Read, page: Page, me: Owner) -> HTMLResponse:
    """What depends on a photo."""
    image = reading.photo(session, image_id)
    reading.get(session, image.catalog_id)
    view = RemovalView(
        what=name_of(image),
        deed="Remove the photo",
        consequences=photos.consequences(session, image),
        action=f"/images/{image_id}/removal",
        back=f"/images/{image_id}",
        picture=image_id,
        asks_reason=True,
    )
    return page("removal/ask.html", view)


@router.post("/images/{image_id}/removal")
def remove_photo(
    image_id: int, session: Write, files: Files, me: Owner, reason: Annotated[str, Form()] = ""
) -> RedirectResponse:
    """Remove a photo."""
    catalog_id = reading.photo(session, image_id).catalog_id
    photos.remove(session, files, image_id, me, reason)
    return RedirectResponse(f"/catalogs/{catalog_id}", 303)


@router.get("/catalogs/{catalog_id}/removal")
def ask_catalog(catalog_id: int, session: Read, page: Page, me: Owner) -> HTMLResponse:
    """What depends on a catalog."""
    catalog = reading.get(session, catalog_id)
    view = RemovalView(
        what=f"the catalog {catalog.name}",
        deed="Remove the catalog",
        consequences=catalogs.consequences(session, catalog),
        action=f"/catalogs/{catalog_id}/removal",
        back=f"/catalogs/{catalog_id}",
    )
    return page("removal/ask.html", view)


@router.post("/catalogs/{catalog_id}/removal")
def remove_catalog(catalog_id: int, session: Write, me: Owner) -> RedirectResponse:
    """Remove a catalog."""
    catalogs.remove(session, catalog_id, me)
    return RedirectResponse("/storage", 303)


@router.get("/datasets/{version_id}/removal")
def ask_version(version_id: int, session: Read, page: Page, me: Owner) -> HTMLResponse:
    """What depends on a version."""
    shown = datasets.get(session, version_id)
    view = RemovalView(
        what=f"{shown.catalog_name}, version {shown.version.number}",
        deed="Remove the version",
        consequences=versions.consequences(session, shown.version),
        action=f"/datasets/{version_id}/removal",
        back=f"/datasets/{version_id}",
    )
    return page("removal/ask.html", view)


@router.post("/datasets/{version_id}/removal")
def remove_version(version_id: int, session: Write, files: Files, me: Owner) -> RedirectResponse:
    """Remove a version that nothing uses."""
    versions.remove(session, files, version_id, me)
    return RedirectResponse("/datasets", 303)
