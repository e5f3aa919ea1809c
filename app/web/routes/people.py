"""The team and oneself: who is here, who may do what, one's own password and browsers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from app import people
from app.errors import NotAllowed
from app.people import Person, Role
from app.web import confirming
from app.web.dependencies import CurrentPerson, Page, Read, Write, in_transaction
from app.web.hashing import in_slot
from app.web.pages import Renderer
from app.web.views import browsers
from app.web.views.browsers import BrowserRow

# From the one that may most; each may do what those below it may.
MAY: Final[dict[Role, str]] = {
    "owner": "adds people, says what they may do, starts cycles, removes for good, takes in folders of the server",
    "lead": "takes in, sets rules and labels, hands out queues, freezes, exports, launches within a cycle’s money",
    "annotator": "keeps, rejects, mends, labels and captions photos, and votes",
    "viewer": "looks at everything, changes nothing",
}

router = APIRouter()
Text = Annotated[str, Form()]
Confirmed = Depends(confirming.confirm)


@dataclass(frozen=True)
class PeopleView:
    """Oneself and the team. `link` is shown once, right after it was made for `link_for`.

    `disabled_by`: by a person's number, the name of who disabled them; none where it was the machine's own terminal.

    `asks_password`: what gives or takes access wants it again, for it was last typed a while ago. `asks_link`: the same
    of somebody without a password, whom only a new link can prove to be there; `has_to_choose`: it will soon be so.
    """

    me: Person
    team: Sequence[Person]
    with_access: set[int]
    disabled_by: Mapping[int, str]
    browsers: Sequence[BrowserRow]
    asks_password: bool
    asks_link: bool
    has_to_choose: bool
    idle_hours: int
    roles: Sequence[tuple[Role, str]] = tuple(MAY.items())
    role_names: Sequence[tuple[Role, Role]] = tuple((role, role) for role in MAY)
    link: str | None = None
    link_for: Person | None = None
    note: str | None = None


@router.get("/people")
def show(session: Read, page: Page, me: CurrentPerson) -> HTMLResponse:
    """Oneself and the team."""
    return page("people/team.html", _view(session, page, me))


@router.post("/people", dependencies=[Confirmed])
def add(
    request: Request,
    session: Write,
    page: Page,
    me: CurrentPerson,
    name: Text,
    email: Text,
    role: Annotated[Role, Form()] = "annotator",
) -> HTMLResponse:
    """Add somebody, and show the link that lets them in."""
    people.needs_owner(me, "add people")
    people.needs_confirmed(session, me, request.state.token)
    return _with_link(session, page, me, people.add(session, me, name, email, role))


@router.post("/people/{person_id}/links", dependencies=[Confirmed])
def make_link(person_id: int, request: Request, session: Write, page: Page, me: CurrentPerson) -> HTMLResponse:
    """A new one-time link for somebody, shown once. Whoever opens it may choose a new password, so it takes the old one
    where it is for oneself."""
    if person_id != me.id:
        people.needs_owner(me, "make a link for somebody else")
        people.needs_confirmed(session, me, request.state.token)
    elif not request.state.has_typed_password:
        what = (
            "Type your password with it." if me.password_hash else "Choose a password first, or ask an owner for one."
        )
        raise NotAllowed(f"A link signs somebody in as you and lets them change your password. {what}")
    return _with_link(session, page, me, people.get(session, person_id))


@router.post("/people/{person_id}/exit", dependencies=[Confirmed])
def disable(person_id: int, request: Request, session: Write, me: CurrentPerson) -> RedirectResponse:
    """End somebody's access, until an owner enables them again."""
    people.needs_owner(me, "disable somebody")
    people.needs_confirmed(session, me, request.state.token)
    people.disable(session, me, people.get(session, person_id))
    return RedirectResponse("/people", status_code=303)


@router.post("/people/{person_id}/return", dependencies=[Confirmed])
def enable(person_id: int, request: Request, session: Write, me: CurrentPerson) -> RedirectResponse:
    """Let somebody who was disabled have links again."""
    people.needs_owner(me, "enable somebody")
    people.needs_confirmed(session, me, request.state.token)
    people.enable(session, me, people.get(session, person_id))
    return RedirectResponse("/people", status_code=303)


@router.post("/people/{person_id}/role", dependencies=[Confirmed])
def set_role(
    person_id: int, request: Request, session: Write, me: CurrentPerson, role: Annotated[Role, Form()]
) -> RedirectResponse:
    """Say what somebody may do."""
    people.needs_owner(me, "say what people may do")
    people.needs_confirmed(session, me, request.state.token)
    people.set_role(session, me, people.get(session, person_id), role)
    return RedirectResponse("/people", status_code=303)


@router.post("/people/{person_id}/deletion", dependencies=[Confirmed])
def remove(person_id: int, request: Request, session: Write, me: CurrentPerson) -> RedirectResponse:
    """Delete a person: name and e-mail go, decisions stay."""
    people.needs_owner(me, "delete somebody")
    people.needs_confirmed(session, me, request.state.token)
    people.remove(session, me, people.get(session, person_id))
    return RedirectResponse("/people", status_code=303)


@router.post("/password")
async def change_password(request: Request, page: Page, me: CurrentPerson, new: Text, old: Text = "") -> HTMLResponse:
    """Change one's own password; every other browser of one's own is signed out."""
    token = request.state.token
    if me.password_hash is not None:
        await confirming.must_be(request, me, old)
    else:
        await run_in_threadpool(in_transaction, request, lambda session: people.needs_confirmed(session, me, token))
    hashed = await in_slot(confirming.hash_new, new, (me.name, me.email))

    def keep(session: Session) -> None:
        people.keep_password(session, people.get(session, me.id), hashed, keep_token=token)

    await run_in_threadpool(in_transaction, request, keep)
    note = "Your password is changed. Your other browsers are signed out."

    def answer() -> HTMLResponse:
        session = page.session
        return page("people/team.html", _view(session, page, people.get(session, me.id), note=note))

    return await run_in_threadpool(answer)


def _with_link(session: Session, page: Renderer, me: Person, person: Person) -> HTMLResponse:
    base = (page.settings.public_url or str(page.request.base_url)).rstrip("/")
    link = f"{base}/links/{people.make_link(session, person, by=me)}"
    return page("people/team.html", _view(session, page, me, link=link, link_for=person))


def _view(
    session: Session,
    page: Renderer,
    me: Person,
    link: str | None = None,
    link_for: Person | None = None,
    note: str | None = None,
) -> PeopleView:
    token = page.request.state.token
    here = people.hash_of(token)[:16]
    idle_hours = page.settings.sign_in_idle_hours
    team = people.everybody(session)
    disabling = {person.id: person.disabled_by_id for person in team if person.disabled_by_id is not None}
    names = people.names(session, set(disabling.values()))
    has_password, is_confirmed = me.password_hash is not None, people.is_confirmed(session, token)
    return PeopleView(
        me=me,
        team=team,
        with_access=people.with_access(session),
        disabled_by={number: names[by_id] for number, by_id in disabling.items()},
        browsers=[browsers.row(row, here) for row in people.browsers(session, me, timedelta(hours=idle_hours))],
        asks_password=has_password and not is_confirmed,
        asks_link=not has_password and not is_confirmed,
        has_to_choose=not has_password and is_confirmed,
        idle_hours=idle_hours,
        link=link,
        link_for=link_for,
        note=note,
    )
