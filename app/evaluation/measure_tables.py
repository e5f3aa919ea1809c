"""What was measured of samples, picture by picture and column by column, and the rules they are held against."""

from __future__ import annotations

from datetime import date
from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.tables import EmbeddingSpace, Image
from app.database import Base, BigId, Moment, utc_now
from app.evaluation.tables import Sample, Suite
from app.people import Person
from app.training.tables import Checkpoint


class SampleMeasure(Base):
    """What was measured of one sample, by the same code that measures photos. `values` are raw numbers by name; rules
    are held against them when they are shown, so that a changed rule needs no new look.

    `failure` says why a picture could not be measured. `nearest_id` is the photo its run learned from that looks most
    like it, `nearest_similarity` the cosine of both in `space_id`, -1 to 1.
    """

    __tablename__ = "sample_measure"

    sample_id: Mapped[int] = mapped_column(ForeignKey(Sample.id, ondelete="CASCADE"), primary_key=True)
    version: Mapped[int]
    values: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    evidence: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)  # outline, boxes: in shares of the sides
    words: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB)  # lettering; None while it was not read
    failure: Mapped[str | None] = mapped_column(Text)
    space_id: Mapped[int | None] = mapped_column(ForeignKey(EmbeddingSpace.id))
    vector: Mapped[Any | None] = mapped_column(HALFVEC)
    nearest_id: Mapped[int | None] = mapped_column(ForeignKey(Image.id, ondelete="SET NULL"), index=True)
    nearest_similarity: Mapped[float | None]
    measured_at: Mapped[Moment] = mapped_column(default=utc_now)


class ColumnMetric(Base):
    """A number about all samples that one checkpoint drew of a suite, with its interval and how many it rests on.

    `made_with` is the hash of weights and library versions: numbers of two are never joined by a line.
    """

    __tablename__ = "column_metric"
    __table_args__ = (
        UniqueConstraint("suite_id", "checkpoint_id", "name", "made_with"),
        Index("ix_column_metric_checkpoint_id", "checkpoint_id"),
    )

    id: Mapped[BigId]
    suite_id: Mapped[int] = mapped_column(ForeignKey(Suite.id, ondelete="CASCADE"))
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey(Checkpoint.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    made_with: Mapped[str] = mapped_column(Text)
    value: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    count: Mapped[int]
    created_at: Mapped[Moment] = mapped_column(default=utc_now)


class RuleProfile(Base):
    """What a marketplace, or the house, asks of a picture; dated, with its source. An edit is a new row.

    `rules` are limits by the name of a rule of `app.evaluation.profiles`.
    """

    __tablename__ = "rule_profile"
    __table_args__ = (
        Index("uq_rule_profile_current", "key", unique=True, postgresql_where=text("superseded_at is null")),
        CheckConstraint("key ~ '^[a-z0-9_]{1,40}$'", name="key"),
    )

    id: Mapped[BigId]
    key: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    rules: Mapped[dict[str, Any]] = mapped_column(JSONB)
    source: Mapped[str] = mapped_column(Text)
    checked_on: Mapped[date]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    superseded_at: Mapped[Moment | None]
