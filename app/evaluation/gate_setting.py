"""The gate of a sheet: what its candidates are held against, set by a lead before anybody votes, and kept with it.

Limits that are chosen when the votes are known prove nothing, so from the first vote on a change needs a note, and the
page tells both. A change is a new row; what was decided by the earlier one stays readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import people
from app.database import utc_now
from app.errors import Conflict, Refused
from app.evaluation import columns
from app.evaluation.gates import GateLimits
from app.evaluation.promotion_tables import Gate, Promotion
from app.evaluation.tables import Sheet, Suite
from app.evaluation.vote_tables import UsableAnswer, Vote
from app.people import Person

NOTE_MOST: Final = 500


@dataclass(frozen=True, slots=True)
class KeptGate:
    """A gate as it was set: by whom and when, after how many votes and answers, and why, where it had to be said.

    `baseline_id` is the checkpoint that candidates are compared with; None where there is none.
    """

    id: int
    limits: GateLimits
    baseline_id: int | None
    set_by: str | None
    set_at: datetime
    answers_before: int
    note: str


def current(session: Session, sheet: Sheet) -> KeptGate | None:
    """The gate that holds for a sheet; None while none was set."""
    kept = history(session, sheet, 1)
    return kept[0] if kept else None


def history(session: Session, sheet: Sheet, limit: int = 20) -> Sequence[KeptGate]:
    """The gates of a sheet, the one that holds first."""
    rows = session.execute(
        select(Gate, Person.name)
        .outerjoin(Person, Person.id == Gate.created_by_id)
        .where(Gate.sheet_id == sheet.id)
        .order_by(Gate.id.desc())
        .limit(limit)
    )
    return [
        KeptGate(
            gate.id, limits_of(gate), gate.baseline_id, name, gate.created_at,
            answers_in(session, sheet, gate.created_at), gate.note,
        )
        for gate, name in rows
    ]  # fmt: skip


def limits_of(gate: Gate) -> GateLimits:
    """The limits that a gate was set to."""
    return GateLimits.model_validate(gate.settings)


def usual() -> GateLimits:
    """The limits that are proposed where none were set."""
    return GateLimits.model_validate({})


def put(
    session: Session,
    sheet: Sheet,
    person: Person,
    limits: GateLimits,
    baseline_id: int | None,
    note: str = "",
    expected_id: int | None = None,
) -> KeptGate:
    """Set the gate of a sheet, in place of `expected_id`, which is what the person saw. What is the same is not kept
    twice.

    Raises NotAllowed for anybody but a lead, Refused for a baseline that is no column and, once votes are in, without a
    note, Conflict where somebody else set it meanwhile.
    """
    people.needs_lead(person, "set a gate")
    session.refresh(sheet, with_for_update=True)
    there = current(session, sheet)
    if there is not None and (there.limits, there.baseline_id) == (limits, baseline_id):
        return there
    if (there.id if there else None) != expected_id:
        raise Conflict("Somebody else set this gate meanwhile. Look at theirs, then set it again if need be.")
    if baseline_id is not None and baseline_id not in {c.id for c in columns.drawn_columns(session, sheet)}:
        raise Refused("The baseline has to be one of the columns of this comparison.")
    note, answers = note.strip(), answers_in(session, sheet)
    if answers and not note:
        raise Refused("Votes are in already, so a change of the gate needs a note that says why.")
    if len(note) > NOTE_MOST:
        raise Refused(f"A note has at most {NOTE_MOST} characters.")
    session.query(Gate).filter_by(sheet_id=sheet.id, superseded_at=None).update({"superseded_at": utc_now()})
    session.flush()
    session.add(
        Gate(
            sheet_id=sheet.id, baseline_id=baseline_id, settings=limits.model_dump(), note=note, created_by_id=person.id
        )
    )  # fmt: skip
    session.flush()
    (kept,) = history(session, sheet, 1)
    return kept


def answers_in(session: Session, sheet: Sheet, before: datetime | None = None) -> int:
    """How many votes and answers were given on a sheet, taken back or not: they were seen all the same."""
    counted = 0
    for table in (Vote, UsableAnswer):
        given = select(func.count()).where(table.sheet_id == sheet.id)
        counted += session.scalar(given if before is None else given.where(table.created_at < before)) or 0
    return counted


def live_id(session: Session, sheet: Sheet) -> int | None:
    """The live model of the sheet's catalog, where there is one."""
    of_catalog = select(Promotion.checkpoint_id).join(Suite, Suite.catalog_id == Promotion.catalog_id)
    return session.scalars(of_catalog.where(Suite.id == sheet.suite_id, Promotion.ended_at.is_(None))).first()


def proposed_baseline(session: Session, sheet: Sheet) -> int | None:
    """What candidates are best compared with: the live model where it is a column, else the base, else the first."""
    own = columns.drawn_columns(session, sheet)
    live = live_id(session, sheet)
    in_turn = [c for c in own if c.id == live] or [c for c in own if c.step == 0] or own
    return in_turn[0].id if in_turn else None
