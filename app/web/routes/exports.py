"""Exports of a version: asked for, looked at, downloaded, written again, taken away; as pages and as JSON."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from app.datasets import reading
from app.errors import NotFound, Refused
from app.exports import archive, asking
from app.exports.asking import ExportRow
from app.removal import exports as removal
from app.web import errors
from app.web.dependencies import CurrentPerson, Files, Read, Write

router = APIRouter()
ARCHIVE_TYPE: Final = "application/x-tar"


@router.get("/datasets/{version_id}/exports")
def index(version_id: int, session: Read, files: Files) -> JSONResponse:
    """The exports of a version, newest first."""
    reading.get(session, version_id)
    return JSONResponse({"exports": [_told_of(row) for row in asking.of_version(session, files, version_id)]})


@router.post("/datasets/{version_id}/exports")
def ask(
    version_id: int,
    request: Request,
    session: Write,
    files: Files,
    me: CurrentPerson,
    format: Annotated[str, Form()] = "webdataset",
    leaves_out: Annotated[bool, Form()] = False,
    repeats: Annotated[int, Form()] = 1,
) -> Response:
    """Ask for a version in a format. With `leaves_out`, photos whose files are missing or changed are left out."""
    export = asking.request_export(session, version_id, format, me, asking.wished(leaves_out, repeats))
    return _answer(request, asking.get(session, files, export.id), 202)


@router.get("/exports/{export_id}")
def show(export_id: int, session: Read, files: Files) -> JSONResponse:
    """How an export stands."""
    return JSONResponse(_told_of(asking.get(session, files, export_id)), headers={"Cache-Control": "no-store"})


@router.get("/exports/{export_id}/archive.tar")
def download(export_id: int, session: Read, files: Files) -> Response:
    """The export as one tar file, made while it is sent."""
    row = asking.get(session, files, export_id)
    if row.state == "gone":
        raise NotFound("This export is not in the data folder any more. Write it again.")
    if row.state != "done":
        raise Refused("This export is not whole yet.")
    version = reading.get(session, row.export.version_id)
    slug = re.sub(r"[^a-z0-9]+", "-", version.catalog_name.lower()).strip("-")[:60] or "dataset"
    name = f"{slug}-v{version.version.number}-{row.export.format}"
    contents = archive.listed(row.folder, name)
    headers = {
        "Content-Disposition": f'attachment; filename="{name}.tar"',
        "Content-Length": str(archive.size_bytes(contents)),
    }
    return StreamingResponse(archive.pieces(contents), media_type=ARCHIVE_TYPE, headers=headers)


@router.post("/exports/{export_id}/retry")
def again(export_id: int, request: Request, session: Write, files: Files, me: CurrentPerson) -> Response:
    """Write an export that failed, was stopped or is gone."""
    asking.request_again(session, files, export_id, me)
    return _answer(request, asking.get(session, files, export_id), 202)


@router.post("/exports/{export_id}/removal")
def remove(export_id: int, request: Request, session: Write, files: Files, me: CurrentPerson) -> Response:
    """Delete an export: one's own, or anybody's for an owner."""
    version_id = removal.remove(session, files, export_id, me)
    if errors.wants_json(request):
        return JSONResponse({"id": export_id, "state": "removed"})
    return RedirectResponse(f"/datasets/{version_id}#exports", 303)


def _answer(request: Request, row: ExportRow, status: int) -> Response:
    if errors.wants_json(request):
        return JSONResponse(_told_of(row), status)
    return RedirectResponse(f"/datasets/{row.export.version_id}#exports", 303)


def _told_of(row: ExportRow) -> dict[str, Any]:
    """An export as JSON. Sizes in bytes; what is not known yet is null."""
    export, job = row.export, row.job
    return {
        "id": export.id,
        "version_id": export.version_id,
        "format": export.format,
        "repeats": export.repeats,
        "leaves_out": export.leaves_out,
        "state": row.state,
        "job_id": job.id,
        "done": job.done,
        "total": job.total,
        "failure": job.failure if row.state == "failed" else None,
        "photos": export.photos,
        "files": export.files,
        "size_bytes": export.size_bytes,
        "left_out": export.left_out,
        "folder": str(row.folder),
        "archive": f"/exports/{export.id}/archive.tar" if row.state == "done" else None,
    }
