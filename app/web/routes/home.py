"""The beginning, and the page that shows every part in every state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from app.cycles import clock
from app.database import utc_now
from app.jobs import Job
from app.web.dependencies import Page, Read

router = APIRouter()


@dataclass(frozen=True)
class PatternsView:
    """The parts' page; `jobs` are in no database, one in each state."""

    jobs: Sequence[Job]


@router.get("/")
def home(request: Request, session: Read) -> RedirectResponse:
    """To the cycle while one runs, otherwise to the photos."""
    has_catalogs = any(place.path == "/catalogs" for place in request.app.state.places)
    is_cycle = clock.current(session) is not None or not has_catalogs
    return RedirectResponse("/cycle" if is_cycle else "/catalogs", status_code=303)


@router.get("/patterns")
def patterns(page: Page) -> HTMLResponse:
    """Every part in every state."""
    now = utc_now()
    known = {"kind": "captions.propose", "total": 3084, "note": "", "is_cancel_asked": False}
    shown = [
        Job(id=1, state="queued", done=0, **known),
        Job(id=2, state="running", done=1912, started_at=now - timedelta(minutes=4), **known),
        Job(id=3, state="running", done=1912, started_at=now, **(known | {"is_cancel_asked": True})),
        Job(id=4, state="done", done=3084, **known),
        Job(id=5, state="cancelled", done=12, **known),
        Job(id=6, state="failed", done=12, failure="The disk is full. Nothing was lost; free some space.", **known),
    ]
    return page("patterns.html", PatternsView(shown))
