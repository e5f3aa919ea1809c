"""Suites of prompts, sheets and samples."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, BigId, Moment, utc_now
from app.jobs import Job
from app.training.tables import Checkpoint, TrainingRun


class Suite(Base):
    """Fixed prompts, seeds and sampling settings. `content_hash` covers all three: a change is a new version."""

    __tablename__ = "suite"
    __table_args__ = (UniqueConstraint("name", "version"),)

    id: Mapped[BigId]
    name: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    content_hash: Mapped[str] = mapped_column(Text, unique=True)
    seeds: Mapped[list[int]] = mapped_column(ARRAY(BIGINT))
    sampling: Mapped[dict[str, Any]] = mapped_column(JSONB)  # steps, guidance, width_px, height_px
    created_at: Mapped[Moment] = mapped_column(default=utc_now)


class Prompt(Base):
    """One prompt of a suite. `atoms` are its claims for checks: object, colour, background, count ..."""

    __tablename__ = "prompt"
    __table_args__ = (UniqueConstraint("suite_id", "position"),)

    id: Mapped[BigId]
    suite_id: Mapped[int] = mapped_column(ForeignKey(Suite.id, ondelete="CASCADE"))
    position: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    category: Mapped[str] = mapped_column(Text)
    atoms: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)


class Sheet(Base):
    """A suite drawn by every checkpoint of a run, the base included."""

    __tablename__ = "sheet"
    __table_args__ = (UniqueConstraint("run_id", "suite_id"),)

    id: Mapped[BigId]
    run_id: Mapped[int] = mapped_column(ForeignKey(TrainingRun.id, ondelete="CASCADE"), index=True)
    suite_id: Mapped[int] = mapped_column(ForeignKey(Suite.id))
    job_id: Mapped[int | None] = mapped_column(ForeignKey(Job.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)


class Sample(Base):
    """One drawn picture: this checkpoint, this prompt, this seed. Never redrawn in place."""

    __tablename__ = "sample"
    __table_args__ = (UniqueConstraint("sheet_id", "checkpoint_id", "prompt_id", "seed"),)

    id: Mapped[BigId]
    sheet_id: Mapped[int] = mapped_column(ForeignKey(Sheet.id, ondelete="CASCADE"), index=True)
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey(Checkpoint.id, ondelete="CASCADE"), index=True)
    prompt_id: Mapped[int] = mapped_column(ForeignKey(Prompt.id, ondelete="CASCADE"))
    seed: Mapped[int] = mapped_column(BIGINT)
    sha256: Mapped[str] = mapped_column(Text)
    width_px: Mapped[int]
    height_px: Mapped[int]
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
