"""Signing in and out: by password, by a one-time link, here and everywhere.

Whatever hashes a password does so between two short transactions, beside the requests (`app.web.hashing`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app import guessing, people
from app.guessing import SignInFailure
from app.people import Person
from app.settings import is_loopback
from app.web import confirming, security
from app.web.dependencies import Config, CurrentPerson, Page, Read, Write, address_of, in_transaction
from app.web.hashing import in_slot

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


@router.get("/sign-in")
def ask(request: Request, page: Page, next: str = "/") -> Response:
    """The sign-in page."""
    if request.state.person is not None:
        return RedirectResponse(security.safe_next(next), status_code=303)
    return page("people/sign_in.html", SignInView(security.safe_next(next)))


@router.post("/sign-in")
async def sign_in(request: Request, page: Page, email: Text, password: Text, next: Text = "/") -> Response:
    """Sign in by password."""
    address = security.safe_next(next)
    outcome = await confirming.try_password(request, email, password)
    if isinstance(outcome, SignInFailure):
        view = SignInView(address, email, outcome.sentence)
        status = 429 if outcome.has_to_wait else 401
        return await run_in_threadpool(page, "people/sign_in.html", view, status=status)
    return await run_in_threadpool(_signed_in, request, lambda session: outcome, address, "password")


@router.post("/sign-out")
def sign_out(request: Request, session: Write, config: Config, me: CurrentPerson) -> Response:
    """Sign this browser out."""
    people.sign_out(session, me, request.state.token)
    return _signed_out(config)


@router.post("/sign-out/everywhere")
def sign_out_everywhere(session: Write, config: Config, me: CurrentPerson) -> Response:
    """Sign all of one's browsers out, this one too; links of one's own that are not used yet die."""
    people.sign_out_everywhere(session, me)
    return _signed_out(config)


@router.post("/browsers/{key}/exit")
def end_browser(key: str, session: Write, me: CurrentPerson) -> Response:
    """Sign one of one's own browsers out."""
    people.end_browser(session, me, key)
    return RedirectResponse("/people", status_code=303)


@router.get("/links/{token}")
def open_link(token: str, request: Request, session: Read, page: Page, next: str = "/") -> HTMLResponse:
    """What a one-time link opens. It is not used up by looking: mail programs fetch links to preview them."""
    invited = people.person_of_link(session, token)
    return page("people/link.html", LinkView(token, security.safe_next(next), invited, _is_here(request)))


@router.post("/links/{token}")
async def use_link(token: str, request: Request, password: Text = "", next: Text = "/") -> Response:
    """Sign in by a one-time link, set a password where one is given, and go where the link leads."""
    hashed = None
    if password:

        def about(session: Session) -> tuple[str, str]:
            invited = people.person_of_link(session, token)
            return invited.name, invited.email

        # A weak password leaves the link good, and one that is over costs no hash.
        known = await run_in_threadpool(in_transaction, request, about)
        hashed = await in_slot(confirming.hash_new, password, known)

    def use(session: Session) -> int:
        return people.sign_in_by_link(session, token, hashed).id

    return await run_in_threadpool(_signed_in, request, use, security.safe_next(next), "link")


def _signed_in(
    request: Request, who: Callable[[Session], int], address: str, how: Literal["password", "link"]
) -> Response:
    """Sign the browser in and lead it on. `who` says whom, in the same transaction: a link is used, or it is not."""
    settings = request.app.state.settings
    before = request.cookies.get(security.browser_cookie_name(settings))

    def begin(session: Session) -> tuple[str, str]:
        person = people.get(session, who(session))
        browser = request.headers.get("user-agent", "")
        token = people.begin_session(session, person, browser=browser, address=address_of(request), how=how)
        return token, guessing.know_browser(session, person, before)

    token, browser = in_transaction(request, begin)
    response = RedirectResponse(address, status_code=303)
    security.set_cookie(response, settings, token, browser)
    return response


def _signed_out(config: Config) -> Response:
    response = RedirectResponse("/sign-in", status_code=303)
    security.clear_cookie(response, config)
    return response


def _is_here(request: Request) -> bool:
    """Whether the browser runs on the app's own machine and came by a loopback address: no link preview does."""
    return is_loopback(address_of(request)) and is_loopback(request.url.hostname or "")
