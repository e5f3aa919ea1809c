"""The body of `review.apply_rules`: the review rules suggest what to do with a catalog's photos.

Shared by many workers: a part is one batch of photos, judged in one transaction.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from app import jobs
from app.review import decisions
from app.review.decisions import Applied
from workers.celery_app import Cut, Results, Work, shared


def apply_rules(work: Work) -> dict[str, Any] | Cut:
    """Let the review rules suggest, as the catalog has set them. Done again, it changes only what differs.

    Raises Cancelled between batches.
    """
    return shared(work, _plan, _apply_to_part, _end)


def _plan(work: Work) -> list[jobs.JobPart]:
    with work.transaction() as session:
        batches = decisions.in_batches(session, int(work.arguments["catalog_id"]))
        return [jobs.JobPart({**work.arguments, "image_ids": batch}, len(batch)) for batch in batches]


def _apply_to_part(work: Work) -> dict[str, Any]:
    batch = work.arguments["image_ids"]
    with work.transaction() as session:
        # Under the job's token: a worker whose lease is lost writes nothing.
        jobs.beat(session, work.claim)
        applied = decisions.apply_rules(session, batch)
    work.tell(done=len(batch), total=len(batch))
    return dataclasses.asdict(applied)


def _end(work: Work, parts: Results) -> dict[str, Any]:
    return dataclasses.asdict(sum((Applied(**part) for part in parts), Applied()))
