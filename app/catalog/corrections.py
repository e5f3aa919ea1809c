"""Corrections: what people put in place of what a catalogue says of a photo; taken back, and never lost to a file.

The photo's own columns hold the corrected value, so that search, facets, captions from facts, freezing and exports need
not know of corrections. Files that come later leave a corrected fact alone (`app/intake/describing.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog import rights
from app.catalog.correction_tables import Correction
from app.catalog.tables import Image
from app.database import utc_now
from app.errors import Conflict, Refused
from app.people import Person

FIELDS: Final = ("title", "category", "description", "product")
VALUE_AT_MOST: Final = 2_000
NAME_AT_MOST: Final = 80


def value_of(image: Image, fact: str) -> str | None:
    """What a photo's catalogue, or whoever corrected it, says of a fact; None for nothing."""
    value = getattr(image, fact) if fact in FIELDS else image.extra.get(fact)
    return None if value is None else str(value)


def correct(
    session: Session, image: Image, person: Person, fact: str, value: str, expected_id: int | None = None
) -> Correction | None:
    """Put a value in place of what stands there; an empty one takes the fact away. None where it is so already.

    `fact` is one of `FIELDS` or a further column of the photo, also a new one. `expected_id` is the correction of it
    that the person saw (0: none); None asks for no check. Raises Refused for what cannot be kept, and for rights, which
    only their owner's word changes; Conflict where another person has corrected it otherwise since.
    """
    name, tidy = " ".join(fact.replace("\0", "").split()), " ".join(value.replace("\0", "").split())
    if not name or len(name) > NAME_AT_MOST:
        raise Refused(f"A fact has a name of at most {NAME_AT_MOST} characters.")
    if rights.is_of_rights(name):
        raise Refused(f"“{name}” is what the photo’s owner said of rights; correct it in the table it came with.")
    if len(tidy) > VALUE_AT_MOST:
        raise Refused(f"A fact has at most {VALUE_AT_MOST:,} characters.")
    locked = select(Image).where(Image.id == image.id).with_for_update(key_share=True)
    image = session.scalars(locked.execution_options(populate_existing=True)).one()
    latest = current(session, image.id).get(name)
    before, after = value_of(image, name), tidy or None
    if before == after:
        return latest
    if latest is not None and latest.person_id != person.id and expected_id not in (None, latest.id):
        by = session.get_one(Person, latest.person_id).name
        raise Conflict(f"{by} corrected {name} meanwhile.", latest.value or "none")
    if latest is not None:
        latest.superseded_at = utc_now()
        session.flush()
    correction = Correction(
        image_id=image.id, fact=name, value=after, before=before, person_id=person.id,
        parent_id=latest.id if latest is not None else None,
    )  # fmt: skip
    session.add(correction)
    _put(image, name, after)
    session.flush()
    return correction


def current(session: Session, image_id: int) -> dict[str, Correction]:
    """The corrections of a photo that stand, by fact."""
    rows = select(Correction).where(Correction.image_id == image_id, Correction.superseded_at.is_(None))
    return {row.fact: row for row in session.scalars(rows.execution_options(populate_existing=True))}


def current_on(session: Session, image_ids: Collection[int]) -> dict[int, dict[str, str]]:
    """Who corrected which facts of these photos: names by fact, by photo."""
    kept: dict[int, dict[str, str]] = defaultdict(dict)
    rows = session.execute(
        select(Correction.image_id, Correction.fact, Person.name)
        .join(Person, Person.id == Correction.person_id)
        .where(Correction.image_id.in_(image_ids), Correction.superseded_at.is_(None))
    )
    for image_id, fact, name in rows:
        kept[image_id][fact] = name
    return kept


def history(session: Session, image_id: int) -> list[tuple[Correction, str]]:
    """Every correction of a photo with who made it, newest first."""
    rows = session.execute(
        select(Correction, Person.name)
        .join(Person, Person.id == Correction.person_id)
        .where(Correction.image_id == image_id)
        .order_by(Correction.id.desc())
    )
    return [(correction, name) for correction, name in rows]


def newest(session: Session, person: Person) -> Correction | None:
    """The newest correction of this person that still stands."""
    mine = (Correction.person_id == person.id, Correction.superseded_at.is_(None))
    return session.scalars(select(Correction).where(*mine).order_by(Correction.id.desc()).limit(1)).first()


def undo(session: Session, correction: Correction) -> Image:
    """Take a correction back: what stood before it stands again, with the earlier correction if it was one."""
    locked = select(Image).where(Image.id == correction.image_id).with_for_update(key_share=True)
    image = session.scalars(locked.execution_options(populate_existing=True)).one()
    correction.superseded_at = correction.undone_at = utc_now()
    session.flush()
    if correction.parent_id is not None:
        session.get_one(Correction, correction.parent_id).superseded_at = None
    _put(image, correction.fact, correction.before)
    session.flush()
    return image


def _put(image: Image, fact: str, value: str | None) -> None:
    if fact in FIELDS:
        setattr(image, fact, value)
    elif value is None:
        image.extra = {name: kept for name, kept in image.extra.items() if name != fact}
    else:
        image.extra = {**image.extra, fact: value}
