"""Tables of caption runs: what a captioner was asked for some photos, and what it answered to each. Append-only."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Numeric, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.captions.tables import Kind
from app.catalog.tables import Catalog, Image
from app.database import Base, BigId, Moment, utc_now
from app.jobs import Job
from app.people import Person


class CaptionRun(Base):
    """One captioner, asked in one way, over photos of a catalog.

    Its answers become current captions as they come, unless it `is_apart`: then they are only kept, to be compared
    first. With an `image_id` it is of that photo alone, and its answer is shown there. `place` is where it runs:
    `facts` (the database alone), `device`, or `server`. `asking` is an `app.captions.asking.Asking`. `tokens_in`,
    `tokens_out` and `spent` count all that was asked, also what came to nothing.
    """

    __tablename__ = "caption_run"
    __table_args__ = (
        CheckConstraint("place in ('facts','device','server')", name="place"),
        # A job, or an act with all its jobs, is one run, however often it is taken up again.
        Index("uq_caption_run_job_id", "job_id", unique=True, postgresql_where=text("job_id is not null")),
        Index(
            "uq_caption_run_operation_id", "operation_id", unique=True,
            postgresql_where=text("operation_id is not null"),
        ),
        Index("ix_caption_run_catalog_id_id", "catalog_id", "id"),
        Index("ix_caption_run_image_id", "image_id", "id", postgresql_where=text("image_id is not null")),
    )  # fmt: skip

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id, ondelete="CASCADE"))
    captioner: Mapped[str] = mapped_column(Text)
    place: Mapped[str] = mapped_column(Text)
    asking: Mapped[dict[str, Any]] = mapped_column(JSONB)
    is_apart: Mapped[bool] = mapped_column(default=False)
    person_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    job_id: Mapped[int | None] = mapped_column(ForeignKey(Job.id))
    operation_id: Mapped[int | None] = mapped_column(BigInteger)
    image_id: Mapped[int | None] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    tokens_in: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    tokens_out: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    spent: Mapped[Decimal] = mapped_column(Numeric(14, 6), default=Decimal(0), server_default="0")


class CaptionOffer(Base):
    """What a run's captioner wrote of a photo: a text for each kind that was asked for; or, where `texts` is empty, why
    there is none (`failure`). A photo that is asked about again has a newer one."""

    __tablename__ = "caption_offer"
    __table_args__ = (Index("ix_caption_offer_image_id", "image_id"),)

    run_id: Mapped[int] = mapped_column(ForeignKey(CaptionRun.id, ondelete="CASCADE"), primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True)
    texts: Mapped[dict[Kind, str]] = mapped_column(JSONB)
    failure: Mapped[str] = mapped_column(Text, server_default="")
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB)  # as of a caption: the prompt as it was put, and all knobs
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
