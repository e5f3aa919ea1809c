"""Which naming rule a catalog has: offered on photos, accepted by a person who saw it on examples, taken back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import audit, jobs
from app.captions import nouns
from app.captions.naming_rules import EXAMPLES, RULES, NamedPhoto, NameOffer, NameRule, offers
from app.captions.tables import NamingRule
from app.catalog.tables import Catalog, Image
from app.database import utc_now
from app.errors import Conflict, NotFound, Refused
from app.people import Person

# Of a larger catalog every so many-th photo is looked at, so that a page answers at once.
LOOKED_AT: Final = 5_000


@dataclass(frozen=True, slots=True)
class OpenNames:
    """The photos of a catalog, or of one intake into it, that have neither a title nor a category of their own.

    `photos` are `looked_at` all of them, or every `step`-th; `others` have words of their own, which stay.
    """

    photos: Sequence[NamedPhoto]
    others: int
    step: int

    @property
    def offers(self) -> list[NameOffer]:
        """The rules that are worth a look on these photos."""
        return offers(self.photos)


def open_names(session: Session, catalog_id: int, intake_id: int | None = None) -> OpenNames:
    """The photos whose names are open, in the order of their taking in."""
    mine = [Image.catalog_id == catalog_id]
    if intake_id is not None:
        mine.append(Image.intake_id == intake_id)
    total = session.scalar(select(func.count()).select_from(Image).where(*mine)) or 0
    step = -(-total // LOOKED_AT) or 1
    query = select(Image.id, Image.file_name, Image.title, Image.category).where(*mine).order_by(Image.id)
    if step > 1:
        query = query.where(Image.id % step == 0)
    rows = session.execute(query).all()
    photos = [
        NamedPhoto(row.id, row.file_name) for row in rows if not _has_words(row.title, row.category, row.file_name)
    ]
    return OpenNames(photos, len(rows) - len(photos), step)


def _has_words(title: str | None, category: str | None, file_name: str) -> bool:
    """Whether the catalogue itself says what a photo shows."""
    if title:
        return True
    return (
        category is not None and not nouns.is_of_folder(category, file_name) and nouns.of_category(category) is not None
    )


def current(session: Session, catalog_id: int) -> NamingRule | None:
    """The newest row of a catalog; None where nobody has decided. Its `rule` is None where one was taken back."""
    return session.scalars(
        select(NamingRule)
        .where(NamingRule.catalog_id == catalog_id, NamingRule.superseded_at.is_(None))
        .execution_options(populate_existing=True)
    ).one_or_none()


def rules_of(session: Session, catalog_ids: Collection[int]) -> dict[int, NameRule]:
    """The rules that hold in these catalogs, by catalog; those without one are left out."""
    query = select(NamingRule.catalog_id, NamingRule.rule).where(
        NamingRule.catalog_id.in_(catalog_ids), NamingRule.superseded_at.is_(None), NamingRule.rule.in_(RULES)
    )
    return {row.catalog_id: RULES[row.rule] for row in session.execute(query)}


def history(session: Session, catalog_id: int, limit: int = 20) -> list[tuple[NamingRule, str]]:
    """What was accepted and taken back in a catalog, and by whom, newest first."""
    rows = session.execute(
        select(NamingRule, Person.name)
        .join(Person, Person.id == NamingRule.person_id)
        .where(NamingRule.catalog_id == catalog_id)
        .order_by(NamingRule.id.desc())
        .limit(limit)
    )
    return [(row[0], row[1]) for row in rows]


def accept(
    session: Session, catalog_id: int, key: str, seen: Sequence[int], person: Person, expected_id: int | None = None
) -> NamingRule:
    """Let a rule name the photos of a catalog, after a person saw it on the photos `seen`; first captions follow.

    `expected_id` is the row that the person saw (0: none); None asks for no check. Raises NotFound for an unknown
    catalog, Refused for an unknown rule and where it was not seen on five photos (or all, where there are fewer), and
    Conflict when somebody has decided otherwise since.
    """
    rule = RULES.get(key)
    if rule is None:
        raise Refused("There is no such rule for names.")
    before = _held(session, catalog_id, expected_id)
    query = (
        select(Image.id, Image.file_name).where(Image.catalog_id == catalog_id, Image.id.in_(seen)).order_by(Image.id)
    )
    photos = [NamedPhoto(row.id, row.file_name) for row in session.execute(query)]
    if not photos or len(photos) < min(EXAMPLES, len(open_names(session, catalog_id).photos)):
        raise Refused(f"Look at the rule on {EXAMPLES} photos first; nothing was named.")
    if before is not None and before.rule == key:
        return before
    examples = [[photo.file_name, rule.name_of(photo.file_name)] for photo in photos]
    return _append(session, catalog_id, before, NamingRule(rule=key, examples=examples, person_id=person.id), person)


def take_back(session: Session, catalog_id: int, person: Person, expected_id: int | None = None) -> NamingRule | None:
    """Undo the rule of a catalog: captions that it named are written without it. None where there is no rule.

    Raises NotFound and Conflict as `accept` does.
    """
    before = _held(session, catalog_id, expected_id)
    if before is None or before.rule is None:
        return None
    return _append(session, catalog_id, before, NamingRule(rule=None, examples=[], person_id=person.id), person)


def _held(session: Session, catalog_id: int, expected_id: int | None) -> NamingRule | None:
    # Two people deciding at once follow one another, and the second one is told.
    if session.get(Catalog, catalog_id, with_for_update={"key_share": True}) is None:
        raise NotFound(f"There is no catalog {catalog_id}.")
    before = current(session, catalog_id)
    if expected_id is not None and expected_id != (before.id if before is not None else 0):
        winner = session.get_one(Person, before.person_id).name if before is not None else "Somebody"
        raise Conflict(f"{winner} decided on names meanwhile. It is shown now; decide again if need be.")
    return before


def _append(
    session: Session, catalog_id: int, before: NamingRule | None, row: NamingRule, person: Person
) -> NamingRule:
    if before is not None:
        before.superseded_at = utc_now()
        session.flush()
    row.catalog_id = catalog_id
    session.add(row)
    session.flush()
    audit.record(session, "naming_decided", person.id, None, catalog=catalog_id, rule=row.rule)
    # A job at work may be past a photo already.
    jobs.request_once(session, "captions.propose", {"catalog_id": catalog_id, "image_ids": None}, person)
    return row
