"""The files of a photo: thumbnail, view and original. They never change, so browsers keep them."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from sqlalchemy.orm import Session

from app.catalog import drawing, reading, signals
from app.catalog.files import Shape, file_of
from app.errors import NotFound
from app.storage import Storage
from app.web.dependencies import Files, Read
from app.web.views.photos import marks_of

router = APIRouter()

GONE: Final = "The file of this photo is not in the data folder any more. Take its folder in again."
KEPT_FOR_A_YEAR: Final = {"Cache-Control": "private, max-age=31536000, immutable"}


@router.get("/images/{image_id}/thumb", response_class=FileResponse)
def thumb(image_id: int, session: Read, files: Files) -> FileResponse:
    """The thumbnail, at most 256 px a side."""
    return _file(image_id, "thumb", session, files)


@router.get("/images/{image_id}/view", response_class=FileResponse)
def view(image_id: int, session: Read, files: Files) -> FileResponse:
    """The view for the screen, at most 1024 px a side."""
    return _file(image_id, "view", session, files)


@router.get("/images/{image_id}/original", response_class=FileResponse)
def original(image_id: int, session: Read, files: Files) -> FileResponse:
    """The bytes that were taken in; for a TIFF, which browsers do not show, its render."""
    return _file(image_id, "original", session, files)


@router.get("/images/{image_id}/evidence", response_class=Response)
def evidence(image_id: int, session: Read, files: Files) -> Response:
    """The pixels that are clipped to white or black, and where blocks of JPEG show, as a PNG to lay over the view."""
    path, _ = file_of(files, reading.shown(session, image_id), "view")
    if not path.is_file():
        raise NotFound(GONE)
    measured = signals.of(session, image_id)
    marks = marks_of(measured) if measured else ()
    drawn = drawing.evidence_of(path, (measured.outline if measured else None) or "", marks)
    # Another outline may be measured.
    return Response(drawn, media_type="image/png", headers={"Cache-Control": "private, no-cache"})


def _file(image_id: int, shape: Shape, session: Session, files: Storage) -> FileResponse:
    path, content_type = file_of(files, reading.shown(session, image_id), shape)
    if not path.is_file():
        raise NotFound(GONE)
    return FileResponse(path, media_type=content_type, headers=KEPT_FOR_A_YEAR)
