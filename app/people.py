"""People: who may sign in, their sessions, and the one-time links that sign a browser in.

Tokens are 32 random bytes; the database holds only their SHA-256, so a stolen copy of it signs nobody in. Passwords are
hashed with Argon2id.
"""

from __future__ import annotations

import hashlib
import math
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import CheckConstraint, ForeignKey, Text, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.database import Base, BigId, Moment, utc_now
from app.errors import Conflict, NotAllowed, NotFound, Refused

SIGN_IN_LASTS: Final = timedelta(days=30)
LINK_LASTS: Final = timedelta(minutes=15)
GUESSES: Final = 5
GUESSES_COUNT_FOR: Final = timedelta(minutes=15)
PASSWORD_MIN: Final = 10
TEXT_MAX: Final = 254
PASSWORD_MAX: Final = 1000

_hasher: Final = PasswordHasher()
# One hash takes 64 MiB and a core for some tens of milliseconds: a crowd of guessers must queue.
_hashing: Final = threading.BoundedSemaphore(2)


class Person(Base):
    """Somebody who signs in. `email` is kept in lower case."""

    __tablename__ = "person"
    __table_args__ = (CheckConstraint("role in ('owner','member')", name="role"),)

    id: Mapped[BigId]
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text, unique=True)
    role: Mapped[str] = mapped_column(Text, default="member")
    password_hash: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[Moment] = mapped_column(default=utc_now)


class SignIn(Base):
    """One signed-in browser. Only the SHA-256 of its cookie is kept."""

    __tablename__ = "sign_in"

    token_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id, ondelete="CASCADE"), index=True)
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    expires_at: Mapped[Moment]


class SignInLink(Base):
    """A one-time address that signs a browser in; used once, then dead. Only its hash is kept."""

    __tablename__ = "sign_in_link"

    token_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id, ondelete="CASCADE"), index=True)
    expires_at: Mapped[Moment]
    used_at: Mapped[Moment | None]


class SignInAttempt(Base):
    """A failed sign-in, counted to slow guessing."""

    __tablename__ = "sign_in_attempt"

    id: Mapped[BigId]
    email: Mapped[str] = mapped_column(Text, index=True)
    at: Mapped[Moment] = mapped_column(default=utc_now)


@dataclass(frozen=True, slots=True)
class SignInFailure:
    """A sign-in that did not happen, and why, in a sentence that says nothing about who exists."""

    sentence: str
    has_to_wait: bool = False


def get(session: Session, person_id: int) -> Person:
    """The person with this id. Raises NotFound."""
    person = session.get(Person, person_id)
    if person is None:
        raise NotFound("There is no such person.")
    return person


def everybody(session: Session) -> Sequence[Person]:
    """All people by name."""
    return session.scalars(select(Person).order_by(func.lower(Person.name), Person.id)).all()


def with_access(session: Session) -> set[int]:
    """Ids of the people who can sign in: by password, in a signed-in browser, or by a link that is not used yet."""
    now = utc_now()
    by_password = select(Person.id).where(Person.password_hash.is_not(None))
    by_browser = select(SignIn.person_id).where(SignIn.expires_at > now)
    by_link = select(SignInLink.person_id).where(SignInLink.expires_at > now, SignInLink.used_at.is_(None))
    return set(session.scalars(by_password.union(by_browser, by_link)))


def make_owner(session: Session, name: str = "Owner", email: str = "owner@localhost") -> Person:
    """The owner: the first one there is, or a new one. Asked twice at the same moment, it is made once."""
    owner = session.scalars(select(Person).where(Person.role == "owner").order_by(Person.id).limit(1)).first()
    if owner is None:
        session.execute(insert(Person).values(name=name, email=email, role="owner").on_conflict_do_nothing())
        owner = session.scalars(select(Person).where(Person.email == email)).one()
        owner.role = "owner"
        session.flush()
    return owner


def add(session: Session, by: Person, name: str, email: str) -> Person:
    """Add somebody to the team. Raises NotAllowed for anybody but an owner, Refused for bad values, Conflict."""
    _needs_owner(by, "add people")
    name, email = " ".join(name.split()), tidy_email(email)
    if not name or len(name) > TEXT_MAX:
        raise Refused("A name is needed, of at most 254 characters.")
    added = session.scalar(
        insert(Person).values(name=name, email=email, role="member").on_conflict_do_nothing().returning(Person.id)
    )
    if added is None:
        there = session.scalars(select(Person).where(Person.email == email)).one()
        raise Conflict(f"{email} is on the team already.", other=there.name)
    return get(session, added)


def shut_out(session: Session, by: Person, person: Person) -> None:
    """End somebody's access: sign-ins, links and password. What they decided and wrote stays; a new link lets them in.

    Raises NotAllowed for anybody but an owner, Refused for oneself.
    """
    _needs_owner(by, "end somebody's access")
    if by.id == person.id:
        raise Refused("You cannot end your own access. Another owner can.")
    session.execute(delete(SignIn).where(SignIn.person_id == person.id))
    session.execute(delete(SignInLink).where(SignInLink.person_id == person.id))
    session.execute(update(Person).where(Person.id == person.id).values(password_hash=None))


def make_link(session: Session, person: Person, by: Person | None = None) -> str:
    """A token that signs `person` in once, within 15 minutes; older unused ones of theirs die. `by` None: the machine's
    own terminal. Raises NotAllowed when `by` is neither an owner nor the person.
    """
    if by is not None and by.id != person.id:
        _needs_owner(by, "make a link for somebody else")
    session.execute(delete(SignInLink).where(SignInLink.person_id == person.id, SignInLink.used_at.is_(None)))
    token = secrets.token_urlsafe(32)
    session.add(SignInLink(token_hash=hash_of(token), person_id=person.id, expires_at=utc_now() + LINK_LASTS))
    session.flush()
    return token


def person_of_link(session: Session, token: str) -> Person:
    """Whom the link would sign in; it stays unused. Raises NotFound."""
    link = session.get(SignInLink, hash_of(token))
    if link is None or link.used_at is not None or link.expires_at <= utc_now():
        raise NotFound("This link was used already, or is older than 15 minutes. Ask for a new one.")
    return get(session, link.person_id)


def sign_in_by_link(session: Session, token: str, new_password: str = "") -> Person:
    """Use the link up, and set a password where one is given. Of two browsers at the same moment one gets in.

    Raises NotFound for a link that is over, Refused for a weak password (the link stays good).
    """
    now = utc_now()
    link = update(SignInLink).where(
        SignInLink.token_hash == hash_of(token), SignInLink.used_at.is_(None), SignInLink.expires_at > now
    )
    person_id = session.scalar(link.values(used_at=now).returning(SignInLink.person_id))
    if person_id is None:
        raise NotFound("This link was used already, or is older than 15 minutes. Ask for a new one.")
    person = get(session, person_id)
    if new_password:
        set_password(session, person.id, new_password)
    return person


def sign_in(session: Session, email: str, password: str) -> Person | SignInFailure:
    """Who this is, or why not. The failure is a value, for the count of failures has to be committed.

    An unknown e-mail costs the same time and gets the same answer as a wrong password. After 5 failures within 15
    minutes an address has to wait until the oldest of them is 15 minutes old, known or not.
    """
    email = email.strip().lower()[:TEXT_MAX]
    now = utc_now()
    # Guesses at one address queue up here, so that a burst cannot outrun the count.
    session.execute(select(func.pg_advisory_xact_lock(func.hashtext(email))))
    recent = session.scalars(
        select(SignInAttempt.at)
        .where(SignInAttempt.email == email, SignInAttempt.at > now - GUESSES_COUNT_FOR)
        .order_by(SignInAttempt.at.desc())
        .limit(GUESSES)
    ).all()
    if len(recent) == GUESSES:
        return SignInFailure(_wait_sentence(recent[-1] + GUESSES_COUNT_FOR - now), has_to_wait=True)
    person = session.scalars(select(Person).where(Person.email == email)).first()
    if not _is_password(person.password_hash if person else None, password) or person is None:
        session.add(SignInAttempt(email=email))
        session.execute(delete(SignInAttempt).where(SignInAttempt.at < now - timedelta(days=1)))
        session.flush()
        return SignInFailure("This e-mail and password do not belong together.")
    session.execute(delete(SignInAttempt).where(SignInAttempt.email == email))
    return person


def change_password(session: Session, person_id: int, old: str, new: str, keep_token: str) -> None:
    """Change one's own password and end one's other sign-ins. `keep_token` is this browser's.

    Raises NotAllowed for a wrong old password (where there is one), Refused for a weak new one.
    """
    person = get(session, person_id)
    if person.password_hash is not None and not _is_password(person.password_hash, old):
        raise NotAllowed("The present password is not right. Nothing was changed.")
    set_password(session, person_id, new)
    session.execute(delete(SignIn).where(SignIn.person_id == person_id, SignIn.token_hash != hash_of(keep_token)))


def set_password(session: Session, person_id: int, password: str) -> None:
    """Set a password. Raises Refused for one shorter than 10 characters or longer than 1,000."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise Refused(f"A password needs at least {PASSWORD_MIN} characters. A few unrelated words make a good one.")
    with _hashing:
        hashed = _hasher.hash(password)
    session.execute(update(Person).where(Person.id == person_id).values(password_hash=hashed))


def begin_session(session: Session, person: Person, now: datetime | None = None) -> str:
    """Sign a browser in; the token goes into its cookie. Sign-ins that ran out are forgotten."""
    now = now or utc_now()
    token = secrets.token_urlsafe(32)
    session.execute(delete(SignIn).where(SignIn.expires_at <= now))
    session.add(SignIn(token_hash=hash_of(token), person_id=person.id, expires_at=now + SIGN_IN_LASTS))
    session.flush()
    return token


def signed_in(session: Session, token: str) -> Person | None:
    """Whose browser holds this token; None when nobody's, or not any more."""
    return session.scalars(
        select(Person)
        .join(SignIn, SignIn.person_id == Person.id)
        .where(SignIn.token_hash == hash_of(token), SignIn.expires_at > utc_now())
    ).first()


def sign_out(session: Session, token: str) -> None:
    """End this browser's sign-in."""
    session.execute(delete(SignIn).where(SignIn.token_hash == hash_of(token)))


def hash_of(token: str) -> str:
    """What is kept of a token: SHA-256 in hex. A token is 32 random bytes, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def tidy_email(email: str) -> str:
    """An e-mail address as it is kept. Raises Refused for what cannot be one."""
    email = email.strip().lower()
    before, at, after = email.partition("@")
    if not (before and at and after) or len(email) > TEXT_MAX or any(c.isspace() or c == "@" for c in before + after):
        raise Refused("That is not an e-mail address.")
    return email


def _needs_owner(person: Person, deed: str) -> None:
    if person.role != "owner":
        raise NotAllowed(f"Only an owner can {deed}.")


def _is_password(password_hash: str | None, password: str) -> bool:
    """Whether the password fits. Without a hash it does not, after the same work."""
    with _hashing:
        try:
            _hasher.verify(password_hash or _decoy(), password[:PASSWORD_MAX])
        except VerifyMismatchError:
            return False
    return password_hash is not None


@lru_cache(maxsize=1)
def _decoy() -> str:
    """A hash nobody has the password of."""
    return _hasher.hash(secrets.token_urlsafe(32))


def _wait_sentence(wait: timedelta) -> str:
    minutes = max(1, math.ceil(wait.total_seconds() / 60))
    unit = "minute" if minutes == 1 else "minutes"
    return f"Too many wrong passwords for this e-mail. Wait {minutes} {unit}, or ask for a sign-in link."
