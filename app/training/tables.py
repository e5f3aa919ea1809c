"""Training runs, their append-only events and their checkpoints."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, BigId, Moment, utc_now
from app.datasets.tables import DatasetVersion
from app.jobs import Job
from app.people import Person


class Preflight(Base):
    """A recipe tried on the device before it costs a run: what the checks found and what a few real steps measured."""

    __tablename__ = "preflight"
    __table_args__ = (
        CheckConstraint("state in ('queued','running','passed','refused','failed','cancelled')", name="state"),
        Index("ix_preflight_version_id_recipe_hash", "version_id", "recipe_hash"),
    )

    id: Mapped[BigId]
    version_id: Mapped[int] = mapped_column(ForeignKey(DatasetVersion.id))
    job_id: Mapped[int | None] = mapped_column(ForeignKey(Job.id))
    base: Mapped[str] = mapped_column(Text)
    recipe: Mapped[dict[str, Any]] = mapped_column(JSONB)
    recipe_hash: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, default="queued")
    reason: Mapped[str | None] = mapped_column(Text)  # why it was refused or failed, in a sentence
    measured: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)  # `app/launch/estimate.py` reads it
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list)  # of `app/launch/checks.py`
    alternatives: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list)  # measured, where it does not fit
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    ended_at: Mapped[Moment | None]


class TrainingRun(Base):
    """One training run: a dataset version, a base and a resolved recipe. `folder` is relative to the data folder."""

    __tablename__ = "training_run"
    __table_args__ = (
        CheckConstraint(
            "state in ('queued','running','paused','stopping','completed','stopped','discarded','failed')",
            name="state",
        ),
    )

    id: Mapped[BigId]
    version_id: Mapped[int] = mapped_column(ForeignKey(DatasetVersion.id), index=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey(Job.id))
    base: Mapped[str] = mapped_column(Text)
    recipe: Mapped[dict[str, Any]] = mapped_column(JSONB)
    recipe_hash: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, default="queued")
    reason: Mapped[str | None] = mapped_column(Text)  # why it ended or is paused, in a sentence
    cause: Mapped[str | None] = mapped_column(Text)  # the same in a word, one of `app.training.runs.Cause`
    step: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int]
    resumptions: Mapped[int] = mapped_column(default=0, server_default="0")  # begun again without being asked
    # The hard stop: seconds on the device, set-up, sampling and retries included, and the money they may cost.
    max_seconds: Mapped[float | None]
    max_amount: Mapped[Decimal | None] = mapped_column(Numeric(12, 4))
    hour_price: Mapped[Decimal | None] = mapped_column(
        Numeric(12, 4)
    )  # of an hour on all its devices, when it was launched
    # What was estimated at the launch, beside what it took: seconds on the device.
    preflight_id: Mapped[int | None] = mapped_column(ForeignKey(Preflight.id))
    estimated_s: Mapped[float | None]
    estimated_low_s: Mapped[float | None]
    estimated_high_s: Mapped[float | None]
    estimated_from: Mapped[str | None] = mapped_column(Text)  # the basis, in words
    actual_s: Mapped[float | None]  # of the attempts that have ended
    billed_attempt: Mapped[str | None] = mapped_column(Text)  # the last one counted: a attempt is billed once
    # Seconds last seen for a step, a save and the finished model: `app/training/limits.py` reads it.
    pace: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default=text("'{}'"))
    stop_asked_at: Mapped[Moment | None]
    stop_bound_s: Mapped[float | None]  # what was promised then: seconds until it has stopped
    peak_bytes: Mapped[int | None] = mapped_column(BigInteger)  # of the device's memory, or of main memory without one
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    started_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
    # Since when one of its checkpoints is, or was, a live model: from then on nothing of the run changes.
    shipped_at: Mapped[Moment | None]


class RunEvent(Base):
    """One event of a run, numbered without gaps by the trainer. Kinds: `workers/finetune/report.py`."""

    __tablename__ = "run_event"
    __table_args__ = (
        # A long run has 100,000 steps and signs of life, and a few hundred milestones that its page asks for.
        Index("ix_run_event_milestone", "run_id", "seq", postgresql_where=text("kind <> 'step' and kind <> 'phase'")),
    )

    run_id: Mapped[int] = mapped_column(ForeignKey(TrainingRun.id, ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    at: Mapped[Moment]
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)


IS_MILESTONE = text("run_event.kind <> 'step' and run_event.kind <> 'phase'")
"""A condition on events: in `ix_run_event_milestone`. In the database's own words, so that it takes this small index
also where it plans a query once for all values; without it, looking for the last start walks through all steps."""


class RunRollup(Base):
    """Consecutive `step` events of a run in one row, so that its curves are drawn from few rows however long it is.

    Derived from the events by `app/training/rollups.py`, and cut back with the run. `seq` is the last event's. The
    arrays hold one value for each of its SERIES: how many events told it, and its least, mean and greatest value.
    """

    __tablename__ = "run_rollup"

    run_id: Mapped[int] = mapped_column(ForeignKey(TrainingRun.id, ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    first_seq: Mapped[int]
    first_step: Mapped[int]
    step: Mapped[int]
    at: Mapped[Moment]
    counts: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    low: Mapped[list[float | None]] = mapped_column(ARRAY(Float))
    mean: Mapped[list[float | None]] = mapped_column(ARRAY(Float))
    high: Mapped[list[float | None]] = mapped_column(ARRAY(Float))


class RunNote(Base):
    """What was seen of a run from outside its trainer: found again, hanging, ended by force, begun again, paused."""

    __tablename__ = "run_note"

    id: Mapped[BigId]
    run_id: Mapped[int] = mapped_column(ForeignKey(TrainingRun.id, ondelete="CASCADE"), index=True)
    at: Mapped[Moment] = mapped_column(default=utc_now)
    kind: Mapped[str] = mapped_column(Text)
    sentence: Mapped[str] = mapped_column(Text)


class Checkpoint(Base):
    """Saved weights of a run at a step. Step 0 is the base model itself, so that a sheet always has its column."""

    __tablename__ = "checkpoint"
    __table_args__ = (UniqueConstraint("run_id", "step"),)

    id: Mapped[BigId]
    run_id: Mapped[int] = mapped_column(ForeignKey(TrainingRun.id, ondelete="CASCADE"), index=True)
    step: Mapped[int]
    folder: Mapped[str | None] = mapped_column(Text)  # relative to the data folder; None for the base
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)  # a whole denoiser has more than 2 GB
    validation_loss: Mapped[float | None]
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
