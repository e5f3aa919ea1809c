"""Jobs on a real PostgreSQL: who gets one, who may write to it, and what becomes of those whose worker is gone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session

from app import broker, jobs
from app.database import transaction, utc_now
from app.errors import NotFound
from app.jobs import Claim, Job, LeaseLost
from tests import blocking

KIND = "signals.measure"
LATER = timedelta(seconds=jobs.LEASE_S + 1)


def ask(session: Session, **arguments: Any) -> Job:
    return jobs.request(session, KIND, arguments)


def claimed(session: Session, job: Job, worker: str = "here:1") -> Claim:
    claim = jobs.claim(session, job.id, worker)
    assert claim is not None
    return claim


def after(session: Session, job: Job) -> Job:
    """The job as it is in the database now."""
    session.expire_all()
    return jobs.get(session, job.id)


@pytest.fixture
def committed(engine: Engine) -> Iterator[int]:
    """A queued job that every connection can see; its id."""
    with transaction(engine) as session:
        job_id = ask(session).id
    yield job_id
    with transaction(engine) as session:
        session.execute(delete(Job).where(Job.id == job_id))


def test_a_request_is_queued_with_its_arguments_on_the_queue_of_its_kind(session: Session) -> None:
    job = jobs.request(session, "run.train", {"run_id": 7}, total=100)
    assert (job.state, job.queue, job.arguments, job.total, job.attempts) == ("queued", "gpu", {"run_id": 7}, 100, 0)
    assert not job.is_over


def test_an_unknown_kind_is_refused_at_once(session: Session) -> None:
    with pytest.raises(KeyError):
        jobs.request(session, "coffee.make", {})


def test_a_missing_job_is_not_found(session: Session) -> None:
    for look in (jobs.get, jobs.cancel):
        with pytest.raises(NotFound):
            look(session, -1)
    assert jobs.claim(session, -1, "here:1") is None


def test_of_many_claimers_at_once_one_gets_the_job(engine: Engine, committed: int) -> None:
    everybody_is_here = threading.Barrier(8)

    def grab(number: int) -> Claim | None:
        with transaction(engine) as session:
            session.connection()
            everybody_is_here.wait(timeout=30)
            return jobs.claim(session, committed, f"here:{number}")

    with ThreadPoolExecutor(8) as pool:
        claims = [claim for claim in pool.map(grab, range(8)) if claim]
    assert len(claims) == 1
    assert (claims[0].token, claims[0].attempt) == (1, 1)


def test_a_claimer_waits_for_one_that_has_not_committed_and_then_finds_nothing(engine: Engine, committed: int) -> None:
    with Session(engine) as first, Session(engine) as second, ThreadPoolExecutor(1) as pool:
        assert jobs.claim(first, committed, "here:1")
        waiting = blocking.process_id(second)
        late = pool.submit(jobs.claim, second, committed, "here:2")
        blocking.wait_until_blocked(engine, waiting)
        first.commit()
        assert late.result(timeout=30) is None


def test_when_the_first_claimer_gives_up_the_second_gets_the_job(engine: Engine, committed: int) -> None:
    with Session(engine) as first, Session(engine) as second, ThreadPoolExecutor(1) as pool:
        assert jobs.claim(first, committed, "here:1")
        waiting = blocking.process_id(second)
        late = pool.submit(jobs.claim, second, committed, "here:2")
        blocking.wait_until_blocked(engine, waiting)
        first.rollback()
        claim = late.result(timeout=30)
        assert claim is not None
        assert claim.token == 1
        second.rollback()


def test_work_that_is_done_keeps_its_result(session: Session) -> None:
    job = ask(session)
    claim = claimed(session, job)
    assert not jobs.beat(session, claim, done=3, total=10, note="Measuring")
    assert (after(session, job).done, job.total, job.note) == (3, 10, "Measuring")
    jobs.finish(session, claim, {"measured": 10})
    assert (after(session, job).state, job.result) == ("done", {"measured": 10})
    assert job.is_over
    assert job.ended_at is not None


def test_failed_work_says_why(session: Session) -> None:
    job = ask(session)
    jobs.fail(session, claimed(session, job), "The folder is gone.")
    assert (after(session, job).state, job.failure) == ("failed", "The folder is gone.")


@pytest.mark.parametrize("write", [jobs.beat, jobs.finish, jobs.end_cancelled])
def test_a_worker_whose_lease_ran_out_can_write_nothing(session: Session, write: Any) -> None:
    job = ask(session)
    old = claimed(session, job, "here:1")
    jobs.sweep(session, utc_now() + LATER)
    new = claimed(session, job, "here:2")
    assert new.token > old.token
    with pytest.raises(LeaseLost):
        write(session, old)
    for write_why in (jobs.fail, jobs.retry, jobs.give_back):
        with pytest.raises(LeaseLost):
            write_why(session, old, "late")
    assert (after(session, job).state, job.worker, job.failure) == ("running", "here:2", None)
    jobs.finish(session, new)


def test_nothing_is_written_to_a_job_that_is_over(session: Session) -> None:
    job = ask(session)
    claim = claimed(session, job)
    jobs.finish(session, claim, {"measured": 1})
    with pytest.raises(LeaseLost):
        jobs.fail(session, claim, "late")
    assert jobs.claim(session, job.id, "here:2") is None
    assert after(session, job).result == {"measured": 1}


def test_a_beat_renews_the_lease(session: Session) -> None:
    job = ask(session)
    claim = claimed(session, job)
    jobs.beat(session, claim, lease_s=3600)
    assert jobs.sweep(session, utc_now() + LATER) == (0, 0)
    assert after(session, job).state == "running"


def test_a_job_whose_worker_is_gone_is_put_back_and_sent_again(session: Session) -> None:
    job = ask(session)
    job.sent_at = utc_now()
    claimed(session, job)
    assert jobs.sweep(session) == (0, 0)
    assert jobs.sweep(session, utc_now() + LATER) == (1, 0)
    assert (after(session, job).state, job.sent_at, job.attempts) == ("queued", None, 1)
    assert job.id in [one.id for one in broker.unsent(session)]


def test_a_job_that_lost_three_workers_fails_and_says_so(session: Session) -> None:
    job = ask(session)
    outcomes = []
    for _ in range(jobs.MAX_ATTEMPTS):
        claimed(session, job)
        outcomes.append(jobs.sweep(session, utc_now() + LATER))
        session.expire_all()
    assert outcomes == [(1, 0), (1, 0), (0, 1)]
    assert after(session, job).state == "failed"
    assert "stopped answering" in (job.failure or "")


def test_two_sweepers_put_a_job_back_once(engine: Engine, committed: int) -> None:
    with transaction(engine) as session:
        assert jobs.claim(session, committed, "here:1")
    with Session(engine) as first, Session(engine) as second:
        assert jobs.sweep(first, utc_now() + LATER) == (1, 0)
        assert jobs.sweep(second, utc_now() + LATER) == (0, 0)
        first.commit()
        assert jobs.sweep(second, utc_now() + LATER) == (0, 0)


def test_a_job_that_gets_on_may_lose_more_than_three_workers(session: Session) -> None:
    job = ask(session)
    for _ in range(2 * jobs.MAX_ATTEMPTS):
        jobs.count_anew(session, claimed(session, job))
        assert jobs.sweep(session, utc_now() + LATER) == (1, 0), "not in a row"


def test_a_transient_failure_is_tried_three_times(session: Session) -> None:
    job = ask(session)
    again = []
    for _ in range(jobs.MAX_ATTEMPTS):
        again.append(jobs.retry(session, claimed(session, job), "The hub does not answer."))
        session.expire_all()
    assert again == [True, True, False]
    assert (after(session, job).state, job.failure) == ("failed", "The hub does not answer. Tried 3 times.")


def test_planned_stops_use_up_no_attempts(session: Session) -> None:
    job = ask(session)
    for _ in range(jobs.MAX_ATTEMPTS + 1):
        jobs.give_back(session, claimed(session, job), "The worker was told to stop.")
        assert (after(session, job).state, job.attempts, job.sent_at) == ("queued", 0, None)
    assert jobs.retry(session, claimed(session, job), "The hub does not answer.")


def test_workers_that_died_with_their_supervisor_use_up_no_attempts(session: Session) -> None:
    job, cancelled = ask(session), ask(session)
    for _ in range(jobs.MAX_ATTEMPTS + 1):
        claimed(session, job)
        assert jobs.sweep(session, utc_now() + LATER, is_counted=False) == (1, 0)
        assert (after(session, job).state, job.attempts) == ("queued", 0)
    claimed(session, cancelled)
    jobs.cancel(session, cancelled.id)
    assert jobs.sweep(session, utc_now() + LATER, is_counted=False) == (0, 1)


def test_a_queued_job_is_cancelled_at_once(session: Session) -> None:
    job = ask(session)
    jobs.cancel(session, job.id)
    assert after(session, job).state == "cancelled"
    assert jobs.claim(session, job.id, "here:1") is None


def test_a_running_job_hears_of_its_cancel_at_the_next_beat(session: Session) -> None:
    job = ask(session)
    claim = claimed(session, job)
    assert not jobs.beat(session, claim)
    jobs.cancel(session, job.id)
    assert jobs.beat(session, claim)
    jobs.end_cancelled(session, claim)
    assert after(session, job).state == "cancelled"


def test_a_cancelled_job_whose_worker_is_gone_ends_as_cancelled(session: Session) -> None:
    job = ask(session)
    claimed(session, job)
    jobs.cancel(session, job.id)
    assert jobs.sweep(session, utc_now() + LATER) == (0, 1)
    assert after(session, job).state == "cancelled"


def test_a_job_that_is_over_stays_as_it_is_when_cancelled(session: Session) -> None:
    job = ask(session)
    jobs.finish(session, claimed(session, job))
    assert jobs.cancel(session, job.id).state == "done"


def test_unsent_are_the_never_sent_and_the_long_sent_oldest_first(session: Session) -> None:
    now = utc_now()
    never, just, long_ago, running = (ask(session) for _ in range(4))
    just.sent_at, long_ago.sent_at = now, now - timedelta(seconds=broker.RESEND_AFTER_S + 1)
    claimed(session, running)
    session.flush()
    mine = {one.id for one in (never, just, long_ago, running)}
    assert [one.id for one in broker.unsent(session) if one.id in mine] == [never.id, long_ago.id]


def test_what_one_sender_is_sending_the_next_passes_over(engine: Engine, committed: int) -> None:
    with Session(engine) as first, Session(engine) as second:
        assert committed in [one.id for one in broker.unsent(first)]
        assert committed not in [one.id for one in broker.unsent(second)]


def test_a_claimer_never_overtakes_the_sender(engine: Engine, committed: int) -> None:
    """A worker that is quicker than the sender's commit waits for it: the claim must not be lost under `sent_at`."""
    with Session(engine) as sender, Session(engine) as worker, ThreadPoolExecutor(1) as pool:
        (job,) = [one for one in broker.unsent(sender) if one.id == committed]
        waiting = blocking.process_id(worker)
        claim = pool.submit(jobs.claim, worker, committed, "here:1")
        blocking.wait_until_blocked(engine, waiting)
        job.sent_at = utc_now()
        sender.commit()
        assert claim.result(timeout=30) is not None
        worker.commit()
    with transaction(engine) as session:
        job = jobs.get(session, committed)
        assert (job.state, job.sent_at is not None) == ("running", True)
        session.execute(update(Job).where(Job.id == committed).values(state="cancelled"))


def whole_of(session: Session, sizes: list[int]) -> tuple[Job, list[Job]]:
    """A job cut into parts of these sizes, and the parts."""
    whole = ask(session, catalog_id=1)
    jobs.cut(session, claimed(session, whole), [jobs.JobPart({"share": size}, size) for size in sizes])
    parts = session.scalars(select(Job).where(Job.whole_id == whole.id).order_by(Job.id)).all()
    return whole, list(parts)


def test_a_job_that_was_cut_waits_for_its_parts_and_is_then_brought_to_its_end(session: Session) -> None:
    whole, parts = whole_of(session, [10, 20])
    assert [(part.kind, part.queue, part.arguments, part.total) for part in parts] == [
        (KIND, "cpu", {"share": 10}, 10),
        (KIND, "cpu", {"share": 20}, 20),
    ]
    assert jobs.claim(session, whole.id, "here:2") is None, "it waits"
    assert jobs.sweep(session, utc_now() + LATER) == (0, 0), "without a lease that could run out"
    for part in reversed(parts):
        jobs.finish(session, claimed(session, part), {"measured": part.total})
    assert after(session, whole).state == "queued"
    end = claimed(session, whole)
    assert (end.parts, end.attempt) == (2, 1)
    assert jobs.results(session, end) == [{"measured": 10}, {"measured": 20}]
    jobs.finish(session, end, {})
    assert after(session, whole).state == "done"


def test_the_progress_of_a_whole_is_that_of_its_parts_also_where_one_is_begun_again(session: Session) -> None:
    whole, (first, second) = whole_of(session, [10, 20])
    assert after(session, whole).total == 30
    jobs.beat(session, claimed(session, first), done=4)
    lost = claimed(session, second)
    jobs.beat(session, lost, done=15)
    assert after(session, whole).done == 19
    jobs.sweep(session, utc_now() + LATER)
    with pytest.raises(LeaseLost):
        jobs.beat(session, lost, done=16)
    jobs.beat(session, claimed(session, second), done=0)
    assert after(session, whole).done == 4, "what was lost is no longer counted"
    jobs.finish(session, claimed(session, first))
    assert after(session, whole).done == 10, "a part that is done is done to its end"


def test_a_cancel_of_the_whole_reaches_parts_at_work_and_parts_that_wait(session: Session) -> None:
    whole, (first, second) = whole_of(session, [10, 20])
    claim = claimed(session, first)
    jobs.cancel(session, whole.id)
    assert jobs.beat(session, claim, done=3)
    jobs.sweep(session)
    assert (after(session, second).state, after(session, whole).state) == ("cancelled", "running")
    jobs.end_cancelled(session, claim)
    assert after(session, whole).state == "cancelled"


def test_a_part_that_fails_fails_the_whole_once_the_others_have_kept_what_they_did(session: Session) -> None:
    whole, (first, second) = whole_of(session, [10, 20])
    jobs.fail(session, claimed(session, first), "Photo 7 broke it.", "crashed")
    assert after(session, whole).state == "running"
    jobs.finish(session, claimed(session, second))
    job = after(session, whole)
    assert (job.state, job.failure, job.failure_kind) == ("failed", "Photo 7 broke it.", "crashed")


def test_a_part_whose_workers_are_lost_again_and_again_fails_the_whole(session: Session) -> None:
    whole, parts = whole_of(session, [10])
    for _ in range(jobs.MAX_ATTEMPTS):
        claimed(session, parts[0])
        jobs.sweep(session, utc_now() + LATER)
    job = after(session, whole)
    assert (job.state, job.failure_kind) == ("failed", "lost")


def test_only_the_next_parts_are_sent_so_that_other_work_comes_between(session: Session) -> None:
    _, parts = whole_of(session, [1] * (broker.PARTS_AHEAD + 5))
    other = ask(session)
    mine = {part.id for part in parts} | {other.id}
    sent = [job.id for job in broker.unsent(session) if job.id in mine]
    assert sent == [*(part.id for part in parts[: broker.PARTS_AHEAD]), other.id]
    claimed(session, parts[0])
    assert parts[broker.PARTS_AHEAD].id in [job.id for job in broker.unsent(session)]


def test_parts_that_end_at_the_same_moment_settle_their_whole_once(engine: Engine) -> None:
    with transaction(engine) as session:
        whole, parts = whole_of(session, [1] * 8)
        whole_id, claims = whole.id, [claimed(session, part) for part in parts]
    everybody_is_here = threading.Barrier(8)

    def end(claim: Claim) -> None:
        with transaction(engine) as session:
            session.connection()
            everybody_is_here.wait(timeout=30)
            jobs.beat(session, claim, done=1)
            jobs.finish(session, claim)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(end, claims))
    with transaction(engine) as session:
        job = jobs.get(session, whole_id)
        assert (job.state, job.done, job.total) == ("queued", 8, 8)
        session.execute(delete(Job).where(Job.whole_id == whole_id))
        session.execute(delete(Job).where(Job.id == whole_id))
