"""The timed cycle and what its jobs cost."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import ForeignKey, Index, Numeric, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.tables import Catalog
from app.database import Base, BigId, Moment, utc_now
from app.jobs import Job


class Cycle(Base):
    """One timed day from photos to a model, with a budget. One is current: the one not ended."""

    __tablename__ = "cycle"
    __table_args__ = (
        Index("uq_cycle_current", text("(true)"), unique=True, postgresql_where=text("ended_at is null")),
    )

    id: Mapped[BigId]
    number: Mapped[int] = mapped_column(unique=True)
    catalog_id: Mapped[int | None] = mapped_column(ForeignKey(Catalog.id))
    hours: Mapped[int]
    budget: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    currency: Mapped[str] = mapped_column(Text)
    started_at: Mapped[Moment] = mapped_column(default=utc_now)
    ended_at: Mapped[Moment | None]


class LedgerEntry(Base):
    """What one attempt at a job cost: device seconds and, where a price is set, money."""

    __tablename__ = "ledger_entry"

    id: Mapped[BigId]
    cycle_id: Mapped[int] = mapped_column(ForeignKey(Cycle.id), index=True)
    job_id: Mapped[int] = mapped_column(ForeignKey(Job.id), index=True)
    seconds: Mapped[float]
    amount: Mapped[Decimal | None] = mapped_column(Numeric(12, 4))
    at: Mapped[Moment] = mapped_column(default=utc_now)
