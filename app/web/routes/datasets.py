"""Dataset versions: the list, one version with its photos, freezing a selection, and the manifest as a file.

A freeze takes what people kept. What only a rule suggests to keep no person has seen; it is taken when asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from app.catalog import reading as catalogs
from app.catalog.copies import COPIES_SEEN
from app.catalog.tables import Catalog
from app.datasets import freezing, reading
from app.datasets.freezing import Offer
from app.datasets.reading import Contents, Pile, Shown, VersionRow
from app.errors import NotFound, Refused
from app.selection.wording import sentence
from app.training import runs
from app.training.tables import TrainingRun
from app.web.dependencies import CurrentPerson, Files, Page, Read, Write

router = APIRouter()


@dataclass(frozen=True)
class DatasetsView:
    """All versions, newest first, and what each catalog has to freeze now."""

    versions: list[VersionRow]
    piles: list[Pile]


@dataclass(frozen=True)
class FreezeView:
    """What a selection has to freeze. `said` tells in words what is taken of it unless unseen photos are too."""

    catalog: Catalog
    offer: Offer
    said: str
    query: str


@dataclass(frozen=True)
class VersionView:
    """One version. `contents` is None until it is frozen; the next page starts behind image `next_after`.

    `copies_seen` says which copies the split knows of.
    """

    shown: VersionRow
    contents: Contents | None
    members: list[Shown]
    split: str | None
    after: int
    next_after: int | None
    runs: list[TrainingRun]
    copies_seen: str = COPIES_SEEN


@router.get("/datasets")
def index(session: Read, page: Page) -> HTMLResponse:
    """All versions."""
    return page("datasets/index.html", DatasetsView(reading.versions(session), reading.piles(session)))


@router.get("/datasets/{version_id}")
def show(version_id: int, session: Read, page: Page, split: str | None = None, after: int = 0) -> HTMLResponse:
    """One version and a page of its photos."""
    shown = reading.get(session, version_id)
    is_frozen = shown.version.content_hash is not None
    members = reading.members(session, version_id, split, after) if is_frozen else []
    view = VersionView(
        shown=shown,
        contents=reading.contents(session, shown.version) if is_frozen else None,
        members=members,
        split=split,
        after=after,
        next_after=members[-1].image_id if len(members) == reading.PAGE else None,
        runs=[run for run in runs.recent(session) if run.version_id == version_id],
    )
    return page("datasets/version.html", view)


@router.get("/catalogs/{catalog_id}/freeze")
def offer(catalog_id: int, session: Read, page: Page, q: str = "") -> HTMLResponse:
    """What would be frozen of the photos that match `q`; without it, of the kept ones."""
    catalog = catalogs.get(session, catalog_id)
    offered = freezing.offer(session, catalog_id, q)
    said = sentence(freezing.taken(offered.selection, takes_unseen=False), offered.seen)
    return page("datasets/freeze.html", FreezeView(catalog, offered, said, offered.selection.query))


@router.post("/catalogs/{catalog_id}/versions")
def freeze(
    catalog_id: int,
    session: Write,
    me: CurrentPerson,
    q: Annotated[str, Form()] = "",
    unseen: Annotated[bool, Form()] = False,
    expected_seen: Annotated[int | None, Form()] = None,
    expected_unseen: Annotated[int, Form()] = 0,
    opted_out: Annotated[bool, Form()] = False,
    expected_seen_opted_out: Annotated[int, Form()] = 0,
    expected_unseen_opted_out: Annotated[int, Form()] = 0,
) -> RedirectResponse:
    """Freeze the photos that match `q`, without it the kept ones.

    With `unseen` also those that no person has seen, with `opted_out` those whose owners opted out of training.

    What was expected are the numbers of captioned photos that the page told.
    """
    expected = None
    if expected_seen is not None:
        seen = expected_seen + (expected_seen_opted_out if opted_out else 0)
        expected = seen + (expected_unseen + (expected_unseen_opted_out if opted_out else 0) if unseen else 0)
    version = freezing.request_freeze(session, catalog_id, q, me, unseen, expected, opted_out)
    return RedirectResponse(f"/datasets/{version.id}", 303)


@router.get("/datasets/{version_id}/manifest.jsonl")
def manifest(version_id: int, session: Read, files: Files) -> Response:
    """The manifest as a file; its paths are relative to the version's own folder."""
    shown = reading.get(session, version_id)
    if shown.version.content_hash is None:
        raise Refused("This version is not frozen yet, so it has no manifest.")
    file = files.dataset_folder(version_id) / freezing.MANIFEST
    if not file.is_file():
        raise NotFound("The manifest of this version is not in the data folder any more. Freeze the selection again.")
    name = re.sub(r"[^a-z0-9]+", "-", shown.catalog_name.lower()).strip("-") or "dataset"
    return FileResponse(file, media_type="application/x-ndjson", filename=f"{name}-v{shown.version.number}.jsonl")
