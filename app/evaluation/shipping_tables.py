"""What is asked for before a checkpoint ships."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.tables import Catalog
from app.database import Base, BigId, Moment, utc_now
from app.evaluation.promotion_tables import Promotion
from app.evaluation.tables import Sheet
from app.people import Person
from app.training.tables import Checkpoint

CandidacyEnd = Literal["signed", "declined", "withdrawn"]


class Candidacy(Base):
    """A checkpoint that somebody asks to be made live, until an owner signs or declines it. One is open at a time.

    `promotion_id` is what came of one that was signed. `note` is the asker's, `answer` of whoever ended it.
    """

    __tablename__ = "candidacy"
    __table_args__ = (
        Index("uq_candidacy_open", "checkpoint_id", unique=True, postgresql_where=text("ended_at is null")),
        CheckConstraint("outcome in ('signed','declined','withdrawn')", name="outcome"),
        CheckConstraint("(ended_at is null) = (outcome is null)", name="end"),
        Index("ix_candidacy_catalog_id", "catalog_id"),
        Index("ix_candidacy_sheet_id", "sheet_id"),
        Index("ix_candidacy_promotion_id", "promotion_id"),
    )

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id, ondelete="CASCADE"))
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey(Checkpoint.id, ondelete="CASCADE"))
    sheet_id: Mapped[int | None] = mapped_column(ForeignKey(Sheet.id, ondelete="SET NULL"))
    note: Mapped[str] = mapped_column(Text, default="")
    asked_by_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    ended_at: Mapped[Moment | None]
    ended_by_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    outcome: Mapped[str | None] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text, default="")
    promotion_id: Mapped[int | None] = mapped_column(ForeignKey(Promotion.id, ondelete="CASCADE"))
