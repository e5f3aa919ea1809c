"""Samples as files. What lies at an address never changes, so browsers keep it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from PIL import Image as Pillow

from app.errors import NotFound
from app.evaluation import hold_out, source_type, thumbs
from app.evaluation.source_type import PictureFormat
from app.evaluation.tables import Sample
from app.storage import Storage
from app.web.dependencies import CurrentPerson, Files, Read

router = APIRouter()
KEPT: Final = {"Cache-Control": "private, max-age=31536000, immutable"}
_HEAD_BYTES: Final = 4096


@router.get("/samples/{sample_id}")
def show(sample_id: int, session: Read, files: Files, me: CurrentPerson) -> Response:
    """One drawn picture, PNG. One of before pictures said that a model made them says so here."""
    path = _file(files, hold_out.seen_sample(session, sample_id, me))
    with path.open("rb") as file:
        is_marked = source_type.is_marked(file.read(_HEAD_BYTES))
    if is_marked:
        return FileResponse(path, media_type="image/png", headers=KEPT)
    return Response(_marked(path), media_type="image/png", headers=KEPT)


@router.get("/samples/{sample_id}/thumb")
def thumb(sample_id: int, session: Read, files: Files, me: CurrentPerson) -> Response:
    """The same in small, WebP, at most 256 px a side; made now where it was not when the sample was drawn."""
    sample = hold_out.seen_sample(session, sample_id, me)
    small = thumbs.path_of(files, sample.sha256)
    if small.is_file():
        return FileResponse(small, media_type=thumbs.MEDIA_TYPE, headers=KEPT)
    try:
        made = thumbs.keep(files, sample.sha256, _file(files, sample).read_bytes())
    except OSError as error:
        raise NotFound(f"The file of sample {sample_id} is no picture any more.") from error
    return Response(made, media_type=thumbs.MEDIA_TYPE, headers=KEPT)


@router.get("/samples/{sample_id}/{kind}")
def download(sample_id: int, kind: PictureFormat, session: Read, files: Files, me: CurrentPerson) -> Response:
    """The same to be kept outside: PNG as it was drawn, JPEG or WebP made of it; each says that a model made it."""
    data = _marked(_file(files, hold_out.seen_sample(session, sample_id, me)))
    if kind != "png":
        with Pillow.open(io.BytesIO(data)) as opened:
            data = source_type.encoded(opened.convert("RGB"), kind)
    name = f"sample-{sample_id}.{source_type.SUFFIXES[kind]}"
    headers = {**KEPT, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type=source_type.CONTENT_TYPES[kind], headers=headers)


def _file(files: Storage, sample: Sample) -> Path:
    path = files.path("samples", sample.sha256, ".png")
    if not path.is_file():
        raise NotFound(f"The file of sample {sample.id} is not in the data folder any more.")
    return path


def _marked(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        return source_type.marked_png(data)
    except ValueError:
        return data
