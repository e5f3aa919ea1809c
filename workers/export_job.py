"""The body of `versions.export`: a frozen version written out in a format that other tools read."""

from __future__ import annotations

from functools import partial
from typing import Any

from app import jobs
from app.errors import Refused
from app.exports import asking, shards, writing
from app.exports.members import gather
from app.exports.shards import Listener, Wish
from app.exports.tables import Export
from workers.celery_app import Cancelled, Work


def export(work: Work) -> dict[str, Any]:
    """Write an export, shard by shard; what an earlier worker left whole is not written again.

    Raises Refused where there is nothing to write or photos' files are not there, DiskFull, Cancelled, which leaves
    nothing behind, and GivesWay between shards.
    """
    export_id = int(work.arguments["export_id"])
    with work.transaction() as session:
        asked = session.get(Export, export_id)
        if asked is None:
            raise _deleted()
        outgoing = gather(session, work.storage, asked.version_id)
        leftovers = asking.leftovers(session, work.storage)
    for leftover in leftovers:
        shards.discard(leftover)
    folder = asking.folder_of(work.storage, export_id)
    wish = Wish(asked.leaves_out, asked.repeats)
    try:
        work.tell(done=0, total=len(outgoing.members))
        listener = Listener(work.tell, partial(_pause, work))
        written = writing.write(folder, outgoing, asked.format, wish, listener, work.storage.reserve_bytes)
    except Cancelled:
        shards.discard(folder)
        raise
    with work.transaction() as session:
        # Under the job's token: a worker whose lease is lost records nothing.
        jobs.beat(session, work.claim, done=len(outgoing.members))
        asked = session.get(Export, export_id, with_for_update=True)
        if asked is not None:
            asking.record(session, asked, written)
    if asked is None:
        shards.discard(folder)
        raise _deleted()
    shards.settle(folder)
    return {"photos": written.photos, "left_out": len(written.left_out)}


def _pause(work: Work) -> None:
    """A shard is whole: workers that were lost before it count no more. Raises Cancelled and GivesWay."""
    with work.transaction() as session:
        jobs.count_anew(session, work.claim)
    work.go_on()


def _deleted() -> Refused:
    return Refused("This export was deleted, or its version was.")
