"""Asking for what captions wait for, as the photo index knows: a count of their tokens, a look at their words."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import Boolean, ColumnElement, and_, exists, literal_column, select
from sqlalchemy.orm import Session

from app import jobs
from app.captions.token_counts import KIND
from app.captions.word_lists import CHECKED_BY
from app.catalog.tables import Catalog
from app.database import utc_now
from app.jobs import Job
from app.selection.tables import UNCHECKED, PhotoIndex

PAUSE: Final = timedelta(hours=1)


def request_due(session: Session) -> None:
    """Ask once for each catalog that holds a current caption which waits; each is an index that has nothing else.

    Where that failed or was stopped, nothing is asked for an hour.
    """
    waits: dict[str, ColumnElement[bool]] = {
        KIND: and_(PhotoIndex.captioned_by != "none", PhotoIndex.tokens_by.is_(None)),
        CHECKED_BY: literal_column(f"photo_index.lints = '{{{UNCHECKED}}}'", Boolean),
    }
    for kind, condition in waits.items():
        due = exists().where(PhotoIndex.catalog_id == Catalog.id, condition)
        is_given_up = exists().where(
            Job.kind == kind, Job.state.in_(("failed", "cancelled")), Job.ended_at > utc_now() - PAUSE,
            Job.arguments["catalog_id"].as_integer() == Catalog.id,
        )  # fmt: skip
        for catalog_id in session.scalars(select(Catalog.id).where(due, ~is_given_up)):
            jobs.request_once(session, kind, {"catalog_id": catalog_id}, is_running_enough=True)
