"""Signing in and out, one-time links, and the team."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app import people
from app.people import Person, SignInFailure
from app.settings import Settings, is_loopback
from app.web import security
from app.web.dependencies import Config, CurrentPerson, Page, Read, Write
from app.web.pages import Renderer

router = APIRouter()
Text = Annotated[str, Form()]


@dataclass(frozen=True)
class SignInView:
    """The sign-in page. `failure` says why the last try did not work."""

    next: str
    email: str = ""
    failure: str | None = None


@dataclass(frozen=True)
class LinkView:
    """The page behind a one-time link; `is_automatic` on the machine that the app runs on. `next` is where it leads."""

    token: str
    next: str
    invited: Person
    is_automatic: bool


@dataclass(frozen=True)
class PeopleView:
    """Oneself and the team. `link` is shown once, right after it was made for `link_for`."""

    me: Person
    team: Sequence[Person]
    with_access: set[int]
    link: str | None = None
    link_for: Person | None = None
    note: str | None = None


@router.get("/sign-in")
def ask(request: Request, page: Page, next: str = "/") -> Response:
    """The sign-in page."""
    if request.state.person is not None:
        return RedirectResponse(security.safe_next(next), status_code=303)
    return page("people/sign_in.html", SignInView(security.safe_next(next)))


@router.post("/sign-in")
def sign_in(session: Write, page: Page, config: Config, email: Text, password: Text, next: Text = "/") -> Response:
    """Sign in by password."""
    outcome = people.sign_in(session, email, password)
    address = security.safe_next(next)
    if isinstance(outcome, SignInFailure):
        view = SignInView(address, email, outcome.sentence)
        return page("people/sign_in.html", view, status=429 if outcome.has_to_wait else 401)
    return _signed_in(session, config, outcome, address)


@router.post("/sign-out")
def sign_out(request: Request, session: Write, config: Config) -> Response:
    """Sign this browser out."""
    people.sign_out(session, request.state.token)
    response = RedirectResponse("/sign-in", status_code=303)
    security.clear_cookie(response, config)
    return response


@router.get("/links/{token}")
def open_link(token: str, request: Request, session: Read, page: Page, next: str = "/") -> HTMLResponse:
    """What a one-time link opens. It is not used up by looking: mail programs fetch links to preview them."""
    invited = people.person_of_link(session, token)
    return page("people/link.html", LinkView(token, security.safe_next(next), invited, _is_here(request)))


@router.post("/links/{token}")
def use_link(token: str, session: Write, config: Config, password: Text = "", next: Text = "/") -> Response:
    """Sign in by a one-time link, set a password where one is given, and go where the link leads."""
    person = people.sign_in_by_link(session, token, password)
    return _signed_in(session, config, person, security.safe_next(next))


@router.get("/people")
def team(session: Read, page: Page, me: CurrentPerson) -> HTMLResponse:
    """Oneself and the team."""
    return page("people/team.html", _people_view(session, me))


@router.post("/people")
def add(session: Write, page: Page, me: CurrentPerson, name: Text, email: Text) -> HTMLResponse:
    """Add somebody, and show the link that lets them in."""
    return _with_link(session, page, me, people.add(session, me, name, email))


@router.post("/people/{person_id}/links")
def make_link(person_id: int, session: Write, page: Page, me: CurrentPerson) -> HTMLResponse:
    """A new one-time link for somebody, shown once."""
    return _with_link(session, page, me, people.get(session, person_id))


@router.post("/people/{person_id}/exit")
def shut_out(person_id: int, session: Write, me: CurrentPerson) -> RedirectResponse:
    """End somebody's access."""
    people.shut_out(session, me, people.get(session, person_id))
    return RedirectResponse("/people", status_code=303)


@router.post("/password")
def change_password(
    request: Request, session: Write, page: Page, me: CurrentPerson, new: Text, old: Text = ""
) -> HTMLResponse:
    """Change one's own password; every other browser of one's own is signed out."""
    people.change_password(session, me.id, old, new, request.state.token)
    note = "Your password is changed. Your other browsers are signed out."
    return page("people/team.html", _people_view(session, people.get(session, me.id), note=note))


def _signed_in(session: Session, settings: Settings, person: Person, address: str) -> Response:
    response = RedirectResponse(address, status_code=303)
    security.set_cookie(response, settings, people.begin_session(session, person))
    return response


def _with_link(session: Session, page: Renderer, me: Person, person: Person) -> HTMLResponse:
    base = (page.settings.public_url or str(page.request.base_url)).rstrip("/")
    link = f"{base}/links/{people.make_link(session, person, by=me)}"
    view = _people_view(session, me, link=link, link_for=person)
    return page("people/team.html", view, headers={"Cache-Control": "no-store"})


def _people_view(
    session: Session, me: Person, link: str | None = None, link_for: Person | None = None, note: str | None = None
) -> PeopleView:
    return PeopleView(me, people.everybody(session), people.with_access(session), link, link_for, note)


def _is_here(request: Request) -> bool:
    """Whether the browser runs on the app's own machine and came by a loopback address: no link preview does."""
    client = request.client.host if request.client else ""
    return is_loopback(client) and is_loopback(request.url.hostname or "")
