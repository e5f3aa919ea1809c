"""Samples as files. What lies at an address never changes, so browsers keep it."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import FileResponse

from app.errors import NotFound
from app.evaluation import sheets
from app.web.dependencies import Files, Read

router = APIRouter()


@router.get("/samples/{sample_id}")
def show(sample_id: int, session: Read, files: Files) -> FileResponse:
    """One drawn picture, PNG."""
    path = files.path("samples", sheets.sample(session, sample_id).sha256, ".png")
    if not path.is_file():
        raise NotFound(f"The file of sample {sample_id} is not in the data folder any more.")
    kept = {"Cache-Control": "private, max-age=31536000, immutable"}
    return FileResponse(path, media_type="image/png", headers=kept)
