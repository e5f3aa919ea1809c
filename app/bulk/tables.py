"""Files of captions that were read and shown, before they become an operation."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.captions.tables import Kind
from app.catalog.tables import Catalog, Image
from app.database import Base, BigId, Moment, utc_now
from app.people import Person


class CaptionImport(Base):
    """A file of captions as it was read. `assumed` are sentences on how; of `refused` rows, which name no photo or say
    nothing that can be kept, the first are `named`. `operation_id` is what it became, None while it is only shown."""

    __tablename__ = "caption_import"
    __table_args__ = (Index("ix_caption_import_catalog_id_person_id", "catalog_id", "person_id"),)

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id, ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    file: Mapped[str] = mapped_column(Text)
    assumed: Mapped[list[str]] = mapped_column(JSONB, default=list)
    refused: Mapped[int] = mapped_column(default=0)
    unknown: Mapped[int] = mapped_column(default=0)  # of the refused, those that name no photo of the catalog
    named: Mapped[list[str]] = mapped_column(JSONB, default=list)
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    operation_id: Mapped[int | None] = mapped_column(BigInteger)


class ImportedCaption(Base):
    """A caption in such a file, of a photo that is here; gone once it was done. Columns are those of `CaptionText`;
    `at` is None where the file tells no time, and a text with `until` is one of the history."""

    __tablename__ = "imported_caption"

    import_id: Mapped[int] = mapped_column(ForeignKey(CaptionImport.id, ondelete="CASCADE"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), index=True)
    kind: Mapped[Kind] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    written_by: Mapped[str] = mapped_column(Text)
    person_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    captioner: Mapped[str | None] = mapped_column(Text)
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB)
    at: Mapped[Moment | None]
    version: Mapped[int | None]
    parent: Mapped[int | None]
    until: Mapped[Moment | None]
    taken_back: Mapped[Moment | None]
