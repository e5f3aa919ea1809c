"""Checking captions against what was measured, and keeping what was found: once per caption and measurement."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, DateTime, Row, Text, and_, any_, func, literal, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from app.captions import rules
from app.captions.facts import MeasuredFacts
from app.captions.proposing import measured_facts
from app.captions.rules import KINDS, CaptionClaim, Kind
from app.captions.tables import Caption, CaptionCheck
from app.catalog.tables import Image, Lettering, Signals
from app.database import array

# As catalogues head the column; the first that is there.
BRANDS: Final = ("brand", "Brand", "BRAND")
_BRAND: Final = func.coalesce(*(Image.extra[name].astext for name in BRANDS))
_FACTS: Final = (
    Signals.image_id, Signals.background, Signals.background_colour, Signals.background_delta_e, Signals.confidence,
    Signals.box, Signals.is_cropped, Signals.subject_colour, Signals.parts,
)  # fmt: skip
# What `contradictions` reads of a photo, and what a check is known by.
READ: Final = (
    *_FACTS, Signals.measured_at, Lettering.read_at, Lettering.words, Lettering.place, _BRAND.label("brand")
)  # fmt: skip


def contradictions(row: Row[*tuple[Any, ...]], caption: str | None) -> list[CaptionClaim]:
    """What the caption says otherwise than the picture was measured; nothing without a caption or signals.

    The row has the columns of `READ`.
    """
    if not caption or row.measured_at is None:
        return []
    return rules.contradictions(caption, _measured(row, row if row.read_at is not None else None, row.brand))


def facts_of(session: Session, image_ids: Collection[int]) -> dict[int, MeasuredFacts]:
    """What was measured of these photos, as far as they were; without what was read on them and their brands."""
    rows = session.execute(select(*_FACTS).where(Signals.image_id == any_(array(sorted(image_ids)))))
    return {row.image_id: measured_facts(row) for row in rows}


def claims(signals: Signals | None, read_text: Lettering | None, image: Image, caption: str) -> list[CaptionClaim]:
    """Everything in a text that could be held against its picture; nothing before the picture was measured."""
    return rules.claims(caption, _measured(signals, read_text, _brand_of(image))) if signals else []


def cannot_tell(image: Image, caption: str, claims: Collection[CaptionClaim]) -> tuple[Kind, ...]:
    """Of what nobody can tell whether caption and picture agree: what every caption could say, and what this one does
    say of a count or of words."""
    compared = {claim.kind for claim in claims}
    asked = {"colour", "background", "framing"} | rules.claimed(caption, _brand_of(image))
    return tuple(kind for kind in KINDS if kind in asked and kind not in compared)


def _brand_of(image: Image) -> str | None:
    return next((str(image.extra[name]) for name in BRANDS if image.extra.get(name) is not None), None)


def _measured(signals: Any, read_text: Any, brand: str | None) -> MeasuredFacts:
    """Facts of signals and lettering, as objects or as rows with their columns."""
    facts = measured_facts(signals)
    if read_text is not None:
        lines = tuple(read_text.words.splitlines())
        return replace(facts, brand=brand, printed=lines, is_printed_on=read_text.place == "product")
    # What is written is held against what was read, and the brand is for nothing else.
    return facts


def check(session: Session, image_ids: Collection[int]) -> list[int]:
    """Check the current captions of these photos, as far as no check of them holds.

    Returns the photos of which something else is said than before: where only the text is another, those that
    contradict it otherwise, or no more.
    """
    is_of_text = and_(CaptionCheck.version == rules.RULES_VERSION, _is_of_photo())
    # Plain columns: a catalog's first rules check every caption, and making objects of them takes most of the time.
    rows = session.execute(
        select(*READ, Caption.id.label("caption_id"), Caption.text)
        .add_columns(func.coalesce(is_of_text, False).label("is_of_text"), CaptionCheck.contradiction.label("before"))
        .join(Caption, and_(Caption.image_id == Signals.image_id, Caption.superseded_at.is_(None)))
        .join(Image, Image.id == Signals.image_id)
        .outerjoin(Lettering, Lettering.image_id == Signals.image_id)
        .outerjoin(CaptionCheck, CaptionCheck.image_id == Signals.image_id)
        .where(Signals.image_id == any_(array(image_ids)))
        .where(or_(CaptionCheck.image_id.is_(None), CaptionCheck.version != rules.RULES_VERSION, ~holds()))
        .order_by(Signals.image_id)
    )
    checks, changed = [], []
    for row in rows:
        findings = contradictions(row, row.text)
        sentence = findings[0].sentence if findings else None
        checks.append((row.image_id, row.caption_id, row.measured_at, row.read_at, row.brand, sentence))
        if not row.is_of_text or sentence != row.before:
            changed.append(row.image_id)
    if checks:
        _keep(session, checks)
    return changed


_Check = tuple[int, int, datetime, datetime | None, str | None, str | None]


def _keep(session: Session, checks: Sequence[_Check]) -> None:
    """Checks as (image, caption, when measured, when read, brand, contradiction), in one statement of six arrays."""
    moment = DateTime(timezone=True)
    kinds: tuple[TypeEngine[Any], ...] = (BigInteger(), BigInteger(), moment, moment, Text(), Text())
    arrays = [array(column, kind) for kind, column in zip(kinds, zip(*checks, strict=True), strict=True)]
    names = ("image_id", "caption_id", "measured_at", "read_at", "brand", "contradiction")
    rows = func.unnest(*arrays).table_valued(*names).render_derived()
    new = insert(CaptionCheck).from_select(
        [*names, "version"], select(*(rows.c[name] for name in names), literal(rules.RULES_VERSION))
    )
    changed = {name: new.excluded[name] for name in (*names[1:], "version")}
    session.execute(new.on_conflict_do_update(index_elements=["image_id"], set_=changed))


def holds() -> ColumnElement[bool]:
    """The condition that a check is of this very caption beside these very measurements, readings and brand."""
    return and_(CaptionCheck.caption_id == Caption.id, _is_of_photo())


def _is_of_photo() -> ColumnElement[bool]:
    return and_(
        CaptionCheck.measured_at == Signals.measured_at,
        CaptionCheck.read_at.is_not_distinct_from(Lettering.read_at),
        CaptionCheck.brand.is_not_distinct_from(_BRAND),
    )
