"""Samples as files. What lies at an address never changes, so browsers keep it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from PIL import Image as Pillow

from app.errors import NotFound
from app.evaluation import sheets, source_type
from app.evaluation.source_type import PictureFormat
from app.storage import Storage
from app.web.dependencies import Files, Read

router = APIRouter()
KEPT: Final = {"Cache-Control": "private, max-age=31536000, immutable"}
_HEAD_BYTES: Final = 4096


@router.get("/samples/{sample_id}")
def show(sample_id: int, session: Read, files: Files) -> Response:
    """One drawn picture, PNG. One of before pictures said that a model made them says so here."""
    path = _path(session, files, sample_id)
    with path.open("rb") as file:
        is_marked = source_type.is_marked(file.read(_HEAD_BYTES))
    if is_marked:
        return FileResponse(path, media_type="image/png", headers=KEPT)
    return Response(_marked(path), media_type="image/png", headers=KEPT)


@router.get("/samples/{sample_id}/{kind}")
def download(sample_id: int, kind: PictureFormat, session: Read, files: Files) -> Response:
    """The same to be kept outside: PNG as it was drawn, JPEG or WebP made of it; each says that a model made it."""
    data = _marked(_path(session, files, sample_id))
    if kind != "png":
        with Pillow.open(io.BytesIO(data)) as opened:
            data = source_type.encoded(opened.convert("RGB"), kind)
    name = f"sample-{sample_id}.{source_type.SUFFIXES[kind]}"
    headers = {**KEPT, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type=source_type.CONTENT_TYPES[kind], headers=headers)


def _path(session: Read, files: Storage, sample_id: int) -> Path:
    path = files.path("samples", sheets.sample(session, sample_id).sha256, ".png")
    if not path.is_file():
        raise NotFound(f"The file of sample {sample_id} is not in the data folder any more.")
    return path


def _marked(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        return source_type.marked_png(data)
    except ValueError:
        return data
