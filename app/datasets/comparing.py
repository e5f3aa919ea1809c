"""Comparing two frozen versions: what came, went, was mended, told otherwise or moved between splits."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from sqlalchemy import Select, and_, case, func, literal, or_, select
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from app.captions.tables import KIND_WORDS, Caption
from app.catalog.tables import Catalog, Image
from app.datasets import kinds
from app.datasets.tables import DatasetVersion, Member
from app.errors import Refused

PAGE: Final = 40
VERSIONS_AT_MOST: Final = 200
ChangeKind = Literal["added", "removed", "mended", "recaptioned", "other_captions", "moved", "repeated"]
KINDS: Final[tuple[ChangeKind, ...]] = get_args(ChangeKind)


@dataclass(frozen=True, slots=True)
class VersionChanges:
    """How many photos the newer version holds and the older did not (`added`), the other way round (`removed`), and of
    those in both: with another picture file, caption, caption of another kind, split or number of repeats. What was
    frozen before it kept captions of other kinds has none of these changed."""

    added: int
    removed: int
    mended: int
    recaptioned: int
    other_captions: int
    moved: int
    repeated: int

    def of(self, kind: ChangeKind) -> int:
        """The number of one kind."""
        count: int = getattr(self, kind)
        return count

    @property
    def is_none(self) -> bool:
        """Whether the versions hold the same."""
        return not any(self.of(kind) for kind in KINDS)


@dataclass(frozen=True, slots=True)
class CaptionPiece:
    """A part of a caption: in both (`same`), only in the older (`gone`) or only in the newer (`new`)."""

    kind: Literal["same", "gone", "new"]
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """One photo that two versions have differently. What was or is not there is None; so is the mend of a photo that is
    as it was taken in. `others` are captions of other kinds that differ, by the kinds' words."""

    image_id: int
    title: str
    is_removed: bool
    pieces: Sequence[CaptionPiece]
    split_before: str | None
    split_now: str | None
    repeats_before: int | None
    repeats_now: int | None
    mend_before: int | None
    mend_now: int | None
    others: Mapping[str, Sequence[CaptionPiece]]


def others(session: Session, version: DatasetVersion) -> list[tuple[DatasetVersion, str]]:
    """The frozen versions that this one can be compared with, and their catalogs' names: its own catalog's first."""
    is_other_catalog = case((DatasetVersion.catalog_id == version.catalog_id, 0), else_=1)
    rows = session.execute(
        select(DatasetVersion, Catalog.name)
        .join(Catalog, Catalog.id == DatasetVersion.catalog_id)
        .where(DatasetVersion.content_hash.is_not(None), DatasetVersion.id != version.id)
        .order_by(is_other_catalog, DatasetVersion.id.desc())
        .limit(VERSIONS_AT_MOST)
    )
    return [(row[0], row[1]) for row in rows]


def before(session: Session, version: DatasetVersion) -> DatasetVersion | None:
    """The last version of the catalog that was frozen before this one."""
    return session.scalars(
        select(DatasetVersion)
        .where(DatasetVersion.catalog_id == version.catalog_id, DatasetVersion.content_hash.is_not(None))
        .where(DatasetVersion.number < version.number)
        .order_by(DatasetVersion.number.desc())
        .limit(1)
    ).first()


def changes(session: Session, newer: DatasetVersion, older: DatasetVersion) -> VersionChanges:
    """What `newer` has otherwise than `older`, counted. Raises Refused where one of them is not frozen."""
    both = _both(newer, older)
    is_of_kind = _kinds(both.c, newer, older)
    counts = session.execute(select(*(func.count().filter(is_of_kind[kind]) for kind in KINDS)).select_from(both)).one()
    return VersionChanges(**dict(zip(KINDS, counts, strict=True)))


def listed(
    session: Session, newer: DatasetVersion, older: DatasetVersion, kind: ChangeKind, after: int = 0
) -> list[Change]:
    """Up to PAGE photos of one kind of change behind image id `after`, with their captions word by word."""
    both = _both(newer, older)
    now, then = aliased(Caption), aliased(Caption)
    image_id = func.coalesce(both.c.image_id, both.c.older_image_id)
    rows = session.execute(
        select(image_id, Image, Catalog.removed_from_id, then.text, now.text, both)
        .join(Image, Image.id == image_id)
        .join(Catalog, Catalog.id == Image.catalog_id)
        .outerjoin(now, now.id == both.c.caption_id)
        .outerjoin(then, then.id == both.c.older_caption_id)
        .where(_kinds(both.c, newer, older)[kind], image_id > after)
        .order_by(image_id)
        .limit(PAGE)
    ).all()
    others = _others(session, rows) if kind == "other_captions" else {}
    return [
        Change(
            image_id=row[0],
            title=row.Image.title or row.Image.file_name,
            is_removed=row.removed_from_id is not None,
            pieces=word_by_word(*row[3:5]),
            split_before=row.older_split,
            split_now=row.split,
            repeats_before=row.older_repeats,
            repeats_now=row.repeats,
            mend_before=row.older_mend_id,
            mend_now=row.mend_id,
            others=others.get(row[0], {}),
        )
        for row in rows
    ]


def _others(session: Session, rows: Sequence[Any]) -> dict[int, dict[str, list[CaptionPiece]]]:
    """Captions of other kinds that differ in rows of `listed`, by photo and the kind's words."""
    names = [column.key for column in kinds.COLUMNS.values()]
    numbers = {getattr(row, f"{before}{name}") for row in rows for name in names for before in ("", "older_")}
    texts = kinds.texts(session, numbers - {None})
    pieces: dict[int, dict[str, list[CaptionPiece]]] = {}
    for row in rows:
        for kind, name in zip(kinds.COLUMNS, names, strict=True):
            then, now = (texts.get(getattr(row, f"{before}{name}")) for before in ("older_", ""))
            if then != now:
                pieces.setdefault(row[0], {})[KIND_WORDS[kind]] = word_by_word(then, now)
    return pieces


def word_by_word(old: str | None, new: str | None) -> list[CaptionPiece]:
    """Two captions as one text in parts of whole words. Where one is missing, the other is all gone or all new."""
    if old is None or new is None:
        return [CaptionPiece("new" if old is None else "gone", old or new or "")] if old or new else []
    left, right = _WORDS.findall(old), _WORDS.findall(new)
    pieces: list[CaptionPiece] = []
    for what, a, b, c, d in difflib.SequenceMatcher(None, left, right).get_opcodes():
        if what == "equal":
            pieces.append(CaptionPiece("same", "".join(left[a:b])))
            continue
        if b > a:
            pieces.append(CaptionPiece("gone", "".join(left[a:b])))
        if d > c:
            pieces.append(CaptionPiece("new", "".join(right[c:d])))
    return pieces


# A word with the space behind it, a sign, or one letter of a script that writes no spaces.
_WORDS: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]\s*|[^\W\u3040-\u30ff\u3400-\u9fff]+\s*|[^\w]\s*|\s+")


def _both(newer: DatasetVersion, older: DatasetVersion) -> Any:
    """The members of two versions side by side. Photos of two catalogs are the same where their originals are."""
    for version in (newer, older):
        if version.content_hash is None:
            raise Refused(f"Version {version.number} is not frozen, so there is nothing to compare.")
    is_one_catalog = newer.catalog_id == older.catalog_id
    new, old = (_members(version, is_one_catalog).subquery() for version in (newer, older))
    return (
        select(new, *(column.label(f"older_{column.name}") for column in old.c))
        .select_from(new.join(old, new.c.key == old.c.key, full=True))
        .subquery()
    )


def _members(version: DatasetVersion, is_one_catalog: bool) -> Select[*tuple[Any, ...]]:
    key = Member.image_id if is_one_catalog else Image.sha256
    # Two captions of one text are one caption, whoever wrote it.
    statement = select(
        key.label("key"), Member.image_id, Member.caption_id, func.md5(Caption.text).label("words"),
        Member.split, Member.sha256, Member.repeats, Member.mend_id, *kinds.COLUMNS.values(),
    ).join(Caption, Caption.id == Member.caption_id)  # fmt: skip
    if not is_one_catalog:
        statement = statement.join(Image, Image.id == Member.image_id)
    return statement.where(Member.version_id == version.id)


def _kinds(
    columns: ReadOnlyColumnCollection[str, Any], newer: DatasetVersion, older: DatasetVersion
) -> dict[ChangeKind, Any]:
    sides = [(columns[column.key], columns[f"older_{column.key}"]) for column in kinds.COLUMNS.values()]
    # Two captions of one text are one, and hardly any has another number: texts are looked up for those alone.
    is_told_otherwise = or_(
        *(
            and_(now.is_distinct_from(then), kinds.text_of(now).is_distinct_from(kinds.text_of(then)))
            for now, then in sides
        )
    )
    is_in_both = and_(columns.image_id.is_not(None), columns.older_image_id.is_not(None))
    return {
        "added": columns.older_image_id.is_(None),
        "removed": columns.image_id.is_(None),
        "mended": and_(is_in_both, columns.sha256 != columns.older_sha256),
        "recaptioned": and_(is_in_both, columns.words != columns.older_words),
        "other_captions": and_(literal(newer.keeps_kinds and older.keeps_kinds), is_in_both, is_told_otherwise),
        "moved": and_(is_in_both, columns.split != columns.older_split),
        "repeated": and_(is_in_both, columns.repeats != columns.older_repeats),
    }
