"""A report as one file: its styles and pictures are in it, it has no script, and it asks no address for anything."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from markupsafe import Markup

from app.web.pages import Renderer
from app.web.views.report import small
from app.web.views.report.page import ReportPicture, ReportView

MOST_BYTES: Final = 5_000_000
"""Of the file: the pictures in base64, and room for words and styles."""
_STYLES: Final = ("values", "roles", "base", "parts", "report")
_CSS: Final = Path(__file__).parents[2] / "static" / "css"


@dataclass(frozen=True)
class ReportFile:
    """The report with its pictures in it. `pictures_bytes` is what these take of the file."""

    report: ReportView
    styles: Markup
    pictures_bytes: int


@dataclass(frozen=True)
class ReportPage:
    """The report in the app, with what can be downloaded; `prints`: there is a Chromium for PDF."""

    report: ReportView
    prints: bool
    most_bytes: int


@dataclass(frozen=True)
class ReadPage:
    """The report for readers of a link, until the link expires."""

    report: ReportView
    token: str
    expires_at: datetime
    most_bytes: int


def html(page: Renderer, shown: ReportView) -> str:
    """The file."""
    addresses = small.inlined([picture.path for picture in shown.pictures if picture.path is not None])

    def src(picture: ReportPicture) -> str:
        return addresses.get(picture.path, "") if picture.path is not None else ""

    size = sum(map(len, addresses.values()))
    context = ReportFile(dataclasses.replace(shown, src=src), _styles(), size)
    return bytes(page.fragment("report/file.html", context).body).decode()


def on_page(shown: ReportView, prints: bool) -> ReportPage:
    """The report in the app."""
    return ReportPage(shown, prints, MOST_BYTES)


def for_readers(shown: ReportView, token: str, expires_at: datetime) -> ReadPage:
    """The report behind a link."""
    return ReadPage(shown, token, expires_at, MOST_BYTES)


@lru_cache(maxsize=1)
def _styles() -> Markup:
    """The house's own stylesheets, which name no other file."""
    return Markup("\n").join(Markup((_CSS / f"{name}.css").read_text()) for name in _STYLES)  # noqa: S704
