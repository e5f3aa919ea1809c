"""One's own keys of the desk and the grid: set by pressing one, and set back. The list comes back as it is now."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from app import own_keys
from app.people import Person
from app.web import errors
from app.web.dependencies import CurrentPerson, Page, Write
from app.web.pages import Renderer

router = APIRouter()
Text = Annotated[str, Form()]


@router.post("/keys")
def set_key(
    request: Request,
    session: Write,
    page: Page,
    me: CurrentPerson,
    act: Text,
    key: Text,
    swap: Annotated[bool, Form()] = False,
) -> Response:
    """Let a key do an act for oneself; `swap`: the act that has it gets the other one's."""
    return _answer(request, page, own_keys.set_key(session, me, act, key, is_swapped=swap))


@router.post("/keys/defaults")
def set_back(request: Request, session: Write, page: Page, me: CurrentPerson) -> Response:
    """All keys as usual again."""
    return _answer(request, page, own_keys.set_back(session, me))


def _answer(request: Request, page: Renderer, kept: Person) -> Response:
    if not errors.wants_json(request):
        return RedirectResponse("/people#own-keys", 303)
    request.state.person = kept  # as it is from now on
    return JSONResponse({"list": bytes(page.fragment("people/_keys.html").body).decode()})
