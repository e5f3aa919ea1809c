"""The body of `photos.group`: a catalog's photos compared by their keys and looks, and the groups that makes.

One job on all cores, not parts: comparing needs all keys in one place, and a million take minutes. New photos alone are
compared with all others. What the keys tell is recorded in one transaction, so a worker that is killed leaves
everything as it was. Then come the looks of photos that were embedded since, some at a time; the job is asked for again
when more are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from app import jobs
from app.catalog import copies, duplicates, look_pairs, lookalikes
from app.database import utc_now
from app.review import duplicates as review
from workers.celery_app import Cancelled, Work

# A portion is recorded for good, and takes seconds.
LOOKED_AT_ONCE: Final = 2_048


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
    looked, alike = _compare_looks(work, catalog_id)
    if looked:
        work.tell(note="Making groups")
        with work.transaction() as session:
            if jobs.beat(session, work.claim, note=""):
                raise Cancelled
            groups = review.regroup(session, catalog_id)
    return {"photos": len(new), "pairs": len(matches), "looked": looked, "alike": alike, "groups": groups}


def _compare_looks(work: Work, catalog_id: int) -> tuple[int, int]:
    """Hold the photos that wait for it against what is near them: how many these were, and pairs that stand out."""
    with work.transaction() as session:
        jobs.beat(session, work.claim)
        looks = look_pairs.start(session, catalog_id)
        if looks is None:
            return 0, 0
        near = look_pairs.finder(session, catalog_id, looks)
    work.tell(done=0, total=len(looks.waiting), note="Comparing how photos look")
    alike = 0
    for at in range(0, len(looks.waiting), LOOKED_AT_ONCE):
        some, started = looks.waiting[at : at + LOOKED_AT_ONCE], utc_now()
        with work.transaction() as session:
            pairs = list(lookalikes.outstanding(looks.ids, set(some), partial(near, session)))
            thumbs = duplicates.thumbs(session, sorted({n for pair in pairs for n in (pair.first_id, pair.second_id)}))
            pairs = lookalikes.in_one_colour(pairs, thumbs)
            is_cancel_asked = jobs.beat(session, work.claim, done=at + len(some))
            look_pairs.record(session, catalog_id, some, pairs, started)
        alike += len(pairs)
        if is_cancel_asked:
            raise Cancelled
    return len(looks.waiting), alike


def threads() -> int:
    """How many threads compare: one for each core that is ours. Niced as all cpu work is, they leave them to others."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
