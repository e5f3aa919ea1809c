"""Tables of labels: the sets that a team defines for a catalog, their values, and what people said of each photo."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Computed, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.catalog.tables import Catalog, Image
from app.database import Base, BigId, Moment, utc_now
from app.people import Person


class LabelSet(Base):
    """One question that a team asks of the photos of a catalog. A retired one is asked no more; what was said stays.

    Names are one where people take them for the same; a retired set keeps its name, so that a filter means one set.
    """

    __tablename__ = "label_set"
    __table_args__ = (
        CheckConstraint("kind in ('one','many','yes_no','text')", name="kind"),
        UniqueConstraint("catalog_id", "name_key", name="uq_label_set_name"),
        Index(
            "uq_label_set_key", "catalog_id", "key", unique=True, postgresql_where=text("retired_at is null"),
        ),
    )  # fmt: skip

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Text, Computed("label_key(name)", persisted=True))
    kind: Mapped[str] = mapped_column(Text)
    key: Mapped[str | None] = mapped_column(Text)
    position: Mapped[int]
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    retired_at: Mapped[Moment | None]
    values: Mapped[list[LabelValue]] = relationship(order_by="(LabelValue.position, LabelValue.id)", viewonly=True)


class LabelValue(Base):
    """One label of a set; of a set of free text, each text that somebody wrote."""

    __tablename__ = "label_value"
    __table_args__ = (UniqueConstraint("set_id", "name_key", name="uq_label_value_name"),)

    id: Mapped[BigId]
    set_id: Mapped[int] = mapped_column(ForeignKey(LabelSet.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Text, Computed("label_key(name)", persisted=True))
    position: Mapped[int]
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    retired_at: Mapped[Moment | None]


class Labelling(Base):
    """What a person said of a photo in one set: all its labels there, none where they were taken away.

    The current one is the row not superseded. Labellings of one act share `created_at`.
    """

    __tablename__ = "labelling"
    __table_args__ = (
        Index(
            "uq_labelling_current", "image_id", "set_id", unique=True, postgresql_where=text("superseded_at is null"),
        ),
        Index("ix_labelling_person_id_id", "person_id", "id"),
        # For deleting: the database looks for what follows from a labelling.
        Index("ix_labelling_parent_id", "parent_id", postgresql_where=text("parent_id is not null")),
    )  # fmt: skip

    id: Mapped[BigId]
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), index=True)
    set_id: Mapped[int] = mapped_column(ForeignKey(LabelSet.id, ondelete="CASCADE"), index=True)
    value_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("labelling.id"))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    superseded_at: Mapped[Moment | None]
    undone_at: Mapped[Moment | None]
    operation_id: Mapped[int | None] = mapped_column(BigInteger)  # as of a decision
