"""The bodies of `intake.take_in` and `intake.try_again`: a source, or what it refused, taken in in shares.

A data set of a model hub is taken in by hauls: while the shares of one are done, another part fetches the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy.orm import Session

from app import jobs
from app.intake import hub, ingest, planning, retrying, settling, streaming, uploads
from app.intake.addresses import PrivateHosts
from app.intake.fetching import Fetcher
from app.intake.finding import Wanted
from app.intake.hauls import Haul
from app.intake.planning import Listed
from app.intake.streaming import Stream
from app.intake.taking import Measuring, Share, take_share
from workers.celery_app import Cut, Results, Work, cut_evenly, shared
from workers.signals.measure import SIGNALS_VERSION, measure_each

# New photos are measured while their pixels are in memory, so that `signals.measure` need not decode them again.
MEASURING: Final = Measuring(SIGNALS_VERSION, lambda views: [values.columns() for values in measure_each(views)])


def take_in(work: Work) -> dict[str, Any] | Cut:
    """Take in the source of an intake. What a browser sent is deleted afterwards: originals are kept elsewhere.

    Raises Refused where the source cannot be read, Cancelled between batches.
    """
    if settling.settled(_beginning(work), int(work.arguments["intake_id"])):
        return _end(work, [])
    if _is_of_hub(work):
        return _take_in_by_hauls(work)
    return shared(work, _plan, _take_share, _end)


def _is_of_hub(work: Work) -> bool:
    with work.transaction() as session:
        folder = Path(ingest.get(session, int(work.arguments["intake_id"])).folder)
    return hub.of_folder(work.storage, folder) is not None


def _plan(work: Work) -> list[jobs.JobPart]:
    return _shares(work, planning.plan(_beginning(work), work.tell, int(work.arguments["intake_id"])))


def _take_in_by_hauls(work: Work) -> dict[str, Any] | Cut:
    """Go on with a data set where it stands: the next haul, or its end. A part does its share, or fetches."""
    begin, intake_id = _beginning(work), int(work.arguments["intake_id"])
    if work.claim.whole_id is not None and "fetched" not in work.arguments:
        return _take_share(work)
    stream = streaming.opened(begin, work.tell, work.storage, intake_id)
    if work.claim.whole_id is not None:
        streaming.fetch(work.storage, stream, stream.plan.hauls[work.arguments["fetched"]], work.tell)
        return {}
    streaming.fetch_words(work.storage, stream, work.tell)
    if not stream.plan.holds_pictures:
        return _take_in_words(work, stream)
    streaming.prepare(begin, work.tell, stream)
    while (haul := streaming.next_haul(begin, stream)) is not None:
        if (cut := _take_in_haul(work, stream, haul)) is not None:
            return cut
        streaming.take_leave(begin, stream, haul)
    streaming.finish(begin, stream)
    return _end(work, [])


def _take_in_haul(work: Work, stream: Stream, haul: Haul) -> Cut | None:
    """What is left to do of a haul, and the fetching of the next; None where nothing is, or a single share was."""
    begin = _beginning(work)
    if not streaming.is_staged(begin, stream, haul):
        streaming.fetch(work.storage, stream, haul, work.tell)
        streaming.stage(begin, work.tell, stream, haul)
    ids = streaming.waiting(begin, stream, haul)
    if not ids:
        return None
    streaming.fetch(work.storage, stream, haul, work.tell)
    done, more, note = streaming.progress(begin, stream, haul)
    work.tell(done, done + len(ids) + more, note)
    parts = _shares(work, Listed(ids, planning.share_at_most(begin, stream.intake_id)))
    if haul.number + 1 < len(stream.plan.hauls):
        # Behind the first share: a worker that is alone shows photos before it fetches more.
        parts.insert(1, jobs.JobPart({"intake_id": stream.intake_id, "fetched": haul.number + 1}, 0))
    if len(parts) > 1:
        return Cut(parts, done, more)
    _take_share(work.of(parts[0]), done)
    return None


def _take_in_words(work: Work, stream: Stream) -> dict[str, Any]:
    """A data set of words alone: for photos that are there already, or that lie on the web."""
    begin = _beginning(work)
    for haul in stream.plan.hauls:
        streaming.fetch_beside_words(work.storage, stream, haul, work.tell)
    listed = planning.plan(begin, work.tell, stream.intake_id, str(stream.words_folder))
    streaming.keep_commit(begin, stream)
    for part in _shares(work, listed):
        _take_share(work.of(part))
    settling.describe(begin, stream.intake_id)
    with begin() as session:
        streaming.mark(session, stream)
    return _end(work, [])


def _shares(work: Work, listed: Listed) -> list[jobs.JobPart]:
    intake_id = int(work.arguments["intake_id"])
    return [
        jobs.JobPart({"intake_id": intake_id, "first": ids[0], "last": ids[-1]}, len(ids))
        for ids in cut_evenly(listed.ids, at_most=listed.share_at_most)
    ]


def _take_share(work: Work, before: int = 0) -> dict[str, Any]:
    """Take in a share; `before` was done of the whole where this is not a part."""
    share, limit = Share(**work.arguments), work.settings.max_image_megapixels
    fetcher = Fetcher(PrivateHosts(work.settings.private_photo_hosts))

    def tell(done: int | None = None, total: int | None = None, note: str | None = None) -> None:
        work.tell(None if done is None else before + done, total, note)
        if done is not None:
            work.go_on()

    taken_in = take_share(_beginning(work), tell, work.storage, share, limit, MEASURING, fetcher.fetch)
    return {"taken_in": taken_in}


def _end(work: Work, shares: Results) -> dict[str, Any]:
    intake_id = int(work.arguments["intake_id"])
    result = settling.settle(_beginning(work), intake_id)
    _clear(work, intake_id)
    return result


def try_again(work: Work) -> dict[str, Any] | Cut:
    """Read the refused files of an intake again. Raises Refused where the source is gone, Cancelled between batches."""
    if _is_of_hub(work):
        return _try_again_by_hauls(work)
    return shared(work, _plan_again, _take_share, _end_again)


def _plan_again(work: Work) -> list[jobs.JobPart]:
    return _shares(work, retrying.plan(_beginning(work), work.tell, work.arguments))


def _try_again_by_hauls(work: Work) -> dict[str, Any]:
    """The files that hold refused ones fetched once more, a haul at a time, by this worker alone."""
    begin, intake_id = _beginning(work), int(work.arguments["intake_id"])
    with begin() as session:
        names = retrying.names(session, work.arguments)
    stream = streaming.opened(begin, work.tell, work.storage, intake_id, Wanted(names))
    streaming.fetch_words(work.storage, stream, work.tell)
    if not stream.plan.holds_pictures:
        for haul in stream.plan.hauls:
            streaming.fetch_beside_words(work.storage, stream, haul, work.tell)
    for of, some in streaming.by_haul(stream, names):
        if of is not None:
            streaming.fetch_beside_words(work.storage, stream, of, work.tell)
        listed = retrying.plan(begin, work.tell, work.arguments, str(stream.words_folder), some)
        for part in _shares(work, listed):
            _take_share(work.of(part))
        if of is not None:
            streaming.remove_beside_words(stream, of)
    result = retrying.end(begin, intake_id)
    with begin() as session:
        streaming.mark(session, stream)
    _clear(work, intake_id)
    return result


def _end_again(work: Work, shares: Results) -> dict[str, Any]:
    intake_id = int(work.arguments["intake_id"])
    result = retrying.end(_beginning(work), intake_id)
    _clear(work, intake_id)
    return result


def _clear(work: Work, intake_id: int) -> None:
    """Delete what a browser sent for an intake, but the refused files: they stay for a while, to be tried again."""
    with _beginning(work)() as session:
        intake = ingest.get(session, intake_id)
        refused = uploads.refused_names(session, intake)
        uploads.discard_taken(work.storage, Path(intake.folder), refused)
        streaming.discard(work.storage, intake)


def _beginning(work: Work) -> Callable[[], AbstractContextManager[Session]]:
    """How to open a transaction under the job's token: a worker whose lease is lost writes nothing."""

    @contextmanager
    def begin() -> Iterator[Session]:
        with work.transaction() as session:
            jobs.beat(session, work.claim)
            yield session

    return begin
