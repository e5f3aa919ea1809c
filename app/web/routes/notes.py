"""Notes on photos: asked, answered, closed. The section comes back as it is now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app.catalog import reading
from app.catalog.tables import Image
from app.desk import notes
from app.desk.notes import Audience, NoteThread
from app.people import Person
from app.web.dependencies import CurrentPerson, Page, Write
from app.web.pages import Renderer
from app.web.security import safe_next
from app.web.views import blind

router = APIRouter()
Text = Annotated[str, Form()]


@dataclass(frozen=True)
class NotesView:
    """What was said about a photo, and whom something can be said to."""

    image: Image
    threads: list[NoteThread]
    team: list[Person]


@router.post("/images/{image_id}/notes")
def ask(
    image_id: int,
    request: Request,
    session: Write,
    page: Page,
    me: CurrentPerson,
    text: Text,
    to: Text = "leads",
    next: Text = "",
) -> Response:
    """A note on a photo: to all leads, to everybody, or to the person whose number `to` is."""
    image = reading.photo(session, image_id)
    to_id = int(to) if to.isascii() and to.isdigit() and len(to) < 18 else None
    audience: Audience = "person" if to_id is not None else "everybody" if to == "everybody" else "leads"
    notes.ask(session, me, image, text, audience, to_id)
    return _answer(request, session, page, image, me, next)


@router.post("/notes/{note_id}/answers")
def answer(
    note_id: int, request: Request, session: Write, page: Page, me: CurrentPerson, text: Text, next: Text = ""
) -> Response:
    """An answer to a note."""
    note = notes.get(session, note_id)
    notes.answer(session, me, note, text)
    return _answer(request, session, page, session.get_one(Image, note.image_id), me, next)


@router.post("/notes/{note_id}/closing")
def close(note_id: int, request: Request, session: Write, page: Page, me: CurrentPerson, next: Text = "") -> Response:
    """Close a note."""
    note = notes.get(session, note_id)
    notes.close(session, me, note)
    return _answer(request, session, page, session.get_one(Image, note.image_id), me, next)


def _answer(request: Request, session: Session, page: Renderer, image: Image, me: Person, next: str) -> Response:
    if request.headers.get("x-fragment") == "1":
        return _section(session, page, image, me)
    return RedirectResponse(safe_next(next) if next else f"/images/{image.id}", 303)


def _section(session: Session, page: Renderer, image: Image, me: Person) -> HTMLResponse:
    is_blind = blind.is_held(session, me, image.id)
    said, team = blind.threads(session, me, image.id, is_blind), blind.asked(session, me, is_blind)
    return page.fragment("desk/_notes.html", NotesView(image, said, team))
