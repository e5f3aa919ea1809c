"""What routes ask for: a session that reads, a session that writes, the person, files, settings, the page.

`scope="function"` ends a dependency before the answer leaves; by default FastAPI ends it after, and a commit that fails
would still have answered 200.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import event
from sqlalchemy.orm import Session, UOWTransaction
from starlette.datastructures import FormData

from app import broker
from app.errors import SignInNeeded
from app.jobs import Job
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from app.web.pages import Renderer


def read(request: Request) -> Iterator[Session]:
    """The request's session; what it holds at the end is rolled back."""
    with request.app.state.sessions() as session:
        yield session


Read = Annotated[Session, Depends(read, scope="function")]


def write(request: Request, session: Read) -> Iterator[Session]:
    """The same session, committed before the answer; jobs asked for in it are sent right after the commit."""
    asked = False

    def note_jobs(session: Session, _: UOWTransaction) -> None:
        nonlocal asked
        asked = asked or any(isinstance(row, Job) for row in session.new)

    event.listen(session, "after_flush", note_jobs)
    yield session
    session.commit()
    if asked and request.app.state.redis_url:
        broker.send_due(request.app.state.engine, request.app.state.redis_url)


Write = Annotated[Session, Depends(write, scope="function")]


def current_person(request: Request) -> Person:
    """Who is signed in, detached from any session. Raises SignInNeeded."""
    person: Person | None = request.state.person
    if person is None:
        raise SignInNeeded("Sign in to go on.")
    return person


CurrentPerson = Annotated[Person, Depends(current_person)]


def storage(request: Request) -> Storage:
    """The files."""
    app_storage: Storage = request.app.state.storage
    return app_storage


Files = Annotated[Storage, Depends(storage)]


def settings(request: Request) -> Settings:
    """The settings."""
    app_settings: Settings = request.app.state.settings
    return app_settings


Config = Annotated[Settings, Depends(settings)]


def renderer(request: Request, session: Read) -> Renderer:
    """The way to render, on the request's own session."""
    return Renderer(request, session)


Page = Annotated[Renderer, Depends(renderer)]


async def sent(request: Request) -> FormData:
    """The fields of the form that was sent."""
    return await request.form()


Sent = Annotated[FormData, Depends(sent)]
