"""Decisions on many photos: the same one on all, or on each what a rule suggests for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Text, and_, any_, case, cast, insert, intersect, literal, null, or_, select, union
from sqlalchemy.orm import Session

from app.bulk.acts import Act, Did, photos
from app.captions.tables import Caption, CaptionCheck
from app.catalog import reading
from app.catalog.reading import Chosen
from app.catalog.tables import Lettering, Signals
from app.database import array
from app.review import decisions
from app.review.tables import Decision, Operation, RuleSet


class Decide(Act):
    """The same decision on every photo: `verdict` and `reason`. A reason takes the place of another one of the same
    verdict; without one, those that were given stay."""

    table = Decision

    def checked(self, session: Session, catalog_id: int, value: dict[str, Any]) -> dict[str, Any]:
        return {"verdict": value["verdict"], "reason": decisions.checked(value["verdict"], value.get("reason"))}

    def do(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> Did:
        there = reading.held(session, image_ids, operation.catalog_id)
        verdict, reason = operation.value["verdict"], operation.value["reason"]
        is_so = decisions.says(verdict, reason)
        people_s = session.execute(
            select(Decision.image_id, is_so.label("is_so")).where(
                Decision.image_id == any_(array(sorted(there))), Decision.superseded_at.is_(None),
                Decision.person_id.is_not(None), or_(is_so, Decision.created_at > operation.created_at),
            )
        ).all()  # fmt: skip
        stays = {row.image_id for row in people_s}
        already = sum(row.is_so for row in people_s)
        changing = sorted(there - stays)
        decisions.replace(
            session,
            changing,
            operation.created_at,
            verdict=verdict,
            reason=reason,
            person_id=operation.person_id,
            operation_id=operation.id,
        )
        return Did(len(changing), already, len(image_ids) - len(changing) - already)

    def said(self, operation: Operation, count: int) -> str:
        what = photos(count)
        verdict, reason = operation.value["verdict"], operation.value["reason"]
        sentences = {"kept": f"Kept {what}", "rejected": f"Rejected {what}"}
        sentence = sentences.get(verdict, f"Marked {what} as needing work")
        return f"{sentence}: {reason}" if reason else sentence

    def after(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> None:
        # What the rules said is as old as the decision that took its place.
        if stale := _stale(session, operation, image_ids):
            decisions.apply_rules(session, stale)


class Accept(Decide):
    """On every photo the decision that a rule suggested for it when this was asked for, with its reason."""

    def checked(self, session: Session, catalog_id: int, value: dict[str, Any]) -> dict[str, Any]:
        return {}

    def do(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> Did:
        there = reading.held(session, image_ids, operation.catalog_id)
        is_suggested = and_(
            Decision.image_id == any_(array(sorted(there))), Decision.superseded_at.is_(None),
            Decision.rule.is_not(None), Decision.created_at <= operation.created_at,
        )  # fmt: skip
        old = decisions.superseding(operation.created_at, is_suggested)
        reason = case((old.c.verdict == "kept", cast(null(), Text)), else_=old.c.reason)
        rows = select(
            old.c.image_id, old.c.id, literal(operation.created_at), old.c.verdict, reason,
            literal(operation.person_id), literal(operation.id),
        )  # fmt: skip
        names = ["image_id", "parent_id", "created_at", "verdict", "reason", "person_id", "operation_id"]
        written = session.scalars(insert(Decision).from_select(names, rows).returning(Decision.id)).all()
        session.expire_all()
        changed = len(written)
        return Did(changed, len(there) - changed, len(image_ids) - len(there))

    def said(self, operation: Operation, count: int) -> str:
        return f"Accepted {count:,} suggestion{'' if count == 1 else 's'}"

    def said_already(self, count: int) -> str:
        return f"{count:,} had none"

    def obstacle(self, session: Session, selection: Chosen, value: dict[str, Any]) -> str:
        suggested = selection.select(Decision.id).where(Decision.rule.is_not(None)).limit(1)
        is_any = session.scalar(suggested) is not None
        return "" if is_any else "No rule suggests anything for these photos; nothing was changed."


def _stale(session: Session, operation: Operation, image_ids: Sequence[int]) -> list[int]:
    """Those of these photos that rules looked at before and of which something they look at has changed since."""
    since, chosen = operation.created_at, any_(array(image_ids))
    looked_at = select(Decision.image_id).where(Decision.image_id == chosen, Decision.rule.is_not(None))
    seen = looked_at.union(select(CaptionCheck.image_id).where(CaptionCheck.image_id == chosen))
    is_newer = select(RuleSet.id).where(RuleSet.catalog_id == operation.catalog_id, RuleSet.created_at > since)
    if session.scalar(is_newer.limit(1)) is not None:
        return list(session.scalars(seen))
    changed = union(
        select(Signals.image_id).where(Signals.image_id == chosen, Signals.measured_at > since),
        select(Lettering.image_id).where(Lettering.image_id == chosen, Lettering.read_at > since),
        select(Caption.image_id).where(
            Caption.image_id == chosen, or_(Caption.created_at > since, Caption.superseded_at > since)
        ),
    )
    return list(session.scalars(intersect(changed, seen)))
