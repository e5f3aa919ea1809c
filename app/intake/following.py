"""What follows an intake: the jobs that measure and caption its catalog's photos."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.tables import Intake
from app.jobs import Job


def under_way_after(session: Session, asked: Intake) -> list[Job]:
    """Jobs that an intake led to and that are not over: its catalog's signals and captions. Oldest first."""
    return working_on(session, asked.catalog_id, asked.job_id or 0)


def working_on(session: Session, catalog_id: int, after_job_id: int = 0) -> list[Job]:
    """Jobs that measure or caption a catalog's photos and are not over, asked for after that one. Oldest first."""
    query = (
        select(Job)
        .where(
            Job.kind.in_(("signals.measure", "captions.propose", "captions.look", "captions.ask")),
            Job.state.in_(("queued", "running")),
            Job.whole_id.is_(None),
            Job.id > after_job_id,
            Job.arguments["catalog_id"].as_integer() == catalog_id,
        )
        .order_by(Job.id)
        .limit(3)
    )
    return list(session.scalars(query))
