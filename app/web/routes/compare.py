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
    """One sheet of the list. `warning` is a tag about its run's checkpoints."""

    sheet: Sheet
    suite: Suite
    run: TrainingRun
    version: VersionRow
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
    run: TrainingRun
    version: VersionRow
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
    return page("compare/index.html", SheetsView([_listed(session, *row) for row in sheets.recent(session)]))


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
    sheets.request_sheet(session, runs.get(session, sheet.run_id), sheets.suite(session, sheet), me)
    return RedirectResponse(f"/compare/{sheet_id}", 303)


def _view(session: Session, files: Storage, sheet_id: int, category: str | None) -> SheetView:
    sheet = sheets.get(session, sheet_id)
    run = runs.get(session, sheet.run_id)
    page = comparison.compare(session, sheet, category or None)
    job = jobs.get(session, sheet.job_id) if sheet.job_id else None
    return SheetView(
        sheet=sheet,
        suite=sheets.suite(session, sheet),
        run=run,
        version=reading.get(session, run.version_id),
        page=page,
        job=job,
        is_live=job is not None and not job.is_over and page.drawn < page.wanted,
        wait="" if page.seconds_left is None else comparison.words_for(page.seconds_left),
        left_out=len(validations.sound_checkpoints(session, run)) - len(page.columns),
        notice=learning.notice(
            page.insight, models.written_from(files.run_folder(run.id)), models.newest_job(session, run.id)
        ),
        ranking=learning.ranking(page.ranking),
    )


def _listed(session: Session, sheet: Sheet, drawn: int) -> ListedSheet:
    run = runs.get(session, sheet.run_id)
    return ListedSheet(
        sheet=sheet,
        suite=sheets.suite(session, sheet),
        run=run,
        version=reading.get(session, run.version_id),
        job=jobs.get(session, sheet.job_id) if sheet.job_id else None,
        drawn=drawn,
        wanted=sheets.cell_count(session, sheet),
        warning=learning.tag(validations.insight(session, run)),
    )
