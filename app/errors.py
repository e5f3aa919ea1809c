"""Refusals: errors whose sentence is fit for the person at the screen, and whose class carries the HTTP status."""

from __future__ import annotations


class AppError(Exception):
    """A named refusal. `sentence` is shown as it is; `status` is the HTTP status a page answers with."""

    status = 500
    title = "Something broke"

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class NotFound(AppError):
    """The thing asked for does not exist, or not any more."""

    status = 404
    title = "Not here"


class Conflict(AppError):
    """Somebody else was first. `other` holds the value that won, so that the page can show both."""

    status = 409
    title = "Somebody was first"

    def __init__(self, sentence: str, other: str | None = None) -> None:
        super().__init__(sentence)
        self.other = other


class NotAllowed(AppError):
    """The person may not do this."""

    status = 403
    title = "Not allowed"


class SignInNeeded(AppError):
    """Nobody is signed in."""

    status = 401
    title = "Sign in"


class Refused(AppError):
    """The request is understood and cannot be carried out as it stands: malformed or impossible values."""

    status = 422
    title = "This cannot be done as asked"
