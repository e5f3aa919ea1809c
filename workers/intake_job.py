"""The bodies of `intake.take_in` and `intake.try_again`: a source, or what it refused, taken in in shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy.orm import Session

from app import jobs
from app.intake import hub, ingest, planning, retrying, settling, uploads
from app.intake.addresses import PrivateHosts
from app.intake.fetching import Fetcher
from app.intake.finding import Wanted
from app.intake.planning import Listed
from app.intake.taking import Measuring, Share, take_share
from workers.celery_app import Cut, Results, Work, cut_evenly, shared
from workers.signals.measure import SIGNALS_VERSION, measure_pixels

# A new photo is measured while its pixels are in memory, so that `signals.measure` need not decode it again.
MEASURING: Final = Measuring(SIGNALS_VERSION, lambda view: measure_pixels(view).columns())


def take_in(work: Work) -> dict[str, Any] | Cut:
    """Take in the source of an intake. What a browser sent is deleted afterwards: originals are kept elsewhere.

    Raises Refused where the source cannot be read, Cancelled between batches.
    """
    if settling.settled(_beginning(work), int(work.arguments["intake_id"])):
        return _end(work, [])
    return shared(work, _plan, _take_share, _end)


def _plan(work: Work) -> list[jobs.JobPart]:
    _fetch_dataset(work)
    return _shares(work, planning.plan(_beginning(work), work.tell, int(work.arguments["intake_id"])))


def _fetch_dataset(work: Work, tried: Wanted | None = None) -> None:
    """Where the source is a data set of a model hub, fetch what is missing of it, or of what is tried again."""
    with work.transaction() as session:
        folder = Path(ingest.get(session, int(work.arguments["intake_id"])).folder)
    if dataset := hub.of_folder(work.storage, folder):
        hub.fetch(work.storage, dataset, work.tell, tried)


def _shares(work: Work, listed: Listed) -> list[jobs.JobPart]:
    intake_id = int(work.arguments["intake_id"])
    return [
        jobs.JobPart({"intake_id": intake_id, "first": ids[0], "last": ids[-1]}, len(ids))
        for ids in cut_evenly(listed.ids, at_most=listed.share_at_most)
    ]


def _take_share(work: Work) -> dict[str, Any]:
    share, limit = Share(**work.arguments), work.settings.max_image_megapixels
    fetcher = Fetcher(PrivateHosts(work.settings.private_photo_hosts))

    def tell(done: int | None = None, total: int | None = None, note: str | None = None) -> None:
        work.tell(done, total, note)
        if done is not None:
            work.go_on()

    taken_in = take_share(_beginning(work), tell, work.storage, share, limit, MEASURING, fetcher.fetch)
    return {"taken_in": taken_in}


def _end(work: Work, shares: Results) -> dict[str, Any]:
    intake_id = int(work.arguments["intake_id"])
    begin = _beginning(work)
    result = settling.settle(begin, intake_id)
    with begin() as session:
        hub.mark(session, work.storage, ingest.get(session, intake_id))
    _clear(work, intake_id)
    return result


def try_again(work: Work) -> dict[str, Any] | Cut:
    """Read the refused files of an intake again. Raises Refused where the source is gone, Cancelled between batches."""
    return shared(work, _plan_again, _take_share, _end_again)


def _plan_again(work: Work) -> list[jobs.JobPart]:
    with work.transaction() as session:
        names = retrying.names(session, work.arguments)
    _fetch_dataset(work, Wanted(names))
    return _shares(work, retrying.plan(_beginning(work), work.tell, work.arguments))


def _end_again(work: Work, shares: Results) -> dict[str, Any]:
    intake_id = int(work.arguments["intake_id"])
    begin = _beginning(work)
    result = retrying.end(begin, intake_id)
    with begin() as session:
        hub.mark(session, work.storage, ingest.get(session, intake_id))
    _clear(work, intake_id)
    return result


def _clear(work: Work, intake_id: int) -> None:
    """Delete what a browser sent for an intake, but the refused files: they stay for a while, to be tried again."""
    with _beginning(work)() as session:
        intake = ingest.get(session, intake_id)
        refused = uploads.refused_names(session, intake)
    uploads.discard_taken(work.storage, Path(intake.folder), refused)
    hub.discard(work.storage, Path(intake.folder))


def _beginning(work: Work) -> Callable[[], AbstractContextManager[Session]]:
    """How to open a transaction under the job's token: a worker whose lease is lost writes nothing."""

    @contextmanager
    def begin() -> Iterator[Session]:
        with work.transaction() as session:
            jobs.beat(session, work.claim)
            yield session

    return begin
