"""In which order the best photo of a group is chosen: what a catalog sets, and what another order would change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from sqlalchemy import BigInteger, any_, cast, func, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from app import jobs
from app.catalog import duplicates, grouping
from app.catalog.duplicate_tables import DuplicateGroup, DuplicateMember
from app.catalog.grouping import CRITERIA, Criterion
from app.database import utc_now
from app.errors import Refused
from app.jobs import Job
from app.people import Person
from app.review.tables import BestOrder, GroupRuling

LOCK: Final = 0x62657374
# What another order would change is counted in so many groups, the newest: a page waits for it.
COUNTED_AT_MOST: Final = 2_000


def order_of(session: Session, catalog_id: int) -> tuple[Criterion, ...]:
    """The criteria of a catalog, the first one first: those it set, or the usual ones."""
    set_before = session.scalar(
        select(BestOrder.criteria).where(BestOrder.catalog_id == catalog_id, BestOrder.superseded_at.is_(None))
    )
    return read(set_before) if set_before else CRITERIA


def read(names: Sequence[str]) -> tuple[Criterion, ...]:
    """Names as an order. Raises Refused unless each criterion is in it once."""
    if sorted(names) != sorted(CRITERIA):
        raise Refused(f"An order has each of these once: {', '.join(CRITERIA)}.")
    known: dict[str, Criterion] = {name: name for name in CRITERIA}
    return tuple(known[name] for name in names)


def change(session: Session, catalog_id: int, order: Sequence[Criterion], person: Person) -> Job:
    """Set the order and ask for the groups to be made anew by it. The one before is kept as history."""
    session.execute(select(func.pg_advisory_xact_lock(LOCK, catalog_id)))
    current = (BestOrder.catalog_id == catalog_id, BestOrder.superseded_at.is_(None))
    if tuple(order) != order_of(session, catalog_id):
        session.execute(update(BestOrder).where(*current).values(superseded_at=utc_now()))
        values = {"catalog_id": catalog_id, "criteria": list(order), "person_id": person.id, "created_at": utc_now()}
        session.execute(insert(BestOrder).values(values))
    return jobs.request_once(session, "photos.group", {"catalog_id": catalog_id}, person)


def would_change(session: Session, catalog_id: int, order: Sequence[Criterion]) -> tuple[int, int]:
    """Of how many groups another photo would be the best, and of how many that was asked.

    A group of which a person has said something stays as it is, and is not asked about.
    """
    ruled = select(GroupRuling.id).where(GroupRuling.group_id == DuplicateGroup.id, GroupRuling.superseded_at.is_(None))
    query = (
        select(DuplicateGroup)
        .where(DuplicateGroup.catalog_id == catalog_id, DuplicateGroup.is_current, ~ruled.exists())
        .order_by(DuplicateGroup.id.desc())
        .limit(COUNTED_AT_MOST)
    )
    groups = list(session.scalars(query))
    chosen = any_(cast([group.id for group in groups], ARRAY(BigInteger)))
    members = defaultdict(list)
    rows = session.execute(
        select(DuplicateMember.group_id, DuplicateMember.image_id).where(DuplicateMember.group_id == chosen)
    )
    for number, image_id in rows:
        members[number].append(image_id)
    ids = sorted({image_id for some in members.values() for image_id in some})
    photos = {photo.image_id: photo for photo in duplicates.photos_of(session, ids)}
    pairs = {(pair.first_id, pair.second_id): pair for pair in duplicates.pairs_of(session, catalog_id, ids)}
    changed = 0
    for group in groups:
        some = [photos[image_id] for image_id in sorted(members[group.id])]
        changed += grouping.best_of(grouping.grade_named(group.grade), some, pairs, order)[0] != group.best_id
    return changed, len(groups)
