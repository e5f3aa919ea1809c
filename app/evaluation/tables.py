"""Suites of prompts, sheets with their columns, samples, and the real photos that stand beside them."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.tables import Catalog, Image
from app.database import Base, BigId, Moment, utc_now
from app.jobs import Job
from app.people import Person
from app.training.tables import Checkpoint, TrainingRun

ColumnKind = Literal["checkpoint", "photos"]


class Suite(Base):
    """Fixed prompts, seeds and sampling settings. `content_hash` covers all of it: a change is a new version.

    `sampling`: steps, guidance, width_px, height_px, sampler. Results of two versions never share a curve.
    """

    __tablename__ = "suite"
    __table_args__ = (UniqueConstraint("name", "version"),)

    id: Mapped[BigId]
    catalog_id: Mapped[int | None] = mapped_column(ForeignKey(Catalog.id, ondelete="SET NULL"), index=True)
    name: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    content_hash: Mapped[str] = mapped_column(Text, unique=True)
    seeds: Mapped[list[int]] = mapped_column(ARRAY(BIGINT))
    sampling: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)


class Prompt(Base):
    """One prompt of a suite. `atoms` are its claims for checks: object, colour, background, count, text ...

    `tier` is the smallest tier that draws it. `weight` is what it counts for beside the others of its suite.
    `is_seen`: whether models of the catalog learn from such photos; None where that is not known.
    """

    __tablename__ = "prompt"
    __table_args__ = (
        UniqueConstraint("suite_id", "position"),
        CheckConstraint("tier in ('preview','quick','full','hold_out')", name="tier"),
        CheckConstraint("weight > 0", name="weight"),
    )

    id: Mapped[BigId]
    suite_id: Mapped[int] = mapped_column(ForeignKey(Suite.id, ondelete="CASCADE"))
    position: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    category: Mapped[str] = mapped_column(Text)
    atoms: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    tier: Mapped[str] = mapped_column(Text, default="full", server_default="full")
    weight: Mapped[float] = mapped_column(default=1.0, server_default="1")
    is_seen: Mapped[bool | None]


class PromptPhoto(Base):
    """A real photo that shows what a prompt asks for: the ceiling beside what was drawn, never learned from."""

    __tablename__ = "prompt_photo"
    __table_args__ = (UniqueConstraint("prompt_id", "position"),)

    id: Mapped[BigId]
    prompt_id: Mapped[int] = mapped_column(ForeignKey(Prompt.id, ondelete="CASCADE"))
    position: Mapped[int]  # 0 stands beside the suite's first seed
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), index=True)


class Sheet(Base):
    """A suite drawn by columns: by every checkpoint of a run, or by those that people chose.

    The sheet of a run (`run_id`) has no `SheetColumn`s of its own: its columns are the run's checkpoints, chosen anew
    as they come. Any other has the columns that it was made with.
    """

    __tablename__ = "sheet"
    __table_args__ = (UniqueConstraint("run_id", "suite_id"),)

    id: Mapped[BigId]
    run_id: Mapped[int | None] = mapped_column(ForeignKey(TrainingRun.id, ondelete="CASCADE"), index=True)
    suite_id: Mapped[int] = mapped_column(ForeignKey(Suite.id))
    job_id: Mapped[int | None] = mapped_column(ForeignKey(Job.id))
    name: Mapped[str | None] = mapped_column(Text)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)


class SheetColumn(Base):
    """A column of a sheet that people put together: a checkpoint of any run (step 0: its base), or real photos.

    `tier` is how much of the suite it draws.
    """

    __tablename__ = "sheet_column"
    __table_args__ = (
        UniqueConstraint("sheet_id", "position"),
        Index("uq_sheet_column_checkpoint", "sheet_id", "checkpoint_id", unique=True),
        CheckConstraint("(kind = 'checkpoint') = (checkpoint_id is not null)", name="kind"),
        CheckConstraint("tier in ('preview','quick','full','hold_out')", name="tier"),
    )

    id: Mapped[BigId]
    sheet_id: Mapped[int] = mapped_column(ForeignKey(Sheet.id, ondelete="CASCADE"))
    position: Mapped[int]
    kind: Mapped[str] = mapped_column(Text, default="checkpoint")
    checkpoint_id: Mapped[int | None] = mapped_column(ForeignKey(Checkpoint.id, ondelete="CASCADE"), index=True)
    tier: Mapped[str] = mapped_column(Text, default="full")


class Sample(Base):
    """One drawn picture: this checkpoint, this prompt, this seed. Never redrawn in place; sheets share it.

    `made_with` tells what drew it: library versions, device, dtype.
    """

    __tablename__ = "sample"
    __table_args__ = (UniqueConstraint("checkpoint_id", "prompt_id", "seed"),)

    id: Mapped[BigId]
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey(Checkpoint.id, ondelete="CASCADE"))
    prompt_id: Mapped[int] = mapped_column(ForeignKey(Prompt.id, ondelete="CASCADE"), index=True)
    seed: Mapped[int] = mapped_column(BIGINT)
    sha256: Mapped[str] = mapped_column(Text)
    width_px: Mapped[int]
    height_px: Mapped[int]
    made_with: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
