"""The body of `photos.read_text`: the text that stands in many photos, read batch by batch. Nothing waits for it.

Shared by many workers: a part is some images by their ids.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from PIL import Image as Pillow

from app import jobs
from app.catalog import lettering
from app.catalog.files import view_path
from app.catalog.lettering import UnreadImage
from app.catalog.text_lines import TextLine
from workers.celery_app import Cut, Results, Work, cut_evenly, shared

log = logging.getLogger(__name__)

# Few: after each, reading gives way.
BATCH: Final = 2
NAMED_AT_MOST: Final = 20


def read_all(work: Work) -> dict[str, Any] | Cut:
    """Read the text in the images of a catalog that this version has not read. Raises Cancelled between batches."""
    return shared(work, _plan, _read_part, _end)


def _plan(work: Work) -> list[jobs.JobPart]:
    ids = [image.image_id for image in _waiting(work)]
    # Small ones: reading is slow, and what comes meanwhile is done between two parts.
    return [jobs.JobPart({**work.arguments, "image_ids": list(some)}, len(some)) for some in cut_evenly(ids, 16, 64)]


def _end(work: Work, parts: Results) -> dict[str, Any]:
    photos = sum(part["photos"] for part in parts)
    if photos:
        # Rules look at what is written, and captions are held against it.
        with work.transaction() as session:
            jobs.beat(session, work.claim)
            arguments = {"catalog_id": int(work.arguments["catalog_id"])}
            jobs.request_once(session, "review.apply_rules", arguments, jobs.asker(session, work.claim.job_id))
    passed_over = [sentence for part in parts for sentence in part["passed_over"]]
    return {"photos": photos, "passed_over": passed_over[:NAMED_AT_MOST]}


def _waiting(work: Work) -> list[UnreadImage]:
    from workers.lettering.reader import LETTERING_VERSION, READ_SINCE

    with work.transaction() as session:
        catalog_id = int(work.arguments["catalog_id"])
        return lettering.unread(
            session, catalog_id, LETTERING_VERSION, work.arguments.get("image_ids"), as_good=READ_SINCE
        )


def _read_part(work: Work) -> dict[str, Any]:
    # Its models stay in memory, so a worker that reads nothing loads none.
    from workers.lettering.reader import LETTERING_VERSION, read

    waiting = _waiting(work)
    work.tell(done=0, total=len(waiting))
    passed_over: list[str] = []
    for start in range(0, len(waiting), BATCH):
        batch = waiting[start : start + BATCH]
        lines: dict[int, list[TextLine]] = {}
        for image in batch:
            try:
                with Pillow.open(view_path(work.storage, image.view_sha256)) as view:
                    lines[image.image_id] = read(view, image.outline, image.lines)
            except (OSError, SyntaxError) as error:
                log.warning("view of image %s cannot be read: %s", image.image_id, error)
                passed_over.append(f"{image.file_name} cannot be read")
        with work.transaction() as session:
            work.keep(session, done=start + len(batch))
            views = {image.image_id: image.view_sha256 for image in batch}
            lettering.record(session, LETTERING_VERSION, lines, views)
        work.go_on()
    return {"photos": len(waiting), "passed_over": passed_over}
