"""The body of `photos.group`: a catalog's photos compared by their keys and looks, and the groups that makes.

One job on all cores, not parts: comparing needs all keys in one place, and a million take minutes. New photos alone are
compared with all others. What the keys tell is recorded in one transaction, so a worker that is killed leaves
everything as it was. Then, some at a time, come the pixels of copies of one size, read from their files, and the looks
of photos that were embedded since; the job is asked for again when more are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from app import jobs
from app.catalog import copies, duplicates, look_pairs, lookalikes, pixel_hashes
from app.catalog.ahead import ahead
from app.database import utc_now
from app.intake.pixels import pixels_sha256
from app.review import duplicates as review
from workers.celery_app import Cancelled, Work
from workers.signals.measure import SIGNALS_VERSION

# A portion is recorded for good, and takes seconds.
LOOKED_AT_ONCE: Final = 2_048
# Of 24 megapixels they take 1.3 s of a processor as JPEG, 6 as PNG: who is more urgent waits for no more.
HASHED_AT_ONCE: Final = 16


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
        unread = list(pixel_hashes.unhashed(session, catalog_id, SIGNALS_VERSION).items())
        # One that gave way while it read pixels goes on with that, and makes the groups at its end.
        groups = review.regroup(session, catalog_id) if new or not unread else 0
        # Under the job's token: a worker whose lease is lost writes nothing. At the end, so that somebody who cancels
        # does not wait for the job's row.
        if jobs.beat(session, work.claim, done=len(new), note=""):
            raise Cancelled
    hashed = _hash_pixels(work, unread)
    looked, alike = _compare_looks(work, catalog_id)
    if hashed or looked or (unread and not new):
        work.tell(note="Making groups")
        with work.transaction() as session:
            if jobs.beat(session, work.claim, note=""):
                raise Cancelled
            groups = review.regroup(session, catalog_id)
    seen = {"hashed": hashed, "looked": looked, "alike": alike}
    return {"photos": len(new), "pairs": len(matches), **seen, "groups": groups}


def _hash_pixels(work: Work, unread: Sequence[tuple[int, str]]) -> int:
    """Hash the pixels of photos, by their numbers and files: how many could be read. Raises Cancelled and GivesWay."""
    if unread:
        work.tell(done=0, total=len(unread), note="Comparing pixels")
    count = 0
    for at in range(0, len(unread), HASHED_AT_ONCE):
        if at:
            work.go_on()
        some = unread[at : at + HASHED_AT_ONCE]
        read = ahead(pixels_sha256, [work.storage.root / path for _, path in some], threads())
        hashed = {number: (path, sha256) for (number, path), sha256 in zip(some, read, strict=True) if sha256}
        with work.transaction() as session:
            pixel_hashes.record(session, hashed)
            work.keep(session, at + len(some))
        count += len(hashed)
    return count


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
