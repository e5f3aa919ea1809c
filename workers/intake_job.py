"""The body of `intake.take_in`: a folder of photos taken in, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app import jobs
from app.intake import ingest, uploads
from workers.celery_app import Work


def take_in(work: Work) -> dict[str, Any]:
    """Take in the folder of an intake. What a browser sent is deleted afterwards: originals are kept elsewhere.

    Raises Refused where the folder cannot be read, Cancelled between batches.
    """

    @contextmanager
    def begin() -> Iterator[Session]:
        with work.transaction() as session:
            # Under the job's token: a worker whose lease is lost writes nothing.
            jobs.beat(session, work.claim)
            yield session

    intake_id, limit = int(work.arguments["intake_id"]), work.settings.max_image_megapixels
    with begin() as session:
        folder = Path(ingest.get(session, intake_id).folder)
    result = ingest.take_in(begin, work.tell, work.storage, intake_id, limit)
    uploads.discard(work.storage, folder)
    return result
