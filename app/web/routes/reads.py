"""What readers of a link see of a sheet: its report and the pictures in it, without an account and without names."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response

from app.catalog.files import content_type_of
from app.evaluation.tables import Sheet
from app.web.booths import ReadLinked
from app.web.dependencies import Config, Files, Page, Read
from app.web.routes.compare import title_of
from app.web.views.report import file, small
from app.web.views.report import page as report

router = APIRouter()
# Search engines list no page that a link leads to, and a browser keeps its pictures no longer than somebody reads.
HEADERS: Final = {"X-Robots-Tag": "noindex, nofollow, noarchive", "Cache-Control": "private, max-age=600"}
UNLISTED: Final = {"X-Robots-Tag": HEADERS["X-Robots-Tag"]}


@router.get("/reads/{token}")
def show(token: str, link: ReadLinked, session: Read, page: Page, files: Files, config: Config) -> HTMLResponse:
    """The report, for whoever has the link."""
    sheet = session.get_one(Sheet, link.sheet_id)
    shown = report.view(session, config, files, sheet, title_of(sheet))
    at = f"/reads/{token}/pictures"
    shown = report.with_addresses(shown, at, lambda picture: f"{at}/{picture.key}?large=1")
    return page("report/read.html", file.for_readers(shown, token, link.expires_at), headers=UNLISTED)


@router.get("/reads/{token}/report.html")
def download(token: str, link: ReadLinked, session: Read, page: Page, files: Files, config: Config) -> Response:
    """The report as one file."""
    sheet = session.get_one(Sheet, link.sheet_id)
    html = file.html(page, report.view(session, config, files, sheet, title_of(sheet)))
    headers = UNLISTED | {"Content-Disposition": 'attachment; filename="report.html"'}
    return Response(html, media_type="text/html; charset=utf-8", headers=headers)


@router.get("/reads/{token}/pictures/{key}")
def picture(token: str, link: ReadLinked, key: str, session: Read, files: Files, large: bool = False) -> Response:
    """A picture of the sheet, small or as it was drawn."""
    path = report.path_of(session, files, session.get_one(Sheet, link.sheet_id), key)
    if large:
        return FileResponse(path, media_type=content_type_of(path), headers=HEADERS)
    return Response(small.webp(path), media_type="image/webp", headers=HEADERS)
