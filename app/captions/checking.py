"""Checking captions against what was measured, and keeping what was found: once per caption and measurement."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import BigInteger, ColumnElement, and_, any_, cast, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from app.captions import rules
from app.captions.proposing import measured_facts
from app.captions.rules import Contradiction
from app.captions.tables import Caption, CaptionCheck
from app.catalog.tables import Signals

_KEPT_AT_ONCE: Final = 1000


def contradictions(signals: Signals | None, caption: str | None) -> list[Contradiction]:
    """What the caption says otherwise than the picture was measured; nothing without a caption or signals."""
    return rules.contradictions(caption, measured_facts(signals)) if caption and signals else []


def check(session: Session, image_ids: Collection[int]) -> int:
    """Check the current captions of these photos, as far as no check of them holds. Returns how many were checked."""
    rows = session.execute(
        select(Signals, Caption.id, Caption.text)
        .join(Caption, and_(Caption.image_id == Signals.image_id, Caption.superseded_at.is_(None)))
        .outerjoin(CaptionCheck, CaptionCheck.image_id == Signals.image_id)
        .where(Signals.image_id == any_(cast(list(image_ids), ARRAY(BigInteger))))
        .where(or_(CaptionCheck.image_id.is_(None), CaptionCheck.version != rules.RULES_VERSION, ~holds()))
        .order_by(Signals.image_id)
        .execution_options(populate_existing=True)
    )
    checks = []
    for signals, caption_id, text in rows:
        found = contradictions(signals, text)
        checks.append({
            "image_id": signals.image_id, "caption_id": caption_id, "measured_at": signals.measured_at,
            "version": rules.RULES_VERSION, "contradiction": found[0].sentence if found else None,
        })  # fmt: skip
    for start in range(0, len(checks), _KEPT_AT_ONCE):
        new = insert(CaptionCheck).values(checks[start : start + _KEPT_AT_ONCE])
        changed = {name: new.excluded[name] for name in checks[0] if name != "image_id"}
        session.execute(new.on_conflict_do_update(index_elements=["image_id"], set_=changed))
    return len(checks)


def holds() -> ColumnElement[bool]:
    """The condition that a check is of this very caption beside these very measurements."""
    return and_(CaptionCheck.caption_id == Caption.id, CaptionCheck.measured_at == Signals.measured_at)
