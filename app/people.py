"""People: who may sign in, what they may do, their signed-in browsers, and the one-time links that sign a browser in.

Tokens are 32 random bytes; the database holds only their SHA-256, so a stolen copy of it signs nobody in. A cookie that
was stolen must not become an account: what gives somebody access asks for the password again (`needs_confirmed`), and a
change of password ends every other browser.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from sqlalchemy import CheckConstraint, ForeignKey, Text, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from app import audit, passwords
from app.database import Base, BigId, Moment, utc_now
from app.errors import Conflict, NotAllowed, NotFound, Refused

Role = Literal["viewer", "annotator", "lead", "owner"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
"""From the one that only looks to the one that may do everything; each may do what those before it may."""
SIGN_IN_LASTS: Final = timedelta(days=30)
IDLE_LASTS: Final = timedelta(hours=72)
LINK_LASTS: Final = timedelta(minutes=15)
CONFIRMED_FOR: Final = timedelta(minutes=15)
SEEN_EVERY: Final = timedelta(minutes=5)
TEXT_MAX: Final = 254
# Two owners who end each other's role at the same moment queue up here.
_OWNERS_LOCK: Final = 0x7061636D


class Person(Base):
    """Somebody who signs in. `email` is kept in lower case. Who is deleted keeps a number, and no name or e-mail.

    Who is disabled has no way in, and no link can be made for them, until they are enabled again. `disabled_by_id` is
    None where it was done at the machine's own terminal.
    """

    __tablename__ = "person"
    __table_args__ = (CheckConstraint("role in ('viewer','annotator','lead','owner')", name="role"),)

    id: Mapped[BigId]
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text, unique=True)
    role: Mapped[Role] = mapped_column(Text, default="annotator")
    password_hash: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    deleted_at: Mapped[Moment | None]
    disabled_at: Mapped[Moment | None]
    disabled_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    # By the name of an act in `app/own_keys.py`; acts with their usual keys are left out.
    own_keys: Mapped[dict[str, str]] = mapped_column(JSONB, default=dict, server_default="{}")


class SignIn(Base):
    """One signed-in browser. Only the SHA-256 of its cookie is kept. `browser` is what it calls itself."""

    __tablename__ = "sign_in"

    token_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id, ondelete="CASCADE"), index=True)
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    expires_at: Mapped[Moment]
    seen_at: Mapped[Moment] = mapped_column(default=utc_now, server_default=text("now()"))
    # When the person last proved to be there, by a password or a link.
    confirmed_at: Mapped[Moment | None]
    browser: Mapped[str] = mapped_column(Text, default="", server_default="")
    address: Mapped[str] = mapped_column(Text, default="", server_default="")

    @property
    def key(self) -> str:
        """What names it on its person's page: a piece of a hash, of use to nobody."""
        return self.token_hash[:16]


class SignInLink(Base):
    """A one-time address that signs a browser in; used once, then dead. Only its hash is kept."""

    __tablename__ = "sign_in_link"

    token_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id, ondelete="CASCADE"), index=True)
    expires_at: Mapped[Moment]
    used_at: Mapped[Moment | None]


def get(session: Session, person_id: int) -> Person:
    """The person with this id. Raises NotFound."""
    person = session.get(Person, person_id)
    if person is None:
        raise NotFound("There is no such person.")
    return person


def by_email(session: Session, email: str) -> Person:
    """The person with this e-mail. Raises NotFound."""
    person = session.scalars(select(Person).where(Person.email == email.strip().lower())).first()
    if person is None:
        raise NotFound(f"Nobody here has the e-mail {email.strip()}.")
    return person


def everybody(session: Session) -> Sequence[Person]:
    """All people by name, but those who were deleted."""
    query = select(Person).where(Person.deleted_at.is_(None)).order_by(func.lower(Person.name), Person.id)
    return session.scalars(query).all()


def enabled(session: Session) -> Sequence[Person]:
    """Those of `everybody` whom work can be given to: all but the disabled."""
    return [person for person in everybody(session) if person.disabled_at is None]


def names(session: Session, ids: set[int]) -> dict[int, str]:
    """The names of these people, the deleted ones' too."""
    rows = session.execute(select(Person.id, Person.name).where(Person.id.in_(ids)))
    return {row.id: row.name for row in rows}


def with_access(session: Session) -> set[int]:
    """Ids of the people who can sign in: by password, in a signed-in browser, or by a link that is not used yet."""
    now = utc_now()
    by_password = select(Person.id).where(Person.password_hash.is_not(None))
    by_browser = select(SignIn.person_id).where(SignIn.expires_at > now)
    by_link = select(SignInLink.person_id).where(SignInLink.expires_at > now, SignInLink.used_at.is_(None))
    anyhow = by_password.union(by_browser, by_link).subquery()
    return set(session.scalars(select(Person.id).where(Person.id.in_(select(anyhow)), Person.disabled_at.is_(None))))


def make_owner(session: Session, name: str = "Owner", email: str = "owner@localhost") -> Person:
    """The owner: the first one there is, or a new one. Asked twice at the same moment, it is made once."""
    query = select(Person).where(Person.role == "owner", Person.deleted_at.is_(None), Person.disabled_at.is_(None))
    owner = session.scalars(query.order_by(Person.id).limit(1)).first()
    if owner is None:
        session.execute(insert(Person).values(name=name, email=email, role="owner").on_conflict_do_nothing())
        owner = session.scalars(select(Person).where(Person.email == email)).one()
        owner.role = "owner"
        session.flush()
    return owner


def add(session: Session, by: Person, name: str, email: str, role: Role = "annotator") -> Person:
    """Add somebody to the team. Raises NotAllowed for anybody but an owner, Refused for bad values, Conflict."""
    needs_owner(by, "add people")
    name, email = " ".join(name.split()), tidy_email(email)
    if not name or len(name) > TEXT_MAX:
        raise Refused("A name is needed, of at most 254 characters.")
    added = session.scalar(
        insert(Person).values(name=name, email=email, role=role).on_conflict_do_nothing().returning(Person.id)
    )
    if added is None:
        there = session.scalars(select(Person).where(Person.email == email)).one()
        raise Conflict(f"{email} is on the team already.", other=there.name)
    audit.record(session, "person_added", by.id, added, role=role)
    return get(session, added)


def disable(session: Session, by: Person | None, person: Person) -> None:
    """End somebody's sign-ins, links and password, until they are enabled. What they decided and wrote stays.

    `by` None: the machine's own terminal. Raises NotAllowed for anybody but an owner, Refused for oneself or where no
    owner would be left. Of who is disabled already, since when and by whom stays as it was.
    """
    if by is not None:
        needs_owner(by, "disable somebody")
        if by.id == person.id:
            raise Refused("You cannot disable yourself. Another owner can.")
    _keep_an_owner(session, person)
    _take_access(session, person)
    if person.disabled_at is None:
        person.disabled_at, person.disabled_by_id = utc_now(), by.id if by else None
        session.flush()
        audit.record(session, "access_ended", by.id if by else None, person.id)


def enable(session: Session, by: Person | None, person: Person) -> None:
    """Let somebody who was disabled have links again; until one is used they have no way in.

    `by` None: the machine's own terminal. Raises NotAllowed for anybody but an owner.
    """
    if by is not None:
        needs_owner(by, "enable somebody")
    if person.disabled_at is not None:
        _take_access(session, person)  # what came to be while they were disabled
        person.disabled_at = person.disabled_by_id = None
        session.flush()
        audit.record(session, "person_enabled", by.id if by else None, person.id)


def set_role(session: Session, by: Person | None, person: Person, role: Role) -> None:
    """Say what somebody may do. `by` None: the machine's own terminal.

    Raises NotAllowed for anybody but an owner, Refused where no owner would be left or for a person who was deleted.
    """
    if by is not None:
        needs_owner(by, "say what people may do")
    if person.deleted_at is not None:
        raise Refused("This person was deleted. Add them again first.")
    if role != "owner":
        _keep_an_owner(session, person)
    if person.role != role:
        person.role = role
        session.flush()
        audit.record(session, "role_changed", by.id if by else None, person.id, role=role)


def remove(session: Session, by: Person | None, person: Person) -> None:
    """Delete a person: name and e-mail are erased, access ends. What they decided and wrote stays, and says "left".

    `by` None: the machine's own terminal. Raises NotAllowed for anybody but an owner, Refused for oneself or where no
    owner would be left.
    """
    if by is not None:
        needs_owner(by, "delete somebody")
        if by.id == person.id:
            raise Refused("You cannot delete yourself. Another owner can.")
    _keep_an_owner(session, person)
    _take_access(session, person)
    person.name, person.email, person.role = f"Person {person.id} (left)", f"left-{person.id}@invalid", "viewer"
    person.deleted_at = utc_now()
    session.flush()
    audit.record(session, "person_deleted", by.id if by else None, person.id)


def make_link(session: Session, person: Person, by: Person | None = None) -> str:
    """A token that signs `person` in once, within 15 minutes; older unused ones of theirs die. `by` None: the machine's
    own terminal. Raises NotAllowed when `by` is neither an owner nor the person, Refused for who was deleted or is
    disabled.
    """
    if by is not None and by.id != person.id:
        needs_owner(by, "make a link for somebody else")
    if person.deleted_at is not None:
        raise Refused("This person was deleted. Add them again first.")
    # The lock waits for who disables them now.
    disabled_at = select(Person.disabled_at).where(Person.id == person.id).with_for_update(key_share=True)
    if session.scalar(disabled_at) is not None:
        raise Refused(f"{person.name} is disabled, so no link lets them in. An owner can enable them again.")
    session.execute(delete(SignInLink).where(SignInLink.person_id == person.id, SignInLink.used_at.is_(None)))
    token = secrets.token_urlsafe(32)
    session.add(SignInLink(token_hash=hash_of(token), person_id=person.id, expires_at=utc_now() + LINK_LASTS))
    session.flush()
    audit.record(session, "link_made", by.id if by else None, person.id)
    return token


def person_of_link(session: Session, token: str) -> Person:
    """Whom the link would sign in; it stays unused. Raises NotFound."""
    link = session.get(SignInLink, hash_of(token))
    if link is None or link.used_at is not None or link.expires_at <= utc_now():
        raise NotFound("This link was used already, or is older than 15 minutes. Ask for a new one.")
    return get(session, link.person_id)


def sign_in_by_link(session: Session, token: str, new_password_hash: str | None = None) -> Person:
    """Use the link up, and set a password where one is given. Of two browsers at the same moment one gets in.

    Raises NotFound for a link that is over.
    """
    now = utc_now()
    link = update(SignInLink).where(
        SignInLink.token_hash == hash_of(token), SignInLink.used_at.is_(None), SignInLink.expires_at > now
    )
    person_id = session.scalar(link.values(used_at=now).returning(SignInLink.person_id))
    if person_id is None:
        raise NotFound("This link was used already, or is older than 15 minutes. Ask for a new one.")
    person = get(session, person_id)
    if new_password_hash is not None:
        keep_password(session, person, new_password_hash)
    return person


def keep_password(session: Session, person: Person, password_hash: str, keep_token: str | None = None) -> None:
    """Set a password, as `passwords.hashed` made it.

    Every browser of the person but the one with `keep_token` is signed out, and unused links die: whoever had one of
    them may be the reason for the change.
    """
    person.password_hash = password_hash
    others = delete(SignIn).where(SignIn.person_id == person.id)
    session.execute(others if keep_token is None else others.where(SignIn.token_hash != hash_of(keep_token)))
    session.execute(delete(SignInLink).where(SignInLink.person_id == person.id, SignInLink.used_at.is_(None)))
    session.flush()
    audit.record(session, "password_set", person.id, person.id)


def set_password(session: Session, person_id: int, password: str) -> None:
    """Choose and set a password in one go, for a terminal. Raises Refused for a weak one."""
    person = get(session, person_id)
    passwords.check(password, (person.name, person.email))
    keep_password(session, person, passwords.hashed(password))


def begin_session(
    session: Session,
    person: Person,
    now: datetime | None = None,
    browser: str = "",
    address: str = "",
    how: Literal["password", "link"] = "password",
) -> str:
    """Sign a browser in; the token goes into its cookie. Sign-ins that ran out are forgotten."""
    now = now or utc_now()
    token = secrets.token_urlsafe(32)
    session.execute(delete(SignIn).where(SignIn.expires_at <= now))
    session.add(
        SignIn(
            token_hash=hash_of(token), person_id=person.id, created_at=now, expires_at=now + SIGN_IN_LASTS, seen_at=now,
            confirmed_at=now, browser=browser[:TEXT_MAX], address=address,
        )
    )  # fmt: skip
    session.flush()
    audit.record(session, "signed_in", person.id, person.id, how=how)
    return token


# Built once, for every request asks it.
_SIGNED_IN: Final = (
    select(Person, SignIn)
    .join(SignIn, SignIn.person_id == Person.id)
    .where(SignIn.token_hash == bindparam("token_hash"), SignIn.expires_at > bindparam("now"))
    .where(SignIn.seen_at > bindparam("seen_after"))
    .where(Person.disabled_at.is_(None))  # also where they signed in while they were disabled
)


def signed_in(session: Session, token: str, idle: timedelta = IDLE_LASTS) -> tuple[Person, SignIn] | None:
    """Whose browser holds this token, and since when; None when nobody's, or not any more, or idle for so long."""
    now = utc_now()
    row = session.execute(_SIGNED_IN, {"token_hash": hash_of(token), "now": now, "seen_after": now - idle}).first()
    return (row[0], row[1]) if row is not None else None


def note_seen(session: Session, token: str) -> None:
    """The browser with this token was seen just now."""
    session.execute(update(SignIn).where(SignIn.token_hash == hash_of(token)).values(seen_at=utc_now()))


def browsers(session: Session, person: Person, idle: timedelta = IDLE_LASTS) -> Sequence[SignIn]:
    """The person's signed-in browsers, the one seen last first."""
    now = utc_now()
    query = select(SignIn).where(SignIn.person_id == person.id, SignIn.expires_at > now, SignIn.seen_at > now - idle)
    return session.scalars(query.order_by(SignIn.seen_at.desc(), SignIn.token_hash)).all()


def end_browser(session: Session, person: Person, key: str) -> None:
    """Sign one of one's own browsers out. Raises NotFound."""
    ended = delete(SignIn).where(SignIn.person_id == person.id, func.left(SignIn.token_hash, 16) == key)
    if not session.scalars(ended.returning(SignIn.token_hash)).all():
        raise NotFound("This browser is signed out already.")
    audit.record(session, "browser_ended", person.id, person.id)


def sign_out(session: Session, person: Person, token: str) -> None:
    """End this browser's sign-in."""
    session.execute(delete(SignIn).where(SignIn.token_hash == hash_of(token)))
    audit.record(session, "signed_out", person.id, person.id)


def sign_out_everywhere(session: Session, person: Person) -> None:
    """End every sign-in of a person, and the links that are not used yet."""
    session.execute(delete(SignIn).where(SignIn.person_id == person.id))
    session.execute(delete(SignInLink).where(SignInLink.person_id == person.id, SignInLink.used_at.is_(None)))
    audit.record(session, "signed_out_everywhere", person.id, person.id)


def is_confirmed(session: Session, token: str) -> bool:
    """Whether the person proved to be there within 15 minutes in this browser: by signing in, or by the password."""
    at = session.scalar(select(SignIn.confirmed_at).where(SignIn.token_hash == hash_of(token)))
    return at is not None and at > utc_now() - CONFIRMED_FOR


def confirm(session: Session, token: str) -> None:
    """The person in this browser has just proved to be there."""
    session.execute(update(SignIn).where(SignIn.token_hash == hash_of(token)).values(confirmed_at=utc_now()))


def needs_confirmed(session: Session, person: Person, token: str) -> None:
    """Raises NotAllowed unless the person proved to be there within 15 minutes: a stolen cookie cannot."""
    if not is_confirmed(session, token):
        by_link = (
            f"Sign in again by a new link (`packshot link {person.email}` prints one), and choose a password then."
        )
        how = "Type your password with it." if person.password_hash else by_link
        raise NotAllowed(f"This gives or takes access, and you signed in a while ago. {how}")


def needs_owner(person: Person, deed: str) -> None:
    """Raises NotAllowed for anybody but an owner."""
    if person.role != "owner":
        raise NotAllowed(f"Only an owner can {deed}.")


def needs_lead(person: Person, deed: str) -> None:
    """Raises NotAllowed for anybody but a lead or an owner."""
    if not at_least(person, "lead"):
        raise NotAllowed(f"Only a lead can {deed}.")


def at_least(person: Person, role: Role) -> bool:
    """Whether somebody may do what `role` may."""
    return ROLES.index(person.role) >= ROLES.index(role)


def may_act_for(person: Person, asked_by_id: int | None) -> bool:
    """Whether somebody may end, prolong or otherwise steer what `asked_by_id` asked for: an owner, or that person."""
    return person.role == "owner" or person.id == asked_by_id


def hash_of(token: str) -> str:
    """What is kept of a token: SHA-256 in hex. A token is 32 random bytes, so a plain hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def tidy_email(email: str) -> str:
    """An e-mail address as it is kept. Raises Refused for what cannot be one."""
    email = email.strip().lower()
    before, at, after = email.partition("@")
    if not (before and at and after) or len(email) > TEXT_MAX or any(c.isspace() or c == "@" for c in before + after):
        raise Refused("That is not an e-mail address.")
    return email


def _take_access(session: Session, person: Person) -> None:
    session.execute(delete(SignIn).where(SignIn.person_id == person.id))
    session.execute(delete(SignInLink).where(SignInLink.person_id == person.id))
    person.password_hash = None
    session.flush()


def _keep_an_owner(session: Session, person: Person) -> None:
    """Raises Refused where nobody else is an owner."""
    session.execute(select(func.pg_advisory_xact_lock(_OWNERS_LOCK)))
    others = select(Person.id).where(Person.role == "owner", Person.id != person.id)
    others = others.where(Person.deleted_at.is_(None), Person.disabled_at.is_(None))
    if person.role == "owner" and session.scalars(others).first() is None:
        raise Refused(f"{person.name} is the only owner. Make somebody else an owner first.")
