"""The body of `intake.take_in`: a source listed once, then taken in by many workers, each a share of its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from sqlalchemy.orm import Session

from app import jobs
from app.intake import hub, ingest, planning, settling, uploads
from app.intake.addresses import PrivateHosts
from app.intake.fetching import Fetcher
from app.intake.taking import Measuring, Share, take_share
from workers.celery_app import Cut, Results, Work, cut_evenly, shared
from workers.signals.measure import SIGNALS_VERSION, measure

# A new photo is measured while its pixels are in memory, so that `signals.measure` need not decode it again.
MEASURING: Final = Measuring(SIGNALS_VERSION, lambda view: asdict(measure(view)))


def take_in(work: Work) -> dict[str, Any] | Cut:
    """Take in the source of an intake. What a browser sent is deleted afterwards: originals are kept elsewhere.

    Raises Refused where the source cannot be read, Cancelled between batches.
    """
    if settling.settled(_beginning(work), int(work.arguments["intake_id"])):
        return _end(work, [])
    return shared(work, _plan, _take_share, _end)


def _plan(work: Work) -> list[jobs.JobPart]:
    intake_id = int(work.arguments["intake_id"])
    with work.transaction() as session:
        folder = Path(ingest.get(session, intake_id).folder)
    if dataset := hub.of_folder(work.storage, folder):
        hub.fetch(work.storage, dataset, work.tell)
    listed = planning.plan(_beginning(work), work.tell, intake_id)
    return [
        jobs.JobPart({"intake_id": intake_id, "first": ids[0], "last": ids[-1]}, len(ids))
        for ids in cut_evenly(listed.ids, at_most=listed.share_at_most)
    ]


def _take_share(work: Work) -> dict[str, Any]:
    share, limit = Share(**work.arguments), work.settings.max_image_megapixels
    fetcher = Fetcher(PrivateHosts(work.settings.private_photo_hosts))
    taken_in = take_share(_beginning(work), work.tell, work.storage, share, limit, MEASURING, fetcher.fetch)
    return {"taken_in": taken_in}


def _end(work: Work, shares: Results) -> dict[str, Any]:
    intake_id = int(work.arguments["intake_id"])
    begin = _beginning(work)
    with begin() as session:
        folder = Path(ingest.get(session, intake_id).folder)
    result = settling.settle(begin, intake_id)
    with begin() as session:
        hub.mark(session, work.storage, ingest.get(session, intake_id))
    uploads.discard(work.storage, folder)
    hub.discard(work.storage, folder)
    return result


def _beginning(work: Work) -> Callable[[], AbstractContextManager[Session]]:
    """How to open a transaction under the job's token: a worker whose lease is lost writes nothing."""

    @contextmanager
    def begin() -> Iterator[Session]:
        with work.transaction() as session:
            jobs.beat(session, work.claim)
            yield session

    return begin
