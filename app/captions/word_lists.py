"""Words that a catalog's captions are held to: locked ones, banned phrases, words that are spelled right."""

from __future__ import annotations

import unicodedata
from typing import Final, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import jobs
from app.captions.lint import HEDGES
from app.captions.tables import WordList
from app.catalog.tables import Catalog
from app.database import utc_now
from app.errors import Conflict, NotFound, Refused
from app.people import Person

Words = Literal["locked", "banned", "known"]
USUAL: Final[dict[Words, tuple[str, ...]]] = {
    "locked": (),
    # What captioners say of the picture instead of what is in it, and where they hedge: as Qwen-VL, BLIP and GPT
    # models do unless they are told otherwise.
    "banned": (
        "the image shows", "the image features", "the image depicts", "this image", "in this image", "the photo shows",
        "the picture shows", "a photo of", "a picture of", "an image of", "overall", *HEDGES,
    ),
    "known": (),
}  # fmt: skip
CHECKED_BY: Final = "captions.lint"
"""The kind of job that holds a catalog's captions against its lists."""
MOST: Final = 2_000
LONGEST: Final = 120


def current(session: Session, catalog_id: int, kind: Words) -> tuple[str, ...]:
    """The words of a kind, in the order of the alphabet; the usual ones where nobody has set any."""
    kept = _row(session, catalog_id, kind)
    return tuple(kept.words) if kept is not None else USUAL[kind]


def number(session: Session, catalog_id: int, kind: Words) -> int:
    """The number of the list that is current; 0 where nobody has set one."""
    kept = _row(session, catalog_id, kind)
    return kept.id if kept is not None else 0


def read(text: str) -> tuple[str, ...]:
    """A list as it is typed, a word or phrase on each line: tidied, each once, in the order of the alphabet.

    Raises Refused for more than MOST of them, and for one of more than LONGEST characters.
    """
    lines = (" ".join(unicodedata.normalize("NFC", line).replace("\0", "").split()) for line in text.splitlines())
    words = sorted({line.casefold(): line for line in lines if line}.values(), key=str.casefold)
    if len(words) > MOST:
        raise Refused(f"A list has at most {MOST:,} words; these are {len(words):,}.")
    if long := next((word for word in words if len(word) > LONGEST), None):
        raise Refused(f"“{long[:30]}…” has {len(long)} characters; {LONGEST} is the most of a word or phrase.")
    return tuple(words)


def save(
    session: Session, catalog_id: int, kind: Words, words: tuple[str, ...], person: Person, expected_id: int
) -> None:
    """Set the list of a kind, and ask to hold the captions against it; the one before stays as history. Saved unchanged
    it stays whose it was.

    Raises NotFound, and Conflict where somebody has set another list since the one with number `expected_id`.
    """
    # Two people who save at once follow one another, and the second one is told.
    if session.get(Catalog, catalog_id, with_for_update={"key_share": True}) is None:
        raise NotFound(f"There is no catalog {catalog_id}.")
    before = _row(session, catalog_id, kind)
    if words == (tuple(before.words) if before is not None else USUAL[kind]):
        return
    if before is not None and before.id != expected_id:
        winner = session.get_one(Person, before.person_id)
        raise Conflict(f"{winner.name} changed this list meanwhile.", "\n".join(before.words))
    if before is not None:
        before.superseded_at = utc_now()
        session.flush()
    session.add(WordList(catalog_id=catalog_id, kind=kind, words=list(words), person_id=person.id))
    session.flush()
    jobs.request_once(session, CHECKED_BY, {"catalog_id": catalog_id}, person)


def history(session: Session, catalog_id: int, kind: Words, limit: int = 5) -> list[tuple[WordList, str]]:
    """Who set the list of a kind, newest first."""
    rows = session.execute(
        select(WordList, Person.name)
        .join(Person, Person.id == WordList.person_id)
        .where(WordList.catalog_id == catalog_id, WordList.kind == kind)
        .order_by(WordList.id.desc())
        .limit(limit)
    )
    return [(row[0], row[1]) for row in rows]


def _row(session: Session, catalog_id: int, kind: Words) -> WordList | None:
    query = select(WordList).where(WordList.catalog_id == catalog_id, WordList.kind == kind)
    return session.scalars(
        query.where(WordList.superseded_at.is_(None)).execution_options(populate_existing=True)
    ).one_or_none()
