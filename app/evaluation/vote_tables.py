"""What people say of samples without knowing whose they are: votes, usable or not, what failed; and who may say it."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import BIGINT
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, BigId, Moment, utc_now
from app.evaluation.tables import Prompt, PromptPhoto, Sample, Sheet
from app.people import Person
from app.training.tables import Checkpoint

Side = Literal["left", "right", "tie", "both_bad"]
LinkKind = Literal["read", "vote"]
_BY_SOMEBODY = "num_nonnulls(person_id, guest_id) = 1"


class SheetLink(Base):
    """An address by which people without an account read one sheet, or vote on it, until it expires.

    Only the SHA-256 of its token is kept.
    """

    __tablename__ = "sheet_link"
    __table_args__ = (CheckConstraint("kind in ('read','vote')", name="kind"),)

    id: Mapped[BigId]
    sheet_id: Mapped[int] = mapped_column(ForeignKey(Sheet.id, ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(Text)
    token_hash: Mapped[str] = mapped_column(Text, unique=True)
    created_by_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    expires_at: Mapped[Moment]
    revoked_at: Mapped[Moment | None]


class Guest(Base):
    """Somebody who votes by a link, in one browser, under a name of their own choice."""

    __tablename__ = "guest"

    id: Mapped[BigId]
    link_id: Mapped[int] = mapped_column(ForeignKey(SheetLink.id, ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(Text)
    key_hash: Mapped[str] = mapped_column(Text, unique=True)
    created_at: Mapped[Moment] = mapped_column(default=utc_now)


class Vote(Base):
    """Which of two samples of one prompt and seed somebody found better; never edited, `withdrawn_at` takes it back.

    `repeats_id` is the vote whose pair was shown again with its sides swapped. `seconds` is how long it took.
    """

    __tablename__ = "vote"
    __table_args__ = (
        CheckConstraint("choice in ('left','right','tie','both_bad')", name="choice"),
        CheckConstraint("left_checkpoint_id <> right_checkpoint_id", name="two"),
        CheckConstraint(_BY_SOMEBODY, name="voter"),
        Index("ix_vote_sheet_id_id", "sheet_id", "id"),
        Index("ix_vote_person_id", "person_id"),
        Index("ix_vote_guest_id", "guest_id"),
        Index("ix_vote_left_checkpoint_id", "left_checkpoint_id"),
        Index("ix_vote_right_checkpoint_id", "right_checkpoint_id"),
        Index("ix_vote_prompt_id", "prompt_id"),
    )

    id: Mapped[BigId]
    sheet_id: Mapped[int] = mapped_column(ForeignKey(Sheet.id, ondelete="CASCADE"))
    prompt_id: Mapped[int] = mapped_column(ForeignKey(Prompt.id, ondelete="CASCADE"))
    seed: Mapped[int] = mapped_column(BIGINT)
    left_checkpoint_id: Mapped[int] = mapped_column(ForeignKey(Checkpoint.id, ondelete="CASCADE"))
    right_checkpoint_id: Mapped[int] = mapped_column(ForeignKey(Checkpoint.id, ondelete="CASCADE"))
    choice: Mapped[str] = mapped_column(Text)
    person_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    guest_id: Mapped[int | None] = mapped_column(ForeignKey(Guest.id, ondelete="CASCADE"))
    repeats_id: Mapped[int | None] = mapped_column(ForeignKey("vote.id", ondelete="SET NULL"), index=True)
    seconds: Mapped[float]
    was_zoomed: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    withdrawn_at: Mapped[Moment | None]


class UsableAnswer(Base):
    """Whether somebody would publish a picture: a sample, or a real photo among them. A second thought is a new row."""

    __tablename__ = "usable_answer"
    __table_args__ = (
        CheckConstraint("num_nonnulls(sample_id, prompt_photo_id) = 1", name="picture"),
        CheckConstraint(_BY_SOMEBODY, name="voter"),
        Index(
            "uq_usable_answer_current", "sample_id", "prompt_photo_id", "person_id", "guest_id",
            unique=True, postgresql_where=text("superseded_at is null"), postgresql_nulls_not_distinct=True,
        ),
        Index("ix_usable_answer_sheet_id", "sheet_id"),
        Index("ix_usable_answer_prompt_photo_id", "prompt_photo_id"),
        Index("ix_usable_answer_person_id", "person_id"),
        Index("ix_usable_answer_guest_id", "guest_id"),
    )  # fmt: skip

    id: Mapped[BigId]
    sheet_id: Mapped[int] = mapped_column(ForeignKey(Sheet.id, ondelete="CASCADE"))
    sample_id: Mapped[int | None] = mapped_column(ForeignKey(Sample.id, ondelete="CASCADE"))
    prompt_photo_id: Mapped[int | None] = mapped_column(ForeignKey(PromptPhoto.id, ondelete="CASCADE"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    guest_id: Mapped[int | None] = mapped_column(ForeignKey(Guest.id, ondelete="CASCADE"))
    is_usable: Mapped[bool]
    seconds: Mapped[float]
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    superseded_at: Mapped[Moment | None]


class FailureTag(Base):
    """What is wrong with a sample, in a word of `app.evaluation.failures`, as somebody saw it."""

    __tablename__ = "failure_tag"
    __table_args__ = (
        CheckConstraint(_BY_SOMEBODY, name="voter"),
        Index(
            "uq_failure_tag_current", "sample_id", "tag", "person_id", "guest_id",
            unique=True, postgresql_where=text("removed_at is null"), postgresql_nulls_not_distinct=True,
        ),
        Index("ix_failure_tag_person_id", "person_id"),
        Index("ix_failure_tag_guest_id", "guest_id"),
    )  # fmt: skip

    id: Mapped[BigId]
    sample_id: Mapped[int] = mapped_column(ForeignKey(Sample.id, ondelete="CASCADE"))
    tag: Mapped[str] = mapped_column(Text)
    person_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    guest_id: Mapped[int | None] = mapped_column(ForeignKey(Guest.id, ondelete="CASCADE"))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    removed_at: Mapped[Moment | None]
