"""Decisions of people, suggestions of rules, and the settings of a catalog's rules: append-only histories.

The current one of each is the row not superseded.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.duplicate_tables import DuplicateGroup
from app.catalog.tables import Catalog, Image
from app.database import Base, BigId, Moment, utc_now
from app.people import Person


class Decision(Base):
    """What a person decided about an image, or what a review rule suggests while no person has decided.

    A row with a `rule` is a suggestion: the photo is still unseen. A person's decision is never replaced by one.
    """

    __tablename__ = "decision"
    __table_args__ = (
        CheckConstraint("verdict in ('kept','rejected','needs_work')", name="verdict"),
        CheckConstraint("(person_id is null) = (rule is not null)", name="one_author"),
        Index("uq_decision_current", "image_id", unique=True, postgresql_where=text("superseded_at is null")),
        Index("ix_decision_person_id_id", "person_id", "id"),
        # For deleting: the database looks for what follows from a decision.
        Index("ix_decision_parent_id", "parent_id", postgresql_where=text("parent_id is not null")),
    )

    id: Mapped[BigId]
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), index=True)
    verdict: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    person_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    rule: Mapped[str | None] = mapped_column(Text)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("decision.id"))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    superseded_at: Mapped[Moment | None]
    undone_at: Mapped[Moment | None]

    @property
    def is_suggestion(self) -> bool:
        """Whether a rule says so, and no person."""
        return self.rule is not None


class RuleSet(Base):
    """What somebody set for the rules of a catalog: `RuleSettings` as JSON. Without a row the defaults hold."""

    __tablename__ = "rule_set"
    __table_args__ = (
        Index("uq_rule_set_current", "catalog_id", unique=True, postgresql_where=text("superseded_at is null")),
    )

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id), index=True)
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    superseded_at: Mapped[Moment | None]


class BestOrder(Base):
    """By which criteria, the first one first, a catalog chooses the best photo of a group (`grouping.CRITERIA`). The
    newest is current; without any the usual order is."""

    __tablename__ = "best_order"
    __table_args__ = (
        Index("uq_best_order_current", "catalog_id", unique=True, postgresql_where=text("superseded_at is null")),
    )

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id, ondelete="CASCADE"))
    criteria: Mapped[list[str]] = mapped_column(ARRAY(Text))
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    superseded_at: Mapped[Moment | None]


class GroupRuling(Base):
    """What a person said of a group of duplicates: `linked` (the best is kept, the rest linked to it), `kept` (all),
    `apart` (they are no duplicates), or `best`, which only says which photo is the best one.

    Rulings of one act share `created_at`; decisions of the same act have it too.
    """

    __tablename__ = "group_ruling"
    __table_args__ = (
        CheckConstraint("kind in ('linked','kept','apart','best')", name="kind"),
        Index("uq_group_ruling_current", "group_id", unique=True, postgresql_where=text("superseded_at is null")),
        Index("ix_group_ruling_person_id_id", "person_id", "id"),
    )

    id: Mapped[BigId]
    group_id: Mapped[int] = mapped_column(ForeignKey(DuplicateGroup.id, ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(Text)
    best_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("group_ruling.id"))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    superseded_at: Mapped[Moment | None]
    undone_at: Mapped[Moment | None]
