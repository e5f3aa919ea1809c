"""Looking at groups of duplicates: lists of them, how many there are, their photos, and what was said of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, and_, any_, case, cast, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from app.catalog.copies import REST_AT_MOST
from app.catalog.duplicate_tables import CopyPair, DuplicateGroup, DuplicateMember
from app.catalog.tables import Image, Signals, SourceFile
from app.jobs import Job
from app.people import Person
from app.review import duplicates
from app.review.tables import GroupRuling

SAME_BYTES_AT_MOST: Final = 200
BINS: Final = 22
_IS_SETTLED: Final = and_(GroupRuling.id.is_not(None), GroupRuling.kind != "best")
_RULING: Final = and_(GroupRuling.group_id == DuplicateGroup.id, GroupRuling.superseded_at.is_(None))
# The closest first.
_RANK: Final = case((DuplicateGroup.grade == "pixels", 0), (DuplicateGroup.grade == "photo", 1), else_=2)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a catalog has: groups, photos in them and in all, photos never compared, groups that are sure, and photos
    that linking these would link. `grades`: of each grade how many groups, and how many of them are settled."""

    groups: int
    photos: int
    photos_in_all: int
    uncompared: int
    sure: int
    sure_photos: int
    grades: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Distances:
    """How many pairs of copies differ by how much, from none to the most that copies do, in `BINS` steps.

    `sure`: up to which share of that pairs are linked without a look; `past`: how many pairs are beyond.
    """

    bins: tuple[int, ...]
    sure: float
    past: int


@dataclass(frozen=True, slots=True)
class GroupPhoto:
    """A photo of a group with its place in it."""

    member: DuplicateMember
    image: Image
    signals: Signals | None


@dataclass(frozen=True, slots=True)
class WholeGroup:
    """A group, its photos with the best first and variants last, what was last said of it, and by whom."""

    group: DuplicateGroup
    photos: list[GroupPhoto]
    ruling: GroupRuling | None
    by: str


def listed(session: Session, catalog_id: int, grade: str, is_settled: bool, after: int, size: int) -> list[WholeGroup]:
    """Groups of a catalog, settled or open, of one grade where it is given; up to `size` behind the first `after`."""
    query = (
        _of(catalog_id, select(DuplicateGroup))
        .where(_IS_SETTLED if is_settled else _IS_SETTLED.is_not(True))
        .order_by(_RANK, DuplicateGroup.id)
    )
    query = query.where(DuplicateGroup.grade == grade) if grade else query
    return whole(session, list(session.scalars(query.offset(after).limit(size))))


def counts(session: Session, catalog_id: int) -> Counts:
    """How many groups there are, and what is settled of them. Same bytes are settled: each was kept once."""
    rows = session.execute(
        _of(catalog_id, select(DuplicateGroup.grade, func.count(), func.count().filter(_IS_SETTLED))).group_by(
            DuplicateGroup.grade
        )
    )
    grades = {grade: (count, settled) for grade, count, settled in rows}
    twice = session.scalar(select(func.count()).select_from(_twice(catalog_id).subquery())) or 0
    members = select(func.count(func.distinct(DuplicateMember.image_id)), func.count(func.distinct(DuplicateGroup.id)))
    photos, groups = session.execute(
        members.join(DuplicateGroup, DuplicateGroup.id == DuplicateMember.group_id).where(
            DuplicateGroup.catalog_id == catalog_id, DuplicateGroup.is_current
        )
    ).one()
    sure, sure_photos = session.execute(
        select(func.count(), func.coalesce(func.sum(DuplicateGroup.size - 1), 0)).where(duplicates.is_sure(catalog_id))
    ).one()
    in_all, uncompared = session.execute(
        select(func.count(Image.id), func.count(Image.id).filter(Signals.compared_at.is_(None)))
        .outerjoin(Signals, Signals.image_id == Image.id)
        .where(Image.catalog_id == catalog_id)
    ).one()
    grades["bytes"] = (twice, twice)
    return Counts(groups, photos, in_all, uncompared, sure, int(sure_photos), grades)


def distances(session: Session, catalog_id: int) -> Distances:
    """How much copies of a catalog differ, whatever grade and state their groups are in."""
    place = func.least(func.floor(CopyPair.rest / REST_AT_MOST * BINS), BINS - 1)
    of_catalog = (CopyPair.catalog_id == catalog_id, CopyPair.is_variant.is_(False))
    rows = session.execute(select(place, func.count()).where(*of_catalog).group_by(place))
    bins = [0] * BINS
    for at, count in rows:
        bins[int(at)] = count
    past = select(func.count()).select_from(CopyPair).where(*of_catalog, CopyPair.rest > duplicates.SURE_REST)
    return Distances(tuple(bins), duplicates.SURE_REST / REST_AT_MOST, session.scalar(past) or 0)


def whole(session: Session, groups: Sequence[DuplicateGroup]) -> list[WholeGroup]:
    """Groups with their photos."""
    chosen = any_(cast([group.id for group in groups], ARRAY(BigInteger)))
    rows = session.execute(
        select(DuplicateMember, Image, Signals)
        .join(Image, Image.id == DuplicateMember.image_id)
        .outerjoin(Signals, Signals.image_id == Image.id)
        .where(DuplicateMember.group_id == chosen)
        .order_by(DuplicateMember.is_variant, Image.id)
    ).all()
    photos: dict[int, list[GroupPhoto]] = {group.id: [] for group in groups}
    for row in rows:
        photos[row[0].group_id].append(GroupPhoto(*row))
    rulings = {
        ruling.group_id: (ruling, name)
        for ruling, name in session.execute(
            select(GroupRuling, Person.name)
            .join(Person, Person.id == GroupRuling.person_id)
            .where(GroupRuling.group_id == chosen, GroupRuling.superseded_at.is_(None))
        )
    }
    shown = []
    for group in groups:
        best: list[GroupPhoto] = []
        others: list[GroupPhoto] = []
        for photo in photos[group.id]:
            (best if photo.image.id == group.best_id else others).append(photo)
        ruling, name = rulings.get(group.id, (None, ""))
        shown.append(WholeGroup(group, [*best, *others], ruling, name))
    return shown


def same_bytes(session: Session, catalog_id: int) -> list[Image]:
    """Photos that came more than once, byte for byte; the first 200."""
    query = select(Image).where(Image.id.in_(_twice(catalog_id))).order_by(Image.id)
    return list(session.scalars(query.limit(SAME_BYTES_AT_MOST)))


def job_of(session: Session, catalog_id: int) -> Job | None:
    """The grouping, or the measuring before it, that waits or is at work."""
    return session.scalars(
        select(Job)
        .where(Job.kind.in_(("photos.group", "signals.measure")), Job.whole_id.is_(None))
        .where(Job.arguments["catalog_id"].as_integer() == catalog_id, Job.state.in_(("queued", "running")))
        .order_by(Job.id.desc())
        .limit(1)
    ).first()


def _of(catalog_id: int, query: Any) -> Any:
    """Groups of a catalog with what is said of them; one that was set apart stays in sight."""
    is_shown = or_(DuplicateGroup.is_current, GroupRuling.kind == "apart")
    return query.outerjoin(GroupRuling, _RULING).where(DuplicateGroup.catalog_id == catalog_id, is_shown)


def _twice(catalog_id: int) -> Any:
    came_again = (SourceFile.catalog_id == catalog_id, SourceFile.outcome == "same_bytes")
    return select(SourceFile.image_id).where(*came_again, SourceFile.image_id.is_not(None)).distinct()
