"""The body of `signals.measure`: the signals of many images, kept batch by batch, and captions asked for at the end.

Shared by many workers: a part is some images by their ids.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from PIL import Image as Pillow

from app import jobs
from app.captions import proposing
from app.catalog import embeddings, signals
from app.catalog.files import view_path
from app.catalog.signals import Unmeasured
from app.cycles import spending
from workers.celery_app import Cut, Results, Work, cut_evenly, shared
from workers.signals.measure import SIGNALS_VERSION, measure

log = logging.getLogger(__name__)

BATCH: Final = 32
NAMED_AT_MOST: Final = 20


def measure_all(work: Work) -> dict[str, Any] | Cut:
    """Measure the images asked for that lack signals of this version, then ask for their captions.

    An image whose view cannot be read is told and passed over. Raises Cancelled between batches.
    """
    return shared(work, _plan, _measure_part, _end)


def _plan(work: Work) -> list[jobs.JobPart]:
    ids = [image.image_id for image in _waiting(work)]
    return [jobs.JobPart({**work.arguments, "image_ids": list(some)}, len(some)) for some in cut_evenly(ids)]


def _measure_part(work: Work) -> dict[str, Any]:
    waiting = _waiting(work)
    return {"photos": len(waiting), "passed_over": measure_images(work, waiting)}


def _end(work: Work, parts: Results) -> dict[str, Any]:
    passed_over = [sentence for part in parts for sentence in part["passed_over"]]
    with work.transaction() as session:
        jobs.beat(session, work.claim)
        asker = jobs.asker(session, work.claim.job_id)
        settings = spending.free_of(session, work.settings, asker)
        catalog_id = int(work.arguments["catalog_id"])
        proposing.request_captions(session, catalog_id, settings, asker)
        # Behind the captions, which people wait for. One that costs money nobody has set aside waits to be asked for.
        jobs.request_once(session, "photos.group", {"catalog_id": catalog_id}, asker)
        if settings.embedder == work.settings.embedder:
            embeddings.request(session, catalog_id, settings, asker)
        jobs.request_once(session, "photos.read_text", {"catalog_id": catalog_id}, asker)
    return {"photos": sum(part["photos"] for part in parts), "passed_over": passed_over[:NAMED_AT_MOST]}


def _waiting(work: Work) -> list[Unmeasured]:
    with work.transaction() as session:
        catalog_id = int(work.arguments["catalog_id"])
        return signals.unmeasured(session, catalog_id, SIGNALS_VERSION, work.arguments.get("image_ids"))


def measure_images(work: Work, waiting: Sequence[Unmeasured]) -> list[str]:
    """Measure these images for a job, batch by batch; returns a sentence for each that cannot be read.

    Raises Cancelled between batches.
    """
    work.tell(done=0, total=len(waiting))
    passed_over: list[str] = []
    for start in range(0, len(waiting), BATCH):
        batch = waiting[start : start + BATCH]
        measured: dict[int, dict[str, Any]] = {}
        for image in batch:
            try:
                with Pillow.open(view_path(work.storage, image.view_sha256)) as view:
                    measured[image.image_id] = measure(view).columns()
            except (OSError, SyntaxError) as error:
                log.warning("view of image %s cannot be read: %s", image.image_id, error)
                passed_over.append(f"{image.file_name} cannot be read")
        with work.transaction() as session:
            work.keep(session, done=start + len(batch))
            signals.record(session, SIGNALS_VERSION, measured, {image.image_id: image.view_sha256 for image in batch})
        work.go_on()
    return passed_over
