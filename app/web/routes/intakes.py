"""Taking in photos: the form, uploads from the browser, and one intake with what it refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final, Literal

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app import jobs
from app.catalog import reading
from app.catalog.notes import SENTENCES
from app.catalog.reading import CatalogRow
from app.catalog.tables import Catalog, Intake, IntakeRemark
from app.errors import NotAllowed, Refused
from app.intake import describing, folders, following, hub, ingest, quarantine, resuming, streaming, uploads
from app.intake.quarantine import ReasonCount, Which
from app.intake.resuming import Arrived
from app.intake.sources.entry import MAX_FILE_BYTES
from app.intake.sources.naming import PASSED_OVER, PASSED_OVER_ENDS
from app.jobs import Job
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from app.web import tables
from app.web.dependencies import Config, CurrentPerson, Files, Page, Read, Write
from app.web.routes import uploads as sending
from app.web.routes.uploads import MAX_REQUEST_BYTES
from app.web.views import naming
from app.web.views.naming import NamingView

router = APIRouter()

REMARKS_PAGE: Final = 200

# Where photos come from: what the form sends, and in words.
SOURCES: Final[tuple[tuple[str, str, str], ...]] = (
    ("browser", "This computer", "files, or a folder with all below it"),
    ("server", "The server", "a folder, archive or table there"),
    ("archive", "An archive", "ZIP, TAR or shards for training"),
    ("links", "A table of links", "CSV, JSON lines or Parquet with web addresses"),
    ("hub", "A model hub", "a data set of huggingface.co"),
)
_NOTHING: Final = {
    "server": "Name a folder of the server.",
    "archive": "Choose an archive to take in.",
    "links": "Choose a table of links to take in.",
    "hub": "Name a data set, as MAKER/NAME.",
}
_OWNERS_ONLY: Final = ("server", "hub")

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

    `sources` are what the form sends for where photos come from, and that in words. `unfinished` uploads of this person
    can go on. Browsers do not send files and folders whose names are `passed_over`, or end so.
    """

    catalogs: list[CatalogRow]
    sources: list[tuple[str, str, str]]
    catalog_id: int | None
    may_name_folder: bool
    roots: tuple[Path, ...]
    recent: list[IntakeRow]
    unfinished: list[Arrived]
    max_file_mb: int
    passed_over: tuple[str, ...]
    passed_over_ends: tuple[str, ...]


@dataclass(frozen=True)
class Remarks:
    """What an intake remarked on metadata and captions: `counts` by kind, and a page of those of the kind `shown`.

    `next_after` is the number that the next page starts behind, None on the last; `is_cut` where more were counted than
    the `kept` that are kept at most. `text` stands in those of the page. `files` are the metadata files and their rows,
    `given` the captions taken from files.
    """

    counts: dict[str, int]
    shown: str | None
    page: list[IntakeRemark]
    next_after: int | None
    is_cut: bool
    kept: int
    text: str
    files: dict[str, int]
    given: int


@dataclass(frozen=True)
class IntakeView:
    """One intake. `refused` are the kinds of reasons for which files were refused, `left_out` those left out for good.

    `met_again` files were refused here and are told about by a later intake. `noted` are notes on its photos: the words
    of the filter, their sentences, and how many photos have each. `naming` offers names from files, once all photos are
    in, as long as nobody has decided about them. Repeated, an intake of a data set that was cut off `goes_on`.
    """

    shown: IntakeRow
    following: list[Job]
    refused: list[ReasonCount]
    left_out: int
    met_again: int
    noted: list[tuple[str, str, int]]
    remarks: Remarks
    naming: NamingView | None
    may_repeat: bool
    goes_on: bool


@router.get("/intakes")
def form(
    session: Read,
    page: Page,
    files: Files,
    config: Config,
    me: CurrentPerson,
    catalog_id: int | None = None,
    part: Literal["", "form"] = "",
) -> HTMLResponse:
    """The form; `part=form` gives it alone, for a page that files were dropped on."""
    view = FormView(
        catalogs=reading.everything(session),
        sources=[choice for choice in SOURCES if choice[0] not in _OWNERS_ONLY or me.role == "owner"],
        catalog_id=catalog_id,
        may_name_folder=me.role == "owner",
        roots=config.roots,
        recent=[_row(files, *row) for row in ingest.recent(session)],
        unfinished=resuming.unfinished(session, files, me),
        max_file_mb=MAX_FILE_BYTES // 1024**2,
        passed_over=tuple(sorted(PASSED_OVER)),
        passed_over_ends=PASSED_OVER_ENDS,
    )
    if part == "form":
        return page.fragment("intakes/_form.html", view)
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
    source: Annotated[Literal["", "browser", "server", "archive", "links", "hub"], Form()] = "",
    dataset_name: Annotated[str, Form()] = "",
    revision: Annotated[str, Form()] = "",
    files: Annotated[list[UploadFile], File()] = [],  # noqa: B006
) -> Response:
    """Ask for a folder of the server, an upload, the files of this very request, or a data set to be taken in.

    `source` is the choice on the form; fields of other choices that were filled in before are left aside.
    """
    chosen = [file for file in files if file.filename]
    if source == "browser":
        folder = ""
    elif dataset_name.strip() and source in ("", "hub"):
        folder = f"hf://datasets/{dataset_name.strip()}@{revision.strip() or 'main'}"
    if not (folder.strip() or upload or chosen):
        raise Refused(_NOTHING.get(source, "Choose files or a folder to take in."))
    storage.refuse_below_reserve()
    catalog = ingest.catalog_for(session, catalog_id, name)
    if chosen:
        sending.refuse_without_room(session, storage, config, me, sum(file.size or 0 for file in chosen))
        upload = uploads.begin(session, storage, me)
        sending.keep(storage, upload, me, chosen)
    if upload:
        asked = uploads.request_intake(session, storage, catalog, upload, me)
    else:
        _refuse_members(me)
        place = Path(folder.strip())
        if place.is_absolute():
            folders.refuse_outside(place, config.roots)
        named = hub.named(folder)
        asked = (
            streaming.request_intake(session, storage, catalog, named, me)
            if named
            else _request(session, catalog, place, me)
        )
    return _answer(request, asked)


@router.get("/intakes/{intake_id}")
def show(
    intake_id: int,
    session: Read,
    page: Page,
    storage: Files,
    config: Config,
    me: CurrentPerson,
    remarks: RemarkKind | None = None,
    remarks_after: int = 0,
    remarks_with: str = "",
) -> HTMLResponse:
    """One intake: how far it is, what came of it, what its metadata did, and which files were refused."""
    asked = ingest.get(session, intake_id)
    job = jobs.get(session, asked.job_id) if asked.job_id is not None else None
    intake_row = _row(storage, asked, reading.get(session, asked.catalog_id), job)
    noted = ingest.noted(session, intake_id)
    which = Which(asked.catalog_id, intake_id)
    refused = quarantine.reasons(session, which)
    view = IntakeView(
        shown=intake_row,
        following=[*following.under_way_after(session, asked), *quarantine.under_way(session, which)],
        refused=refused,
        left_out=quarantine.count(session, replace(which, is_left_out=True)),
        met_again=ingest.met_again(session, asked),
        noted=[(note, sentence, noted[note]) for note, sentence in SENTENCES.items() if note in noted],
        remarks=_remarks(session, asked, job, (remarks, remarks_with.strip()), remarks_after),
        naming=_naming(session, intake_row),
        may_repeat=_may_repeat(storage, config, intake_row, me),
        goes_on=streaming.goes_on(session, asked),
    )
    return page("intakes/intake.html", view)


@router.get("/intakes/{intake_id}/remarks.csv")
def remarks_table(intake_id: int, request: Request, session: Read, remarks: RemarkKind) -> Response:
    """All remarks of one kind as a table for spreadsheets."""
    ingest.get(session, intake_id)

    def rows(reader: Session) -> Iterator[Sequence[str]]:
        last = 0
        while some := describing.remarks(reader, intake_id, remarks, last, tables.CHUNK):
            last = some[-1].id
            for remark in some:
                yield remark.source, str(remark.line or ""), remark.name, remark.sentence
                reader.expunge(remark)

    head = ("source", "line", "names", "what came of it")
    return tables.answer(request, f"intake-{intake_id}-{remarks}.csv", head, rows)


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
        return _answer(request, streaming.request_intake(session, storage, catalog, dataset, me))
    if not uploads.is_upload(storage, folder):
        _refuse_members(me)
        folders.refuse_outside(folder, config.roots)
    return _answer(request, _request(session, catalog, folder, me))


def _naming(session: Session, intake_row: IntakeRow) -> NamingView | None:
    if intake_row.job is None or intake_row.job.state != "done":
        return None
    view = naming.read(session, intake_row.catalog, intake_row.intake.id)
    return view if view.offers or view.rule else None


def _request(session: Session, catalog: Catalog, folder: Path, me: Person) -> Intake:
    return ingest.waiting(session, catalog, folder) or ingest.request_intake(session, catalog, folder, me)


def _remarks(
    session: Session, asked: Intake, job: Job | None, wanted: tuple[RemarkKind | None, str], after: int
) -> Remarks:
    """The remarks of the kind asked for, or of the first that there are any of, with a text in them."""
    kind, text = wanted
    result = (job.result or {}) if job is not None else {}
    counts = {name: count for name in describing.KINDS if (count := result.get("remarks", {}).get(name))}
    shown: str | None = kind or next(iter(counts), None)
    rows = describing.remarks(session, asked.id, shown, after, REMARKS_PAGE, text) if shown else []
    return Remarks(
        counts=counts,
        shown=shown,
        page=rows,
        next_after=rows[-1].id if len(rows) == REMARKS_PAGE else None,
        is_cut=counts.get(shown or "", 0) > describing.most_kept(shown or ""),
        kept=describing.most_kept(shown or ""),
        text=text,
        files=result.get("metadata_files", {}),
        given=result.get("captions_given", 0),
    )


def _refuse_members(me: Person) -> None:
    if me.role != "owner":
        raise NotAllowed("Only an owner may take in a folder of the server. Choose files to upload instead.")


def _may_repeat(storage: Storage, config: Settings, intake_row: IntakeRow, me: Person) -> bool:
    folder = Path(intake_row.intake.folder)
    is_over = intake_row.job is None or intake_row.job.is_over
    if hub.of_folder(storage, folder):
        return is_over and me.role == "owner"
    is_done = intake_row.job is not None and intake_row.job.state == "done"
    # Of an upload that was taken in only refused files are left, which are tried again by themselves.
    is_upload_left = uploads.is_upload(storage, folder) and not is_done
    may_name = me.role == "owner" and folders.is_within(folder, config.roots)
    return is_over and (may_name or is_upload_left) and folder.is_dir()


def _row(storage: Storage, asked: Intake, catalog: Catalog, job: Job | None) -> IntakeRow:
    return IntakeRow(asked, catalog, job, quarantine.source_name(storage, asked))


def _answer(request: Request, asked: Intake) -> Response:
    """Scripts get the address of the intake, forms are led there."""
    href = f"/intakes/{asked.id}"
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"href": href})
    return RedirectResponse(href, 303)
