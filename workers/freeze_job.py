"""The body of `dataset.freeze`: a selection becomes an immutable dataset version with its manifest."""

from __future__ import annotations

from typing import Any

from app import jobs
from app.catalog import signals
from app.datasets import freezing
from app.datasets.tables import DatasetVersion
from workers.celery_app import Work
from workers.signals.measure import SIGNALS_VERSION
from workers.signals.signal_job import measure_images


def freeze(work: Work) -> dict[str, Any]:
    """Freeze a dataset version. A version that is frozen already stays as it is.

    Raises Refused where there is nothing to freeze, Cancelled before the manifest is written.
    """
    with work.transaction() as session:
        version = session.get_one(DatasetVersion, int(work.arguments["version_id"]))
        if version.content_hash is not None:
            return {}
        gathered = freezing.gather(session, version)
        unmeasured = signals.unmeasured(session, version.catalog_id, SIGNALS_VERSION)
    # Photos measured by an earlier version have no fingerprint, and their copies would not be known.
    chosen = {candidate.image_id for candidate in gathered.candidates}
    if waiting := [image for image in unmeasured if image.image_id in chosen]:
        work.tell(note="Looking for copies")
        measure_images(work, waiting)
        with work.transaction() as session:
            gathered = freezing.gather(session, session.get_one(DatasetVersion, version.id))
    work.tell(total=len(gathered.candidates), note="Checking picture files")
    placed = freezing.arrange(work.storage, gathered.candidates)
    work.tell(note="Writing the manifest")
    with work.transaction() as session:
        # Under the job's token: a worker whose lease is lost writes nothing.
        jobs.beat(session, work.claim, done=len(placed), note="")
        freezing.record(session, work.storage, session.get_one(DatasetVersion, version.id), placed, gathered.opted_out)
    return {"left_out": gathered.left_out, "opted_out": gathered.opted_out}
