"""Tables of the catalog: what was taken in, and what was measured."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.catalog import spelling  # noqa: F401  (its functions compute columns)
from app.database import Base, BigId, Moment, utc_now
from app.jobs import Job


class Catalog(Base):
    """A named pile of product photos.

    One that was removed is out of sight, and kept as long as a version needs what is in it. So is the one that holds
    the removed photos of another, `removed_from_id`.
    """

    __tablename__ = "catalog"

    id: Mapped[BigId]
    name: Mapped[str] = mapped_column(Text, unique=True)
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    removed_at: Mapped[Moment | None]
    removed_from_id: Mapped[int | None] = mapped_column(ForeignKey("catalog.id"))


class Intake(Base):
    """One taking-in of a folder. Counts are final once the job is done."""

    __tablename__ = "intake"

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id), index=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey(Job.id))
    folder: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    accepted: Mapped[int] = mapped_column(default=0)
    already_there: Mapped[int] = mapped_column(default=0)
    refused: Mapped[int] = mapped_column(default=0)


class Image(Base):
    """An accepted product photo, known by the SHA-256 of its original bytes.

    `width_px` and `height_px` are those seen by a person: after the EXIF orientation was applied. `render_path` is the
    file, relative to the data folder, that holds the picture as sRGB, upright and without alpha: the original itself
    where that already is so, otherwise a lossless render. `made_bytes`: the disk that render, view and thumbnail take;
    0 for photos that versions before 30 November 2026 took in. `notes` are words of `catalog.notes`: what had to be
    assumed.
    `was_read_strictly` is false for photos that versions before 30 November 2026 took in, damaged ones among them.
    `copies` is the closest grade of its groups of duplicates, or `none`; `copy_count` how many others are in that one;
    `is_best` whether it is the one to keep there; `is_linked` whether a person kept another one in its place.
    Columns that end in `_key` are what their texts have in common with others that people take for the same
    (`app/catalog/spelling.py`).
    """

    __tablename__ = "image"
    __table_args__ = (
        UniqueConstraint("catalog_id", "sha256"),
        Index("ix_image_catalog_id_id", "catalog_id", "id"),
        Index("ix_image_catalog_id_name_key", "catalog_id", "name_key", "id"),
        # For counting notes: few photos have any.
        Index("ix_image_noted", "catalog_id", postgresql_where=text("notes <> '{}'")),
    )

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id))
    intake_id: Mapped[int] = mapped_column(ForeignKey(Intake.id), index=True)
    sha256: Mapped[str] = mapped_column(Text, index=True)
    file_name: Mapped[str] = mapped_column(Text)
    format: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int]
    made_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    width_px: Mapped[int]
    height_px: Mapped[int]
    had_alpha: Mapped[bool] = mapped_column(default=False)
    had_profile: Mapped[bool] = mapped_column(default=False)
    was_turned: Mapped[bool] = mapped_column(default=False)
    render_path: Mapped[str] = mapped_column(Text)
    thumb_sha256: Mapped[str] = mapped_column(Text)
    view_sha256: Mapped[str] = mapped_column(Text)
    title: Mapped[str | None] = mapped_column(Text)
    category: Mapped[str | None] = mapped_column(Text, index=True)
    description: Mapped[str | None] = mapped_column(Text)
    product: Mapped[str | None] = mapped_column(Text)
    category_key: Mapped[str | None] = mapped_column(Text, Computed("label_key(category)", persisted=True))
    product_key: Mapped[str | None] = mapped_column(Text, Computed("label_key(product)", persisted=True), index=True)
    file_key: Mapped[str] = mapped_column(Text, Computed("search_text(file_name)", persisted=True))
    # Compared byte by byte, whatever the database's own collation is.
    name_key: Mapped[str] = mapped_column(Text(collation="C"), Computed("name_key(file_name)", persisted=True))
    extra: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    notes: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default="{}")
    was_read_strictly: Mapped[bool] = mapped_column(default=True)
    copies: Mapped[str] = mapped_column(Text, default="none", server_default="none")
    copy_count: Mapped[int] = mapped_column(default=0, server_default="0")
    is_best: Mapped[bool] = mapped_column(default=False, server_default="false")
    is_linked: Mapped[bool] = mapped_column(default=False, server_default="false")
    taken_in_at: Mapped[Moment] = mapped_column(default=utc_now)


class SourceFile(Base):
    """A file that an intake met: accepted, a copy of the same bytes, or refused with a reason. Met twice, one row."""

    __tablename__ = "source_file"
    __table_args__ = (
        UniqueConstraint("catalog_id", "file_name", "sha256"),
        CheckConstraint("outcome in ('accepted','same_bytes','refused')", name="outcome"),
    )

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id))
    intake_id: Mapped[int] = mapped_column(ForeignKey(Intake.id), index=True)
    image_id: Mapped[int | None] = mapped_column(ForeignKey(Image.id), index=True)
    file_name: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)


class RemovedPhoto(Base):
    """A photo that an owner removed from a catalog: no intake takes these bytes into it again."""

    __tablename__ = "removed_photo"
    __table_args__ = (UniqueConstraint("catalog_id", "sha256"),)

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id))
    sha256: Mapped[str] = mapped_column(Text)
    file_name: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    removed_by_id: Mapped[int | None] = mapped_column(BigInteger)
    removed_at: Mapped[Moment]


class IntakeRemark(Base):
    """What became of one metadata row or caption file of an intake, where that is not simply what it says.

    Kinds: `unmatched`, a row that names no picture; `respelled`, one that names a picture in another spelling;
    `unread`, a file that was not read; `changed`, what is said of a photo now; `unused`, what was not taken, and why.
    `source` is the file, relative to the folder, `line` a line of it or 0, `name` what the row calls its photo.
    """

    __tablename__ = "intake_remark"
    __table_args__ = (CheckConstraint("kind in ('unmatched','respelled','unread','changed','unused')", name="kind"),)

    id: Mapped[BigId]
    intake_id: Mapped[int] = mapped_column(ForeignKey(Intake.id), index=True)
    kind: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    line: Mapped[int] = mapped_column(default=0)
    name: Mapped[str] = mapped_column(Text)
    sentence: Mapped[str] = mapped_column(Text)


class Signals(Base):
    """What was measured on one image. None means "cannot tell", never zero.

    Shares are 0 to 1 of the frame; offsets are signed shares of the frame side (right and down positive); the box is
    x0, y0, x1, y1 in shares of the frame; colours are CIELAB D65, contrast a difference in it; keys and thumbs of its
    frames are those of `catalog.fingerprints`. Definitions: `workers/signals/measure.py`. `compared_at`: when the photo
    was last compared with all others of its catalog.
    """

    __tablename__ = "signals"

    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True)
    version: Mapped[int]
    measured_at: Mapped[Moment] = mapped_column(default=utc_now)
    contrast: Mapped[float | None]
    sharpness: Mapped[float | None] = mapped_column(index=True)
    background: Mapped[str] = mapped_column(Text, index=True)  # white | plain | scene | cannot tell
    background_colour: Mapped[str | None] = mapped_column(Text)
    whiteness: Mapped[float | None]
    background_delta_e: Mapped[float | None]
    uniformity: Mapped[float | None]
    coverage: Mapped[float | None]
    fill: Mapped[float | None]
    offset_x: Mapped[float | None]
    offset_y: Mapped[float | None]
    box: Mapped[list[float] | None] = mapped_column(JSONB)
    is_cropped: Mapped[bool | None]
    cropped_edges: Mapped[list[str]] = mapped_column(JSONB, default=list)
    subject_lab: Mapped[list[float] | None] = mapped_column(JSONB)
    subject_colour: Mapped[str | None] = mapped_column(Text, index=True)
    confidence: Mapped[float] = mapped_column(default=1.0)
    frame_keys: Mapped[bytes | None] = mapped_column(LargeBinary)
    frame_thumbs: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    compared_at: Mapped[Moment | None]

    image: Mapped[Image] = relationship()


class CopyPair(Base):
    """Two photos of a catalog that are copies, or (`is_variant`) one picture in two colours. The older photo is first.

    `rest` is how much differs, 0 to 1; `pose` how the first is turned against the second (`aligning.posed`); `cut` the
    share by which the second shows less than the first, below 0: more; `first_frame` and `second_frame` are above 0
    where the photos are alike only without a border.
    """

    __tablename__ = "copy_pair"

    first_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True)
    second_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True, index=True)
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id), index=True)
    rest: Mapped[float]
    pose: Mapped[int]
    cut: Mapped[float]
    first_frame: Mapped[int]
    second_frame: Mapped[int]
    is_variant: Mapped[bool] = mapped_column(default=False)


class DuplicateGroup(Base):
    """Photos that belong together, in one of the grades `pixels`, `photo`, `product`, known by their members.

    `best_id` is the photo that is suggested to be kept, `reason` the criterion that made it so (`grouping.REASONS`);
    `spread` the most that two copies in it differ, 0 to 1. One that is not current was found before other photos came.
    """

    __tablename__ = "duplicate_group"
    __table_args__ = (
        UniqueConstraint("catalog_id", "grade", "members_hash"),
        CheckConstraint("grade in ('pixels','photo','product')", name="grade"),
    )

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id))
    grade: Mapped[str] = mapped_column(Text)
    members_hash: Mapped[str] = mapped_column(Text)
    size: Mapped[int]
    best_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), index=True)
    reason: Mapped[str] = mapped_column(Text)
    spread: Mapped[float] = mapped_column(default=0.0)
    is_current: Mapped[bool] = mapped_column(default=True)
    found_at: Mapped[Moment] = mapped_column(default=utc_now)


class DuplicateMember(Base):
    """A photo in a group, and how it differs from the best one, in words of `grouping.DIFFERENCES`."""

    __tablename__ = "duplicate_member"

    group_id: Mapped[int] = mapped_column(ForeignKey(DuplicateGroup.id, ondelete="CASCADE"), primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True, index=True)
    differs: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    distance: Mapped[float | None]
    is_variant: Mapped[bool] = mapped_column(default=False)
