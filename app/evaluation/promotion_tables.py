"""What decides that a checkpoint ships, and which one did."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.tables import Catalog
from app.database import Base, BigId, Moment, utc_now
from app.evaluation.tables import Sheet, Suite
from app.people import Person
from app.training.tables import Checkpoint

EndCause = Literal["replaced", "rolled_back", "withdrawn"]


class Gate(Base):
    """The limits that a sheet's candidates are held against, set before anybody votes. A change is a new row.

    `settings` are those of `app.evaluation.gates`; `baseline_id` is the checkpoint they are compared with; `note` says
    why they were changed, where votes were in.
    """

    __tablename__ = "gate"
    __table_args__ = (
        Index("uq_gate_current", "sheet_id", unique=True, postgresql_where=text("superseded_at is null")),
    )

    id: Mapped[BigId]
    sheet_id: Mapped[int] = mapped_column(ForeignKey(Sheet.id, ondelete="CASCADE"))
    baseline_id: Mapped[int | None] = mapped_column(ForeignKey(Checkpoint.id, ondelete="CASCADE"), index=True)
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB)
    note: Mapped[str] = mapped_column(Text, default="", server_default="")
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    superseded_at: Mapped[Moment | None]


class HoldOutUse(Base):
    """The hold-out prompts of a suite, opened for a sheet: what was seen of them cannot be unseen, so it is counted."""

    __tablename__ = "hold_out_use"
    __table_args__ = (Index("uq_hold_out_use", "suite_id", "sheet_id", unique=True),)

    id: Mapped[BigId]
    suite_id: Mapped[int] = mapped_column(ForeignKey(Suite.id, ondelete="CASCADE"))
    sheet_id: Mapped[int] = mapped_column(ForeignKey(Sheet.id, ondelete="CASCADE"), index=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)


class Promotion(Base):
    """A checkpoint made the live model of a catalog, with the verdict it was signed off on. One is live at a time.

    `verdict` is the gate's table as it stood. Rolling back is a new row for an earlier checkpoint (`rolls_back_id`).
    """

    __tablename__ = "promotion"
    __table_args__ = (
        Index("uq_promotion_live", "catalog_id", unique=True, postgresql_where=text("ended_at is null")),
        CheckConstraint("end_cause in ('replaced','rolled_back','withdrawn')", name="end_cause"),
        Index("ix_promotion_checkpoint_id", "checkpoint_id"),
        Index("ix_promotion_sheet_id", "sheet_id"),
    )

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id, ondelete="CASCADE"))
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey(Checkpoint.id))
    sheet_id: Mapped[int | None] = mapped_column(ForeignKey(Sheet.id, ondelete="SET NULL"))
    verdict: Mapped[dict[str, Any]] = mapped_column(JSONB)
    note: Mapped[str] = mapped_column(Text, default="")
    rolls_back_id: Mapped[int | None] = mapped_column(ForeignKey("promotion.id", ondelete="SET NULL"))
    signed_by_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    ended_at: Mapped[Moment | None]
    ended_by_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    end_cause: Mapped[str | None] = mapped_column(Text)
