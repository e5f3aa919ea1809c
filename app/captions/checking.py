"""Checking captions against what was measured, and keeping what was found: once per caption and measurement."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, DateTime, Row, Text, and_, any_, cast, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from app.captions import rules
from app.captions.proposing import measured_facts
from app.captions.rules import Contradiction
from app.captions.tables import Caption, CaptionCheck
from app.catalog.tables import Signals

# What `measured_facts` reads of a photo's signals, and what a check is known by.
READ: Final = (
    Signals.image_id, Signals.measured_at, Signals.background, Signals.background_colour, Signals.confidence,
    Signals.box, Signals.is_cropped, Signals.subject_colour,
)  # fmt: skip


def contradictions(signals: Signals | Row[*tuple[Any, ...]] | None, caption: str | None) -> list[Contradiction]:
    """What the caption says otherwise than the picture was measured; nothing without a caption or signals.

    A row has the columns of `READ`.
    """
    return rules.contradictions(caption, measured_facts(signals)) if caption and signals else []


def check(session: Session, image_ids: Collection[int]) -> int:
    """Check the current captions of these photos, as far as no check of them holds. Returns how many were checked."""
    # Plain columns: a catalog's first rules check every caption, and making objects of them takes most of the time.
    rows = session.execute(
        select(*READ, Caption.id.label("caption_id"), Caption.text)
        .join(Caption, and_(Caption.image_id == Signals.image_id, Caption.superseded_at.is_(None)))
        .outerjoin(CaptionCheck, CaptionCheck.image_id == Signals.image_id)
        .where(Signals.image_id == any_(cast(list(image_ids), ARRAY(BigInteger))))
        .where(or_(CaptionCheck.image_id.is_(None), CaptionCheck.version != rules.RULES_VERSION, ~holds()))
        .order_by(Signals.image_id)
    )
    checks = []
    for row in rows:
        findings = rules.contradictions(row.text, measured_facts(row)) if row.text else []
        sentence = findings[0].sentence if findings else None
        checks.append((row.image_id, row.caption_id, row.measured_at, sentence))
    if checks:
        _keep(session, checks)
    return len(checks)


def _keep(session: Session, checks: Sequence[tuple[int, int, datetime, str | None]]) -> None:
    """Checks as (image, caption, when measured, contradiction), in one statement that takes them as four arrays."""
    kinds: tuple[TypeEngine[Any], ...] = (BigInteger(), BigInteger(), DateTime(timezone=True), Text())
    arrays: list[Any] = [
        cast(list(column), ARRAY(kind)) for kind, column in zip(kinds, zip(*checks, strict=True), strict=True)
    ]
    names = ("image_id", "caption_id", "measured_at", "contradiction")
    rows = func.unnest(*arrays).table_valued(*names).render_derived()
    new = insert(CaptionCheck).from_select(
        [*names, "version"], select(*(rows.c[name] for name in names), literal(rules.RULES_VERSION))
    )
    changed = {name: new.excluded[name] for name in (*names[1:], "version")}
    session.execute(new.on_conflict_do_update(index_elements=["image_id"], set_=changed))


def holds() -> ColumnElement[bool]:
    """The condition that a check is of this very caption beside these very measurements."""
    return and_(CaptionCheck.caption_id == Caption.id, CaptionCheck.measured_at == Signals.measured_at)
