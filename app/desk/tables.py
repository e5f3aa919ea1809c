"""Queues of photos, who works on them, which photo is in whose hands, and what each person answered."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.tables import Catalog, Image
from app.database import Base, BigId, Moment, utc_now
from app.people import Person

First = Literal["contradicted", "disagreed", "low_scores", "rare", "chance", "given"]
"""Which photos of a queue come first; `given` is the order in which the selection was."""


class ReviewQueue(Base):
    """Photos that a lead chose for review, in an order of their own, handed out one by one.

    `query` is the filter they were chosen by; the photos stay those of that moment. `overlap` people review each photo,
    those after the first without seeing what the others said. Without people in `queue_person` it is everybody's.
    """

    __tablename__ = "review_queue"
    __table_args__ = (
        CheckConstraint("first in ('contradicted','disagreed','low_scores','rare','chance','given')", name="first"),
        CheckConstraint("overlap between 1 and 5", name="overlap"),
        Index("ix_review_queue_catalog_id_id", "catalog_id", "id"),
    )

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    query: Mapped[str] = mapped_column(Text)
    first: Mapped[First] = mapped_column(Text, default="contradicted")
    overlap: Mapped[int] = mapped_column(SmallInteger, default=1)
    created_by_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    closed_at: Mapped[Moment | None]


class QueuePerson(Base):
    """Somebody whom a queue was given to."""

    __tablename__ = "queue_person"

    queue_id: Mapped[int] = mapped_column(ForeignKey(ReviewQueue.id, ondelete="CASCADE"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id), primary_key=True, index=True)
    added_at: Mapped[Moment] = mapped_column(default=utc_now)


class QueuePhoto(Base):
    """A photo of a queue, at its place (0 is the first). `passes_left` people have still to review it, `held` of them
    have it in their hands.

    `known` is the right verdict where a lead knows it and the photo is in the queue to see who finds it.
    """

    __tablename__ = "queue_photo"
    __table_args__ = (
        CheckConstraint("known in ('kept','rejected')", name="known"),
        CheckConstraint("held >= 0 and passes_left >= 0", name="held"),
        Index("ix_queue_photo_free", "queue_id", "place", postgresql_where=text("held < passes_left")),
        Index("ix_queue_photo_left", "queue_id", postgresql_where=text("passes_left > 0")),
        Index("ix_queue_photo_known", "queue_id", postgresql_where=text("known is not null")),
    )

    queue_id: Mapped[int] = mapped_column(ForeignKey(ReviewQueue.id, ondelete="CASCADE"), primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True, index=True)
    place: Mapped[int]
    passes_left: Mapped[int] = mapped_column(SmallInteger, default=1)
    held: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    known: Mapped[str | None] = mapped_column(Text)


class QueueHold(Base):
    """A photo in a person's hands until `expires_at`, which every sign of life moves on.

    In a queue, or (`queue_id` None) at the catalog's own desk, where one person at a time holds a photo. It ends with
    the person's decision, when they let go of it, or when it runs out; then the photo is free again.
    """

    __tablename__ = "queue_hold"
    __table_args__ = (
        UniqueConstraint("queue_id", "image_id", "person_id", name="uq_queue_hold_one_each"),
        Index("uq_queue_hold_desk", "image_id", unique=True, postgresql_where=text("queue_id is null")),
        Index("ix_queue_hold_person_id", "person_id"),
        Index("ix_queue_hold_expires_at", "expires_at"),
    )

    id: Mapped[BigId]
    queue_id: Mapped[int | None] = mapped_column(ForeignKey(ReviewQueue.id, ondelete="CASCADE"))
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    held_since: Mapped[Moment] = mapped_column(default=utc_now)
    expires_at: Mapped[Moment]


class QueueAnswer(Base):
    """What a person said of a photo of a queue: one answer each. `is_blind`: without seeing what others had said.

    `verdict` None: skipped. The first answer is also the photo's decision; later ones are kept beside it.
    """

    __tablename__ = "queue_answer"
    __table_args__ = (
        CheckConstraint("verdict in ('kept','rejected','needs_work')", name="verdict"),
        UniqueConstraint("queue_id", "image_id", "person_id", name="uq_queue_answer_one_each"),
        Index("ix_queue_answer_person_id_id", "person_id", "id"),
    )

    id: Mapped[BigId]
    queue_id: Mapped[int] = mapped_column(ForeignKey(ReviewQueue.id, ondelete="CASCADE"))
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    verdict: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    is_blind: Mapped[bool] = mapped_column(default=False)
    # How long the photo was in the person's hands, as far as pages told; shown to that person only.
    seconds: Mapped[float | None]
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    undone_at: Mapped[Moment | None]


class DeskNote(Base):
    """What a person says to another one, to all leads or to everybody about a photo; answers name what they answer.

    `audience`: `person` (then `to_id` is that person), `leads`, `everybody`. Closed, it waits for nobody any more.
    """

    __tablename__ = "desk_note"
    __table_args__ = (
        CheckConstraint("audience in ('person','leads','everybody')", name="audience"),
        CheckConstraint("(audience = 'person') = (to_id is not null)", name="to_one"),
        CheckConstraint("length(text) between 1 and 2000", name="length"),
        Index("ix_desk_note_open", "image_id", postgresql_where=text("parent_id is null and closed_at is null")),
    )

    id: Mapped[BigId]
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), index=True)
    author_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    audience: Mapped[Literal["person", "leads", "everybody"]] = mapped_column(Text)
    to_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    text: Mapped[str] = mapped_column(Text)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("desk_note.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    closed_at: Mapped[Moment | None]
    closed_by_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
