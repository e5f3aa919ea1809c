"""Guesses at passwords, counted: each try is written down before it is looked at, so that no burst outruns the count.

Three counts bind a browser that is not known: its tries at one e-mail, all tries from its address, and all tries at one
e-mail from anywhere. A browser in which the person signed in before is known by a cookie of its own: it has a count for
itself, so that nobody else's guesses can keep the person out.
"""

from __future__ import annotations

import ipaddress
import math
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, ForeignKey, Text, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from app import audit
from app.database import Base, BigId, Moment, utc_now
from app.people import TEXT_MAX, Person, hash_of

GUESSES: Final = 5
GUESSES_OF_ADDRESS: Final = 20
GUESSES_OF_ALL: Final = 100
GUESSES_COUNT_FOR: Final = timedelta(minutes=15)
BROWSER_KNOWN_FOR: Final = timedelta(days=365)

# One try after the other writes itself down: milliseconds each.
_TRIES_LOCK: Final = 0x7061636C
_LINKS_FROM: Final = "links from "


class SignInAttempt(Base):
    """A try at a password that was not right, or is being looked at. `browser_hash`: a known browser's."""

    __tablename__ = "sign_in_attempt"

    id: Mapped[BigId]
    email: Mapped[str] = mapped_column(Text, index=True)
    address: Mapped[str | None] = mapped_column(Text, index=True)
    browser_hash: Mapped[str | None] = mapped_column(Text)
    at: Mapped[Moment] = mapped_column(default=utc_now)


class KnownBrowser(Base):
    """A browser in which a person signed in. Only the SHA-256 of its cookie is kept; it lets nobody in by itself."""

    __tablename__ = "known_browser"

    token_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id, ondelete="CASCADE"), primary_key=True)
    used_at: Mapped[Moment] = mapped_column(default=utc_now)


@dataclass(frozen=True, slots=True)
class SignInFailure:
    """A sign-in that did not happen, and why, in a sentence that says nothing about who exists."""

    sentence: str
    has_to_wait: bool = False


@dataclass(frozen=True, slots=True)
class PasswordTry:
    """A try that is written down and may be looked at: whose password hash to compare; None where there is none."""

    email: str
    attempt_id: int
    person_id: int | None
    password_hash: str | None


def begin_try(
    session: Session, email: str, address: str = "", browser: str | None = None
) -> PasswordTry | SignInFailure:
    """Write a try down, unless too many were wrong; to be committed before the password is looked at.

    `address` is where it comes from, `browser` the token of a known browser's cookie or of a signed-in one. An unknown
    e-mail gets the same answers as a known one.
    """
    email, now = email.strip().lower()[:TEXT_MAX], utc_now()
    session.execute(select(func.pg_advisory_xact_lock(_TRIES_LOCK)))
    session.execute(delete(SignInAttempt).where(SignInAttempt.at < now - timedelta(days=1)))
    person = session.scalars(select(Person).where(Person.email == email)).first()
    network, browser_hash = _network(address), _known(session, person, browser)
    for what, counted, most in _counts(email, network, browser_hash):
        query = select(SignInAttempt.at).where(counted, SignInAttempt.at > now - GUESSES_COUNT_FOR)
        recent = session.scalars(query.order_by(SignInAttempt.at.desc()).limit(most)).all()
        if len(recent) == most:
            return SignInFailure(_wait_sentence(what, recent[-1] + GUESSES_COUNT_FOR - now), has_to_wait=True)
    attempt = SignInAttempt(email=email, address=network, browser_hash=browser_hash, at=now)
    session.add(attempt)
    session.flush()
    return PasswordTry(email, attempt.id, person.id if person else None, person.password_hash if person else None)


def end_try(session: Session, attempt: PasswordTry, fits: bool) -> Person | SignInFailure:
    """What came of a try: the person, whose wrong tries are forgotten, or a failure that stays counted."""
    person = session.get(Person, attempt.person_id) if attempt.person_id is not None else None
    # A password that was changed while this one was looked at is not this one.
    if person is None or not fits or person.password_hash != attempt.password_hash:
        audit.record(session, "sign_in_failed", about_id=attempt.person_id)
        return SignInFailure("This e-mail and password do not belong together.")
    made = session.get(SignInAttempt, attempt.attempt_id)
    same = (
        SignInAttempt.address.is_not_distinct_from(made.address if made else None),
        SignInAttempt.browser_hash.is_not_distinct_from(made.browser_hash if made else None),
    )
    session.execute(delete(SignInAttempt).where(SignInAttempt.email == attempt.email, *same))
    return person


def forget_try(session: Session, attempt: PasswordTry) -> None:
    """The password of this try was never looked at."""
    session.execute(delete(SignInAttempt).where(SignInAttempt.id == attempt.attempt_id))


def know_browser(session: Session, person: Person, before: str | None) -> str:
    """The person signed in in this browser: a new token for its cookie, in place of the one it had `before`."""
    now, token = utc_now(), secrets.token_urlsafe(32)
    session.execute(delete(KnownBrowser).where(KnownBrowser.used_at < now - BROWSER_KNOWN_FOR))
    if before:
        renamed = update(KnownBrowser).where(KnownBrowser.token_hash == hash_of(before))
        session.execute(renamed.values(token_hash=hash_of(token)))
    seen = insert(KnownBrowser).values(token_hash=hash_of(token), person_id=person.id, used_at=now)
    session.execute(seen.on_conflict_do_update(index_elements=["token_hash", "person_id"], set_={"used_at": now}))
    return token


def note_wrong_link(session: Session, address: str) -> None:
    """Somebody without an account came with a link that is none. Counted apart from passwords: a mistyped link keeps
    nobody of the same network from signing in."""
    session.execute(delete(SignInAttempt).where(SignInAttempt.at < utc_now() - timedelta(days=1)))
    session.add(SignInAttempt(email="", address=_LINKS_FROM + _network(address), at=utc_now()))
    session.flush()


def guessed_links(session: Session, address: str) -> int:
    """How many wrong links came from this address in the time for which guesses count."""
    since = utc_now() - GUESSES_COUNT_FOR
    wrong = (SignInAttempt.address == _LINKS_FROM + _network(address), SignInAttempt.at > since)
    return session.scalar(select(func.count()).select_from(SignInAttempt).where(*wrong)) or 0


def _known(session: Session, person: Person | None, browser: str | None) -> str | None:
    """The hash of a browser's token where it is known for this person."""
    if person is None or browser is None:
        return None
    known = session.get(KnownBrowser, (hash_of(browser), person.id))
    return known.token_hash if known is not None and known.used_at > utc_now() - BROWSER_KNOWN_FOR else None


def _counts(email: str, network: str, browser_hash: str | None) -> list[tuple[str, ColumnElement[bool], int]]:
    """What is counted for a try, in words and in SQL, and how many are the most."""
    of_email = SignInAttempt.email == email
    if browser_hash is not None:
        return [("for this e-mail", of_email & (SignInAttempt.browser_hash == browser_hash), GUESSES)]
    of_address = (SignInAttempt.address == network) & SignInAttempt.browser_hash.is_(None)
    return [
        ("for this e-mail", of_email & of_address, GUESSES),
        ("from this address", of_address, GUESSES_OF_ADDRESS),
        ("for this e-mail", of_email & SignInAttempt.browser_hash.is_(None), GUESSES_OF_ALL),
    ]


def _network(address: str) -> str:
    """What counts as one address: of IPv6 the first 64 bits, for a household or a server is given at least those.

    A socket of both kinds names visitors by IPv4 as `::ffff:203.0.113.7`: each is an address, not all of them one.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)


def _wait_sentence(what: str, wait: timedelta) -> str:
    minutes = max(1, math.ceil(wait.total_seconds() / 60))
    unit = "minute" if minutes == 1 else "minutes"
    return (
        f"Too many wrong passwords {what}. Wait {minutes} {unit}, use a browser in which you signed in before, or ask "
        "for a sign-in link."
    )
