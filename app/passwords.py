"""Passwords: which are good enough, and hashing them with Argon2id. Knows no database.

One hash takes 64 MiB and a core for some tens of milliseconds, so whoever calls this for strangers has to bound how
many do so at once (`app.web.hashing`), and must hold no transaction meanwhile.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from app.errors import Refused

PASSWORD_MIN: Final = 10
PASSWORD_MAX: Final = 1000
# zxcvbn takes no more; what is behind can only make a password better.
_JUDGED: Final = 72
# Guesses of somebody who tries what is known first: 10^8 withstands everything that this app lets through (zxcvbn's
# "safely unguessable: moderate protection from offline slow-hash scenario", Wheeler 2016).
_GUESSES_LOG10: Final = 8.0

_hasher: Final = PasswordHasher()


def check(password: str, about: Iterable[str] = ()) -> None:
    """Raises Refused for a password of under 10 or over 1,000 characters, or one that is known or easily guessed.

    It is compared with some 30,000 passwords that were found in leaks, with names, words and keyboard rows, and with
    `about`: what is known of the person.
    """
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise Refused(f"A password needs at least {PASSWORD_MIN} characters. A few unrelated words make a good one.")
    # Its lists take a tenth of a second to load, and only who chooses a password needs them.
    from zxcvbn import zxcvbn

    words = ["packshot", *(word for text in about for word in (text, *re.split(r"\W+", text)) if len(word) > 2)]
    judged = zxcvbn(password[:_JUDGED], user_inputs=words)
    if float(judged["guesses_log10"]) < _GUESSES_LOG10:
        raise Refused(
            "This password is among those that guessers try first. Take another: a few unrelated words make a good one."
        )


def hashed(password: str) -> str:
    """What is kept of a password: Argon2id with a salt of its own."""
    return _hasher.hash(password)


def fits(password_hash: str | None, password: str) -> bool:
    """Whether the password belongs to the hash. Without a hash it does not, after the same work."""
    try:
        _hasher.verify(password_hash or _decoy(), password[:PASSWORD_MAX])
    except VerifyMismatchError:
        return False
    return password_hash is not None


@lru_cache(maxsize=1)
def _decoy() -> str:
    """A hash nobody has the password of."""
    return _hasher.hash(secrets.token_urlsafe(32))
