"""Refusals: errors whose sentence is fit for the person at the screen, and whose class carries the HTTP status."""

from __future__ import annotations

import errno
from pathlib import Path


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
    """Somebody else changed it first. `other` holds the value that won, so that the page can show both; `base`, where
    it is known, the one that both came from."""

    status = 409
    title = "Changed by someone else"

    def __init__(self, sentence: str, other: str | None = None, base: str | None = None) -> None:
        super().__init__(sentence)
        self.other = other
        self.base = base


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


class TooMany(AppError):
    """Too much is asked for at once, or too often. The same request is good again in a while."""

    status = 429
    title = "Too many at once"


class Unavailable(AppError):
    """Something that everything needs does not answer at this moment."""

    status = 503
    title = "Not available"


class DiskFull(Refused):
    """There is no room for a file; what was there before is as it was."""

    title = "The disk is full"

    @classmethod
    def below_reserve(cls, folder: Path, free_bytes: int, reserve_bytes: int) -> DiskFull:
        """What is free would no longer be enough for the database."""
        return cls(
            f"The disk with {folder} has {max(0, free_bytes) >> 20:,} MB left for this, and {reserve_bytes >> 20:,} MB "
            "stay free for the database. Nothing was lost; free some space and go on."
        )


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or somebody's share of it, is full.

    Libraries that write files of their own (safetensors) wrap the system's error, so that only its text tells.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return isinstance(error, DiskFull) or "No space left" in str(error) or "Disk quota exceeded" in str(error)
