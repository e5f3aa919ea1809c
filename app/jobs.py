"""Jobs: one table that is outbox, progress and audit. The row is the truth; a Celery message is only a hint.

A job lives: queued -> running -> done | failed | cancelled. `claim` is a guarded update that gives the claimer a lease
and a fencing token; every later write carries the token, so a worker that lost its lease can change nothing. A message
delivered twice finds nothing to claim. `sweep` puts jobs whose lease ran out back in the queue.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from app import audit
from app.database import Base, BigId, Moment, utc_now
from app.errors import AppError, NotAllowed, NotFound
from app.people import Person, may_act_for

Queue = Literal["cpu", "gpu"]
LEASE_S: Final = 60.0
MAX_ATTEMPTS: Final = 3
RESEND_AFTER_S: Final = 30.0
_SAME_JOB_LOCK: Final = 0x7061636E
FailureKind = Literal["refused", "crashed", "lost", "gave_up"]
"""Why a job failed, in a word: it cannot be done as asked; a fault of the program; its workers were lost again and
again; a failure that might have passed did not."""

# Every kind of job, and the queue whose workers do it. test_house checks that each has a task.
QUEUES: Final[dict[str, Queue]] = {
    "intake.take_in": "cpu",
    "signals.measure": "cpu",
    "captions.propose": "cpu",
    "captions.look": "gpu",
    "review.apply_rules": "cpu",
    "dataset.freeze": "cpu",
    "run.preflight": "gpu",
    "run.train": "gpu",
    "run.export": "gpu",
    "sheet.draw": "gpu",
}


class Job(Base):
    """One piece of queued work."""

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint("state in ('queued','running','done','failed','cancelled')", name="state"),
        CheckConstraint("failure_kind in ('refused','crashed','lost','gave_up')", name="failure_kind"),
        Index("ix_job_waiting", "queue", "id", postgresql_where=text("state = 'queued'")),
        Index("ix_job_leased", "lease_until", postgresql_where=text("state = 'running'")),
    )

    id: Mapped[BigId]
    kind: Mapped[str] = mapped_column(Text)
    queue: Mapped[str] = mapped_column(Text)
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
    """A worker's leased right to a job. `token` fences: it grows with each claim, and an older one is refused."""

    job_id: int
    token: int
    kind: str
    arguments: dict[str, Any]
    attempt: int


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
    waiting = session.scalars(
        select(Job)
        .where(Job.kind == kind, Job.state.in_(states), Job.arguments == arguments, Job.is_cancel_asked.is_(False))
        .order_by(Job.id)
        .limit(1)
    ).first()
    return waiting or request(session, kind, arguments, person)


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
    row = session.execute(
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
        .returning(Job.id, Job.token, Job.kind, Job.arguments, Job.attempts)
    ).one_or_none()
    return None if row is None else Claim(row.id, row.token, row.kind, row.arguments, row.attempts)


def beat(
    session: Session,
    claim: Claim,
    done: int | None = None,
    total: int | None = None,
    note: str | None = None,
    lease_s: float = LEASE_S,
) -> bool:
    """Renew the lease and tell how far the work is. Returns True when somebody asked to cancel.

    Raises LeaseLost when the token is not the newest.
    """
    values: dict[str, Any] = {"lease_until": utc_now() + timedelta(seconds=lease_s)}
    values |= {name: value for name, value in (("done", done), ("total", total), ("note", note)) if value is not None}
    return _guarded(session, claim, values)


def began(session: Session, claim: Claim, at: datetime) -> None:
    """The work under this claim began earlier, under another one, and costs since then. Raises LeaseLost."""
    _guarded(session, claim, {"claimed_at": at})


def count_anew(session: Session, claim: Claim) -> None:
    """There was progress that a lost worker cannot undo, so lost workers are counted from here on. Raises LeaseLost."""
    _guarded(session, claim, {"attempts": 1})


def finish(session: Session, claim: Claim, result: dict[str, Any] | None = None) -> None:
    """The work is done. Raises LeaseLost."""
    _guarded(session, claim, {"state": "done", "result": result or {}, "ended_at": utc_now(), "lease_until": None})


def fail(session: Session, claim: Claim, sentence: str, kind: FailureKind = "refused") -> None:
    """The work failed for good; `sentence` says why, for the person at the screen. Raises LeaseLost."""
    values = {"state": "failed", "failure": sentence, "failure_kind": kind, "ended_at": utc_now(), "lease_until": None}
    _guarded(session, claim, values)


def retry(session: Session, claim: Claim, sentence: str) -> bool:
    """Put the job back after a transient failure, or fail it when its attempts are used up.

    Returns whether it will be tried again. Raises LeaseLost.
    """
    if claim.attempt >= MAX_ATTEMPTS:
        fail(session, claim, f"{sentence} Tried {claim.attempt} times.", "gave_up")
        return False
    _guarded(session, claim, {"state": "queued", "sent_at": None, "lease_until": None, "failure": sentence})
    return True


def give_back(session: Session, claim: Claim, sentence: str) -> None:
    """Put the job back because its worker was told to stop. The attempt does not count. Raises LeaseLost."""
    values = {"state": "queued", "sent_at": None, "lease_until": None, "failure": sentence}
    _guarded(session, claim, values | {"attempts": Job.attempts - 1})


def end_cancelled(session: Session, claim: Claim) -> None:
    """The worker has stopped as asked. Raises LeaseLost."""
    _guarded(session, claim, {"state": "cancelled", "ended_at": utc_now(), "lease_until": None})


def cancel(session: Session, job_id: int, by: Person | None = None) -> Job:
    """Ask for a stop: a queued job ends at once, a running one at its next beat. `by` None: the program itself.

    Raises NotFound, and NotAllowed for somebody else's job, unless an owner asks.
    """
    job = session.get(Job, job_id, with_for_update=True)
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    if by is not None:
        if not may_act_for(by, job.requested_by_id):
            raise NotAllowed("Somebody else asked for this. They can stop it, or an owner.")
        if not job.is_over and not job.is_cancel_asked:
            audit.record(session, "job_cancelled", by.id, job.requested_by_id, job=job.id, kind=job.kind)
    if job.state == "queued":
        job.state, job.ended_at = "cancelled", utc_now()
    if job.state == "running":
        job.is_cancel_asked = True
    session.flush()
    return job


def unsent(session: Session, limit: int = 100) -> list[Job]:
    """Queued jobs whose message was never sent, or was sent so long ago that it may be lost. Oldest first.

    Rows another sender is just sending are passed over.
    """
    overdue = utc_now() - timedelta(seconds=RESEND_AFTER_S)
    query = (
        select(Job)
        .where(Job.state == "queued", (Job.sent_at.is_(None)) | (Job.sent_at < overdue))
        .order_by(Job.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(session.scalars(query))


def sweep(session: Session, now: datetime | None = None, is_counted: bool = True) -> tuple[int, int]:
    """Find running jobs whose lease ran out: requeue those with attempts left, fail the rest, end the cancelled.

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
        if job.is_cancel_asked:
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
    return requeued, len(lost) - requeued


def _guarded(session: Session, claim: Claim, values: dict[str, Any]) -> bool:
    """Write to a running job only under the newest token. Returns whether a cancel was asked."""
    asked = session.execute(
        update(Job)
        .where(Job.id == claim.job_id, Job.token == claim.token, Job.state == "running")
        .values(**values)
        .returning(Job.is_cancel_asked)
    ).scalar_one_or_none()
    if asked is None:
        raise LeaseLost(f"Job {claim.job_id} is no longer this worker's.")
    return asked
