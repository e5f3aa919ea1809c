"""Refused files: the quarantine of an intake or of a catalog, trying again, leaving out, and the list as a table."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from app.catalog import reading
from app.catalog.files import content_type_of, thumb_path
from app.catalog.tables import Catalog, Intake, SourceFile
from app.errors import NotFound
from app.intake import ingest, quarantine
from app.intake.quarantine import ReasonCount, RefusedSource, Which
from app.jobs import Job
from app.web import tables
from app.web.dependencies import Config, CurrentPerson, Files, Page, Read, Write
from app.web.routes.images import KEPT_FOR_A_YEAR

router = APIRouter()

FILES_PAGE: Final = 200


@dataclass(frozen=True)
class RefusalsView:
    """Refused files of a catalog, or of one intake of it; `which` says which of them are listed.

    `total` are all by the filter, `left_out` how many somebody left out for good. `next_after` is the id of the file
    that the next page starts behind, None on the last. `sources` are where the listed ones came from, and whether they
    can be tried again; `last_tried` is how the last try ended. `address` gives this page with other fields of its
    filter.
    """

    catalog: Catalog
    intake: Intake | None
    which: Which
    reasons: list[ReasonCount]
    total: int
    left_out: int
    files: list[SourceFile]
    after: int
    next_after: int | None
    sources: list[RefusedSource]
    under_way: list[Job]
    last_tried: Job | None
    address: Callable[..., str]


@router.get("/catalogs/{catalog_id}/refused")
def of_catalog(
    catalog_id: int,
    session: Read,
    page: Page,
    storage: Files,
    config: Config,
    me: CurrentPerson,
    reason: str | None = None,
    left_out: bool = False,
    after: int = 0,
) -> HTMLResponse:
    """The files that a catalog refused, from all of its intakes."""
    which = Which(catalog_id, reason=reason or None, is_left_out=left_out)
    sources = quarantine.sources(session, storage, config, which, me)
    return page("intakes/refused.html", _view(session, which, None, after, sources))


@router.get("/intakes/{intake_id}/refused")
def of_intake(
    intake_id: int,
    session: Read,
    page: Page,
    storage: Files,
    config: Config,
    me: CurrentPerson,
    reason: str | None = None,
    left_out: bool = False,
    after: int = 0,
) -> HTMLResponse:
    """The files that one intake refused."""
    intake = ingest.get(session, intake_id)
    which = Which(intake.catalog_id, intake_id, reason=reason or None, is_left_out=left_out)
    sources = quarantine.sources(session, storage, config, which, me)
    return page("intakes/refused.html", _view(session, which, intake, after, sources))


@router.get("/catalogs/{catalog_id}/refused.csv")
def table(
    catalog_id: int,
    request: Request,
    session: Read,
    intake_id: int | None = None,
    reason: str | None = None,
    left_out: bool = False,
) -> Response:
    """The list as a table for spreadsheets, as long as it is."""
    catalog = reading.get(session, catalog_id)
    which = Which(catalog_id, intake_id, reason or None, is_left_out=left_out)

    name = re.sub(r"[^a-z0-9]+", "-", catalog.name.lower()).strip("-") or "catalog"
    head = ("file", "why", "from", "intake")
    return tables.answer(request, f"{name}-refused.csv", head, lambda reader: quarantine.rows(reader, which))


@router.get("/refused/{file_id}/thumb", response_class=FileResponse)
def thumb(file_id: int, session: Read, files: Files) -> FileResponse:
    """What can be seen of a refused file, at most 256 px a side."""
    sha256 = quarantine.file(session, file_id).thumb_sha256
    path = thumb_path(files, sha256) if sha256 else None
    if path is None or not path.is_file():
        raise NotFound("No picture could be made of this file.")
    return FileResponse(path, media_type=content_type_of(path), headers=KEPT_FOR_A_YEAR)


@router.post("/catalogs/{catalog_id}/refused/retries")
def try_again(
    catalog_id: int,
    session: Write,
    storage: Files,
    config: Config,
    me: CurrentPerson,
    intake_id: Annotated[int | None, Form()] = None,
    reason: Annotated[str, Form()] = "",
    file_id: Annotated[int | None, Form()] = None,
) -> Response:
    """Look at these files again, and at no others."""
    reading.get(session, catalog_id)
    quarantine.try_again(session, storage, config, Which(catalog_id, intake_id, reason or None, file_id), me)
    return RedirectResponse(_address(Which(catalog_id, intake_id, reason or None)), 303)


@router.post("/catalogs/{catalog_id}/refused/exclusions")
def leave_out(
    catalog_id: int,
    session: Write,
    me: CurrentPerson,
    intake_id: Annotated[int | None, Form()] = None,
    reason: Annotated[str, Form()] = "",
    file_id: Annotated[int | None, Form()] = None,
    is_taken_back: Annotated[bool, Form()] = False,
) -> Response:
    """Leave these files out for good, or take that back."""
    reading.get(session, catalog_id)
    which = Which(catalog_id, intake_id, reason or None, file_id)
    if is_taken_back:
        quarantine.take_back(session, which)
    else:
        quarantine.leave_out(session, which, me)
    # What is left of a kind of reason is shown; nothing is left of a whole one.
    reason_left = reason if file_id is not None else None
    return RedirectResponse(_address(which, reason=reason_left or None, left_out=1 if is_taken_back else None), 303)


def _view(session: Read, which: Which, intake: Intake | None, after: int, sources: list[RefusedSource]) -> RefusalsView:
    rows = quarantine.page(session, which, after, FILES_PAGE)
    kinds = quarantine.reasons(session, which)
    total = sum(kind.files for kind in kinds if which.reason in (None, kind.kind))
    return RefusalsView(
        catalog=reading.get(session, which.catalog_id),
        intake=intake,
        which=which,
        reasons=kinds,
        total=total,
        left_out=quarantine.count(session, Which(which.catalog_id, which.intake_id, is_left_out=True)),
        files=rows,
        after=after,
        next_after=rows[-1].id if len(rows) == FILES_PAGE else None,
        sources=sources,
        under_way=quarantine.under_way(session, which),
        last_tried=quarantine.last_tried(session, which),
        address=partial(_address, which),
    )


def _address(which: Which, **others: str | int | None) -> str:
    """The page of these files; `others` take the place of the filter's own fields, None of them is left out."""
    fields = {"reason": which.reason, "left_out": 1 if which.is_left_out else None} | others
    query = urlencode({name: value for name, value in fields.items() if value})
    place = f"/intakes/{which.intake_id}" if which.intake_id is not None else f"/catalogs/{which.catalog_id}"
    return f"{place}/refused" + (f"?{query}" if query else "")
