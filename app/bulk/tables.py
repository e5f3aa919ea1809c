"""Files of captions or labels that were read and shown, before they become an operation."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.captions.tables import Kind
from app.catalog.tables import Catalog, Image
from app.database import Base, BigId, Moment, utc_now
from app.people import Person


class FileImport(Base):
    """A file as it was read, of `subject` "captions" or "labels". `assumed` are sentences on how; of `refused` rows,
    which name no photo or say nothing that can be kept, the first are `named`. `operation_id` is what it became, None
    while it is only shown."""

    __tablename__ = "file_import"
    __table_args__ = (Index("ix_file_import_catalog_id_person_id", "catalog_id", "person_id"),)

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id, ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    subject: Mapped[str] = mapped_column(Text)
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

    import_id: Mapped[int] = mapped_column(ForeignKey(FileImport.id, ondelete="CASCADE"), primary_key=True)
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


class ImportedLabel(Base):
    """A label in such a file, of a photo that is here, or only named, without one; gone once it was done.

    An empty `label` names a set alone. `set_key` and `label_key` are the names as they are compared; `set_id` and
    `value_id` are told once what the file names is there.
    """

    __tablename__ = "imported_label"

    import_id: Mapped[int] = mapped_column(ForeignKey(FileImport.id, ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    line: Mapped[int]
    image_id: Mapped[int | None] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), index=True)
    set_name: Mapped[str] = mapped_column(Text)
    set_key: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    key: Mapped[str] = mapped_column(Text)
    label: Mapped[str] = mapped_column(Text)
    label_key: Mapped[str] = mapped_column(Text)
    is_retired: Mapped[bool]
    set_id: Mapped[int | None] = mapped_column(BigInteger)
    value_id: Mapped[int | None] = mapped_column(BigInteger)
