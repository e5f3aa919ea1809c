"""Tasks of the cpu queue: each a few lines, and none of them touches torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app import jobs
from app.datasets import freezing
from app.datasets.tables import DatasetVersion
from app.intake import ingest, uploads
from app.review import decisions
from app.review.decisions import Applied
from workers import captioning, measuring
from workers.celery_app import Work, job_task


@job_task("intake.take_in")
def take_in(work: Work) -> dict[str, Any]:
    """Take in a folder of photos."""

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


@job_task("signals.measure")
def measure(work: Work) -> dict[str, Any]:
    """Measure the photos that lack signals."""
    return measuring.measure_all(work)


@job_task("captions.propose")
def propose_captions(work: Work) -> dict[str, Any]:
    """Caption photos from facts."""
    return captioning.propose_all(work)


@job_task("dataset.freeze")
def freeze(work: Work) -> dict[str, Any]:
    """Freeze a dataset version. A version that is frozen already stays as it is."""
    with work.transaction() as session:
        version = session.get_one(DatasetVersion, int(work.arguments["version_id"]))
        if version.content_hash is not None:
            return {}
        gathered = freezing.gather(session, version)
    work.tell(total=len(gathered.candidates), note="Checking picture files")
    placed = freezing.arrange(work.storage, gathered.candidates)
    work.tell(note="Writing the manifest")
    with work.transaction() as session:
        # Under the job's token: a worker whose lease is lost writes nothing.
        jobs.beat(session, work.claim, done=len(placed), note="")
        freezing.record(session, work.storage, session.get_one(DatasetVersion, version.id), placed)
    return {"left_out": gathered.left_out}


@job_task("review.apply_rules")
def apply_rules(work: Work) -> dict[str, Any]:
    """Let the review rules decide on a catalog's photos. Done again, it changes only what differs."""
    with work.transaction() as session:
        batches = list(decisions.in_batches(session, int(work.arguments["catalog_id"])))
    applied, done = Applied(), 0
    for batch in batches:
        with work.transaction() as session:
            # Under the job's token: a worker whose lease is lost writes nothing.
            jobs.beat(session, work.claim)
            applied += decisions.apply_rules(session, batch)
        done += len(batch)
        work.tell(done=done, total=sum(map(len, batches)))
    return dataclasses.asdict(applied)
