"""What goes out of a version: each photo with its caption, who wrote that, and whose the photo is."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.captions.tables import Caption
from app.catalog.tables import Catalog, Image
from app.datasets import freezing
from app.datasets.manifest import ManifestError, ManifestRow, Split, content_hash, read_manifest
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
    def facts(self) -> dict[str, Any]:
        """What is known of the photo beside its picture, under the same names in every format; None: not known."""
        row = self.row
        return {
            "key": self.key,
            "caption_by": self.caption_by,
            "split": row.split,
            "group": row.group,
            "product": self.product,
            "category": self.category,
            "original_name": self.file_name,
            "sha256": row.sha256,
            "width_px": row.width_px,
            "height_px": row.height_px,
            "source": row.source,
            "licence": row.licence,
            "credit": row.credit,
            "opt_out": row.opt_out,
        }


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A version as it goes out: `members` in the manifest's order. `removed` photos stay here: an owner took them out
    of their catalog for good."""

    name: str
    number: int
    sentence: str
    content_hash: str
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
    rows = _rows(folder / freezing.MANIFEST, version)
    known = _known(session, version_id)
    members, removed = [], 0
    for row in rows:
        image_id, file_name, product, category, caption_by, is_removed = known[_identity(row)].popleft()
        removed += is_removed
        if not is_removed:
            file = folder / row.file
            members.append(ExportMember(image_id, file, row, file_name, product, category, caption_by))
    if not members:
        raise Refused("Every photo of this version was removed from its catalog, so there is nothing to export.")
    return Outgoing(name, version.number, version.sentence, version.content_hash, members, removed)


def _rows(manifest: Path, version: DatasetVersion) -> list[ManifestRow]:
    if not manifest.is_file():
        raise Refused("The manifest of this version is not in the data folder any more. Freeze the selection again.")
    try:
        rows = read_manifest(manifest)
    except ManifestError as error:
        raise Refused(str(error)) from error
    if content_hash(rows) != version.content_hash:
        raise Refused("The manifest of this version is not the one that was frozen. Freeze the selection again.")
    return rows


_Identity = tuple[str, str, str]
_Known = tuple[int, str, str | None, str | None, str, bool]


def _identity(row: ManifestRow) -> _Identity:
    return row.caption, row.split, row.group


def _known(session: Session, version_id: int) -> dict[_Identity, deque[_Known]]:
    """What the database knows of the members, by what the manifest says of them too; both are in the photos' order."""
    rows = session.execute(
        select(
            Caption.text,
            Member.split,
            Member.group,
            Image.id,
            Image.file_name,
            Image.product,
            Image.category,
            Caption.written_by,
            Caption.captioner,
            Catalog.removed_at.is_not(None),
        )
        .join(Image, Image.id == Member.image_id)
        .join(Catalog, Catalog.id == Image.catalog_id)
        .join(Caption, Caption.id == Member.caption_id)
        .where(Member.version_id == version_id)
        .order_by(Member.image_id)
    )
    known: dict[_Identity, deque[_Known]] = defaultdict(deque)
    for text, split, group, image_id, file_name, product, category, written_by, captioner, is_removed in rows:
        by = captioner if written_by == "captioner" and captioner else written_by
        facts = (image_id, PurePath(file_name).name, product, category, by, is_removed)
        known[text, split, group].append(facts)
    return known
