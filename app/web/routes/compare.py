"""The comparison of checkpoints: the list of sheets, one sheet, and drawing what is missing of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from sqlalchemy.orm import Session

from app import jobs
from app.datasets import reading
from app.datasets.reading import VersionRow
from app.evaluation import comparison, said, sheets
from app.evaluation.comparison import Comparison
from app.evaluation.tables import Sheet, Suite
from app.jobs import Job
from app.people import Person
from app.storage import Storage
from app.training import models, runs, validations
from app.training.tables import TrainingRun
from app.web.dependencies import CurrentPerson, Files, Page, Read, Spender, Write
from app.web.views import gallery, learning
from app.web.views.gallery import Gallery
from app.web.views.learning import Notice

router = APIRouter()


@dataclass(frozen=True)
class ListedSheet:
    """One sheet of the list. `run` and `version` are None where it compares several; `warning` is a tag about its run's
    checkpoints."""

    sheet: Sheet
    suite: Suite
    title: str
    run: TrainingRun | None
    version: VersionRow | None
    job: Job | None
    drawn: int
    wanted: int
    warning: tuple[str, str, str] | None


@dataclass(frozen=True)
class SheetsView:
    """All sheets, newest first."""

    sheets: list[ListedSheet]


@dataclass(frozen=True)
class SheetView:
    """One sheet. `is_live`: pictures are being drawn, so the page looks again. `wait` is how long, in words. `cells`
    are all of them for the page's script."""

    sheet: Sheet
    suite: Suite
    title: str
    run: TrainingRun | None  # None where several are compared
    version: VersionRow | None
    gallery: Gallery
    page: Comparison
    cells: dict[str, Any]
    job: Job | None
    is_live: bool
    wait: str
    left_out: int
    notice: Notice | None
    ranking: str


@router.get("/compare")
def index(session: Read, page: Page) -> HTMLResponse:
    """All sheets."""
    return page("compare/index.html", SheetsView([_listed(session, sheet) for sheet in sheets.recent(session)]))


@dataclass(frozen=True)
class GalleryQuery:
    """The filter of the gallery as it stands in the address."""

    category: str = ""
    verdict: str = ""
    failure: str = ""
    of: str = ""
    order: str = ""

    def of_sheet(self, session: Session, sheet: Sheet, me: Person, at: int = 1) -> Gallery:
        """What it picks of a sheet. Raises Refused for words that the filter does not know."""
        asked = said.read_filter(self.category, self.verdict, self.failure, self.of, self.order)
        return gallery.of(session, sheet, me, asked, at)


Asked = Annotated[GalleryQuery, Depends()]
Place = Annotated[int, Query(ge=1, le=1_000_000)]


@router.get("/compare/{sheet_id}")
def show(
    sheet_id: int, session: Read, page: Page, files: Files, me: CurrentPerson, asked: Asked, at: Place = 1
) -> HTMLResponse:
    """One sheet, all of it or the rows that a filter picks; without scripts from row `at` on."""
    sheet = sheets.get(session, sheet_id)
    return page("compare/sheet.html", _view(session, files, sheet, asked.of_sheet(session, sheet, me, at)))


@router.get("/compare/{sheet_id}/changes")
def changes(
    sheet_id: int,
    session: Read,
    page: Page,
    files: Files,
    me: CurrentPerson,
    asked: Asked,
    since: Annotated[int, Query(ge=0)] = 0,
    held: Annotated[int, Query(ge=0)] = 0,
) -> JSONResponse:
    """What came into the rows of a filter since a page asked last, and how the drawing gets on, as a fragment."""
    sheet = sheets.get(session, sheet_id)
    shown = asked.of_sheet(session, sheet, me)
    view = _view(session, files, sheet, shown, with_cells=False)
    progress = bytes(page.fragment("compare/_progress.html", view).body).decode()
    changed = gallery.changes(shown, since, held) | {"progress": progress, "isLive": view.is_live}
    return JSONResponse(changed, headers={"Cache-Control": "no-store"})


@router.post("/compare/{sheet_id}/drawing")
def draw(sheet_id: int, session: Write, files: Files, me: Spender) -> RedirectResponse:
    """Draw what is missing."""
    files.refuse_below_reserve()
    sheet = sheets.get(session, sheet_id)
    if sheet.run_id is None:
        sheets.request_drawing(session, sheet, me)
    else:
        sheets.request_sheet(session, runs.get(session, sheet.run_id), sheets.suite(session, sheet), me)
    return RedirectResponse(f"/compare/{sheet_id}", 303)


def _view(session: Session, files: Storage, sheet: Sheet, shown: Gallery, with_cells: bool = True) -> SheetView:
    run = runs.get(session, sheet.run_id) if sheet.run_id else None
    page = shown.page
    job = jobs.get(session, sheet.job_id) if sheet.job_id else None
    return SheetView(
        sheet=sheet,
        suite=sheets.suite(session, sheet),
        title=title_of(sheet),
        run=run,
        version=reading.get(session, run.version_id) if run else None,
        gallery=shown,
        page=page,
        cells=gallery.cells(shown) if with_cells else {},
        job=job,
        is_live=job is not None and not job.is_over and page.drawn < page.wanted,
        wait="" if page.seconds_left is None else comparison.words_for(page.seconds_left),
        left_out=len(validations.sound_checkpoints(session, run)) - len(page.columns) if run else 0,
        notice=_notice(session, files, run, page),
        ranking=learning.ranking(page.ranking) if page.ranking else "",
    )


def title_of(sheet: Sheet) -> str:
    """What a sheet is called: by its run, or as somebody named it."""
    return f"Run {sheet.run_id}" if sheet.run_id else sheet.name or f"Comparison {sheet.id}"


def _notice(session: Session, files: Storage, run: TrainingRun | None, page: Comparison) -> Notice | None:
    if run is None or page.insight is None:
        return None
    written = models.written_from(files.run_folder(run.id))
    return learning.notice(page.insight, written, models.newest_job(session, run.id))


def _listed(session: Session, sheet: Sheet) -> ListedSheet:
    run = runs.get(session, sheet.run_id) if sheet.run_id else None
    state = sheets.read(session, sheet)
    return ListedSheet(
        sheet=sheet,
        suite=sheets.suite(session, sheet),
        title=title_of(sheet),
        run=run,
        version=reading.get(session, run.version_id) if run else None,
        job=jobs.get(session, sheet.job_id) if sheet.job_id else None,
        drawn=state.total - len(state.todo),
        wanted=state.total,
        warning=learning.tag(validations.insight(session, run)) if run else None,
    )
