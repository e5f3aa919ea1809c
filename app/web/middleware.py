"""Access to every route: known host, own origin, signed in; and no large body that the disk has no room for.

It is a middleware, so a route cannot forget it and a stranger's body is not even read. A test walks all routes.
"""

from __future__ import annotations

import re
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Final

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import OperationalError
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import people
from app.database import utc_now
from app.errors import AppError, DiskFull, SignInNeeded
from app.people import Person
from app.storage import Storage, free_on
from app.web import errors, security
from app.web.dependencies import in_transaction

# A larger body is written to the temporary folder while it comes in.
SMALL_BODY_BYTES: Final = 1 << 20
# What a body of unknown length may turn out to have.
LARGEST_BODY_BYTES: Final = 256 << 20
# Asked by whatever watches the app, with or without a cookie; it tells nothing about anybody.
ANONYMOUS: Final = re.compile(r"/healthz|/static/.*")
# Only these answer somebody who is not signed in.
PUBLIC: Final = re.compile(r"/sign-in|/healthz|/links/[^/]+|/(?:votes|reads)/[^/]+(?:/.+)?|/static/.+")


class AccessControl:
    """ASGI middleware. Sets `request.state.person` (a detached Person or None) and `request.state.token`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._coming_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        request.state.person, request.state.token = None, None

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                security.add_headers(MutableHeaders(scope=message), request.app.state.settings)
            await send(message)

        is_bare = False

        async def send_in_words(message: Message) -> None:
            # The framework refuses a large body in bare text; the person or script gets our answer instead.
            nonlocal is_bare
            if message["type"] == "http.response.start" and message["status"] == 413:
                is_bare = Headers(raw=message["headers"]).get("content-type", "").startswith("text/plain")
                if is_bare:
                    await errors.too_large(request)(scope, receive, send_with_headers)
            if not is_bare:
                await send_with_headers(message)

        try:
            security.check_host(request, request.app.state.settings)
            security.check_origin(request, request.app.state.settings)
            await find_person(request)
            body_bytes = _body_bytes(request)
            if body_bytes:
                await run_in_threadpool(_refuse_without_room, request, self._coming_bytes + body_bytes)
        except (AppError, OperationalError) as error:
            refusal = error if isinstance(error, AppError) else errors.no_database()
            await errors.answer(request, refusal)(scope, receive, send_with_headers)
            return
        # Bodies that come at the same time share the room there is.
        self._coming_bytes += body_bytes
        try:
            await self.app(scope, receive, send_in_words)
        finally:
            self._coming_bytes -= body_bytes


def _body_bytes(request: Request) -> int:
    """How much of a disk the request's body may take: nothing where it is small, or a stranger's.

    No route that answers strangers takes more than a small body. What they say they will send, and hold back, must not
    take the room of the people who work here.
    """
    if request.state.person is None:
        return 0
    length = request.headers.get("content-length", "")
    size_bytes = int(length) if length.isascii() and length.isdigit() else 0
    if "transfer-encoding" in request.headers:
        size_bytes = LARGEST_BODY_BYTES
    return size_bytes if size_bytes > SMALL_BODY_BYTES else 0


def _refuse_without_room(request: Request, coming_bytes: int) -> None:
    """Raises DiskFull when so many bytes on their way would touch the reserve of the data folder's disk.

    A body lies in the temporary folder before it is copied, which is often on the same disk.
    """
    storage: Storage = request.app.state.storage
    temporary = Path(tempfile.gettempdir())
    is_same_disk = storage.root.exists() and storage.root.stat().st_dev == temporary.stat().st_dev
    storage.refuse_below_reserve(coming_bytes * (2 if is_same_disk else 1))
    if free_on(temporary) < coming_bytes:
        raise DiskFull(f"The disk with {temporary} is full. Nothing was lost; free some space and go on.")


async def find_person(request: Request) -> None:
    """Put the person into the request's state. Raises SignInNeeded for a stranger at a page that is not public."""
    path = request.url.path
    token = request.cookies.get(security.cookie_name(request.app.state.settings))
    if token and not ANONYMOUS.fullmatch(path):
        person = await run_in_threadpool(person_of, request, token)
        if person is not None:
            request.state.person, request.state.token = person, token
            return
    if not PUBLIC.fullmatch(path):
        raise SignInNeeded("Sign in to go on.")


def person_of(request: Request, token: str) -> Person | None:
    """Whose browser holds the token, detached from the session that found them. Notes now and then that it was seen."""
    idle = timedelta(hours=request.app.state.settings.sign_in_idle_hours)
    with request.app.state.sessions() as session:
        known = people.signed_in(session, token, idle)
        if known is None:
            return None
        person, sign_in = known
        session.expunge_all()
    if sign_in.seen_at < utc_now() - people.SEEN_EVERY:
        in_transaction(request, lambda session: people.note_seen(session, token))
    return person
