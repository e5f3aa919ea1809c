"""Blind votes: two pictures beside each other, single ones, what is wrong with them, undo. The team votes under the
number of a sheet, guests under the token of a link; both are answered here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from app.web import errors
from app.web.booths import At
from app.web.dependencies import Page, Write
from app.web.routes.compare import title_of
from app.web.views import voting
from app.web.views.voting import Booth, Mode

router = APIRouter()
Text = Annotated[str, Form()]
Truth = Annotated[bool, Form()]
Seconds = Annotated[float | None, Form()]
Held = Annotated[list[str], Form(default_factory=list)]
# A browser keeps the pictures that it has fetched ahead, and not longer than their names are good.
KEPT: Final = {"Cache-Control": "private, max-age=43200"}


@router.get("/compare/{sheet_id}/vote")
def pairs(at: At, page: Page, turn: str = "") -> HTMLResponse:
    """Two pictures of one prompt: which is better?"""
    return page("votes/vote.html", voting.view(at, title_of(at.sheet), "pairs", turn))


@router.get("/compare/{sheet_id}/usable")
def single(at: At, page: Page, turn: str = "") -> HTMLResponse:
    """One picture after the other: would you publish it?"""
    return page("votes/vote.html", voting.view(at, title_of(at.sheet), "single", turn))


@router.post("/compare/{sheet_id}/votes")
@router.post("/votes/{token}/votes")
def vote(
    request: Request, at: At, session: Write, ticket: Text, choice: Text, held: Held, seconds: Seconds = None,
    was_zoomed: Truth = False,
) -> Response:  # fmt: skip
    """Keep a vote; the answer has the turns that come next."""
    voting.vote(at, ticket, choice, seconds, was_zoomed)
    return _answer(request, at, "pairs", held)


@router.post("/compare/{sheet_id}/votes/undo")
@router.post("/votes/{token}/votes/undo")
def undo(request: Request, at: At, session: Write, ticket: Text = "") -> Response:
    """Take a vote back, and show its pair again."""
    return _answer(request, at, "pairs", turn=voting.take_back(at, ticket))


@router.post("/compare/{sheet_id}/usable")
@router.post("/votes/{token}/usable")
def answer(
    request: Request, at: At, session: Write, picture: Text, is_usable: Truth, held: Held, seconds: Seconds = None,
    turn: Text = "",
) -> Response:  # fmt: skip
    """Keep whether a picture would be published; `turn` is the pair that it stands in, which stays."""
    voting.answer(at, picture, is_usable, seconds)
    return _answer(request, at, "pairs" if turn else "single", held, turn)


@router.post("/compare/{sheet_id}/usable/undo")
@router.post("/votes/{token}/usable/undo")
def undo_answer(request: Request, at: At, session: Write, ticket: Text = "") -> Response:
    """Take an answer back, and show its picture again."""
    return _answer(request, at, "single", turn=voting.take_answer_back(at, ticket))


@router.post("/compare/{sheet_id}/failures")
@router.post("/votes/{token}/failures")
def tell(
    request: Request, at: At, session: Write, picture: Text, failure: Text,
    is_so: Annotated[bool | None, Form()] = None, turn: Text = "",
) -> Response:  # fmt: skip
    """Keep what is wrong with a picture, or that it is not; a form's button turns it over.

    `turn` is what the page shows, and goes on showing.
    """
    voting.tell(at, picture, failure, is_so)
    return _answer(request, at, "single" if turn == picture else "pairs", turn=turn)


@router.get("/compare/{sheet_id}/pictures/{name}")
@router.get("/votes/{token}/pictures/{name}")
def picture(at: At, name: str) -> Response:
    """A picture by its sealed name."""
    return Response(voting.picture_bytes(at, name), media_type="image/png", headers=KEPT)


def _answer(
    request: Request, at: Booth, mode: Mode, held: Sequence[str] | None = None, turn: str | None = None
) -> Response:
    """To a script the turns that come next, where it says what it holds; to a form the page that goes on."""
    if errors.wants_json(request):
        more = voting.turns(at, mode, held) if held is not None and not turn else []
        return JSONResponse({"turns": [asdict(each) for each in more]})
    return RedirectResponse(voting.address(at, mode) + (f"?turn={turn}" if turn else ""), 303)
