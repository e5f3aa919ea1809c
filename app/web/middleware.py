"""Access to every route: known host, own origin, signed in.

It is a middleware, so a route cannot forget it and a stranger's body is not even read. A test walks all routes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import people
from app.errors import AppError, SignInNeeded
from app.people import Person
from app.web import errors, security

# Only these answer somebody who is not signed in.
PUBLIC: Final = re.compile(r"/sign-in|/healthz|/links/[^/]+|/static/.+")


class AccessControl:
    """ASGI middleware. Sets `request.state.person` (a detached Person or None) and `request.state.token`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        request.state.person, request.state.token = None, None

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                security.add_headers(MutableHeaders(scope=message))
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
        except AppError as error:
            await errors.answer(request, error)(scope, receive, send_with_headers)
            return
        await self.app(scope, receive, send_in_words)


async def find_person(request: Request) -> None:
    """Put the person into the request's state. Raises SignInNeeded for a stranger at a page that is not public."""
    path = request.url.path
    token = request.cookies.get(security.cookie_name(request.app.state.settings))
    if token and not path.startswith("/static/"):
        person = await run_in_threadpool(person_of, request.app.state.sessions, token)
        if person is not None:
            request.state.person, request.state.token = person, token
            return
    if not PUBLIC.fullmatch(path):
        raise SignInNeeded("Sign in to go on.")


def person_of(sessions: Callable[[], Session], token: str) -> Person | None:
    """Whose browser holds the token, detached from the session that found them."""
    with sessions() as session:
        person = people.signed_in(session, token)
        if person is not None:
            session.expunge(person)
        return person
