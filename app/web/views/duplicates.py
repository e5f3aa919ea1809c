"""The page of a catalog's duplicates: groups by grade, which photo is the best and why, and what was said of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, and_, any_, case, cast, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, DuplicateGroup, DuplicateMember, Image, Signals, SourceFile
from app.errors import NotFound
from app.jobs import Job
from app.people import Person
from app.review import duplicates
from app.review.tables import GroupRuling

PAGE: Final = 20
SHOWN_AT_MOST: Final = 24
# Each grade in words, and what is in a group of it.
GRADES: Final[dict[str, tuple[str, str]]] = {
    "bytes": ("Same bytes", "kept once when they were taken in, under every name they came with"),
    "pixels": ("Same pixels", "one picture in several files"),
    "photo": ("Same photo", "one photo, saved, resized, cut, bordered or turned over"),
    "product": ("Same product", "other photos of one product; colour variants stay apart"),
}
REASONS: Final[dict[str, str]] = {
    "whole": "uncropped, no border", "largest": "most real pixels", "sharpest": "sharpest",
    "least compressed": "least compressed", "first": "taken in first",
}  # fmt: skip
CRITERIA: Final = (
    "not cropped, no border", "most pixels on the product", "sharpest product", "least compressed", "first taken in",
)  # fmt: skip
SETTLED: Final[dict[str, str]] = {"kept": "all kept", "apart": "no duplicates"}


@dataclass(frozen=True)
class GradeCount:
    """How many groups a grade has, and the share of them that is settled, 0 to 1."""

    grade: str
    title: str
    count: int
    settled: float


@dataclass(frozen=True)
class Shown:
    """A photo of a group. `says` is why it is the best, how it differs from the best, or that it is a variant."""

    image: Image
    is_best: bool
    is_variant: bool
    says: str
    sharpness: float | None


@dataclass(frozen=True)
class GroupView:
    """A group with its photos, the best first, variants last; `settled` says in words what a person said of it."""

    group: DuplicateGroup
    title: str
    what: str
    photos: list[Shown]
    hidden: int
    ruling: GroupRuling | None
    settled: str
    by: str

    @property
    def name(self) -> str:
        """What to call it: the title of its best photo."""
        image = self.photos[0].image
        return image.title or image.file_name


@dataclass(frozen=True)
class DuplicatesView:
    """The page. `kind` and `state` are what is asked for; `sure` counts the groups that can be linked all at once,
    `uncompared` the photos that nobody has looked for copies of."""

    catalog: Catalog
    grades: list[GradeCount]
    kind: str
    state: str
    groups: list[GroupView]
    same_bytes: list[Image]
    next: str | None
    group_count: int
    photo_count: int
    photo_total: int
    sure: int
    sure_photos: int
    uncompared: int
    job: Job | None
    criteria: tuple[str, ...] = CRITERIA


@dataclass(frozen=True)
class SideView:
    """Two photos of a group side by side, and the rows of figures in which they differ or not."""

    catalog: Catalog
    group: GroupView
    left: Shown
    right: Shown
    rows: list[tuple[str, str, str, bool]]


def read(session: Session, catalog: Catalog, kind: str, state: str, after: int) -> DuplicatesView:
    """The page of a catalog. Raises NotFound for a grade or state that there is not."""
    if kind not in ("", *GRADES) or state not in ("open", "settled"):
        raise NotFound("There is no such list of duplicates.")
    chosen = _chosen(catalog.id, kind, state).order_by(_RANK, DuplicateGroup.id)
    groups = [] if kind == "bytes" else list(session.scalars(chosen.offset(after).limit(PAGE + 1)))
    counts = _counts(session, catalog.id)
    sure, sure_photos = session.execute(
        select(func.count(), func.coalesce(func.sum(DuplicateGroup.size - 1), 0)).where(duplicates.is_sure(catalog.id))
    ).one()
    of_groups = (DuplicateGroup.catalog_id == catalog.id, DuplicateGroup.is_current)
    photo_count = session.scalar(
        select(func.count(func.distinct(DuplicateMember.image_id)))
        .join(DuplicateGroup, DuplicateGroup.id == DuplicateMember.group_id)
        .where(*of_groups)
    )
    asked = f"/catalogs/{catalog.id}/duplicates?grade={kind}&state={state}"
    return DuplicatesView(
        catalog=catalog,
        grades=counts,
        kind=kind,
        state=state,
        groups=_shown(session, groups[:PAGE]),
        same_bytes=_same_bytes(session, catalog.id) if kind == "bytes" else [],
        next=f"{asked}&after={after + PAGE}" if len(groups) > PAGE else None,
        group_count=session.scalar(select(func.count()).where(*of_groups)) or 0,
        photo_count=photo_count or 0,
        photo_total=session.scalar(select(func.count()).where(Image.catalog_id == catalog.id)) or 0,
        sure=sure,
        sure_photos=int(sure_photos),
        uncompared=_uncompared(session, catalog.id),
        job=_job(session, catalog.id),
    )


def side(session: Session, catalog: Catalog, group_id: int, other_id: int | None) -> SideView:
    """Two photos of a group: the best, and the one asked for or the next. Raises NotFound."""
    group = session.get(DuplicateGroup, group_id)
    if group is None or group.catalog_id != catalog.id:
        raise NotFound("There is no such group any more: other photos have come, or gone.")
    (shown,) = _shown(session, [group], most=None)
    others = [photo for photo in shown.photos[1:] if other_id in (None, photo.image.id)]
    if not others:
        raise NotFound("That photo is not in this group.")
    left, right = shown.photos[0], others[0]
    signals = {
        row.image_id: row
        for row in session.scalars(select(Signals).where(Signals.image_id.in_([left.image.id, right.image.id])))
    }
    rows = [
        (name, *values, values[0] != values[1])
        for name, *values in zip(
            _FACTS, *(_facts(photo.image, signals.get(photo.image.id)) for photo in (left, right)), strict=True
        )
    ]
    return SideView(catalog, shown, left, right, rows)


_FACTS: Final = ("File", "Pixels", "Format", "Size", "Sharpness", "Product fills", "Cropped", "Taken in")
# The closest first.
_RANK: Final = case((DuplicateGroup.grade == "pixels", 0), (DuplicateGroup.grade == "photo", 1), else_=2)


def _facts(image: Image, signals: Signals | None) -> tuple[str, ...]:
    unknown = "cannot tell"
    cropped = {True: "yes", False: "no", None: unknown}[signals.is_cropped if signals else None]
    return (
        image.file_name,
        f"{image.width_px:,} × {image.height_px:,}",
        image.format,
        f"{image.size_bytes / 1000:,.0f} kB",
        f"{signals.sharpness:.2f}" if signals and signals.sharpness is not None else unknown,
        f"{signals.fill:.0%}" if signals and signals.fill is not None else unknown,
        cropped,
        f"{image.taken_in_at:%d %b %Y %H:%M}",
    )


def _chosen(catalog_id: int, kind: str, state: str) -> Any:
    is_settled = and_(GroupRuling.id.is_not(None), GroupRuling.kind != "best")
    query = (
        select(DuplicateGroup)
        .outerjoin(GroupRuling, and_(GroupRuling.group_id == DuplicateGroup.id, GroupRuling.superseded_at.is_(None)))
        .where(DuplicateGroup.catalog_id == catalog_id, or_(DuplicateGroup.is_current, GroupRuling.kind == "apart"))
        .where(is_settled if state == "settled" else is_settled.is_not(True))
    )
    return query.where(DuplicateGroup.grade == kind) if kind else query


def _counts(session: Session, catalog_id: int) -> list[GradeCount]:
    is_settled = and_(GroupRuling.id.is_not(None), GroupRuling.kind != "best")
    rows = session.execute(
        select(DuplicateGroup.grade, func.count(), func.count().filter(is_settled))
        .outerjoin(GroupRuling, and_(GroupRuling.group_id == DuplicateGroup.id, GroupRuling.superseded_at.is_(None)))
        .where(DuplicateGroup.catalog_id == catalog_id, or_(DuplicateGroup.is_current, GroupRuling.kind == "apart"))
        .group_by(DuplicateGroup.grade)
    )
    counted = {grade: (count, settled) for grade, count, settled in rows}
    twice = session.scalar(
        select(func.count(func.distinct(SourceFile.image_id))).where(
            SourceFile.catalog_id == catalog_id, SourceFile.outcome == "same_bytes"
        )
    )
    counted["bytes"] = (twice or 0, twice or 0)
    return [GradeCount(grade, title, *(_share(*counted.get(grade, (0, 0))))) for grade, (title, _) in GRADES.items()]


def _share(count: int, settled: int) -> tuple[int, float]:
    return count, settled / count if count else 0.0


def _same_bytes(session: Session, catalog_id: int) -> list[Image]:
    twice = select(SourceFile.image_id).where(
        SourceFile.catalog_id == catalog_id, SourceFile.outcome == "same_bytes", SourceFile.image_id.is_not(None)
    )
    return list(session.scalars(select(Image).where(Image.id.in_(twice)).order_by(Image.id).limit(200)))


def _uncompared(session: Session, catalog_id: int) -> int:
    query = select(func.count()).select_from(Image).outerjoin(Signals, Signals.image_id == Image.id)
    return session.scalar(query.where(Image.catalog_id == catalog_id, Signals.compared_at.is_(None))) or 0


def _job(session: Session, catalog_id: int) -> Job | None:
    """The grouping, or the measuring before it, that waits or is at work."""
    return session.scalars(
        select(Job)
        .where(Job.kind.in_(("photos.group", "signals.measure")), Job.whole_id.is_(None))
        .where(Job.arguments["catalog_id"].as_integer() == catalog_id, Job.state.in_(("queued", "running")))
        .order_by(Job.id.desc())
        .limit(1)
    ).first()


def _shown(session: Session, groups: Sequence[DuplicateGroup], most: int | None = SHOWN_AT_MOST) -> list[GroupView]:
    chosen = any_(cast([group.id for group in groups], ARRAY(BigInteger)))
    rows = session.execute(
        select(DuplicateMember, Image, Signals.sharpness)
        .join(Image, Image.id == DuplicateMember.image_id)
        .outerjoin(Signals, Signals.image_id == Image.id)
        .where(DuplicateMember.group_id == chosen)
        .order_by(DuplicateMember.is_variant, Image.id)
    ).all()
    rulings = {
        ruling.group_id: (ruling, name)
        for ruling, name in session.execute(
            select(GroupRuling, Person.name)
            .join(Person, Person.id == GroupRuling.person_id)
            .where(GroupRuling.group_id == chosen, GroupRuling.superseded_at.is_(None))
        )
    }
    views = []
    for group in groups:
        photos = [
            Shown(
                image,
                image.id == group.best_id,
                member.is_variant,
                _says(group, member, rulings.get(group.id, (None, ""))[0]),
                sharpness,
            )
            for member, image, sharpness in rows
            if member.group_id == group.id
        ]
        photos.sort(key=lambda photo: (not photo.is_best, photo.is_variant, photo.image.id))
        ruling, name = rulings.get(group.id, (None, ""))
        title, what = GRADES[group.grade]
        linked = sum(not photo.is_best and not photo.is_variant for photo in photos)
        settled = (
            "" if ruling is None or ruling.kind == "best" else SETTLED.get(ruling.kind, f"best kept, {linked} linked")
        )
        shown = photos[:most] if most else photos
        views.append(GroupView(group, title, what, shown, len(photos) - len(shown), ruling, settled, name))
    return [view for view in views if view.photos]


def _says(group: DuplicateGroup, member: DuplicateMember, ruling: GroupRuling | None) -> str:
    if member.image_id == group.best_id:
        return "chosen by a person" if ruling is not None and ruling.kind == "best" else REASONS[group.reason]
    if member.is_variant:
        return "variant, kept apart"
    return ", ".join(member.differs)
