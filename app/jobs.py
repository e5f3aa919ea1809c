"""Jobs: one table that is outbox, progress and audit. The row is the truth; a Celery message is only a hint.

A job lives: queued -> running -> done | failed | cancelled. `claim` is a guarded update that gives the claimer a lease
and a fencing token; every later write carries the token, so a worker that lost its lease can change nothing. A message
delivered twice finds nothing to claim. `sweep` puts jobs whose lease ran out back in the queue.

Work on many photos is shared: its first claim *cuts* a job into parts, jobs of the same kind with a `whole_id`, which
any number of workers claim. The whole waits meanwhile, running without a lease. Its progress is the sum of its parts',
and a cancel of it reaches them all. When the last part is over the whole is queued once more, to be brought to its end
or cut again; a part that failed fails it, after the others kept what they did.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, Literal

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, Text, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column
from sqlalchemy.sql import ColumnElement

from app import audit, urgency
from app.database import Base, BigId, Moment, utc_now
from app.errors import AppError, NotAllowed, NotFound, Refused
from app.people import Person, may_act_for

Queue = Literal["cpu", "gpu"]
LEASE_S: Final = 60.0
MAX_ATTEMPTS: Final = 3
_SAME_JOB_LOCK: Final = 0x7061636E
FailureKind = Literal["refused", "crashed", "lost", "gave_up"]
"""Why a job failed, in a word: it cannot be done as asked; a fault of the program; its workers were lost again and
again; a failure that might have passed did not."""

# Every kind of job, and the queue whose workers do it. test_house checks that each has a task.
QUEUES: Final[dict[str, Queue]] = {
    **dict.fromkeys(("intake.take_in", "intake.try_again", "signals.measure", "captions.propose"), "cpu"),
    **dict.fromkeys(("photos.mend", "photos.group", "photos.embed", "photos.map", "photos.read_text"), "cpu"),
    **dict.fromkeys(("review.apply_rules", "dataset.freeze", "dataset.verify", "versions.export"), "cpu"),
    **dict.fromkeys(("captions.count", "captions.lint"), "cpu"),
    **dict.fromkeys(("operation.do", "operation.undo", "catalog.remove", "files.delete"), "cpu"),
    **dict.fromkeys(("captions.ask", "operation.ask", "sheet.measure"), "cpu"),
    **dict.fromkeys(("captions.look", "operation.look", "photos.encode", "photos.read_phrase", "sheet.draw"), "gpu"),
    **dict.fromkeys(("run.preflight", "run.train", "run.export", "model.export"), "gpu"),
}


class Job(Base):
    """One piece of queued work."""

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint("state in ('queued','running','done','failed','cancelled')", name="state"),
        CheckConstraint("failure_kind in ('refused','crashed','lost','gave_up')", name="failure_kind"),
        Index("ix_job_waiting", "queue", "urgency", "id", postgresql_where=text("state = 'queued'")),
        Index("ix_job_leased", "lease_until", postgresql_where=text("state = 'running'")),
        Index("ix_job_part", "whole_id", "state", "id", postgresql_where=text("whole_id is not null")),
    )

    id: Mapped[BigId]
    kind: Mapped[str] = mapped_column(Text)
    queue: Mapped[str] = mapped_column(Text)
    urgency: Mapped[int] = mapped_column(SmallInteger, server_default=text("3"))  # of `app.urgency`
    arguments: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(Text, default="queued")
    requested_by_id: Mapped[int | None] = mapped_column(ForeignKey(Person.id))
    requested_at: Mapped[Moment] = mapped_column(default=utc_now)
    sent_at: Mapped[Moment | None]
    attempts: Mapped[int] = mapped_column(default=0)
    token: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None] = mapped_column(Text)
    lease_until: Mapped[Moment | None]
    started_at: Mapped[Moment | None]  # the first attempt
    claimed_at: Mapped[Moment | None]  # the newest attempt
    ended_at: Mapped[Moment | None]
    is_cancel_asked: Mapped[bool] = mapped_column(default=False)
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    note: Mapped[str] = mapped_column(Text, default="")
    result: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    failure: Mapped[str | None] = mapped_column(Text)  # a sentence; of a queued job, why it was put back
    failure_kind: Mapped[str | None] = mapped_column(Text)  # the same in a word, one of `FailureKind`
    whole_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"))  # the job of which this is a part
    parts: Mapped[int | None]  # how many parts it was cut into

    @property
    def devices(self) -> int:
        """How many devices work on it at once."""
        return int(self.arguments.get("devices", 1))

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to this job."""
        return self.state in ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's leased right to a job. `token` fences: it grows with each claim, and an older one is refused.

    `done` of `total`: what is done of it already, by a worker that was lost or gave way.
    """

    job_id: int
    token: int
    kind: str
    arguments: dict[str, Any]
    attempt: int
    whole_id: int | None = None
    parts: int | None = None
    urgency: int = 0
    done: int = 0
    total: int | None = None


@dataclass(frozen=True, slots=True)
class JobPart:
    """A share of a job's work: its own arguments, and how much there is to do in it."""

    arguments: dict[str, Any]
    total: int


class LeaseLost(AppError):
    """Another worker holds this job now, or it is over: stop at once and write nothing."""

    status = 409
    title = "Lease lost"


def request(
    session: Session, kind: str, arguments: dict[str, Any], person: Person | None = None, total: int | None = None
) -> Job:
    """Ask for work: a row in the caller's transaction, sent by the broker after the commit.

    What a request asks for is in the audit log; what follows from a job by itself is not. Raises KeyError for a kind
    that no queue knows.
    """
    job = Job(
        kind=kind,
        queue=QUEUES[kind],
        # Only requests of people say where they are from.
        urgency=urgency.of(kind, arguments, audit.FROM_ADDRESS in session.info),
        arguments=arguments,
        requested_by_id=person.id if person else None,
        total=total,
        result={},
    )
    session.add(job)
    session.flush()
    # A run has lines of its own, which say what it may cost.
    if person is not None and audit.FROM_ADDRESS in session.info and kind != "run.train":
        audit.record(session, "job_asked", person.id, person.id, job=job.id, kind=kind)
    return job


def request_once(
    session: Session,
    kind: str,
    arguments: dict[str, Any],
    person: Person | None = None,
    is_running_enough: bool = False,
) -> Job:
    """Ask for work unless the same waits already; that job then stands for both.

    `is_running_enough`: a job at work will do what is asked for too. Otherwise it may be past it.
    """
    # The same asked for many times at the same moment queues up here.
    same = func.hashtext(f"{kind} {json.dumps(arguments, sort_keys=True)}")
    session.execute(select(func.pg_advisory_xact_lock(_SAME_JOB_LOCK, same)))
    states = ("queued", "running") if is_running_enough else ("queued",)
    same_job = (Job.kind == kind, Job.arguments == arguments, Job.whole_id.is_(None))
    query = select(Job).where(*same_job, Job.state.in_(states), Job.is_cancel_asked.is_(False))
    waiting = session.scalars(query.order_by(Job.id).limit(1)).first()
    if waiting is None:
        return request(session, kind, arguments, person)
    if (sooner := urgency.of(kind, arguments, audit.FROM_ADDRESS in session.info)) < waiting.urgency:
        # A worker asked for it before a person did.
        waiting.urgency, waiting.sent_at = sooner, None
    return waiting


def asker(session: Session, job_id: int) -> Person | None:
    """Who asked for a job, and so for what follows from it."""
    return session.scalars(select(Person).join(Job, Job.requested_by_id == Person.id).where(Job.id == job_id)).first()


def get(session: Session, job_id: int) -> Job:
    """The job with this id. Raises NotFound."""
    job = session.get(Job, job_id)
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    return job


def claim(session: Session, job_id: int, worker: str, lease_s: float = LEASE_S) -> Claim | None:
    """Take a queued job, or None when it is not there to be taken (a second delivery, a cancelled job)."""
    now = utc_now()
    row: Any = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.state == "queued")
        .values(
            state="running",
            worker=worker,
            token=Job.token + 1,
            attempts=Job.attempts + 1,
            lease_until=now + timedelta(seconds=lease_s),
            started_at=func.coalesce(Job.started_at, now),
            claimed_at=now,
            failure=None,
        )
        .returning(Job.id, Job.token, Job.kind, Job.arguments, Job.attempts, Job.whole_id)
        .returning(Job.parts, Job.urgency, Job.done, Job.total)
    ).one_or_none()
    return None if row is None else Claim(*row)


def is_outranked(session: Session, claim: Claim) -> bool:
    """Whether something more urgent waits for the workers of the same queue."""
    more_urgent = (Job.state == "queued", Job.queue == QUEUES[claim.kind], Job.urgency < claim.urgency)
    return session.scalar(select(Job.id).where(*more_urgent).limit(1)) is not None


def cut(session: Session, claim: Claim, parts: Sequence[JobPart], done: int = 0, more: int = 0) -> None:
    """It waits, without a worker, for its parts; `done` was before them, `more` is left behind. Raises LeaseLost."""
    values = {"parts": len(parts), "lease_until": None, "claimed_at": None, "worker": None, "attempts": 0, "done": done}
    _guarded(session, claim, values | {"total": done + sum(part.total for part in parts) + more})
    whole = get(session, claim.job_id)
    shared = {"kind": whole.kind, "queue": whole.queue, "urgency": whole.urgency, "whole_id": whole.id}
    session.add_all(
        Job(**shared, arguments=part.arguments, requested_by_id=whole.requested_by_id, total=part.total, result={})
        for part in parts
    )
    session.flush()
    _settle(session, whole.id)


def results(session: Session, claim: Claim) -> list[dict[str, Any]]:
    """What the parts of a whole led to, in their order."""
    query = select(Job.result).where(Job.whole_id == claim.job_id, Job.state == "done").order_by(Job.id)
    return list(session.scalars(query))


def beat(
    session: Session,
    claim: Claim,
    done: int | None = None,
    total: int | None = None,
    note: str | None = None,
    lease_s: float = LEASE_S,
) -> bool:
    """Renew the lease and tell how far the work is. Returns True when somebody asked to cancel.

    A part's total stays what it was cut to: the whole counts on it. Raises LeaseLost when the token is not the newest.
    """
    values: dict[str, Any] = {"lease_until": utc_now() + timedelta(seconds=lease_s)}
    total = total if claim.whole_id is None else None
    values |= {name: value for name, value in (("done", done), ("total", total), ("note", note)) if value is not None}
    if claim.whole_id is not None and done is not None:
        return _beat_part(session, claim, done, values)
    return _guarded(session, claim, values)


def began(session: Session, claim: Claim, at: datetime) -> None:
    """The work under this claim began earlier, under another one, and costs since then. Raises LeaseLost."""
    _guarded(session, claim, {"claimed_at": at})


def count_anew(session: Session, claim: Claim) -> None:
    """There was progress that a lost worker cannot undo, so lost workers are counted from here on. Raises LeaseLost."""
    _guarded(session, claim, {"attempts": 1})


def finish(session: Session, claim: Claim, result: dict[str, Any] | None = None) -> None:
    """The work is done. Raises LeaseLost."""
    values = {"state": "done", "result": result or {}, "ended_at": utc_now(), "lease_until": None}
    if claim.whole_id is None:
        _guarded(session, claim, values)
        return
    total = get(session, claim.job_id).total or 0
    _beat_part(session, claim, total, values | {"done": total})
    _settle(session, claim.whole_id)


def fail(session: Session, claim: Claim, sentence: str, kind: FailureKind = "refused") -> None:
    """The work failed for good; `sentence` says why, for the person at the screen. Raises LeaseLost."""
    values = {"state": "failed", "failure": sentence, "failure_kind": kind, "ended_at": utc_now(), "lease_until": None}
    _guarded(session, claim, values)
    _settle(session, claim.whole_id)


def retry(session: Session, claim: Claim, sentence: str) -> bool:
    """Put the job back after a transient failure, or fail it when its attempts are used up.

    Returns whether it will be tried again. Raises LeaseLost.
    """
    if claim.attempt >= MAX_ATTEMPTS:
        fail(session, claim, f"{sentence} Tried {claim.attempt} times.", "gave_up")
        return False
    _guarded(session, claim, {"state": "queued", "sent_at": None, "lease_until": None, "failure": sentence})
    return True


def give_back(session: Session, claim: Claim, sentence: str | None = None, is_later: bool = False) -> None:
    """Put the job back because its worker was told to stop, or it gives way. The attempt does not count.

    `is_later`: it is as if it was sent just now, so that it comes when the sweeper sends overdue jobs again. Raises
    LeaseLost.
    """
    sent_at = utc_now() if is_later else None
    values = {"state": "queued", "sent_at": sent_at, "lease_until": None, "failure": sentence}
    _guarded(session, claim, values | {"attempts": Job.attempts - 1})


def end_cancelled(session: Session, claim: Claim) -> None:
    """The worker has stopped as asked. Raises LeaseLost."""
    _guarded(session, claim, {"state": "cancelled", "ended_at": utc_now(), "lease_until": None})
    _settle(session, claim.whole_id)


def cancel(session: Session, job_id: int, by: Person | None = None) -> Job:
    """Ask for a stop: a queued job ends at once, a running one at its next beat. `by` None: the program itself.

    Raises NotFound, Refused for deleting what was removed, and NotAllowed for others' jobs, unless an owner asks.
    """
    job = session.get(Job, job_id, with_for_update=True)
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    if by is not None:
        if not may_act_for(by, job.requested_by_id):
            raise NotAllowed("Somebody else asked for this. They can stop it, or an owner.")
        if job.kind in ("catalog.remove", "files.delete"):
            raise Refused("What an owner removed is being deleted. That is not stopped half-way.")
        if not job.is_over and not job.is_cancel_asked:
            audit.record(session, "job_cancelled", by.id, job.requested_by_id, job=job.id, kind=job.kind)
    if job.state == "queued":
        job.state, job.ended_at = "cancelled", utc_now()
    if job.state == "running":
        # Its parts, where it has any, hear of it at their beats, and the sweeper ends those that wait.
        job.is_cancel_asked = True
    session.flush()
    _settle(session, job.whole_id)
    return job


def sweep(session: Session, now: datetime | None = None, is_counted: bool = True) -> tuple[int, int]:
    """Find running jobs whose lease ran out: requeue those with attempts left, fail the rest, end the cancelled.

    Parts that wait for a worker end where their whole was cancelled.

    Where `is_counted` is False the workers were ended through no fault of their jobs: all are requeued, and the
    attempts do not count. Returns (requeued, ended).
    """
    lost = session.scalars(
        select(Job)
        .where(Job.state == "running", Job.lease_until < (now or utc_now()))
        .with_for_update(skip_locked=True)
    ).all()
    requeued = 0
    for job in lost:
        job.lease_until = None
        if job.is_cancel_asked or _is_whole_cancelled(session, job):
            job.state, job.ended_at = "cancelled", utc_now()
        elif is_counted and job.attempts >= MAX_ATTEMPTS:
            job.state, job.ended_at = "failed", utc_now()
            job.failure = f"The worker doing this stopped answering, {job.attempts} times in a row."
            job.failure_kind = "lost"
        else:
            job.state, job.sent_at = "queued", None
            if not is_counted:
                job.attempts -= 1
            requeued += 1
    session.flush()
    whole = aliased(Job)
    given_up = session.scalars(
        update(Job)
        .where(Job.state == "queued", Job.whole_id == whole.id, whole.state == "running", whole.is_cancel_asked)
        .values(state="cancelled", ended_at=utc_now())
        .returning(Job.whole_id)
    ).all()
    for whole_id in {*given_up, *(job.whole_id for job in lost if job.is_over)}:
        _settle(session, whole_id)
    return requeued, len(lost) - requeued


def _guarded(session: Session, claim: Claim, values: dict[str, Any]) -> bool:
    """Write to a running job only under the newest token. Returns whether a cancel was asked, of it or its whole."""
    asked = session.execute(
        update(Job)
        .where(Job.id == claim.job_id, Job.token == claim.token, Job.state == "running")
        .values(**values)
        .returning(_is_stop_asked())
    ).scalar_one_or_none()
    if asked is None:
        raise LeaseLost(f"Job {claim.job_id} is no longer this worker's.")
    return asked


@cache
def _is_stop_asked() -> ColumnElement[bool]:
    """Whether a cancel was asked of a job or its whole. Built once: that takes longer than asking it."""
    whole = aliased(Job)
    of_whole = select(whole.is_cancel_asked).where(whole.id == Job.whole_id).correlate(Job).scalar_subquery()
    return or_(Job.is_cancel_asked, func.coalesce(of_whole, False))


def _beat_part(session: Session, claim: Claim, done: int, values: dict[str, Any]) -> bool:
    """As `_guarded`, and what the part has done more, or less after a lost worker, is the whole's too."""
    before = session.scalar(select(Job.done).where(Job.id == claim.job_id).with_for_update())
    is_cancel_asked = _guarded(session, claim, values)
    # A part is always locked before its whole, so that no two wait for each other.
    session.execute(update(Job).where(Job.id == claim.whole_id).values(done=Job.done + done - (before or 0)))
    return is_cancel_asked


def _is_whole_cancelled(session: Session, job: Job) -> bool:
    return job.whole_id is not None and get(session, job.whole_id).is_cancel_asked


def _settle(session: Session, whole_id: int | None) -> None:
    """Bring a whole on once its last part is over: to its end by a worker, or to the failure or cancel of a part.

    The lock puts parts that end at once in a row, and the later one sees the earlier one's end.
    """
    session.flush()
    whole = session.get(Job, whole_id, with_for_update=True, populate_existing=True) if whole_id is not None else None
    if whole is None or whole.state != "running" or whole.lease_until is not None:
        return
    of_whole = Job.whole_id == whole_id
    if session.scalar(select(Job.id).where(of_whole, Job.state.in_(("queued", "running"))).limit(1)) is not None:
        return
    failed = session.scalars(select(Job).where(of_whole, Job.state == "failed").order_by(Job.id).limit(1)).first()
    is_cancelled = session.scalar(select(Job.id).where(of_whole, Job.state == "cancelled").limit(1)) is not None
    if whole.is_cancel_asked or is_cancelled:
        whole.state, whole.ended_at = "cancelled", utc_now()
    elif failed is not None:
        whole.state, whole.ended_at = "failed", utc_now()
        whole.failure, whole.failure_kind = failed.failure, failed.failure_kind
    else:
        whole.state, whole.sent_at = "queued", None
    session.flush()
