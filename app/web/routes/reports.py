"""The report of a sheet: a page, one file that opens anywhere, PDF; what people said and machines measured, as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from sqlalchemy.orm import Session

from app.evaluation import hold_out, sheets, vote_rows
from app.evaluation.tables import Sheet
from app.evaluation.vote_rows import SeenPrompts
from app.web import tables
from app.web.dependencies import Config, CurrentPerson, Files, Page, Read
from app.web.routes.compare import title_of
from app.web.views.report import file, printing, small
from app.web.views.report import page as report
from app.web.views.report.page import ReportPicture

router = APIRouter()
# A sample is never drawn anew in place, so a small picture of it stays what it is.
KEPT: Final = {"Cache-Control": "private, max-age=86400"}
_Rows = Callable[[Session, Sheet, SeenPrompts], Iterator[list[str]]]


@router.get("/compare/{sheet_id}/report")
def show(
    sheet_id: int, session: Read, page: Page, files: Files, config: Config, me: CurrentPerson, names: bool = False
) -> HTMLResponse:
    """The report as a page."""
    sheet = sheets.get(session, sheet_id)
    shown = report.view(session, config, files, sheet, title_of(sheet), me, names)
    small_at = f"/compare/{sheet_id}/report/pictures"
    prints = printing.chromium(config) is not None
    return page("report/page.html", file.on_page(report.with_addresses(shown, small_at, _large), prints))


@router.get("/compare/{sheet_id}/report.html")
def download(
    sheet_id: int, session: Read, page: Page, files: Files, config: Config, me: CurrentPerson, names: bool = False
) -> Response:
    """The report as one file: styles and pictures are in it."""
    sheet = sheets.get(session, sheet_id)
    shown = report.view(session, config, files, sheet, title_of(sheet), me, names)
    return _attached(file.html(page, shown), "text/html; charset=utf-8", f"comparison-{sheet_id}-report.html")


@router.get("/compare/{sheet_id}/report.pdf")
def printed(
    sheet_id: int, session: Read, page: Page, files: Files, config: Config, me: CurrentPerson, names: bool = False
) -> Response:
    """The same file printed, where this machine has a Chromium."""
    sheet = sheets.get(session, sheet_id)
    printing.needs_chromium(config)
    html = file.html(page, report.view(session, config, files, sheet, title_of(sheet), me, names))
    session.rollback()  # printing takes seconds: nobody waits for this connection meanwhile
    return _attached(printing.pdf(config, html), "application/pdf", f"comparison-{sheet_id}-report.pdf")


@router.get("/compare/{sheet_id}/report/pictures/{key}")
def picture(sheet_id: int, key: str, session: Read, files: Files) -> Response:
    """A picture of the report, made small."""
    path = report.path_of(session, files, sheets.get(session, sheet_id), key)
    return Response(small.webp(path), media_type="image/webp", headers=KEPT)


@router.get("/compare/{sheet_id}/votes.csv")
def votes(sheet_id: int, request: Request, session: Read, me: CurrentPerson) -> StreamingResponse:
    """Every vote on pairs, with who gave it."""
    return _table(request, session, sheet_id, me, "votes", vote_rows.VOTES, vote_rows.votes)


@router.get("/compare/{sheet_id}/answers.csv")
def answers(sheet_id: int, request: Request, session: Read, me: CurrentPerson) -> StreamingResponse:
    """Every answer for single pictures, and what was said to be wrong with them."""
    return _table(request, session, sheet_id, me, "answers", vote_rows.ANSWERS, vote_rows.answers)


@router.get("/compare/{sheet_id}/metrics.csv")
def metrics(sheet_id: int, request: Request, session: Read, me: CurrentPerson) -> StreamingResponse:
    """Every number that was measured of its columns and pictures."""
    return _table(request, session, sheet_id, me, "metrics", vote_rows.METRICS, vote_rows.metrics)


def _table(
    request: Request, session: Session, sheet_id: int, me: CurrentPerson, name: str, head: tuple[str, ...], rows: _Rows
) -> StreamingResponse:
    """A table of the sheet, for a person: held-out prompts they may not see are told without their words."""
    suite = sheets.suite(session, sheets.get(session, sheet_id))
    seen = SeenPrompts({prompt.id for prompt in hold_out.shown(session, suite, me)})

    def lines(reader: Session) -> Iterator[list[str]]:
        return rows(reader, sheets.get(reader, sheet_id), seen)

    return tables.answer(request, f"comparison-{sheet_id}-{name}.csv", head, lines)


def _large(picture: ReportPicture) -> str:
    return f"/samples/{picture.key[1:]}" if picture.key.startswith("s") else f"/images/{picture.key[1:]}/view"


def _attached(content: bytes | str, media_type: str, name: str) -> Response:
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})
