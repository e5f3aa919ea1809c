"""Profiles: what marketplaces ask of a picture, read and edited."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from app.errors import Conflict, Refused
from app.evaluation import profile_editing
from app.web.dependencies import CurrentPerson, Page, Read, Sent, Write
from app.web.leading import Receipt, lead
from app.web.views import profiles as view

router = APIRouter()


@router.get("/profiles")
def index(session: Read, page: Page) -> HTMLResponse:
    """All profiles."""
    return page("profiles/index.html", view.list_of(session))


@router.get("/profiles/{key}")
def show(key: str, session: Read, page: Page) -> HTMLResponse:
    """One profile, as a form for whoever may edit it."""
    return page("profiles/profile.html", view.read(session, key))


@router.post("/profiles/{key}")
def save(key: str, request: Request, session: Write, page: Page, me: CurrentPerson, sent: Sent) -> Response:
    """Put what was typed in its place; what is refused is shown again as it was typed."""
    try:
        profile = view.asked(session, key, sent)
        before = profile_editing.get(session, key)
        kept = profile_editing.edit(session, profile, me, view.expected(sent))
    except (Refused, Conflict) as refusal:
        return page("profiles/profile.html", view.typed(session, key, sent, refusal.sentence), refusal.status)
    said = "Nothing differs" if kept.number == before.number else f"“{profile.name}” is kept; checks go by it at once"
    return lead(request, f"/profiles/{key}", Receipt(said))
