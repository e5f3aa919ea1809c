"""That a person is who they are: by their password, looked at beside the requests and counted.

A cookie that was stolen must not become an account. What gives or takes access asks for the password unless the person
proved to be there a few minutes ago (`people.needs_confirmed`); the form carries it in its field `password`.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session

from app import guessing, passwords, people
from app.errors import NotAllowed, TooMany
from app.guessing import SignInFailure
from app.people import Person
from app.web import security
from app.web.dependencies import address_of, in_transaction
from app.web.hashing import in_slot


async def try_password(request: Request, email: str, password: str) -> int | SignInFailure:
    """The id of the person whose e-mail and password these are, or why they are nobody's.

    Raises TooMany while a crowd is at the door.
    """
    browser = request.cookies.get(security.browser_cookie_name(request.app.state.settings))

    def begin(session: Session) -> guessing.PasswordTry | SignInFailure:
        return guessing.begin_try(session, email, address_of(request), browser)

    attempt = await run_in_threadpool(in_transaction, request, begin)
    if isinstance(attempt, SignInFailure):
        return attempt
    try:
        fits = await in_slot(passwords.fits, attempt.password_hash, password)
    except TooMany:
        # It was not looked at, so it is no guess.
        await run_in_threadpool(in_transaction, request, lambda session: guessing.forget_try(session, attempt))
        raise

    def end(session: Session) -> int | SignInFailure:
        outcome = guessing.end_try(session, attempt, fits)
        return outcome if isinstance(outcome, SignInFailure) else outcome.id

    return await run_in_threadpool(in_transaction, request, end)


async def must_be(request: Request, person: Person, password: str) -> None:
    """Raises NotAllowed for a password that is not the person's, TooMany after too many of them.

    The right one is remembered for this browser for a while.
    """
    outcome = await try_password(request, person.email, password)
    if isinstance(outcome, SignInFailure):
        if outcome.has_to_wait:
            raise TooMany(outcome.sentence)
        raise NotAllowed("The present password is not right. Nothing was changed.")
    await run_in_threadpool(in_transaction, request, lambda session: people.confirm(session, request.state.token))


async def confirm(request: Request) -> None:
    """Dependency of what gives or takes access: looks at the form's password, where it carries one.

    Raises NotAllowed, TooMany. `request.state.has_typed_password` tells the route.
    """
    password = (await request.form()).get("password")
    request.state.has_typed_password = False
    if isinstance(password, str) and password and request.state.person.password_hash is not None:
        await must_be(request, request.state.person, password)
        request.state.has_typed_password = True


def hash_new(password: str, about: Iterable[str]) -> str:
    """The hash of a password that somebody chooses. Raises Refused for a weak one."""
    passwords.check(password, about)
    return passwords.hashed(password)
