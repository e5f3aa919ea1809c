"""Captions: a person's rewrite, an older one brought back, a captioner asked again for one photo or a selection.

A script that asks for JSON gets the caption that is current now; a plain form is led back to the desk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from app.captions import proposing, writing
from app.captions.tables import CaptionText
from app.catalog import lettering, reading, signals
from app.cycles import spending
from app.errors import NotFound
from app.review import decisions
from app.selection.query import parse
from app.web import errors
from app.web.dependencies import Config, CurrentPerson, Page, Read, Write
from app.web.routes import operations
from app.web.security import safe_next
from app.web.views.photos import Claims, claims_of

router = APIRouter()
Text = Annotated[str, Form()]


@dataclass(frozen=True)
class ClaimsView:
    """What a text that is being written claims of its picture."""

    claims: Claims


@router.post("/images/{image_id}/captions")
def rewrite(
    image_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    text: Text = "",
    expected_id: Annotated[int | None, Form()] = None,
    next: Text = "",
) -> Response:
    """A person's caption in place of the one they saw, `expected_id`; without it they saw none."""
    decisions.hold(session, image_id)
    return _answer(request, session, writing.rewrite(session, image_id, text, me, expected_id), next)


@router.post("/images/{image_id}/captions/{caption_id}/restoration")
def restore(
    image_id: int, caption_id: int, request: Request, session: Write, me: CurrentPerson, next: Text = ""
) -> Response:
    """An older caption's text, current again."""
    decisions.hold(session, image_id)
    restored = writing.restore(session, caption_id, me)
    if restored.image_id != image_id:
        raise NotFound(f"Caption {caption_id} is not one of photo {image_id}.")
    return _answer(request, session, restored, next)


@router.post("/images/{image_id}/recaption")
def recaption(
    image_id: int, request: Request, session: Write, config: Config, me: CurrentPerson, next: Text = ""
) -> Response:
    """Ask a captioner for a new caption of this photo."""
    if config.caption_model is not None:  # it runs on a device; captions from facts cost nothing
        spending.refuse(session, config, me)
    job = proposing.request_caption(session, image_id, config, me)
    if errors.wants_json(request):
        return JSONResponse({"job_id": job.id}, 202)
    return RedirectResponse(safe_next(next) if next else f"/images/{image_id}", 303)


@router.post("/catalogs/{catalog_id}/recaption")
def recaption_selection(
    catalog_id: int,
    request: Request,
    session: Write,
    config: Config,
    me: CurrentPerson,
    q: Text = "",
    expected_count: Annotated[int | None, Form()] = None,
    replaces_people: Annotated[bool, Form()] = False,
    next: Text = "",
) -> Response:
    """Ask a captioner for new captions of every photo that matches `q`, as one act; people's and given captions stay
    unless it `replaces_people` too."""
    reading.get(session, catalog_id)
    if config.caption_model is not None:
        spending.refuse(session, config, me)
    value = {"model": config.caption_model, "replaces": replaces_people}
    return operations.answer(request, session, me, parse(q, catalog_id), "recaption", value, expected_count, next)


@router.post("/images/{image_id}/contradictions")
def contradict(image_id: int, session: Read, page: Page, text: Text = "") -> HTMLResponse:
    """What a text that is being written says otherwise than the picture was measured, as a fragment. Keeps nothing."""
    image, read_text = reading.photo(session, image_id), lettering.of(session, image_id)
    claims = claims_of(image, signals.of(session, image_id), read_text, text)
    return page.fragment("desk/_claims.html", ClaimsView(claims))


def _answer(request: Request, session: Write, caption: CaptionText, next: str) -> Response:
    decisions.reconsider(session, caption.image_id)
    if errors.wants_json(request):
        said = {"caption_id": caption.id, "text": caption.text, "author": writing.author(session, caption)}
        return JSONResponse(said)
    return RedirectResponse(safe_next(next) if next else f"/images/{caption.image_id}", 303)
