"""Training runs, their append-only events and their checkpoints."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, BigId, Moment, utc_now
from app.datasets.tables import DatasetVersion
from app.jobs import Job
from app.people import Person


class TrainingRun(Base):
    """One training run: a dataset version, a base and a resolved recipe. `folder` is relative to the data folder."""

    __tablename__ = "training_run"
    __table_args__ = (
        CheckConstraint(
            "state in ('queued','running','stopping','completed','stopped','discarded','failed')", name="state"
        ),
    )

    id: Mapped[BigId]
    version_id: Mapped[int] = mapped_column(ForeignKey(DatasetVersion.id), index=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey(Job.id))
    base: Mapped[str] = mapped_column(Text)
    recipe: Mapped[dict[str, Any]] = mapped_column(JSONB)
    recipe_hash: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, default="queued")
    reason: Mapped[str | None] = mapped_column(Text)  # why it ended, in a sentence
    step: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    started_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]


class RunEvent(Base):
    """One piece of news of a run, numbered without gaps by the trainer. Kinds: `workers/finetune/report.py`."""

    __tablename__ = "run_event"

    run_id: Mapped[int] = mapped_column(ForeignKey(TrainingRun.id, ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    at: Mapped[Moment]
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)


class Checkpoint(Base):
    """Saved weights of a run at a step. Step 0 is the base model itself, so that a sheet always has its column."""

    __tablename__ = "checkpoint"
    __table_args__ = (UniqueConstraint("run_id", "step"),)

    id: Mapped[BigId]
    run_id: Mapped[int] = mapped_column(ForeignKey(TrainingRun.id, ondelete="CASCADE"), index=True)
    step: Mapped[int]
    folder: Mapped[str | None] = mapped_column(Text)  # relative to the data folder; None for the base
    size_bytes: Mapped[int] = mapped_column(default=0)
    validation_loss: Mapped[float | None]
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
