"""Refusals: errors whose sentence is fit for the person at the screen, and whose class carries the HTTP status."""

from __future__ import annotations

import errno


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
    title = "Not found"


class Conflict(AppError):
    """Somebody else changed it first. `other` holds the value that won, so that the page can show both."""

    status = 409
    title = "Changed by someone else"

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


class DiskFull(Refused):
    """There is no room for a file; what was there before is as it was."""


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or somebody's share of it, is full.

    Libraries that write files of their own (safetensors) wrap the system's error, so that only its text tells.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return isinstance(error, DiskFull) or "No space left" in str(error) or "Disk quota exceeded" in str(error)
