"""Tables of duplicates: pairs of photos that are copies or look alike, and the groups that they make."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.tables import Catalog, Image
from app.database import Base, BigId, Moment, utc_now


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


class LookPair(Base):
    """Two photos that look as if they showed one product (`lookalikes.Lookalike`). The smaller number is first."""

    __tablename__ = "look_pair"

    first_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True)
    second_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True, index=True)
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id), index=True)
    likeness: Mapped[float]
    margin: Mapped[float]


class PixelHash(Base):
    """What the pixels of a photo are known by, where it was compared with a near copy of its size.

    `sha256` is of the picture in the file `render_path`, as `app/intake/pixels.py` says. It counts while the photo
    shows that file: one that was mended since has no hash.
    """

    __tablename__ = "pixel_hash"

    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True)
    render_path: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text)


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
