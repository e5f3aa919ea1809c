"""Taking in photos: the form, uploads from the browser, and one intake with what it refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app import jobs
from app.catalog import reading
from app.catalog.notes import SENTENCES
from app.catalog.reading import CatalogRow
from app.catalog.tables import Catalog, Intake, IntakeRemark, SourceFile
from app.errors import NotAllowed, Refused
from app.intake import describing, folders, hub, ingest, uploads
from app.intake.sources import naming
from app.intake.sources.entry import MAX_FILE_BYTES
from app.jobs import Job
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from app.web.dependencies import Config, CurrentPerson, Files, Page, Read, Write

router = APIRouter()

# A request holds one file of the largest size or many small ones; its other fields are short.
MAX_REQUEST_BYTES: Final = MAX_FILE_BYTES + (16 << 20)
REFUSED_PAGE: Final = 200
REMARKS_PAGE: Final = 200

RemarkKind = Literal["unread", "unmatched", "respelled", "unused", "changed"]


@dataclass(frozen=True)
class IntakeRow:
    """One intake in a list: where from, into which catalog, and how it went."""

    intake: Intake
    catalog: Catalog
    job: Job | None
    source: str


@dataclass(frozen=True)
class FormView:
    """The form and the newest intakes. Only owners may name a folder of the server, and one that lies in `roots`.

    Browsers do not send files and folders whose names are `passed_over`, or end so.
    """

    catalogs: list[CatalogRow]
    catalog_id: int | None
    may_name_folder: bool
    roots: tuple[Path, ...]
    recent: list[IntakeRow]
    max_file_mb: int
    passed_over: tuple[str, ...]
    passed_over_ends: tuple[str, ...]


@dataclass(frozen=True)
class Remarks:
    """What an intake remarked on metadata and captions: `counts` by kind, and a page of those of the kind `shown`.

    `next_after` is the number that the next page starts behind, None on the last; `is_cut` where more were counted than
    are kept. `files` are the metadata files and their rows, `given` the captions taken from files.
    """

    counts: dict[str, int]
    shown: str | None
    page: list[IntakeRemark]
    next_after: int | None
    is_cut: bool
    files: dict[str, int]
    given: int


@dataclass(frozen=True)
class IntakeView:
    """One intake. `next_after` is the file name that the next refused files start behind, None on the last page.

    `met_again` files were refused here and are told about by a later intake. `noted` are notes on its photos: the words
    of the filter, their sentences, and how many photos have each.
    """

    shown: IntakeRow
    following: list[Job]
    refused: list[SourceFile]
    met_again: int
    noted: list[tuple[str, str, int]]
    remarks: Remarks
    after: str
    next_after: str | None
    may_repeat: bool


@router.get("/intakes")
def form(
    session: Read, page: Page, files: Files, config: Config, me: CurrentPerson, catalog_id: int | None = None
) -> HTMLResponse:
    """The form."""
    view = FormView(
        catalogs=reading.everything(session),
        catalog_id=catalog_id,
        may_name_folder=me.role == "owner",
        roots=config.roots,
        recent=[_row(files, *row) for row in ingest.recent(session)],
        max_file_mb=MAX_FILE_BYTES // 1024**2,
        passed_over=tuple(sorted(naming.PASSED_OVER)),
        passed_over_ends=naming.PASSED_OVER_ENDS,
    )
    return page("intakes/index.html", view)


@router.post("/intakes", max_body_size=MAX_REQUEST_BYTES)
def take_in(
    request: Request,
    session: Write,
    storage: Files,
    config: Config,
    me: CurrentPerson,
    catalog_id: Annotated[int | None, Form()] = None,
    name: Annotated[str, Form()] = "",
    folder: Annotated[str, Form()] = "",
    upload: Annotated[str, Form()] = "",
    files: Annotated[list[UploadFile], File()] = [],  # noqa: B006
) -> Response:
    """Ask for a folder of the server, an upload, or the files of this very request to be taken in."""
    chosen = [file for file in files if file.filename]
    if not (folder.strip() or upload or chosen):
        raise Refused("Choose files or a folder to take in.")
    storage.refuse_below_reserve()
    catalog = ingest.catalog_for(session, catalog_id, name)
    if chosen:
        _refuse_without_room(session, storage, config, me, chosen)
        upload = uploads.begin(storage, me)
        _keep(storage, upload, me, chosen)
    if upload:
        asked = uploads.request_intake(session, storage, catalog, upload, me)
    else:
        _refuse_members(me)
        place = Path(folder.strip())
        if place.is_absolute():
            folders.refuse_outside(place, config.roots)
        dataset = hub.named(folder)
        asked = (
            hub.request_intake(session, storage, catalog, dataset, me)
            if dataset
            else _request(session, catalog, place, me)
        )
    return _answer(request, asked)


@router.post("/uploads")
def begin_upload(session: Read, storage: Files, config: Config, me: CurrentPerson) -> dict[str, str]:
    """Begin an upload; its files follow in requests of their own."""
    _refuse_without_room(session, storage, config, me)
    return {"upload": uploads.begin(storage, me)}


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
    _refuse_without_room(session, storage, config, me, files)
    return {"kept": _keep(storage, upload, me, files, names)}


@router.get("/intakes/{intake_id}")
def show(
    intake_id: int,
    session: Read,
    page: Page,
    storage: Files,
    config: Config,
    me: CurrentPerson,
    after: str = "",
    remarks: RemarkKind | None = None,
    remarks_after: int = 0,
) -> HTMLResponse:
    """One intake: how far it is, what came of it, what its metadata did, and which files were refused."""
    asked = ingest.get(session, intake_id)
    job = jobs.get(session, asked.job_id) if asked.job_id is not None else None
    intake_row = _row(storage, asked, reading.get(session, asked.catalog_id), job)
    noted = ingest.noted(session, intake_id)
    refused = ingest.refused_files(session, intake_id, after, REFUSED_PAGE)
    view = IntakeView(
        shown=intake_row,
        following=ingest.under_way_after(session, asked),
        refused=refused,
        met_again=ingest.met_again(session, asked),
        noted=[(note, sentence, noted[note]) for note, sentence in SENTENCES.items() if note in noted],
        remarks=_remarks(session, asked, job, remarks, remarks_after),
        after=after,
        next_after=refused[-1].file_name if len(refused) == REFUSED_PAGE else None,
        may_repeat=_may_repeat(storage, config, intake_row, me),
    )
    return page("intakes/intake.html", view)


@router.post("/intakes/{intake_id}/repetitions")
def repeat(
    request: Request, intake_id: int, session: Write, storage: Files, config: Config, me: CurrentPerson
) -> Response:
    """Take the same folder in again: after a failure, or because there is more in it now."""
    storage.refuse_below_reserve()
    before = ingest.get(session, intake_id)
    folder = Path(before.folder)
    catalog = reading.get(session, before.catalog_id)
    if dataset := hub.of_folder(storage, folder):
        _refuse_members(me)
        return _answer(request, hub.request_intake(session, storage, catalog, dataset, me))
    if not uploads.is_upload(storage, folder):
        _refuse_members(me)
        folders.refuse_outside(folder, config.roots)
    return _answer(request, _request(session, catalog, folder, me))


def _request(session: Session, catalog: Catalog, folder: Path, me: Person) -> Intake:
    return ingest.waiting(session, catalog, folder) or ingest.request_intake(session, catalog, folder, me)


def _refuse_without_room(
    session: Session, storage: Storage, config: Settings, me: Person, files: Sequence[UploadFile] = ()
) -> None:
    wanted_bytes = sum(file.size or 0 for file in files)
    uploads.refuse_without_room(session, storage, me, config.upload_quota_mb << 20, wanted_bytes)


def _remarks(session: Session, asked: Intake, job: Job | None, kind: RemarkKind | None, after: int) -> Remarks:
    """The remarks of the kind asked for, or of the first that there are any of. Final once the job is done."""
    result = (job.result or {}) if job is not None else {}
    counts = {name: count for name in describing.KINDS if (count := result.get("remarks", {}).get(name))}
    shown: str | None = kind or next(iter(counts), None)
    rows = describing.remarks(session, asked.id, shown, after, REMARKS_PAGE) if shown else []
    return Remarks(
        counts=counts,
        shown=shown,
        page=rows,
        next_after=rows[-1].id if len(rows) == REMARKS_PAGE else None,
        is_cut=counts.get(shown or "", 0) > describing.MAX_REMARKS,
        files=result.get("metadata_files", {}),
        given=result.get("captions_given", 0),
    )


def _keep(storage: Storage, upload: str, me: Person, files: list[UploadFile], names: Sequence[str] = ()) -> list[str]:
    named = names or [_file_name(file) for file in files]
    chosen = [(name, file) for name, file in zip(named, files, strict=True) if file.filename]
    return [uploads.keep(storage, upload, me, name, file.file) for name, file in chosen]


def _file_name(file: UploadFile) -> str:
    """The name of a file in a plain form, where browsers write three characters otherwise (HTML, section 4.10.22.8)."""
    return (file.filename or "").replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _refuse_members(me: Person) -> None:
    if me.role != "owner":
        raise NotAllowed("Only an owner may take in a folder of the server. Choose files to upload instead.")


def _may_repeat(storage: Storage, config: Settings, intake_row: IntakeRow, me: Person) -> bool:
    folder = Path(intake_row.intake.folder)
    is_over = intake_row.job is None or intake_row.job.is_over
    if hub.of_folder(storage, folder):
        return is_over and me.role == "owner"
    may_name = me.role == "owner" and folders.is_within(folder, config.roots)
    return is_over and (may_name or uploads.is_upload(storage, folder)) and folder.is_dir()


def _row(storage: Storage, asked: Intake, catalog: Catalog, job: Job | None) -> IntakeRow:
    folder = Path(asked.folder)
    source = "Files from a browser" if uploads.is_upload(storage, folder) else asked.folder
    if dataset := hub.of_folder(storage, folder):
        source = str(dataset)
    return IntakeRow(asked, catalog, job, source)


def _answer(request: Request, asked: Intake) -> Response:
    """Scripts get the address of the intake, forms are led there."""
    href = f"/intakes/{asked.id}"
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"href": href})
    return RedirectResponse(href, 303)
