"""The comparison of checkpoints: the list of sheets, one sheet, and drawing what is missing of it."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from app import jobs
from app.datasets import reading
from app.datasets.reading import VersionRow
from app.evaluation import comparison, sheets
from app.evaluation.comparison import Comparison
from app.evaluation.tables import Sheet, Suite
from app.jobs import Job
from app.storage import Storage
from app.training import models, runs, validations
from app.training.tables import TrainingRun
from app.web.dependencies import Files, Page, Read, Spender, Write
from app.web.views import learning
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
    """One sheet. `is_live`: pictures are being drawn, so the page looks again. `wait` is how long, in words."""

    sheet: Sheet
    suite: Suite
    title: str
    run: TrainingRun | None  # None where several are compared
    version: VersionRow | None
    page: Comparison
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


@router.get("/compare/{sheet_id}")
def show(sheet_id: int, session: Read, page: Page, files: Files, category: str | None = None) -> HTMLResponse:
    """One sheet, all of it or one category."""
    return page("compare/sheet.html", _view(session, files, sheet_id, category))


@router.get("/compare/{sheet_id}/rows")
def rows(sheet_id: int, session: Read, page: Page, files: Files, category: str | None = None) -> HTMLResponse:
    """The sheet's grid as a fragment, for a page that waits for pictures."""
    view = _view(session, files, sheet_id, category)
    return page.fragment("compare/_grid.html", view, headers={"Cache-Control": "no-store"})


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


def _view(session: Session, files: Storage, sheet_id: int, category: str | None) -> SheetView:
    sheet = sheets.get(session, sheet_id)
    run = runs.get(session, sheet.run_id) if sheet.run_id else None
    page = comparison.compare(session, sheet, category or None)
    job = jobs.get(session, sheet.job_id) if sheet.job_id else None
    return SheetView(
        sheet=sheet,
        suite=sheets.suite(session, sheet),
        title=title_of(sheet),
        run=run,
        version=reading.get(session, run.version_id) if run else None,
        page=page,
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
    wanted = sheets.cell_count(session, sheet)
    return ListedSheet(
        sheet=sheet,
        suite=sheets.suite(session, sheet),
        title=title_of(sheet),
        run=run,
        version=reading.get(session, run.version_id) if run else None,
        job=jobs.get(session, sheet.job_id) if sheet.job_id else None,
        drawn=wanted - len(sheets.missing(session, sheet)),
        wanted=wanted,
        warning=learning.tag(validations.insight(session, run)) if run else None,
    )
