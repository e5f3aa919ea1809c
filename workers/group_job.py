"""The body of `photos.group`: a catalog's photos compared by their keys, and the groups of duplicates that makes.

One job on all cores, not parts: comparing needs all keys in one place, and a million take minutes. New photos alone are
compared with all others. What it finds is recorded in one transaction, so a worker that is killed leaves everything as
it was.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from app import jobs
from app.catalog import copies, duplicates
from app.database import utc_now
from app.review import duplicates as review
from workers.celery_app import Cancelled, Work


def group(work: Work) -> dict[str, Any]:
    """Compare the catalog's new photos with all, then make its groups. Raises Cancelled while it compares."""
    catalog_id = int(work.arguments["catalog_id"])
    # Before the keys are read: a photo measured meanwhile is new again.
    started = utc_now()
    with work.transaction() as session:
        photos = duplicates.keyed(session, catalog_id)
    ids = photos.image_ids
    new = [ids[place] for place in np.flatnonzero(photos.is_new)]
    work.tell(done=0, total=len(new), note="Comparing photos")

    def thumbs(places: Sequence[int]) -> Mapping[int, bytes]:
        if work.is_cancel_asked:
            raise Cancelled
        with work.transaction() as session:
            there = duplicates.thumbs(session, [ids[place] for place in places])
        return {place: there[ids[place]] for place in places if ids[place] in there}

    matches = list(copies.find(photos.keys, thumbs, photos.is_new, threads())) if new else []
    work.tell(note="Making groups")
    with work.transaction() as session:
        review.lock(session, catalog_id)
        duplicates.record(session, catalog_id, new, matches, ids, started)
        groups = review.regroup(session, catalog_id)
        # Under the job's token: a worker whose lease is lost writes nothing. At the end, so that somebody who cancels
        # does not wait for the job's row.
        if jobs.beat(session, work.claim, done=len(new), note=""):
            raise Cancelled
    return {"photos": len(new), "pairs": len(matches), "groups": groups}


def threads() -> int:
    """How many threads compare: one for each core that is ours. Niced as all cpu work is, they leave them to others."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
