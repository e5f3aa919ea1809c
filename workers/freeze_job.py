"""The bodies of `dataset.freeze`, which makes a selection an immutable version, and of `dataset.verify`."""

from __future__ import annotations

from typing import Any

from app import jobs
from app.catalog import signals
from app.datasets import arranging, freezing, verifying
from app.datasets.leaks import Leak
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
        seed = version.seed
        unmeasured = signals.unmeasured(session, version.catalog_id, SIGNALS_VERSION)
    # Photos measured by an earlier version have no fingerprint, and their copies would not be known.
    chosen = {candidate.image_id for candidate in gathered.candidates}
    if waiting := [image for image in unmeasured if image.image_id in chosen]:
        work.tell(note="Looking for copies")
        measure_images(work, waiting)
        with work.transaction() as session:
            gathered = freezing.gather(session, session.get_one(DatasetVersion, version.id))
    work.tell(total=len(gathered.candidates), note="Checking picture files")
    try:
        placed = arranging.arrange(work.storage, gathered, seed, lambda done: work.tell(done=done))
    except Leak as leak:
        with work.transaction() as session:
            jobs.beat(session, work.claim)
            freezing.note_leak(session.get_one(DatasetVersion, version.id), leak)
        raise
    work.tell(note="Writing the manifest")
    with work.transaction() as session:
        # Under the job's token: a worker whose lease is lost writes nothing.
        jobs.beat(session, work.claim, done=len(placed), note="")
        freezing.record(session, work.storage, session.get_one(DatasetVersion, version.id), placed, gathered.opted_out)
    return {"left_out": gathered.left_out, "opted_out": gathered.opted_out}


def verify(work: Work) -> dict[str, Any]:
    """Look whether a version still is what was frozen. Raises Refused, which says what is not."""
    with work.transaction() as session:
        version = session.get_one(DatasetVersion, int(work.arguments["version_id"]))
        rows = verifying.manifest_of(session, work.storage, version)
    work.tell(total=len(rows), note="Reading picture files")
    bad: list[str] = []
    for done, some in verifying.faults(work.storage, version.id, rows):
        bad += some
        work.tell(done=done)
    if bad:
        raise verifying.refusal(bad, len(rows) + sum(bool(row.mask) for row in rows))
    return {"files": len(rows)}
