"""The files of a photo: thumbnail, view and original. What an address gives never changes, so browsers keep it.

`?m=12` is the picture as mend 12 shows it; without it, it is the picture as taken in. `?m=now` is the one shown now.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from sqlalchemy.orm import Session

from app.catalog import drawing, mends, reading, signals
from app.catalog.files import Shape, file_of
from app.errors import NotFound
from app.storage import Storage
from app.web.dependencies import Files, Read
from app.web.views.evidence import OVERLAYS, marks_of

router = APIRouter()

GONE: Final = "The file of this photo is not in the data folder any more. Take its folder in again."
NOW: Final = "now"
ASKED_EACH_TIME: Final = {"Cache-Control": "private, no-cache"}
KEPT_FOR_A_YEAR: Final = {"Cache-Control": "private, max-age=31536000, immutable"}


@router.get("/images/{image_id}/thumb", response_class=FileResponse)
def thumb(image_id: int, session: Read, files: Files, m: str = "") -> FileResponse:
    """The thumbnail, at most 256 px a side."""
    return _file(image_id, "thumb", session, files, m)


@router.get("/images/{image_id}/view", response_class=FileResponse)
def view(image_id: int, session: Read, files: Files, m: str = "") -> FileResponse:
    """The view for the screen, at most 1024 px a side."""
    return _file(image_id, "view", session, files, m)


@router.get("/images/{image_id}/original", response_class=FileResponse)
def original(image_id: int, session: Read, files: Files, m: str = "") -> FileResponse:
    """The bytes that were taken in, or what a mend made of them; of a format that browsers do not show, its render."""
    return _file(image_id, "original", session, files, m)


@router.get("/images/{image_id}/evidence", response_class=Response)
def evidence(image_id: int, session: Read, files: Files, of: str = "") -> Response:
    """Pixels to lay over the view, as a PNG: those that show one signal, named by its key in filters, or those that are
    clipped to white or black and where blocks of JPEG show."""
    overlay = OVERLAYS.get(of)
    if of and (overlay is None or overlay.mark is None):
        raise NotFound(f"No pixels show “{of[:20]}”.")
    path, _ = file_of(files, reading.shown(session, image_id), "view")
    if not path.is_file():
        raise NotFound(GONE)
    measured = signals.of(session, image_id)
    marks = (overlay.mark,) if overlay and overlay.mark else marks_of(measured) if measured else ()
    colour = measured.subject_lab if measured else None
    drawn = drawing.evidence_of(path, (measured.outline if measured else None) or "", marks, colour)
    # Another outline may be measured.
    return Response(drawn, media_type="image/png", headers=ASKED_EACH_TIME)


def _file(image_id: int, shape: Shape, session: Session, files: Storage, asked: str) -> FileResponse:
    image = reading.shown(session, image_id)
    if asked and asked != NOW and not asked.isdecimal():
        raise NotFound(f"There is no mend {asked[:20]}.")
    mend_id = image.mend_id if asked == NOW else int(asked[:18]) if asked else None
    if mend_id is None and image.mend_id is None:
        path, content_type = file_of(files, image, shape)
    else:
        path, content_type = mends.file_of(session, files, image, mend_id, shape)
    if not path.is_file():
        raise NotFound(GONE)
    return FileResponse(path, media_type=content_type, headers=ASKED_EACH_TIME if asked == NOW else KEPT_FOR_A_YEAR)
