"""Uploads: files on their way from a browser, a few at a time or a large one in pieces, and what has arrived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from app.errors import Refused
from app.intake import resuming, uploads
from app.intake.sources.entry import MAX_FILE_BYTES
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from app.web.dependencies import Config, CurrentPerson, Files, Read

router = APIRouter()

# A request holds one file of the largest size or many small ones; its other fields are short.
MAX_REQUEST_BYTES: Final = MAX_FILE_BYTES + (16 << 20)
MAX_CHOSEN_BYTES: Final = 64 << 20
MAX_PIECE_BYTES: Final = 32 << 20


@router.post("/uploads", max_body_size=MAX_CHOSEN_BYTES)
def begin_upload(
    session: Read,
    storage: Files,
    config: Config,
    me: CurrentPerson,
    chosen: Annotated[UploadFile | None, File()] = None,
    size_bytes: Annotated[int, Form(ge=0)] = 0,
) -> dict[str, str]:
    """Begin an upload; its files follow in requests of their own. `chosen` lists them, `size_bytes` is their sum."""
    refuse_without_room(session, storage, config, me, size_bytes)
    upload = uploads.begin(session, storage, me)
    if chosen is not None:
        resuming.choose(storage, upload, me, chosen.file.read())
    return {"upload": upload}


@router.get("/uploads/{upload}")
def show(upload: str, storage: Files, me: CurrentPerson) -> dict[str, Any]:
    """What has arrived: whole files and bytes of unfinished ones, each a name and its bytes."""
    here = resuming.arrived(storage, upload, me)
    return {"files": list(here.files.items()), "pieces": list(here.pieces.items())}


@router.post("/uploads/{upload}/files", max_body_size=MAX_REQUEST_BYTES)
def add_files(
    upload: str,
    session: Read,
    storage: Files,
    config: Config,
    me: CurrentPerson,
    files: Annotated[list[UploadFile], File()],
    names: Annotated[list[str], Form()] = [],  # noqa: B006
) -> dict[str, Any]:
    """Keep some files of an upload; `names` are their paths below the chosen folder, as they are there."""
    if names and len(names) != len(files):
        raise Refused("Each file needs its name; send them again.")
    refuse_without_room(session, storage, config, me, sum(file.size or 0 for file in files))
    return {"kept": keep(storage, upload, me, files, names)}


@router.post("/uploads/{upload}/pieces", max_body_size=MAX_PIECE_BYTES)
def add_piece(
    upload: str,
    session: Read,
    storage: Files,
    config: Config,
    me: CurrentPerson,
    piece: Annotated[UploadFile, File()],
    name: Annotated[str, Form()],
    offset: Annotated[int, Form(ge=0)],
    size_bytes: Annotated[int, Form(ge=0)],
) -> dict[str, int]:
    """Keep a piece of a large file; the answer says how many bytes of it are here, and so where to go on."""
    refuse_without_room(session, storage, config, me, piece.size or 0)
    return {"here": resuming.keep_piece(storage, upload, me, name, offset, size_bytes, piece.file)}


@router.post("/uploads/{upload}/removal")
def forget(upload: str, request: Request, storage: Files, me: CurrentPerson) -> Response:
    """Remove an upload that is not to be taken in."""
    resuming.forget(storage, upload, me)
    if "application/json" in request.headers.get("accept", ""):
        return Response(status_code=204)
    return RedirectResponse("/intakes", 303)


def refuse_without_room(session: Session, storage: Storage, config: Settings, me: Person, wanted_bytes: int) -> None:
    """Raises DiskFull and OverQuota as `uploads.refuse_without_room` does."""
    uploads.refuse_without_room(session, storage, me, config.upload_quota_mb << 20, wanted_bytes)


def keep(storage: Storage, upload: str, me: Person, files: list[UploadFile], names: Sequence[str] = ()) -> list[str]:
    """Keep files of a form; returns the names that they are kept under."""
    named = names or [_file_name(file) for file in files]
    chosen = [(name, file) for name, file in zip(named, files, strict=True) if file.filename]
    return [uploads.keep(storage, upload, me, name, file.file) for name, file in chosen]


def _file_name(file: UploadFile) -> str:
    """The name of a file in a plain form, where browsers write three characters otherwise (HTML, section 4.10.22.8)."""
    return (file.filename or "").replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
