"""The Celery application of the workers: queues `cpu` and `gpu`, JSON only, and one way to do a job.

A worker loads the tasks of its own queue only (`--include workers.cpu` or `workers.gpu`), so what a gpu worker does
when it starts and stops is not done by a cpu worker too.

A task body is a plain function `body(work) -> dict | None`. `job_task` wraps it in the three beats of the house: claim
(a transaction), compute (none), record (a transaction). A thread renews the lease while the body computes.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from celery import Celery, signals
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from app import broker, jobs
from app.cycles import ledger
from app.database import engine_for, transaction
from app.errors import AppError, is_disk_full
from app.logs import FORMAT, LineFormatter
from app.settings import Settings
from app.storage import Storage

log = logging.getLogger(__name__)

stopped_for_good = threading.Event()
"""Set when this worker is told to stop: long work ends at its next step, and its job waits for another worker."""


class Cancelled(Exception):
    """Somebody asked to stop; raised by `Work.tell` so that a body stops at its next step."""


class GivesWay(Exception):
    """Something more urgent waits for a worker: what is done is kept, and the rest comes later."""


class NotYet(Exception):
    """What the work waits for takes a while: the job comes back when the sweeper sends overdue ones.

    The attempt does not count.
    """


class Transient(Exception):
    """A failure that may pass (a network, a busy device): the job is tried again, a limited number of times.

    While `stopped_for_good` is set, the attempt does not count.
    """


class Busy(Exception):
    """The device is somebody else's for now: the job goes back to the queue, and the attempt does not count."""


@dataclass
class Work:
    """What a task body gets: its arguments, the settings, the database, the files, and a way to tell how far it is."""

    claim: jobs.Claim
    settings: Settings
    engine: Engine
    storage: Storage
    lease_s: float = jobs.LEASE_S
    # Set by a body whose work may outlive this worker: it then calls `bill` when that work is over.
    bills_itself: bool = False
    # When its work began, as time.monotonic tells; waiting for a device is no work.
    began: float = field(default_factory=time.monotonic)
    _is_cancel_asked: threading.Event = field(default_factory=threading.Event)
    _is_lost: threading.Event = field(default_factory=threading.Event)

    def bill(self, session: Session, seconds: float) -> None:
        """Write down what this attempt cost."""
        ledger.record(session, jobs.get(session, self.claim.job_id), seconds, self.settings)

    @property
    def arguments(self) -> dict[str, Any]:
        """The job's arguments, as they were asked for."""
        return self.claim.arguments

    @property
    def before(self) -> int:
        """How much of this part is done already, by a worker that was lost or gave way."""
        return self.claim.done if self.claim.whole_id is not None else 0

    @property
    def is_cancel_asked(self) -> bool:
        """Whether somebody asked to stop, without raising: for bodies that stop in their own way."""
        return self._is_cancel_asked.is_set()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A transaction that commits at its end, and never under a lost lease."""
        self.raise_if_lost()
        with transaction(self.engine) as session:
            yield session

    def tell(self, done: int | None = None, total: int | None = None, note: str | None = None) -> None:
        """Tell how far the work is. Raises Cancelled when a stop was asked, jobs.LeaseLost when another has the job."""
        self.beat(done, total, note)
        if self.is_cancel_asked:
            raise Cancelled

    def beat(self, done: int | None = None, total: int | None = None, note: str | None = None) -> None:
        """Renew the lease and note progress. Raises jobs.LeaseLost."""
        self.raise_if_lost()
        with transaction(self.engine) as session:
            if jobs.beat(session, self.claim, self._in_all(done), total, note, self.lease_s):
                self._is_cancel_asked.set()

    def go_on(self) -> None:
        """Between two batches, all of which is kept.

        Raises Cancelled when a stop was asked, and GivesWay when something more urgent waits for a worker.
        """
        if self.is_cancel_asked:
            raise Cancelled
        with self.transaction() as session:
            is_outranked = jobs.is_outranked(session, self.claim)
        if is_outranked:
            raise GivesWay

    def keep(self, session: Session, done: int) -> None:
        """Note progress in the transaction that keeps what was done. `go_on` comes behind it. Raises jobs.LeaseLost."""
        if jobs.beat(session, self.claim, self._in_all(done), lease_s=self.lease_s):
            self._is_cancel_asked.set()

    def _in_all(self, done: int | None) -> int | None:
        """What is done of this part under this claim and earlier ones, which bodies do not do again."""
        if done is None or self.claim.whole_id is None:
            return done
        return min(self.before + done, self.claim.total or 0)

    def raise_if_lost(self) -> None:
        """Raises jobs.LeaseLost once the lease is known to be lost."""
        if self._is_lost.is_set():
            raise jobs.LeaseLost(f"Job {self.claim.job_id} is no longer this worker's.")

    def of(self, part: jobs.JobPart) -> Work:
        """This work as work on one part, under the same claim."""
        return replace(self, claim=replace(self.claim, arguments=part.arguments))

    def send_due(self) -> None:
        """Send jobs that the body has just asked for."""
        broker.send_due(self.engine, redis_url(self.settings))


@dataclass(frozen=True, slots=True)
class Cut:
    """What a body answers whose work is to be shared: the parts, for any number of workers.

    `done` was done before them, and so much `more` is left after them, for which it is cut again.
    """

    parts: Sequence[jobs.JobPart]
    done: int = 0
    more: int = 0


Body = Callable[[Work], dict[str, Any] | Cut | None]


def redis_url(settings: Settings) -> str:
    """The broker's address. The supervisor hands the embedded server's to its workers."""
    if settings.redis_url is None:
        raise AppError("PACKSHOT_REDIS_URL is not set. `packshot up` starts workers and sets it for them.")
    return settings.redis_url


def database_url(settings: Settings) -> str:
    """The database's address. The supervisor hands the embedded server's to its workers."""
    if settings.database_url is None:
        raise AppError("PACKSHOT_DATABASE_URL is not set. `packshot up` starts workers and sets it for them.")
    return settings.database_url


celery_app = Celery("packshot", broker=os.environ.get("PACKSHOT_REDIS_URL"))
celery_app.conf.update(broker.celery_settings())


def _write_plain_lines(logger: logging.Logger, **_: object) -> None:
    """File names and titles come from outside: no line of them obeys a terminal or parts in two."""
    for handler in logger.handlers:
        handler.setFormatter(LineFormatter(FORMAT))


signals.after_setup_logger.connect(_write_plain_lines)
signals.after_setup_task_logger.connect(_write_plain_lines)


def job_task(kind: str) -> Callable[[Body], Body]:
    """Register `body` as the task that does jobs of this kind. The body itself is returned: tests call it plainly."""

    def register(body: Body) -> Body:
        @celery_app.task(name=kind)  # type: ignore[untyped-decorator]
        def task(job_id: int) -> None:
            do(job_id, body, Settings())

        return body

    return register


Results = list[dict[str, Any]]


def shared(
    work: Work,
    plan: Callable[[Work], Sequence[jobs.JobPart]],
    do_part: Callable[[Work], dict[str, Any]],
    end: Callable[[Work, Results], dict[str, Any]],
) -> dict[str, Any] | Cut:
    """Do a job that many workers share: `plan` cuts it, `do_part` does a part, `end` makes a whole of their results.

    Each runs under a claim of its own, on whatever worker has it. A part that is done again does what is missing; `end`
    runs once all parts are done. What is a single part anyway is done at once, by the worker that planned it.
    """
    if work.claim.whole_id is not None:
        return do_part(work)
    if work.claim.parts is not None:
        with work.transaction() as session:
            results = jobs.results(session, work.claim)
        return end(work, results)
    parts = plan(work)
    if len(parts) > 1:
        return Cut(parts)
    return end(work, [do_part(work.of(part)) for part in parts])


def cut_evenly(items: Sequence[Any], at_least: int = 32, at_most: int = 256) -> Iterator[Sequence[Any]]:
    """The items in pieces: small ones of little work, so that all workers end together; hundreds of much."""
    size = min(at_most, max(at_least, -(-len(items) // 16)))
    for start in range(0, len(items), size):
        yield items[start : start + size]


def do(job_id: int, body: Body, settings: Settings, lease_s: float = jobs.LEASE_S) -> None:
    """Claim a job, run its body, record the outcome. A job that is not there to be taken is left alone."""
    engine = engine_for(database_url(settings))
    worker = f"{socket.gethostname()}:{os.getpid()}"
    with transaction(engine) as session:
        claim = jobs.claim(session, job_id, worker, lease_s)
    if claim is None:
        log.info("job %s: nothing to claim (delivered twice, or cancelled)", job_id)
        return
    work = Work(claim, settings, engine, Storage(settings.data_dir, settings.disk_reserve_bytes), lease_s)
    if claim.whole_id is not None:
        # The next part may be sent.
        work.send_due()
    is_billed = True
    log.info("job %s: %s, attempt %s", job_id, claim.kind, claim.attempt)
    try:
        with _heartbeat(work):
            result = body(work)
        with transaction(engine) as session:
            if isinstance(result, Cut):
                jobs.cut(session, claim, result.parts, result.done, result.more)
            else:
                jobs.finish(session, claim, result)
    except jobs.LeaseLost:
        log.warning("job %s: the lease is lost; another worker has it", job_id)
    except Cancelled:
        with transaction(engine) as session:
            jobs.end_cancelled(session, claim)
    except (GivesWay, NotYet) as pause:
        with transaction(engine) as session:
            jobs.give_back(session, claim, is_later=isinstance(pause, NotYet))
    except AppError as refusal:
        with transaction(engine) as session:
            jobs.fail(session, claim, refusal.sentence)
    except (Transient, Busy, OperationalError) as error:
        # A planned stop is no failure of the job, however often it happens, and neither is a device that is taken.
        is_blameless = stopped_for_good.is_set() or isinstance(error, Busy)
        is_billed = not isinstance(error, Busy)
        put_back = jobs.give_back if is_blameless else jobs.retry
        with transaction(engine) as session:
            put_back(session, claim, _first_line(error))
    except Exception as error:
        log.exception("job %s: %s crashed", job_id, claim.kind)
        with transaction(engine) as session:
            jobs.fail(session, claim, _why_it_broke(error, settings), "crashed")
        raise
    finally:
        if is_billed and not work.bills_itself:
            with suppress(OperationalError), transaction(engine) as session:
                work.bill(session, time.monotonic() - work.began)
        # What the body asked for was committed in its own transactions; send it now rather than at the next sweep.
        work.send_due()


def _why_it_broke(error: Exception, settings: Settings) -> str:
    """A sentence for the person at the screen about a failure that nobody foresaw where it happened."""
    if isinstance(error, OSError) and is_disk_full(error):
        folder = settings.data_dir.resolve()
        return f"The disk with {folder} is full. What was done before is kept; free some space and ask again."
    return f"The worker crashed ({type(error).__name__}: {_first_line(error)}). The log has the details."


def _first_line(error: Exception) -> str:
    """The error's own words, without the statement and the values that a database error repeats."""
    words = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    return words.split("\n")[0]


@contextmanager
def _heartbeat(work: Work) -> Iterator[None]:
    """Renew the lease from a thread while the body computes, and carry a cancel or a lost lease to it."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(work.lease_s / 4):
            try:
                work.beat()
            except jobs.LeaseLost:
                work._is_lost.set()
                return
            except OperationalError:
                log.warning("job %s: the database does not answer; the lease waits for it", work.claim.job_id)

    thread = threading.Thread(target=beat, name=f"beat-{work.claim.job_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
