"""What each catalog sets for its rules: read, and set by a person with who and when. Old settings stay as history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import jobs
from app.catalog.tables import Catalog
from app.database import utc_now
from app.errors import Conflict, NotFound
from app.jobs import Job
from app.people import Person
from app.review.rules import RuleSettings
from app.review.tables import RuleSet

APPLY: Final = "review.apply_rules"


def current(session: Session, catalog_id: int) -> RuleSet | None:
    """The current row of a catalog, None where nobody has set anything."""
    return session.scalars(
        select(RuleSet)
        .where(RuleSet.catalog_id == catalog_id, RuleSet.superseded_at.is_(None))
        .execution_options(populate_existing=True)
    ).one_or_none()


def settings_of(session: Session, catalog_id: int) -> RuleSettings:
    """The settings of a catalog's rules, the defaults where nobody has set any."""
    kept = current(session, catalog_id)
    return RuleSettings.from_json(kept.settings) if kept is not None else RuleSettings()


def save(
    session: Session, catalog_id: int, person: Person, settings: RuleSettings, expected_id: int | None = None
) -> RuleSet | None:
    """Set a catalog's rules, and ask for the job that suggests by them. Returns None where they were set so already.

    `expected_id` is the row that the person saw (0: none); None asks for no check. Raises NotFound for an unknown
    catalog, and Conflict when somebody has set others since.
    """
    # Two people saving at once follow one another, and the second one is told.
    if session.get(Catalog, catalog_id, with_for_update={"key_share": True}) is None:
        raise NotFound(f"There is no catalog {catalog_id}.")
    before = current(session, catalog_id)
    if settings == (RuleSettings.from_json(before.settings) if before is not None else RuleSettings()):
        return None
    if before is not None and expected_id not in (None, before.id):
        winner = session.get_one(Person, before.person_id)
        raise Conflict(f"{winner.name} set other rules meanwhile. They are shown now; set yours again if need be.")
    if before is not None:
        before.superseded_at = utc_now()
        session.flush()
    kept = RuleSet(catalog_id=catalog_id, settings=settings.as_json(), person_id=person.id)
    session.add(kept)
    session.flush()
    jobs.request(session, APPLY, {"catalog_id": catalog_id}, person)
    return kept


def under_way(session: Session, catalog_id: int) -> Job | None:
    """The newest job that lets the rules suggest in this catalog, while it is not over."""
    return session.scalars(
        select(Job)
        .where(Job.kind == APPLY, Job.state.in_(("queued", "running")), Job.whole_id.is_(None))
        .where(Job.arguments["catalog_id"].as_integer() == catalog_id)
        .order_by(Job.id.desc())
        .limit(1)
    ).first()


def history(session: Session, catalog_id: int, limit: int = 20) -> Sequence[tuple[RuleSet, str]]:
    """What was set for a catalog and by whom, newest first."""
    rows = session.execute(
        select(RuleSet, Person.name)
        .join(Person, Person.id == RuleSet.person_id)
        .where(RuleSet.catalog_id == catalog_id)
        .order_by(RuleSet.id.desc())
        .limit(limit)
    )
    return [(kept, name) for kept, name in rows]
