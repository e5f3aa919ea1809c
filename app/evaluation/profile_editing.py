"""The profiles of a team: those that come along, and in their place those that a lead has edited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.database import utc_now
from app.errors import Conflict, NotFound
from app.evaluation import profiles
from app.evaluation.measure_tables import RuleProfile
from app.evaluation.profiles import Profile
from app.evaluation.promotion_tables import Gate
from app.evaluation.tables import Sheet
from app.people import Person

_LOCK: Final = 0x50F11E  # of pg_advisory_xact_lock: edits of a profile


@dataclass(frozen=True, slots=True)
class KeptProfile:
    """A profile as it stands. `number` is that of its row, 0 for one that came along and nobody has edited."""

    profile: Profile
    number: int
    edited_by: str | None = None
    edited_at: datetime | None = None


def current(session: Session) -> list[KeptProfile]:
    """All profiles: those that come along in their order, then those that were made here, by name."""
    query = (
        select(RuleProfile, Person.name)
        .outerjoin(Person, Person.id == RuleProfile.created_by_id)
        .where(RuleProfile.superseded_at.is_(None))
        .order_by(RuleProfile.name)
    )
    edited = {row.key: _kept(row, name) for row, name in session.execute(query)}
    along = [edited.pop(key, KeptProfile(profile, 0)) for key, profile in profiles.shipped().items()]
    return along + list(edited.values())


def get(session: Session, key: str) -> KeptProfile:
    """The profile of this key. Raises NotFound."""
    for kept in current(session):
        if kept.profile.key == key:
            return kept
    raise NotFound(f"There is no profile “{key[:40]}”.")


def of_sheet(session: Session, sheet: Sheet, key: str | None = None) -> Profile:
    """What a sheet is held against: the profile asked for, else that of its gate (`settings["profile"]`), else the
    house's. Raises NotFound for an unknown one."""
    if key:
        return get(session, key).profile
    gate = session.scalars(select(Gate).where(Gate.sheet_id == sheet.id, Gate.superseded_at.is_(None))).first()
    chosen = gate.settings.get("profile") if gate else None
    return get(session, str(chosen or profiles.USUAL)).profile


def edit(session: Session, profile: Profile, person: Person, expected: int) -> KeptProfile:
    """Put a profile in the place of the one that stands; the same again changes nothing. `expected` is the number of
    the one it was made from.

    Raises Refused for what no profile can hold, Conflict where somebody else has edited it meanwhile.
    """
    profile = profiles.checked(profile)
    session.execute(select(func.pg_advisory_xact_lock(_LOCK, func.hashtext(profile.key))))
    before = get(session, profile.key)
    if before.profile == profile:
        return before
    if before.number != expected:
        raise Conflict(
            f"{before.edited_by or 'Somebody'} has edited this profile meanwhile; it is shown as it stands now."
        )
    row = session.get(RuleProfile, before.number)
    if row is not None:
        row.superseded_at = utc_now()
        session.flush()
    new = RuleProfile(
        key=profile.key, name=profile.name, rules=profiles.as_json(profile.rules), source=profile.source,
        checked_on=profile.checked_on, created_by_id=person.id,
    )  # fmt: skip
    session.add(new)
    session.flush()
    return _kept(new, person.name)


def history(session: Session, key: str) -> Sequence[KeptProfile]:
    """What was edited of a profile, the newest first, without the one that came along."""
    query = (
        select(RuleProfile, Person.name)
        .outerjoin(Person, Person.id == RuleProfile.created_by_id)
        .where(RuleProfile.key == key)
        .order_by(RuleProfile.id.desc())
    )
    return [_kept(row, name) for row, name in session.execute(query)]


def _kept(row: RuleProfile, editor: str | None) -> KeptProfile:
    rules = profiles.of_json(row.rules)
    ordered = {rule.name: rules[rule.name] for rule in profiles.RULES if rule.name in rules}
    return KeptProfile(Profile(row.key, row.name, ordered, row.source, row.checked_on), row.id, editor, row.created_at)
