"""What goes out of a version: each photo with its caption, who wrote that, and whose the photo is."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.captions.tables import Caption
from app.catalog.tables import Catalog, Image
from app.datasets import verifying
from app.datasets.balance import AUTHOR
from app.datasets.card import card
from app.datasets.manifest import ManifestRow, Split
from app.datasets.tables import DatasetVersion, Member
from app.errors import NotFound, Refused
from app.storage import Storage


@dataclass(frozen=True, slots=True)
class ExportMember:
    """One photo on its way out. `caption_by`: "person", "given" by a file, or the captioner's name."""

    image_id: int
    file: Path
    row: ManifestRow
    file_name: str
    product: str | None
    category: str | None
    caption_by: str

    @property
    def key(self) -> str:
        """The photo's name in every format: unique, the same in all versions, and without a dot.

        WebDataset takes what stands behind a name's first dot for the kind of the file.
        """
        return f"{self.image_id:09d}"

    @property
    def suffix(self) -> str:
        """How the picture's file name ends, with its dot: ".jpg"."""
        return self.file.suffix

    @property
    def facts(self) -> dict[str, str | int | bool]:
        """What is known of the photo beside its picture, under the same names in every format.

        Each is of one kind in every photo, a text that is not known is empty: the loaders that guess kinds from the
        first photos, or hold one split's against another's, break on null.
        """
        row = self.row
        return {
            "key": self.key,
            "caption_by": self.caption_by,
            "caption_short": row.caption_short or "",
            "caption_tags": row.caption_tags or "",
            "caption_facts": row.caption_facts or "",
            "split": row.split,
            "group": row.group,
            "product": self.product or "",
            "category": self.category or "",
            "labels": LABELS_PARTED.join(row.labels or ()),
            "repeats": row.repeats,
            "mended": row.mend is not None and len(row.mend) > 1,
            "original_name": self.file_name,
            "sha256": row.sha256,
            "width_px": row.width_px,
            "height_px": row.height_px,
            "source": row.source or "",
            "licence": row.licence or "",
            "credit": row.credit or "",
            "opt_out": row.opt_out or "",
        }


LABELS_PARTED = "; "


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A version as it goes out: `members` in the manifest's order, `card` is its card. `removed` photos stay here: an
    owner took them out of their catalog for good."""

    name: str
    content_hash: str
    card: str
    members: Sequence[ExportMember]
    removed: int

    def of(self, split: Split) -> list[ExportMember]:
        """The members of one split."""
        return [member for member in self.members if member.row.split == split]


def gather(session: Session, storage: Storage, version_id: int) -> Outgoing:
    """What goes out of a version. Raises NotFound, and Refused where it is not frozen or its manifest is not whole."""
    there = session.execute(
        select(DatasetVersion, Catalog.name)
        .join(Catalog, Catalog.id == DatasetVersion.catalog_id)
        .where(DatasetVersion.id == version_id)
    ).one_or_none()
    if there is None:
        raise NotFound(f"There is no dataset version {version_id}.")
    version, name = there
    if version.content_hash is None:
        raise Refused("This version is not frozen yet, so there is nothing to export.")
    folder = storage.dataset_folder(version_id)
    rows = verifying.as_frozen(storage, version)
    known = _KnownMembers(session, version_id)
    members = []
    for row in rows:
        photo = known.take(row)
        if photo.is_removed:
            continue
        if row.image_id is not None:
            photo = replace(photo, product=row.product, category=row.category)  # as they were when it was frozen
        file_name = PurePath(row.original_name or photo.file_name).name
        caption_by = row.caption_by or photo.caption_by
        members.append(
            ExportMember(photo.image_id, folder / row.file, row, file_name, photo.product, photo.category, caption_by)
        )
    if not members:
        raise Refused("Every photo of this version was removed from its catalog, so there is nothing to export.")
    return Outgoing(name, version.content_hash, card(session, version_id), members, len(rows) - len(members))


_CHANGED = "The manifest of this version is not the one that was frozen. Freeze the selection again."


@dataclass(frozen=True, slots=True)
class _KnownPhoto:
    """What the database knows of a member."""

    image_id: int
    sha256: str | None
    file_name: str
    product: str | None
    category: str | None
    caption_by: str
    is_removed: bool


class _KnownMembers:
    """The members of a version in the database, met by rows of its manifest: by the photo's number, which older
    manifests do not tell; then by picture, caption, split and group, or without the picture where members of that time
    do not tell theirs."""

    def __init__(self, session: Session, version_id: int) -> None:
        self.by_id: dict[int, _KnownPhoto] = {}
        self.by_content: dict[tuple[str | None, ...], deque[_KnownPhoto]] = defaultdict(deque)
        rows = session.execute(
            select(
                Image.id, Member.sha256, Image.file_name, Image.product, Image.category, AUTHOR,
                Catalog.removed_at.is_not(None), Caption.text, Member.split, Member.group,
            )
            .join(Image, Image.id == Member.image_id)
            .join(Catalog, Catalog.id == Image.catalog_id)
            .join(Caption, Caption.id == Member.caption_id)
            .where(Member.version_id == version_id)
            .order_by(Member.image_id)
        )  # fmt: skip
        for *facts, text, split, group in rows:
            photo = _KnownPhoto(*facts)
            self.by_id[photo.image_id] = photo
            self.by_content[photo.sha256, text, split, group].append(photo)

    def take(self, row: ManifestRow) -> _KnownPhoto:
        """The member of a row. Raises Refused where there is none with its picture."""
        if row.image_id is not None:
            photo = self.by_id.pop(row.image_id, None)
            if photo is None or photo.sha256 != row.sha256:
                raise Refused(_CHANGED)
            return photo
        content = row.caption, row.split, row.group
        alike = self.by_content[row.sha256, *content] or self.by_content[None, *content]
        if not alike:
            raise Refused(_CHANGED)
        return alike.popleft()
