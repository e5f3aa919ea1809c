"""What can be done to many photos at once: each act by its name, with how it is done to some photos and taken back.

An act writes rows that are appended and superseded, each with the operation's number, so that what it did is found
again at any time. A new act is a class here and a word in `ACTS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

from sqlalchemy import (
    BigInteger,
    Text,
    and_,
    any_,
    case,
    cast,
    func,
    insert,
    intersect,
    literal,
    null,
    or_,
    select,
    union,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from app import people
from app.captions.tables import Caption, CaptionCheck
from app.catalog import reading
from app.catalog.reading import Chosen
from app.catalog.tables import Lettering, Signals
from app.database import utc_now
from app.errors import NotFound, Refused
from app.review import decisions
from app.review.tables import Assignment, Decision, Operation, RuleSet


@dataclass(frozen=True, slots=True)
class Did:
    """What an act did to some photos: `already` were so; `passed_over` were decided on since it was asked for, or are
    gone."""

    changed: int
    already: int
    passed_over: int


@dataclass(frozen=True, slots=True)
class TakenBack:
    """How many photos have again what they had before, and how many `stayed`, for somebody changed them since."""

    taken_back: int
    stayed: int


class Act(ABC):
    """One thing that can be done to many photos. The caller holds the catalog's decisions (`decisions.lock`)."""

    table: ClassVar[type[Decision] | type[Assignment]]

    @abstractmethod
    def checked(self, session: Session, value: dict[str, Any]) -> dict[str, Any]:
        """The value as it is kept. Raises Refused or NotFound for one that makes no sense."""

    @abstractmethod
    def do(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> Did:
        """Do it to these photos."""

    @abstractmethod
    def said(self, operation: Operation, count: int) -> str:
        """What was done to so many photos, in words: "Rejected 3 photos: blurred"."""

    def said_already(self, count: int) -> str:
        """What is said of photos that needed nothing."""
        return f"{count:,} were so already"

    def obstacle(self, session: Session, selection: Chosen) -> str:
        """Why this cannot be done to a selection; empty where it can."""
        return ""

    def take_back(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> TakenBack:
        """Give these photos what they had before, but those that somebody changed since."""
        now, table = utc_now(), self.table
        of_act = (table.image_id == any_(_array(image_ids)), table.operation_id == operation.id)
        undone = session.execute(
            update(table)
            .where(*of_act, table.superseded_at.is_(None))
            .values(superseded_at=now, undone_at=now)
            .returning(table.image_id, table.parent_id)
            .execution_options(synchronize_session=False)
        ).all()
        parents = [row.parent_id for row in undone if row.parent_id is not None]
        if parents:
            session.execute(
                update(table)
                .where(table.id == any_(_array(parents)))
                .values(superseded_at=None)
                .execution_options(synchronize_session=False)
            )
        session.expire_all()
        self.after(session, operation, [row.image_id for row in undone])
        stayed = session.scalar(select(func.count()).where(*of_act, table.undone_at.is_(None))) or 0
        return TakenBack(len(undone), stayed)

    @abstractmethod
    def after(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> None:
        """What has to follow where these photos have what they had before."""


class Decide(Act):
    """The same decision on every photo: `verdict` and `reason`."""

    table = Decision

    def checked(self, session: Session, value: dict[str, Any]) -> dict[str, Any]:
        return {"verdict": value["verdict"], "reason": decisions.checked(value["verdict"], value.get("reason"))}

    def do(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> Did:
        there = reading.held(session, image_ids)
        verdict = operation.value["verdict"]
        people_s = session.execute(
            select(Decision.image_id, Decision.verdict, Decision.created_at).where(
                Decision.image_id == any_(_array(image_ids)), Decision.superseded_at.is_(None),
                Decision.person_id.is_not(None), _is_so_or_newer(verdict, operation.created_at),
            )
        ).all()  # fmt: skip
        stays = {row.image_id for row in people_s}
        already = sum(row.verdict == verdict for row in people_s)
        changing = sorted(there - stays)
        decisions.replace(
            session,
            changing,
            operation.created_at,
            verdict=verdict,
            reason=operation.value["reason"],
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

    def checked(self, session: Session, value: dict[str, Any]) -> dict[str, Any]:
        return {}

    def do(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> Did:
        is_suggested = and_(
            Decision.image_id == any_(_array(image_ids)), Decision.superseded_at.is_(None),
            Decision.rule.is_not(None), Decision.created_at <= operation.created_at,
        )  # fmt: skip
        there = reading.held(session, image_ids)
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

    def obstacle(self, session: Session, selection: Chosen) -> str:
        suggested = selection.select(Decision.id).where(Decision.rule.is_not(None)).limit(1)
        is_any = session.scalar(suggested) is not None
        return "" if is_any else "No rule suggests anything for these photos; nothing was changed."


class Assign(Act):
    """Every photo is a person's to look at, `person_id`, or nobody's where that is None; `name` as it was then."""

    table = Assignment

    def checked(self, session: Session, value: dict[str, Any]) -> dict[str, Any]:
        number = value["person_id"]
        if number is None:
            return {"person_id": None, "name": None}
        person = people.get(session, number)
        if person.deleted_at is not None:
            raise NotFound(f"{person.name} is not on the team any more.")
        return {"person_id": person.id, "name": person.name}

    def do(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> Did:
        there = sorted(reading.held(session, image_ids))
        assignee = operation.value["person_id"]
        is_current = (Assignment.image_id == any_(_array(there)), Assignment.superseded_at.is_(None))
        current = session.execute(
            select(Assignment.image_id, Assignment.assignee_id, Assignment.created_at).where(*is_current)
        ).all()
        so = {row.image_id for row in current if row.assignee_id == assignee}
        if assignee is None:
            so |= set(there) - {row.image_id for row in current}
        newer = {row.image_id for row in current if row.created_at > operation.created_at} - so
        changing = [image_id for image_id in there if image_id not in so and image_id not in newer]
        before = (
            update(Assignment)
            .where(Assignment.image_id == any_(_array(changing)), Assignment.superseded_at.is_(None))
            .values(superseded_at=operation.created_at)
            .returning(Assignment.id, Assignment.image_id)
            .cte("before")
        )
        chosen = func.unnest(_array(changing)).table_valued("id").render_derived()
        rows = (
            select(
                chosen.c.id, before.c.id, cast(assignee, BigInteger), literal(operation.person_id),
                literal(operation.created_at), literal(operation.id),
            )
            .select_from(chosen)
            .outerjoin(before, before.c.image_id == chosen.c.id)
        )  # fmt: skip
        names = ["image_id", "parent_id", "assignee_id", "person_id", "created_at", "operation_id"]
        if changing:
            session.execute(insert(Assignment).from_select(names, rows))
        session.expire_all()
        return Did(len(changing), len(so), len(image_ids) - len(changing) - len(so))

    def said(self, operation: Operation, count: int) -> str:
        return f"Assigned {photos(count)} to {operation.value['name'] or 'nobody'}"

    def after(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> None:
        pass  # nothing follows from whose a photo is


ACTS: Final[dict[str, Act]] = {"decide": Decide(), "accept": Accept(), "assign": Assign()}


def photos(count: int) -> str:
    """So many photos, in words."""
    return f"{count:,} photo{'' if count == 1 else 's'}"


def act_of(operation: Operation) -> Act:
    """The act that an operation is of."""
    return ACTS[operation.kind]


def named(kind: str) -> Act:
    """The act of this name. Raises Refused."""
    if kind not in ACTS:
        raise Refused(f"“{kind}” is not an act on photos. Acts are: {', '.join(ACTS)}.")
    return ACTS[kind]


def _is_so_or_newer(verdict: str, since: datetime) -> Any:
    return or_(Decision.verdict == verdict, Decision.created_at > since)


def _stale(session: Session, operation: Operation, image_ids: Sequence[int]) -> list[int]:
    """Those of these photos that rules looked at before and of which something they look at has changed since."""
    since, chosen = operation.created_at, any_(_array(image_ids))
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


def _array(numbers: Sequence[int]) -> Any:
    return cast(list(numbers), ARRAY(BigInteger))
