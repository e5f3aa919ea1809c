"""Exports of frozen versions: what was asked for, by which job it is written, and what came of it."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, BigId, Moment, utc_now
from app.datasets.tables import DatasetVersion
from app.jobs import Job


class Export(Base):
    """One version in one format, in a folder of its own under `exports/`. What is counted is None until it is whole.

    `repeats`: how often kohya's trainers see a photo in an epoch. `leaves_out`: photos whose files are missing or not
    the frozen ones are left out and named in `left_out`; otherwise they fail the export.
    """

    __tablename__ = "export"
    __table_args__ = (
        CheckConstraint("format in ('webdataset','imagefolder','parquet','mds','kohya')", name="format"),
        CheckConstraint("repeats between 1 and 1000", name="repeats"),
    )

    id: Mapped[BigId]
    version_id: Mapped[int] = mapped_column(ForeignKey(DatasetVersion.id, ondelete="CASCADE"), index=True)
    format: Mapped[str] = mapped_column(Text)
    repeats: Mapped[int] = mapped_column(default=1)
    leaves_out: Mapped[bool] = mapped_column(default=False)
    job_id: Mapped[int] = mapped_column(ForeignKey(Job.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    photos: Mapped[int | None]
    files: Mapped[int | None]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    left_out: Mapped[list[str]] = mapped_column(JSONB, default=list)
    finished_at: Mapped[Moment | None]
