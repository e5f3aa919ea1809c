"""The table of corrections: what people put in place of what a catalogue says of a photo, as a history."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.tables import Image
from app.database import Base, BigId, Moment, utc_now
from app.people import Person


class Correction(Base):
    """One fact of a photo as a person put it (None: there is none), and what stood there `before`.

    While one is current, no file changes that fact. The current one is the row not superseded.
    """

    __tablename__ = "correction"
    __table_args__ = (
        Index("uq_correction_current", "image_id", "fact", unique=True, postgresql_where=text("superseded_at is null")),
        Index("ix_correction_person_id_id", "person_id", "id"),
        # For deleting: the database looks for what follows from a correction.
        Index("ix_correction_parent_id", "parent_id", postgresql_where=text("parent_id is not null")),
    )

    id: Mapped[BigId]
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), index=True)
    fact: Mapped[str] = mapped_column(Text)
    value: Mapped[str | None] = mapped_column(Text)
    before: Mapped[str | None] = mapped_column(Text)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("correction.id"))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    superseded_at: Mapped[Moment | None]
    undone_at: Mapped[Moment | None]
