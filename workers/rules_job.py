"""The body of `review.apply_rules`: the review rules suggest what to do with a catalog's photos, batch by batch."""

from __future__ import annotations

import dataclasses
from typing import Any

from app import jobs
from app.review import decisions
from app.review.decisions import Applied
from workers.celery_app import Work


def apply_rules(work: Work) -> dict[str, Any]:
    """Let the review rules suggest, as the catalog has set them. Done again, it changes only what differs.

    Raises Cancelled between batches.
    """
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
