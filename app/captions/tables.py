"""Captions: an append-only history; the current one is the row not superseded. And what each says wrong."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.tables import Catalog, Image
from app.database import Base, BigId, Moment, utc_now
from app.people import Person

MAX_CHARACTERS = 4000


class Caption(Base):
    """What an image is said to show. By a captioner, a person, or a file beside it; never edited, only superseded."""

    __tablename__ = "caption"
    __table_args__ = (
        CheckConstraint("written_by in ('captioner','person','given')", name="written_by"),
        CheckConstraint(f"length(text) <= {MAX_CHARACTERS}", name="length"),
        Index("uq_caption_current", "image_id", unique=True, postgresql_where=text("superseded_at is null")),
        # For taking back: a person's newest caption among a million.
        Index("ix_caption_person_id_id", "person_id", "id", postgresql_where=text("person_id is not null")),
        # For deleting: the database looks for what follows from a caption.
        Index("ix_caption_parent_id", "parent_id", postgresql_where=text("parent_id is not null")),
    )

    id: Mapped[BigId]
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), index=True)
    text: Mapped[str] = mapped_column(Text)
    written_by: Mapped[str] = mapped_column(Text)
    person_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    captioner: Mapped[str | None] = mapped_column(Text)  # "facts", or the model's name
    # What made it: of a captioner its knobs, of a given caption the file it stood in ("file") and the line ("line").
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("caption.id"))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    superseded_at: Mapped[Moment | None]
    undone_at: Mapped[Moment | None]  # taken back, with the operation that wrote it
    operation_id: Mapped[int | None] = mapped_column(BigInteger)


class CaptionCheck(Base):
    """What a caption says otherwise than was measured, kept so that rules over many photos need not read texts again.

    It holds for that caption beside those measurements, by that version of the captions' rules; otherwise it is stale.
    """

    __tablename__ = "caption_check"

    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True)
    caption_id: Mapped[int] = mapped_column(ForeignKey(Caption.id, ondelete="CASCADE"), index=True)
    measured_at: Mapped[Moment]  # as the signals have it
    version: Mapped[int]
    contradiction: Mapped[str | None] = mapped_column(Text)  # the first finding in a sentence; None: nothing disagrees


class NamingRule(Base):
    """How a catalog's file names say what photos show, as a person saw it on examples and accepted it. Append-only.

    `rule` is a key of `naming_rules.RULES`; None takes the rule before it back. `examples` are the photos that the
    person saw: pairs of a file name and the name taken from it, None where there was none.
    """

    __tablename__ = "naming_rule"
    __table_args__ = (
        Index("uq_naming_rule_current", "catalog_id", unique=True, postgresql_where=text("superseded_at is null")),
    )

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id, ondelete="CASCADE"), index=True)
    rule: Mapped[str | None] = mapped_column(Text)
    examples: Mapped[list[list[str | None]]] = mapped_column(JSONB)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    superseded_at: Mapped[Moment | None]
