"""Frozen dataset versions: immutable once `content_hash` is set."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, Text, UniqueConstraint, false
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.captions.tables import Caption
from app.catalog.tables import Catalog, Image
from app.database import Base, BigId, Moment, utc_now
from app.jobs import Job
from app.people import Person


class DatasetVersion(Base):
    """A frozen selection of one catalog. `content_hash` is `manifest.content_hash` of its rows, None while freezing;
    `facts_hash` is `manifest.facts_hash` of them, `file_sha256` that of the manifest's bytes as they were written; both
    are None also where the version was frozen before that was kept.

    `uncompared_count`: members without a fingerprint, whose near copies could not be found; None where the version was
    frozen before near copies were looked for. `opted_out_count`: photos that were left out because their owners opted
    out of training; None where the version was frozen before that was known. `seed` draws the split. `repeats` are
    rules (`datasets.repeats`), `summary` what was counted as it was frozen (`datasets.balance`), None before that was
    kept. `leak`: two photos that would have been in both splits, for which nothing was frozen (`datasets.leaks`). One
    that `keeps_kinds` has the captions of every kind; one that was frozen before has only those that are learned.
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
    facts_hash: Mapped[str | None] = mapped_column(Text)
    file_sha256: Mapped[str | None] = mapped_column(Text)
    keeps_kinds: Mapped[bool] = mapped_column(default=False, server_default=false())
    train_count: Mapped[int] = mapped_column(default=0)
    validation_count: Mapped[int] = mapped_column(default=0)
    uncompared_count: Mapped[int | None]
    opted_out_count: Mapped[int | None]
    seed: Mapped[int] = mapped_column(default=0, server_default="0")
    repeats: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default="[]")
    summary: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    leak: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    verify_job_id: Mapped[int | None] = mapped_column(ForeignKey(Job.id))  # the last that looked whether it is whole
    unseen_count: Mapped[int | None]  # members that no person had decided on; None until it is frozen
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    frozen_at: Mapped[Moment | None]


class Member(Base):
    """One training example: an image with the exact captions it had when the version was frozen."""

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
    # Its captions of other kinds as it was frozen, which are never deleted before their photo; None: it had none.
    short_id: Mapped[int | None] = mapped_column(BigInteger)
    tags_id: Mapped[int | None] = mapped_column(BigInteger)
    facts_id: Mapped[int | None] = mapped_column(BigInteger)
    mend_id: Mapped[int | None] = mapped_column(BigInteger)  # what its picture was mended by when it was frozen
    group: Mapped[str] = mapped_column(Text)  # the group that the split never cuts
    sha256: Mapped[str | None] = mapped_column(Text)  # of the picture file; None: frozen before that was kept, unknown
    repeats: Mapped[int] = mapped_column(SmallInteger, default=1, server_default="1")
