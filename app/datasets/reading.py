"""Looking at frozen versions: what they hold, and their photos page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, get_args

from sqlalchemy import Select, case, func, or_, select
from sqlalchemy.orm import Session

from app.captions.tables import Caption
from app.catalog.tables import Catalog, Image
from app.datasets.manifest import Split
from app.datasets.tables import DatasetVersion, Member
from app.errors import NotFound, Refused
from app.jobs import Job
from app.people import Person
from app.selection.tables import PhotoIndex

PAGE: Final = 60
VERSIONS_AT_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version in the list: its catalog, the job that freezes it and who asked for it."""

    version: DatasetVersion
    catalog_name: str
    job: Job | None
    by: str | None


@dataclass(frozen=True, slots=True)
class Pile:
    """A catalog's photos that people kept and those that only a rule suggests to keep, and how many have a caption."""

    catalog_id: int
    name: str
    kept: int
    captioned: int
    suggested: int
    suggested_captioned: int


@dataclass(frozen=True, slots=True)
class CategoryCount:
    """Photos of one category (None: without one) in each split."""

    category: str | None
    train: int
    validation: int


@dataclass(frozen=True, slots=True)
class CaptionWriter:
    """Who or what wrote captions of a version, and how many: a person or a captioner by name, or files (`given`)."""

    written_by: str
    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What a frozen version holds. `leaking` counts products in both splits; `twin` is an older one of equal hash;
    `writers` are those of its captions, people first, each kind with the most first."""

    categories: list[CategoryCount]
    products: dict[str, int]
    leaking: int
    writers: list[CaptionWriter]
    twin: DatasetVersion | None


@dataclass(frozen=True, slots=True)
class Shown:
    """One member as the grid shows it. `is_removed`: an owner took it out of its catalog; the version keeps it."""

    image_id: int
    title: str
    width_px: int
    height_px: int
    caption: str
    split: str
    product: str | None
    is_removed: bool
    mend_id: int | None


def get(session: Session, version_id: int) -> VersionRow:
    """The version with this id. Raises NotFound."""
    row = session.execute(_listed().where(DatasetVersion.id == version_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no dataset version {version_id}.")
    return VersionRow(*row)


def versions(session: Session) -> list[VersionRow]:
    """The newest versions of all catalogs, newest first."""
    rows = session.execute(_listed().order_by(DatasetVersion.id.desc()).limit(VERSIONS_AT_MOST))
    return [VersionRow(*row) for row in rows]


def count_of(session: Session, catalog_id: int) -> int:
    """How many versions of a catalog are frozen."""
    query = select(func.count()).select_from(DatasetVersion).where(DatasetVersion.catalog_id == catalog_id)
    return session.scalar(query) or 0


def piles(session: Session) -> list[Pile]:
    """What each catalog has to freeze, the newest catalog first; catalogs with nothing to keep are left out."""
    kept, suggested = PhotoIndex.verdict == "kept", PhotoIndex.suggested == "kept"
    captioned = PhotoIndex.captioned_by != "none"
    rows = session.execute(
        select(
            Catalog.id,
            Catalog.name,
            func.count().filter(kept),
            func.count().filter(kept, captioned),
            func.count().filter(suggested),
            func.count().filter(suggested, captioned),
        )
        .join(PhotoIndex, PhotoIndex.catalog_id == Catalog.id)
        .where(or_(kept, suggested))
        .group_by(Catalog.id)
        .order_by(Catalog.id.desc())
    )
    return [Pile(*row) for row in rows]


def contents(session: Session, version: DatasetVersion) -> Contents:
    """What a frozen version holds, counted."""
    of_version = Member.version_id == version.id
    products = session.execute(
        select(Member.split, func.count(Member.group.distinct())).where(of_version).group_by(Member.split)
    )
    splits = func.count(Member.split.distinct())
    cut = select(Member.group).where(of_version).group_by(Member.group).having(splits > 1)
    return Contents(
        categories=_categories(session, version),
        products={"train": 0, "validation": 0, **{row[0]: row[1] for row in products}},
        leaking=session.scalar(select(func.count()).select_from(cut.subquery())) or 0,
        writers=writers(session, version.id),
        twin=_twin(session, version),
    )


def writers(session: Session, version_id: int) -> list[CaptionWriter]:
    """Who or what wrote the captions of a version."""
    own = func.coalesce(Caption.settings["by"].astext, Person.name)
    name = case((Caption.written_by == "person", own), else_=func.coalesce(Caption.captioner, ""))
    rank = case((Caption.written_by == "person", 0), (Caption.written_by == "captioner", 1), else_=2)
    rows = session.execute(
        select(Caption.written_by, name, func.count())
        .join(Member, Member.caption_id == Caption.id)
        .outerjoin(Person, Person.id == Caption.person_id)
        .where(Member.version_id == version_id)
        .group_by(Caption.written_by, name, rank)
        .order_by(rank, func.count().desc(), name)
    )
    return [CaptionWriter(row[0], row[1] or "", row[2]) for row in rows]


def members(session: Session, version_id: int, split: str | None = None, after: int = 0) -> list[Shown]:
    """Up to PAGE members behind image id `after`, of one split or both. Raises Refused for a split that is none."""
    if split is not None and split not in get_args(Split):
        raise Refused(f"A photo is in train or validation, not in “{split}”.")
    statement = (
        select(Member, Image, Caption.text, Catalog.removed_from_id)
        .join(Image, Image.id == Member.image_id)
        .join(Catalog, Catalog.id == Image.catalog_id)
        .join(Caption, Caption.id == Member.caption_id)
        .where(Member.version_id == version_id, Member.image_id > after)
        .order_by(Member.image_id)
        .limit(PAGE)
    )
    if split is not None:
        statement = statement.where(Member.split == split)
    return [
        Shown(
            image_id=image.id,
            title=image.title or image.file_name,
            width_px=image.width_px,
            height_px=image.height_px,
            caption=caption,
            split=member.split,
            product=image.product,
            is_removed=removed_from_id is not None,
            mend_id=member.mend_id,
        )
        for member, image, caption, removed_from_id in session.execute(statement)
    ]


def _listed() -> Select[*tuple[Any, ...]]:
    return (
        select(DatasetVersion, Catalog.name, Job, Person.name)
        .join(Catalog, Catalog.id == DatasetVersion.catalog_id)
        .outerjoin(Job, Job.id == DatasetVersion.job_id)
        .outerjoin(Person, Person.id == DatasetVersion.created_by_id)
    )


def _categories(session: Session, version: DatasetVersion) -> list[CategoryCount]:
    """The largest category first."""
    held_out = func.count().filter(Member.split == "validation")
    rows = session.execute(
        select(func.min(Image.category), func.count() - held_out, held_out)
        .join(Member, Member.image_id == Image.id)
        .where(Member.version_id == version.id)
        .group_by(Image.category_key)
        .order_by(func.count().desc(), Image.category_key)
    )
    return [CategoryCount(*row) for row in rows]


def _twin(session: Session, version: DatasetVersion) -> DatasetVersion | None:
    """The first version of the catalog with the same content hash, if it is another one."""
    return session.scalars(
        select(DatasetVersion)
        .where(DatasetVersion.catalog_id == version.catalog_id, DatasetVersion.content_hash == version.content_hash)
        .where(DatasetVersion.number < version.number)
        .order_by(DatasetVersion.number)
        .limit(1)
    ).first()
