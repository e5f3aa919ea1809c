"""Captions: an append-only history; the current one is the row not superseded. And what each says wrong."""

from __future__ import annotations

from typing import Any, Final, Literal

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.tables import Catalog, Image
from app.database import Base, BigId, Moment, utc_now
from app.people import Person

MAX_CHARACTERS = 4000
Kind = Literal["long", "short", "tags", "facts"]


class CaptionText(Base):
    """A text that goes with an image, of one kind. By a captioner, a person, or a file beside it; never edited, only
    superseded.

    An image has a history of each kind, and one current text of each. Ask for a kind by its class.
    """

    __tablename__ = "caption"
    __table_args__ = (
        CheckConstraint("written_by in ('captioner','person','given')", name="written_by"),
        CheckConstraint("kind in ('long','short','tags','facts')", name="kind"),
        CheckConstraint(f"length(text) <= {MAX_CHARACTERS}", name="length"),
        Index("uq_caption_current", "image_id", "kind", unique=True, postgresql_where=text("superseded_at is null")),
        # For taking back: a person's newest caption among a million.
        Index("ix_caption_person_id_id", "person_id", "id", postgresql_where=text("person_id is not null")),
        # For deleting: the database looks for what follows from a caption.
        Index("ix_caption_parent_id", "parent_id", postgresql_where=text("parent_id is not null")),
        # For telling what of an operation still stands.
        Index("ix_caption_operation_id", "operation_id", postgresql_where=text("operation_id is not null")),
    )
    __mapper_args__ = {"polymorphic_on": "kind"}  # noqa: RUF012  # SQLAlchemy declares it so

    id: Mapped[BigId]
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), index=True)
    kind: Mapped[Kind] = mapped_column(Text, server_default="long")
    text: Mapped[str] = mapped_column(Text)
    written_by: Mapped[str] = mapped_column(Text)
    person_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    captioner: Mapped[str | None] = mapped_column(Text)  # "facts", or the model's name
    # What made it: of a captioner its knobs, of a given caption the file it stood in ("file") and the line ("line").
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("caption.id"))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    superseded_at: Mapped[Moment | None]
    undone_at: Mapped[Moment | None]  # taken back: alone, or with the operation that wrote it
    operation_id: Mapped[int | None] = mapped_column(BigInteger)


class Caption(CaptionText):
    """The caption: the long one, which models learn from, filters ask and rules check."""

    __mapper_args__ = {"polymorphic_identity": "long"}  # noqa: RUF012  # SQLAlchemy declares it so


class ShortCaption(CaptionText):
    """One sentence for a photo."""

    __mapper_args__ = {"polymorphic_identity": "short"}  # noqa: RUF012  # SQLAlchemy declares it so


class TagCaption(CaptionText):
    """Words for a photo, between commas."""

    __mapper_args__ = {"polymorphic_identity": "tags"}  # noqa: RUF012  # SQLAlchemy declares it so


class FactCaption(CaptionText):
    """What the catalogue knows of the product, in a sentence."""

    __mapper_args__ = {"polymorphic_identity": "facts"}  # noqa: RUF012  # SQLAlchemy declares it so


OF_KIND: Final[dict[Kind, type[CaptionText]]] = {
    "long": Caption, "short": ShortCaption, "tags": TagCaption, "facts": FactCaption,
}  # fmt: skip


KIND_WORDS: Final[dict[Kind, str]] = {
    "long": "caption", "short": "short caption", "tags": "tags", "facts": "facts caption",
}  # fmt: skip
"""What a caption of a kind is called in a sentence."""


class CaptionTokens(Base):
    """How many tokens a caption is to the tokenizers of text encoders, by the names of `token_counts.ENCODERS`, with
    their marks of beginning and end. `counted_by` names these tokenizers and their versions. Encoders whose tokenizer
    was not on the machine that counted are not there.
    """

    __tablename__ = "caption_tokens"

    caption_id: Mapped[int] = mapped_column(ForeignKey(Caption.id, ondelete="CASCADE"), primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), index=True)
    counts: Mapped[dict[str, int]] = mapped_column(JSONB)
    counted_by: Mapped[str] = mapped_column(Text)


class CaptionCheck(Base):
    """What a caption says otherwise than was measured, kept so that rules over many photos need not read texts again.

    It holds for that caption beside those measurements, that reading of its text and that brand, by that version of the
    captions' rules; otherwise it is stale.
    """

    __tablename__ = "caption_check"

    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True)
    caption_id: Mapped[int] = mapped_column(ForeignKey(Caption.id, ondelete="CASCADE"), index=True)
    measured_at: Mapped[Moment]  # as the signals have it
    read_at: Mapped[Moment | None]  # as the lettering has it
    brand: Mapped[str | None] = mapped_column(Text)  # as the catalogue names it
    version: Mapped[int]
    contradiction: Mapped[str | None] = mapped_column(Text)  # the first finding in a sentence; None: nothing disagrees


class CaptionLint(Base):
    """What a caption is better without, kept so that a filter over many photos need not read texts again: `kinds` of
    `lint.LintKind`, with "any" where there is one.

    It holds for that caption beside that reading of its photo's text and those texts of the catalogue, whose MD5 is
    `catalogue`; otherwise it is stale. `version` says by which rules and lists of words (`linting.version`).
    """

    __tablename__ = "caption_lint"

    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id, ondelete="CASCADE"), primary_key=True)
    caption_id: Mapped[int] = mapped_column(ForeignKey(Caption.id, ondelete="CASCADE"), index=True)
    read_at: Mapped[Moment | None]  # as the lettering has it
    catalogue: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(Text)
    kinds: Mapped[list[str]] = mapped_column(ARRAY(Text))


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


class WordList(Base):
    """Words that a catalog's captions are held to, of a kind: `locked` ones no bulk edit changes, `banned` phrases are
    told of, `known` words are spelled right. Append-only; without a row of its kind the usual list holds."""

    __tablename__ = "word_list"
    __table_args__ = (
        CheckConstraint("kind in ('locked','banned','known')", name="kind"),
        Index(
            "uq_word_list_current", "catalog_id", "kind", unique=True, postgresql_where=text("superseded_at is null")
        ),
    )

    id: Mapped[BigId]
    catalog_id: Mapped[int] = mapped_column(ForeignKey(Catalog.id, ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(Text)
    words: Mapped[list[str]] = mapped_column(JSONB)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    superseded_at: Mapped[Moment | None]
