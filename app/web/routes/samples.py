"""Samples as files. What lies at an address never changes, so browsers keep it."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from app.errors import NotFound
from app.evaluation import hold_out, thumbs
from app.evaluation.tables import Sample
from app.storage import Storage
from app.web.dependencies import CurrentPerson, Files, Read

router = APIRouter()

_KEPT = {"Cache-Control": "private, max-age=31536000, immutable"}


@router.get("/samples/{sample_id}")
def show(sample_id: int, session: Read, files: Files, me: CurrentPerson) -> FileResponse:
    """One drawn picture, PNG."""
    return FileResponse(
        _file(files, hold_out.seen_sample(session, sample_id, me)), media_type="image/png", headers=_KEPT
    )


@router.get("/samples/{sample_id}/thumb")
def thumb(sample_id: int, session: Read, files: Files, me: CurrentPerson) -> Response:
    """The same in small, WebP, at most 256 px a side; made now where it was not when the sample was drawn."""
    sample = hold_out.seen_sample(session, sample_id, me)
    small = thumbs.path_of(files, sample.sha256)
    if small.is_file():
        return FileResponse(small, media_type=thumbs.MEDIA_TYPE, headers=_KEPT)
    try:
        made = thumbs.keep(files, sample.sha256, _file(files, sample).read_bytes())
    except OSError as error:
        raise NotFound(f"The file of sample {sample_id} is no picture any more.") from error
    return Response(made, media_type=thumbs.MEDIA_TYPE, headers=_KEPT)


def _file(files: Storage, sample: Sample) -> Path:
    path = files.path("samples", sample.sha256, ".png")
    if not path.is_file():
        raise NotFound(f"The file of sample {sample.id} is not in the data folder any more.")
    return path
