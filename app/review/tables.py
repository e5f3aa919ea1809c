"""Decisions of people, suggestions of rules, assignments, acts on many photos, the settings of a catalog's rules.

Histories are append-only: the current one of each is the row not superseded.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.duplicate_tables import DuplicateGroup
from app.catalog.tables import Catalog, Image
from app.database import Base, BigId, Moment, utc_now
from app.jobs import Job
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
        # For taking back: what one act of a person decided, among all that they did.
        Index(
            "ix_decision_person_id_created_at", "person_id", "created_at",
            postgresql_where=text("superseded_at is null and person_id is not null"),
        ),
        # For deleting: the database looks for what follows from a decision.
        Index("ix_decision_parent_id", "parent_id", postgresql_where=text("parent_id is not null")),
    )  # fmt: skip

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
    # The operation it is of. No foreign key: it would be looked up for each of a hundred thousand rows, and an
    # operation goes only with its catalog, after its photos.
    operation_id: Mapped[int | None] = mapped_column(BigInteger)

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


class Operation(Base):
    """One act on many photos, kept so that it goes on after a lost worker and can be taken back at any time.

    `state`: `open` while photos are left to do, then `done`; `undoing` and then `undone`. Whether an open one still has
    a worker, its job says. `value` is what the act needs besides photos; `count` photos were chosen when it was asked
    for, of which `changed` were changed, `already` were so, and `passed_over` somebody had decided on meanwhile or
    removed. `taken_back` were given back what they had; `stayed` were not, for somebody changed them since.
    """

    __tablename__ = "operation"
    __table_args__ = (
        CheckConstraint("state in ('open','done','undoing','undone')", name="state"),
        Index("ix_operation_catalog_id_id", "catalog_id", "id"),
        Index("ix_operation_person_id_id", "person_id", "id"),
    )

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id, ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(Text)  # of `app.bulk.operations.ACTS`
    value: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    query: Mapped[str] = mapped_column(Text)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    state: Mapped[str] = mapped_column(Text, default="open")
    count: Mapped[int] = mapped_column(default=0)
    changed: Mapped[int] = mapped_column(default=0)
    already: Mapped[int] = mapped_column(default=0)
    passed_over: Mapped[int] = mapped_column(default=0)
    taken_back: Mapped[int] = mapped_column(default=0)
    stayed: Mapped[int] = mapped_column(default=0)
    job_id: Mapped[int | None] = mapped_column(ForeignKey(Job.id))  # the newest; None where no job was needed
    undone_by_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    undone_at: Mapped[Moment | None]


class OperationBatch(Base):
    """Some photos of an operation, chosen when it was asked for, and changed or given back in one transaction."""

    __tablename__ = "operation_batch"
    __table_args__ = (CheckConstraint("state in ('open','done','undone')", name="state"),)

    operation_id: Mapped[int] = mapped_column(ForeignKey(Operation.id, ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    image_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    state: Mapped[str] = mapped_column(Text, default="open", server_default="open")


class Assignment(Base):
    """Whose a photo is to look at: a person, or nobody any more (`assignee_id` None). A history, like decisions."""

    __tablename__ = "assignment"
    __table_args__ = (
        Index("uq_assignment_current", "image_id", unique=True, postgresql_where=text("superseded_at is null")),
        Index("ix_assignment_parent_id", "parent_id", postgresql_where=text("parent_id is not null")),
    )

    id: Mapped[BigId]
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), index=True)
    assignee_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("assignment.id"))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    superseded_at: Mapped[Moment | None]
    undone_at: Mapped[Moment | None]
    operation_id: Mapped[int | None] = mapped_column(BigInteger)
