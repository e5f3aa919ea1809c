"""The audit log, for owners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from app import audit, people
from app.audit import ACTS
from app.web.dependencies import Owner, Page, Read
from app.web.views import acts
from app.web.views.acts import AuditLine

router = APIRouter()

PAGE: Final = 100


@dataclass(frozen=True)
class AuditView:
    """Lines of the log, newest first. `older` starts the next page; None on the last."""

    lines: Sequence[AuditLine]
    act: str
    acts: dict[str, str]
    older: int | None


@router.get("/audit")
def show(session: Read, page: Page, me: Owner, act: str = "", before: int | None = None) -> HTMLResponse:
    """Who signed in, tried to, or did what touches money, access or other people's work."""
    chosen = act if act in ACTS else ""
    entries = audit.page(session, before, chosen or None, PAGE)
    ids = {person_id for entry in entries for person_id in (entry.by_id, entry.about_id) if person_id is not None}
    names = people.names(session, ids)
    view = AuditView(
        lines=[acts.line(entry, names) for entry in entries],
        act=chosen,
        acts=acts.CHOICES,
        older=entries[-1].id if len(entries) == PAGE else None,
    )
    return page("people/audit.html", view)
