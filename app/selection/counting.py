"""Asking for the count of tokens of captions that are not counted, as the photo index knows them."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app import jobs
from app.captions.token_counts import KIND
from app.catalog.tables import Catalog
from app.database import utc_now
from app.jobs import Job
from app.selection.tables import PhotoIndex

PAUSE: Final = timedelta(hours=1)


def request_due(session: Session) -> None:
    """Ask once for each catalog that holds a current caption which is not counted; its index has nothing else.

    Where that failed or was stopped, nothing is asked for an hour.
    """
    due = exists().where(
        PhotoIndex.catalog_id == Catalog.id, PhotoIndex.captioned_by != "none", PhotoIndex.tokens_by.is_(None)
    )
    is_given_up = exists().where(
        Job.kind == KIND, Job.state.in_(("failed", "cancelled")), Job.ended_at > utc_now() - PAUSE,
        Job.arguments["catalog_id"].as_integer() == Catalog.id,
    )  # fmt: skip
    for catalog_id in session.scalars(select(Catalog.id).where(due, ~is_given_up)):
        jobs.request_once(session, KIND, {"catalog_id": catalog_id}, is_running_enough=True)
