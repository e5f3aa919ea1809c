"""Dataset versions: the list, one version with its photos, freezing a selection, and the manifest as a file.

A freeze takes what people kept. What only a rule suggests to keep no person has seen; it is taken when asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app import jobs
from app.catalog import reading as catalogs
from app.catalog.copies import COPIES_SEEN
from app.catalog.tables import Catalog
from app.datasets import balance, card, comparing, freezing, reading, verifying
from app.datasets.balance import Balance
from app.datasets.comparing import Change, VersionChanges
from app.datasets.freezing import Offer
from app.datasets.reading import Contents, Pile, Shown, VersionRow
from app.datasets.repeats import TIMES_AT_MOST, Repeat
from app.datasets.tables import DatasetVersion
from app.errors import Refused
from app.jobs import Job
from app.selection.wording import sentence
from app.training import runs
from app.training.tables import TrainingRun
from app.web.dependencies import CurrentPerson, Files, Page, Read, Write
from app.web.views import exports
from app.web.views.exports import ExportsPanel

router = APIRouter()


@dataclass(frozen=True)
class DatasetsView:
    """All versions, newest first, and what each catalog has to freeze now."""

    versions: list[VersionRow]
    piles: list[Pile]


@dataclass(frozen=True)
class FreezeView:
    """What a selection has to freeze. `said` tells in words what is taken of it unless unseen photos are too.

    `balances` are of all that can be taken, `seen` by their keys of what is taken unless unseen photos are too.
    """

    catalog: Catalog
    offer: Offer
    said: str
    query: str
    balances: list[Balance]
    seen: dict[str, Balance]
    times_at_most: int = TIMES_AT_MOST
    seed_at_most: int = freezing.SEED_AT_MOST


@dataclass(frozen=True)
class Since:
    """How a version differs from `older`: counts, and the first photos of each kind. `others` can be chosen instead."""

    older: DatasetVersion
    catalog_name: str
    changes: VersionChanges
    first: dict[str, list[Change]]
    others: list[tuple[DatasetVersion, str]]


@dataclass(frozen=True)
class ChangesView:
    """One page of the photos that two versions have differently, of one kind; the next starts behind `next_after`."""

    shown: VersionRow
    older: DatasetVersion
    changes: VersionChanges
    kind: comparing.ChangeKind
    listed: list[Change]
    after: int
    next_after: int | None


@dataclass(frozen=True)
class VersionView:
    """One version. `contents` is None until it is frozen; the next page starts behind image `next_after`.

    `copies_seen` says which copies the split knows of; `verified` is the last look whether the version is whole.
    """

    shown: VersionRow
    contents: Contents | None
    members: list[Shown]
    split: str | None
    after: int
    next_after: int | None
    runs: list[TrainingRun]
    since: Since | None
    summary: dict[str, Any] | None
    balances: list[Balance]
    verified: Job | None
    exports: ExportsPanel
    copies_seen: str = COPIES_SEEN


@router.get("/datasets")
def index(session: Read, page: Page) -> HTMLResponse:
    """All versions."""
    return page("datasets/index.html", DatasetsView(reading.versions(session), reading.piles(session)))


@router.get("/datasets/{version_id}")
def show(
    version_id: int,
    session: Read,
    page: Page,
    files: Files,
    split: str | None = None,
    after: int = 0,
    since: int | None = None,
) -> HTMLResponse:
    """One version, a page of its photos, and how it differs from version `since`, by itself from the one before."""
    shown = reading.get(session, version_id)
    version = shown.version
    is_frozen = version.content_hash is not None
    members = reading.members(session, version_id, split, after) if is_frozen else []
    summary = (version.summary or balance.summarise(session, version_id)) if is_frozen else None
    view = VersionView(
        shown=shown,
        contents=reading.contents(session, version) if is_frozen else None,
        members=members,
        split=split,
        after=after,
        next_after=members[-1].image_id if len(members) == reading.PAGE else None,
        runs=[run for run in runs.recent(session) if run.version_id == version_id],
        since=_since(session, version, since) if is_frozen else None,
        summary=summary,
        balances=balance.of_summary(summary) if summary else [],
        verified=jobs.get(session, version.verify_job_id) if version.verify_job_id else None,
        exports=exports.panel(session, files, version_id),
    )
    return page("datasets/version.html", view)


_SHOWN_AT_FIRST: Final = 8


def _since(session: Session, version: DatasetVersion, older_id: int | None) -> Since | None:
    """Nothing is told where no other version is frozen, and nothing of another catalog unless it was asked for."""
    others = comparing.others(session, version)
    older = comparing.before(session, version) if older_id is None else reading.get(session, older_id).version
    older = older or next((other for other, _ in others if other.catalog_id == version.catalog_id), None)
    if older is None:
        return None
    changes = comparing.changes(session, version, older)
    first: dict[str, list[Change]] = {
        kind: comparing.listed(session, version, older, kind)[:_SHOWN_AT_FIRST] if changes.of(kind) else []
        for kind in comparing.KINDS
    }
    return Since(older, reading.get(session, older.id).catalog_name, changes, first, others)


@router.get("/datasets/{version_id}/changes")
def changes(
    version_id: int,
    session: Read,
    page: Page,
    since: int,
    kind: comparing.ChangeKind = "recaptioned",
    after: int = 0,
) -> HTMLResponse:
    """The photos that a version has otherwise than version `since`, of one kind, page by page."""
    shown, older = reading.get(session, version_id), reading.get(session, since).version
    counted = comparing.changes(session, shown.version, older)
    listed = comparing.listed(session, shown.version, older, kind, after)
    next_after = listed[-1].image_id if len(listed) == comparing.PAGE else None
    return page("datasets/changes.html", ChangesView(shown, older, counted, kind, listed, after, next_after))


@router.get("/datasets/{version_id}/card.md")
def show_card(version_id: int, session: Read) -> PlainTextResponse:
    """The dataset card, Markdown with the hub's metadata at its head."""
    return PlainTextResponse(card.card(session, version_id), media_type="text/markdown")


@router.post("/datasets/{version_id}/verification")
def verify(version_id: int, session: Write, me: CurrentPerson) -> RedirectResponse:
    """Look again whether manifest, members and picture files are what was frozen."""
    verifying.request(session, version_id, me)
    return RedirectResponse(f"/datasets/{version_id}#verified", 303)


@router.get("/catalogs/{catalog_id}/freeze")
def offer(catalog_id: int, session: Read, page: Page, q: str = "") -> HTMLResponse:
    """What would be frozen of the photos that match `q`; without it, of the kept ones."""
    catalog = catalogs.get(session, catalog_id)
    offered = freezing.offer(session, catalog_id, q)
    said = sentence(freezing.taken(offered.selection, takes_unseen=False), offered.seen)
    balances = {
        takes_unseen: balance.of_selection(session, freezing.allowed(taken))
        for takes_unseen in (False, True)
        for taken in [freezing.taken(offered.selection, takes_unseen=takes_unseen)]
        if offered.seen or offered.unseen
    }
    seen = {each.key: each for each in balances.get(False, [])}
    view = FreezeView(catalog, offered, said, offered.selection.query, balances.get(True, []), seen)
    return page("datasets/freeze.html", view)


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
    seed: Annotated[int, Form()] = 0,
    repeated: Annotated[list[str] | None, Form()] = None,
    times: Annotated[list[int] | None, Form()] = None,
) -> RedirectResponse:
    """Freeze the photos that match `q`, without it the kept ones.

    With `unseen` also those that no person has seen, with `opted_out` those whose owners opted out of training.

    What was expected are the numbers of captioned photos that the page told. Photos that match the n-th of `repeated`
    are shown as often as the n-th of `times` says; `seed` draws the split.
    """
    if len(repeated or ()) != len(times or ()):
        raise Refused("Each filter of repeated photos needs a number of times.")
    expected = None
    if expected_seen is not None:
        seen = expected_seen + (expected_seen_opted_out if opted_out else 0)
        expected = seen + (expected_unseen + (expected_unseen_opted_out if opted_out else 0) if unseen else 0)
    asked = [Repeat(*each) for each in zip(repeated or (), times or (), strict=True)]
    version = freezing.request_freeze(session, catalog_id, q, me, unseen, expected, opted_out, seed, asked)
    return RedirectResponse(f"/datasets/{version.id}", 303)


@router.get("/datasets/{version_id}/manifest.jsonl")
def manifest(version_id: int, session: Read, files: Files) -> Response:
    """The manifest as a file, where it still is what was frozen; its paths are relative to the version's own folder."""
    shown = reading.get(session, version_id)
    if shown.version.content_hash is None:
        raise Refused("This version is not frozen yet, so it has no manifest.")
    file = verifying.manifest_file(files, shown.version)
    name = re.sub(r"[^a-z0-9]+", "-", shown.catalog_name.lower()).strip("-") or "dataset"
    return FileResponse(file, media_type="application/x-ndjson", filename=f"{name}-v{shown.version.number}.jsonl")
