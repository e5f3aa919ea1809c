"""Decisions: an append-only history; the current one is the row not superseded."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.tables import Image
from app.database import Base, BigId, Moment, utc_now
from app.people import Person


class Decision(Base):
    """What a person, or a review rule, decided about an image. A person's decision is never replaced by a rule's."""

    __tablename__ = "decision"
    __table_args__ = (
        CheckConstraint("verdict in ('kept','rejected','needs_work')", name="verdict"),
        CheckConstraint("(person_id is null) = (rule is not null)", name="one_author"),
        Index("uq_decision_current", "image_id", unique=True, postgresql_where=text("superseded_at is null")),
        Index("ix_decision_person_id_id", "person_id", "id"),
    )

    id: Mapped[BigId]
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), index=True)
    verdict: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    person_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    rule: Mapped[str | None] = mapped_column(Text)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("decision.id"))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    superseded_at: Mapped[Moment | None]
    undone_at: Mapped[Moment | None]
