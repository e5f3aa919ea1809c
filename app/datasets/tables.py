"""Frozen dataset versions: immutable once `content_hash` is set."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.captions.tables import Caption
from app.catalog.tables import Catalog, Image
from app.database import Base, BigId, Moment, utc_now
from app.jobs import Job
from app.people import Person


class DatasetVersion(Base):
    """A frozen selection of one catalog. `content_hash` is `manifest.content_hash` of its rows, None while freezing.

    `uncompared_count`: members without a fingerprint, whose near copies could not be found; None where the version was
    frozen before near copies were looked for.
    """

    __tablename__ = "dataset_version"
    __table_args__ = (UniqueConstraint("catalog_id", "number"),)

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id), index=True)
    number: Mapped[int]
    job_id: Mapped[int | None] = mapped_column(ForeignKey(Job.id))
    selection: Mapped[str] = mapped_column(Text)  # the query, in the filter language
    sentence: Mapped[str] = mapped_column(Text)  # the same in words
    content_hash: Mapped[str | None] = mapped_column(Text)
    train_count: Mapped[int] = mapped_column(default=0)
    validation_count: Mapped[int] = mapped_column(default=0)
    uncompared_count: Mapped[int | None]
    unseen_count: Mapped[int | None]  # members that no person had decided on; None until it is frozen
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    frozen_at: Mapped[Moment | None]


class Member(Base):
    """One training example: an image with the exact caption it had when the version was frozen."""

    __tablename__ = "member"
    __table_args__ = (
        CheckConstraint("split in ('train','validation')", name="split"),
        Index("ix_member_image_id", "image_id"),
        Index("ix_member_caption_id", "caption_id"),
    )

    version_id: Mapped[int] = mapped_column(ForeignKey(DatasetVersion.id, ondelete="CASCADE"), primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id), primary_key=True)
    caption_id: Mapped[int] = mapped_column(ForeignKey(Caption.id))
    split: Mapped[str] = mapped_column(Text)
    group: Mapped[str] = mapped_column(Text)  # the group that the split never cuts
