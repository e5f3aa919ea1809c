"""Links to one sheet for people without an account: to read it or to vote on it, until they expire or are revoked.

A token is 32 random bytes, shown once; only its SHA-256 is kept. A guest is one browser under a name of its own choice,
known by a cookie that is kept the same way.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import guessing, people
from app.database import utc_now
from app.errors import NotFound, Refused, TooMany
from app.evaluation.tables import Sheet
from app.evaluation.vote_tables import Guest, LinkKind, SheetLink, Vote
from app.people import Person

LASTS_DAYS: Final = (1, 3, 7, 30)
MOST_GUESTS: Final = 200
"""Of one link: what was forwarded to the world is not voted on by the world."""
LONGEST_NAME: Final = 80
OVER: Final = "This link is not good any more: it expired, was taken back, or was not copied whole. Ask for a new one."


@dataclass(frozen=True, slots=True)
class ListedLink:
    """A link in the list of its sheet, with who made it, who came by it and how many votes they gave."""

    link: SheetLink
    made_by: str
    is_good: bool
    guests: Sequence[str]
    votes: int


def make(session: Session, by: Person, sheet: Sheet, kind: LinkKind, days: int) -> tuple[SheetLink, str]:
    """A new link and its token, which is not kept. Raises NotAllowed for anybody but a lead, Refused for odd values."""
    people.needs_lead(by, "make a link to a comparison")
    if kind not in ("read", "vote") or days not in LASTS_DAYS:
        raise Refused("A link is for voting or reading, and lasts 1, 3, 7 or 30 days.")
    token = secrets.token_urlsafe(32)
    link = SheetLink(
        sheet_id=sheet.id, kind=kind, token_hash=people.hash_of(token), created_by_id=by.id,
        expires_at=utc_now() + timedelta(days=days),
    )  # fmt: skip
    session.add(link)
    session.flush()
    return link, token


def revoke(session: Session, by: Person, sheet: Sheet, link_id: int) -> None:
    """End a link; votes given by it stay. Raises NotAllowed for anybody but a lead, NotFound."""
    people.needs_lead(by, "take a link back")
    link = session.get(SheetLink, link_id)
    if link is None or link.sheet_id != sheet.id:
        raise NotFound("There is no such link.")
    if link.revoked_at is None:
        link.revoked_at = utc_now()
        session.flush()


def of_sheet(session: Session, sheet: Sheet) -> list[ListedLink]:
    """The links of a sheet, the newest first."""
    rows = session.scalars(select(SheetLink).where(SheetLink.sheet_id == sheet.id).order_by(SheetLink.id.desc())).all()
    names = people.names(session, {link.created_by_id for link in rows})
    numbers = [link.id for link in rows]
    guests = session.scalars(select(Guest).where(Guest.link_id.in_(numbers)).order_by(Guest.id)).all()
    votes = select(Guest.link_id, func.count()).join(Vote, Vote.guest_id == Guest.id).where(Vote.withdrawn_at.is_(None))
    counted = session.execute(votes.where(Guest.link_id.in_(numbers)).group_by(Guest.link_id))
    counts = {row[0]: row[1] for row in counted}
    return [
        ListedLink(
            link, names[link.created_by_id], is_good(link),
            [guest.name for guest in guests if guest.link_id == link.id], counts.get(link.id, 0),
        )
        for link in rows
    ]  # fmt: skip


def is_good(link: SheetLink) -> bool:
    """Whether a link still lets somebody in."""
    return link.revoked_at is None and link.expires_at > utc_now()


def find(session: Session, token: str, kind: LinkKind) -> SheetLink | None:
    """The link of this token, if it is good."""
    wanted = (SheetLink.token_hash == people.hash_of(token), SheetLink.kind == kind)
    link = session.scalars(select(SheetLink).where(*wanted)).first()
    return link if link is not None and is_good(link) else None


def refuse_guesser(session: Session, address: str) -> None:
    """Raises TooMany where as many wrong links came from this address as wrong passwords may."""
    if guessing.guessed_links(session, address) >= guessing.GUESSES_OF_ADDRESS:
        minutes = int(guessing.GUESSES_COUNT_FOR.total_seconds() / 60)
        raise TooMany(f"Too many wrong links were tried from this address. Wait {minutes} minutes.")


def enter(session: Session, link: SheetLink, name: str) -> tuple[Guest, str]:
    """Somebody comes by a link: the guest, and the key for their cookie.

    Raises Refused for a name that is none, TooMany where many came before.
    """
    if (failure := why_no_name(name)) is not None:
        raise Refused(failure)
    session.refresh(link, with_for_update=True)
    if (session.scalar(select(func.count()).where(Guest.link_id == link.id)) or 0) >= MOST_GUESTS:
        raise TooMany(f"{MOST_GUESTS} people came by this link. Ask for a new one.")
    key = secrets.token_urlsafe(32)
    guest = Guest(link_id=link.id, name=" ".join(name.split()), key_hash=people.hash_of(key))
    session.add(guest)
    session.flush()
    return guest, key


def why_no_name(name: str) -> str | None:
    """Why a guest cannot be called so; None where they can."""
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        return f"Say who votes: a name of at most {LONGEST_NAME} characters."
    return None


def guest_of(session: Session, link: SheetLink, key: str | None) -> Guest | None:
    """The guest of this link whose browser holds the key."""
    if not key:
        return None
    wanted = (Guest.link_id == link.id, Guest.key_hash == people.hash_of(key))
    return session.scalars(select(Guest).where(*wanted)).first()
