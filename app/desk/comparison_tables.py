"""Tables of captioner comparisons: two caption runs over one sample of photos, and what people voted, blind."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.captions.run_tables import CaptionRun
from app.catalog.tables import Catalog, Image
from app.database import Base, BigId, Moment, utc_now
from app.people import Person

Choice = Literal["a", "b", "tie", "neither"]


class CaptionerComparison(Base):
    """Two captioners, or one asked in two ways, on a sample of a selection, before either is adopted for all of it.

    `seed` draws the sample and, for each judge and photo, which side is which. `operation_id` is the act by which one
    (`adopted`) was adopted.
    """

    __tablename__ = "captioner_comparison"
    __table_args__ = (
        CheckConstraint("adopted in ('a','b')", name="adopted"),
        Index("ix_captioner_comparison_catalog_id_id", "catalog_id", "id"),
        Index("ix_captioner_comparison_a_id", "a_id"),
        Index("ix_captioner_comparison_b_id", "b_id"),
    )

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id, ondelete="CASCADE"))
    query: Mapped[str] = mapped_column(Text)
    photos: Mapped[int]  # of the selection, when the sample was drawn
    a_id: Mapped[int] = mapped_column(ForeignKey(CaptionRun.id, ondelete="CASCADE"))
    b_id: Mapped[int] = mapped_column(ForeignKey(CaptionRun.id, ondelete="CASCADE"))
    seed: Mapped[int] = mapped_column(BigInteger)
    created_by_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    adopted: Mapped[str | None] = mapped_column(Text)
    adopted_at: Mapped[Moment | None]
    operation_id: Mapped[int | None] = mapped_column(BigInteger)


class ComparedPhoto(Base):
    """A photo of a comparison's sample, at its place."""

    __tablename__ = "compared_photo"

    comparison_id: Mapped[int] = mapped_column(ForeignKey(CaptionerComparison.id, ondelete="CASCADE"), primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True, index=True)
    place: Mapped[int]


class CaptionVote(Base):
    """Which of two captions a person found better for a photo, without knowing whose they were. One each; a second
    thought takes the place of the first. `taken_a` and `taken_b` are words that the person took over from each."""

    __tablename__ = "caption_vote"
    __table_args__ = (
        CheckConstraint("choice in ('a','b','tie','neither')", name="choice"),
        UniqueConstraint("comparison_id", "image_id", "person_id", name="uq_caption_vote_one_each"),
        Index("ix_caption_vote_person_id_id", "person_id", "id"),
    )

    id: Mapped[BigId]
    comparison_id: Mapped[int] = mapped_column(ForeignKey(CaptionerComparison.id, ondelete="CASCADE"))
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    choice: Mapped[Choice] = mapped_column(Text)
    taken_a: Mapped[int | None]
    taken_b: Mapped[int | None]
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
