"""The table of mends: what people did to pictures instead of rejecting them. Only ever appended."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.tables import Image
from app.database import Base, BigId, Moment, utc_now
from app.jobs import Job
from app.people import Person


class Mend(Base):
    """One way to show a photo, made from its picture as taken in; the newest is the one not superseded.

    The oldest of a photo has an empty `edits`: the picture as taken in, with the `outline` measured on it. `edits`
    otherwise is a `catalog.mends.Edits`. `mask_sha256` is a grey PNG in the frame as taken in, 255 where the product
    is; `mended_mask_sha256` the same in the mended frame. Paths, sizes in px and the last three are None until a worker
    has made the picture. `made_bytes` is the disk that its files take. `restores_id`: an earlier one, used again.
    """

    __tablename__ = "mend"
    __table_args__ = (
        Index("ix_mend_current", "image_id", unique=True, postgresql_where=text("superseded_at is null")),
        Index("ix_mend_image_id_id", "image_id", "id"),
    )

    id: Mapped[BigId]
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    made_at: Mapped[Moment] = mapped_column(default=utc_now)
    superseded_at: Mapped[Moment | None]
    job_id: Mapped[int | None] = mapped_column(ForeignKey(Job.id))
    restores_id: Mapped[int | None] = mapped_column(ForeignKey("mend.id", ondelete="SET NULL"))
    edits: Mapped[dict[str, Any]] = mapped_column(JSONB)
    mask_sha256: Mapped[str | None] = mapped_column(Text)
    outline: Mapped[str | None] = mapped_column(Text)
    width_px: Mapped[int | None]
    height_px: Mapped[int | None]
    made_bytes: Mapped[int] = mapped_column(default=0, server_default="0")
    render_path: Mapped[str | None] = mapped_column(Text)
    thumb_sha256: Mapped[str | None] = mapped_column(Text)
    view_sha256: Mapped[str | None] = mapped_column(Text)
    mended_mask_sha256: Mapped[str | None] = mapped_column(Text)
