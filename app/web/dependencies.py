"""What routes ask for: a session that reads, a session that writes, the person, files, settings, the page.

`scope="function"` ends a dependency before the answer leaves; by default FastAPI ends it after, and a commit that fails
would still have answered 200.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Final, TypeVar

from fastapi import Depends, Request
from sqlalchemy import event
from sqlalchemy.orm import Session, UOWTransaction
from starlette.datastructures import FormData

from app import audit, broker, people
from app.cycles import spending
from app.errors import SignInNeeded
from app.jobs import Job
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from app.web.pages import Renderer
from app.web.security import SAFE_METHODS

_Result = TypeVar("_Result")


def opened(request: Request) -> Session:
    """A session that knows where the request comes from, for the audit log."""
    session: Session = request.app.state.sessions()
    session.info[audit.FROM_ADDRESS] = address_of(request)
    return session


def address_of(request: Request) -> str:
    """The address that the request comes from; behind a proxy on this machine, the one that it names."""
    return request.client.host if request.client else ""


def in_transaction(request: Request, work: Callable[[Session], _Result]) -> _Result:
    """What `work` returns in a short transaction of its own, for those who must not hold one while they wait."""
    with opened(request) as session:
        result = work(session)
        session.commit()
        return result


def read(request: Request) -> Iterator[Session]:
    """The request's session; what it holds at the end is rolled back."""
    with opened(request) as session:
        yield session


Read = Annotated[Session, Depends(read, scope="function")]


def write(request: Request, session: Read) -> Iterator[Session]:
    """The same session, committed before the answer; jobs asked for in it are sent right after the commit.

    Whatever a person changes is in the audit log: where nothing that was done told of itself, the route is told.
    """
    asked = False
    lines = audit.written(session)

    def note_jobs(session: Session, _: UOWTransaction) -> None:
        nonlocal asked
        asked = asked or any(isinstance(row, Job) for row in session.new)

    event.listen(session, "after_flush", note_jobs)
    yield session
    if audit.written(session) == lines:
        _tell(request, session)
    session.commit()
    if asked and request.app.state.redis_url:
        broker.send_due(request.app.state.engine, request.app.state.redis_url)


Write = Annotated[Session, Depends(write, scope="function")]
# Signs of life and pieces of a file: told by what they are of.
UNTOLD: Final = frozenset({"/desk/holds", "/uploads/{upload}/pieces"})


def _tell(request: Request, session: Session) -> None:
    person, path = request.state.person, str(request.scope["route"].path)
    if person is None or request.method in SAFE_METHODS or path in UNTOLD:
        return
    numbers = {name.removesuffix("_id"): str(value)[:80] for name, value in request.path_params.items()}
    audit.record(session, "changed", person.id, None, route=f"{request.method} {path}", **numbers)


def signed_in(request: Request) -> Person:
    """Who is signed in, detached from any session. Raises SignInNeeded."""
    person: Person | None = request.state.person
    if person is None:
        raise SignInNeeded("Sign in to go on.")
    return person


# What waits for nothing is asked for in the loop itself: without `async` it would cost a way to a thread and back.
async def current_person(request: Request) -> Person:
    """Who is signed in, detached from any session. Raises SignInNeeded."""
    return signed_in(request)


CurrentPerson = Annotated[Person, Depends(current_person)]


def spender(session: Read, request: Request, person: CurrentPerson) -> Person:
    """Who is signed in, for what costs money. Raises NotAllowed where none is set aside for them."""
    spending.refuse(session, request.app.state.settings, person)
    return person


Spender = Annotated[Person, Depends(spender, scope="function")]


async def owner(person: CurrentPerson) -> Person:
    """Who is signed in, for what is an owner's alone. Raises NotAllowed."""
    people.needs_owner(person, "see this")
    return person


Owner = Annotated[Person, Depends(owner)]


async def storage(request: Request) -> Storage:
    """The files."""
    app_storage: Storage = request.app.state.storage
    return app_storage


Files = Annotated[Storage, Depends(storage)]


async def settings(request: Request) -> Settings:
    """The settings."""
    app_settings: Settings = request.app.state.settings
    return app_settings


Config = Annotated[Settings, Depends(settings)]


async def renderer(request: Request, session: Read) -> Renderer:
    """The way to render, on the request's own session."""
    return Renderer(request, session)


Page = Annotated[Renderer, Depends(renderer)]


async def sent(request: Request) -> FormData:
    """The fields of the form that was sent."""
    return await request.form()


Sent = Annotated[FormData, Depends(sent)]
