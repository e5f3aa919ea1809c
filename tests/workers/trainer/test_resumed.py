"""A run that goes on is judged by what its new trainer does, never by what the last one told."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from app import jobs
from app.cycles import clock
from app.cycles.tables import LedgerEntry
from app.database import transaction
from app.host.devices import DeviceAllocation, DeviceLock, cpu
from app.launch import preflights
from app.settings import Settings
from app.storage import Storage
from app.training import progress, runs
from app.training.limits import Limits
from app.training.tables import TrainingRun
from tests.training.cast import frozen_version
from tests.workers.trained import FAKE, IMPATIENT, QUICK, expire_lease, notes, read, steps_kept, train, until, worker
from workers import celery_app, gpu
from workers.celery_app import Work, do
from workers.devices import lease
from workers.trainer import preflight_job, run_job
from workers.trainer.process import Patience, Trainer

ENDS_EARLY = {
    "refused": "import sys; print('The recipe is refused.', file=sys.stderr); sys.exit(3)",
    "broken": "raise ImportError('libcudart.so.13')",
}


pytestmark = pytest.mark.usefixtures("committed")


def resume(engine: Engine, run_id: int) -> None:
    with transaction(engine) as session:
        runs.resume(session, runs.get(session, run_id))


def go_on(engine: Engine, settings: Settings, run_id: int, code: str) -> TrainingRun:
    """Do the run's job with a trainer that is this Python code."""
    do(read(engine, run_id)[1].id, lambda work: run_job.train(work, [sys.executable, "-c", code], QUICK), settings)
    return read(engine, run_id)[0]


@pytest.mark.parametrize("cause", ENDS_EARLY)
def test_a_raised_limit_is_not_reached_again_by_a_trainer_that_never_began(
    engine: Engine, settings: Settings, run_id: int, cause: str
) -> None:
    assert train(engine, settings, run_id, "--after", "3", "limit").cause == "out_of_time"
    with transaction(engine) as session:
        runs.extend(session, runs.get(session, run_id), Limits(1e6))
    run = go_on(engine, settings, run_id, ENDS_EARLY[cause])
    assert (run.state, run.cause) == ("failed", cause)
    assert "limit" not in (run.reason or "")


@pytest.mark.parametrize("keep", [True, False])
def test_stopped_while_it_loads_it_is_stopped_and_not_failed_again(
    engine: Engine, settings: Settings, run_id: int, out: Path, keep: bool
) -> None:
    assert train(engine, settings, run_id, "--after", "1", "fail-diverged").cause == "diverged"
    resume(engine, run_id)
    patience = Patience(keep_s=600.0, discard_s=600.0, terminated_s=600.0, poll_s=0.02)
    (out / "starts").unlink()
    with worker(engine, settings, run_id, "--loads", patience=patience):
        until(lambda: (out / "starts").exists())
        with transaction(engine) as session:
            runs.stop(session, runs.get(session, run_id), keep)
    run, _ = read(engine, run_id)
    assert (run.state, run.cause) == ("stopped" if keep else "discarded", None)


def test_with_a_checkpoint_there_is_something_to_wait_for(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    train(engine, settings, run_id, "--after", "3", "fail-broken")
    resume(engine, run_id)
    patience = Patience(keep_s=0.7, discard_s=0.0, terminated_s=0.1, poll_s=0.02)
    (out / "starts").unlink()
    with worker(engine, settings, run_id, "--loads", patience=patience):
        until(lambda: (out / "starts").exists())
        with transaction(engine) as session:
            runs.stop(session, runs.get(session, run_id), keep=True)
        time.sleep(0.4)
        assert read(engine, run_id)[0].ended_at is None
    run, _ = read(engine, run_id)
    assert (run.state, run.reason) == ("stopped", "Somebody stopped it. The checkpoint of step 2 is kept.")


def test_killed_while_it_loads_it_is_begun_again(engine: Engine, settings: Settings, run_id: int) -> None:
    train(engine, settings, run_id, "--after", "3", "fail-diverged")
    resume(engine, run_id)
    run = go_on(engine, settings, run_id, f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})")
    assert (run.state, run.cause, run.resumptions) == ("failed", "killed", 2)


def test_a_worker_that_ends_while_it_loads_leaves_it_to_the_next(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    train(engine, settings, run_id, "--after", "1", "fail-broken")
    resume(engine, run_id)
    (out / "starts").unlink()
    with worker(engine, settings, run_id, "--loads"):
        until(lambda: (out / "starts").exists())
        celery_app.stopped_for_good.set()
    run, job = read(engine, run_id)
    assert (run.state, job.state) == ("running", "queued")


def test_a_slow_second_start_is_no_hang(engine: Engine, settings: Settings, run_id: int) -> None:
    slow = "import runpy, sys, time; '--resume' in sys.argv and time.sleep(2); sys.argv = sys.argv[1:]; "
    command = [sys.executable, "-c", f"{slow} runpy.run_path(sys.argv[0], run_name='__main__')", *FAKE[1:]]
    patience = Patience(keep_s=5.0, discard_s=5.0, terminated_s=0.3, least_silence_s=0.5, poll_s=0.02)
    for _ in range(2):
        job_id = read(engine, run_id)[1].id
        body = [*command, "--after", "3", "fail-broken", "--once"]
        do(job_id, lambda work, body=body: run_job.train(work, body, patience), settings)
        if read(engine, run_id)[0].state == "failed":
            resume(engine, run_id)
    assert read(engine, run_id)[0].state == "completed"
    assert not [kind for kind, _ in notes(engine, run_id) if kind in ("hung", "forced")]


@pytest.mark.parametrize("lost", [6, 100])
def test_news_that_a_power_loss_took_from_the_file_hides_none_that_comes(
    engine: Engine, settings: Settings, run_id: int, out: Path, lost: int
) -> None:
    train(engine, settings, run_id, "--after", "5", "fail-broken", "--once")
    lines = (out / "events.jsonl").read_bytes().splitlines(keepends=True)
    (out / "events.jsonl").write_bytes(b"".join(lines[:-lost]))
    if lost > len(lines):
        (out / "events.jsonl").unlink()
    resume(engine, run_id)
    assert train(engine, settings, run_id).state == "completed"
    with transaction(engine) as session:
        run = runs.get(session, run_id)
        assert len(progress.attempts(session, run)) == 2
        assert progress.curves(session, run).steps[-1] == 6


@pytest.mark.parametrize("torn", [b'{"seq": 9, "at"', b"\0" * 4000 + b"\n"])
def test_what_a_crash_left_of_an_event_hides_none_that_comes(
    engine: Engine, settings: Settings, run_id: int, out: Path, torn: bytes
) -> None:
    train(engine, settings, run_id, "--after", "3", "fail-broken", "--once")
    with (out / "events.jsonl").open("ab") as file:
        file.write(torn)
    resume(engine, run_id)
    assert train(engine, settings, run_id).state == "completed"
    assert steps_kept(engine, run_id) == [1, 2, 3, 3, 4, 5, 6]


def test_the_trainer_of_a_newer_job_is_not_a_stranger(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    with transaction(engine) as session:
        run = runs.get(session, run_id)
        old = jobs.claim(session, run.job_id or 0, "worker")
        runs.begin(session, run)
        runs.end(session, run, "failed", "It broke.", "broken")
        runs.resume(session, run)
        new = jobs.claim(session, run.job_id or 0, "worker")
        runs.begin(session, run)
    assert old is not None
    theirs = Trainer.start([sys.executable, "-c", "import time; time.sleep(600)"], out, 1, new)
    assert run_job.clear_device(Work(old, settings, engine, Storage(settings.data_dir)), Patience(keep_s=0.0))
    assert not theirs.wait(0.5)
    theirs.send(signal.SIGKILL)
    assert theirs.wait(10.0)


def test_a_trainer_that_is_found_again_has_cost_since_it_began(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    with worker(engine, settings, run_id, "--after", "3", "wait"):
        until(lambda: 3 in steps_kept(engine, run_id))
        began = Trainer.find(out)
        assert began is not None
        expire_lease(engine, run_id)
        with worker(engine, settings, run_id, "--after", "3", "wait"):
            until(lambda: "found_again" in [kind for kind, _ in notes(engine, run_id)])
            claimed_at = read(engine, run_id)[1].claimed_at
            (out / "go").touch()
    assert claimed_at is not None
    assert abs(claimed_at.timestamp() - began.record.started) < 0.01


@pytest.fixture
def mine(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeviceLock]:
    """This worker's device, not taken yet; a job waits for it no longer than a moment."""
    one = DeviceLock(cpu(), settings.data_dir)
    monkeypatch.setattr(lease, "_mine", one)
    monkeypatch.setattr(lease, "_WAITS_S", 0.2)
    yield one
    one.give_back()


def test_a_trainer_that_nobody_follows_any_more_does_not_keep_its_run_waiting(
    engine: Engine, settings: Settings, run_id: int, out: Path, mine: DeviceLock
) -> None:
    """Its three workers were lost in a row, the run was settled, and a person let it go on."""
    with transaction(engine) as session:
        run = runs.get(session, run_id)
        claim = jobs.claim(session, run.job_id or 0, "worker")
        runs.begin(session, run)
        jobs.get(session, run.job_id or 0).state = "failed"
        session.flush()
        runs.settle_lost(session)
    gone = DeviceLock(cpu(), settings.data_dir)
    assert gone.take()
    left = Trainer.start(
        [sys.executable, "-c", "import time; time.sleep(600)"], out, 1, claim, DeviceAllocation(gone.descriptors)
    )
    gone.give_back()
    resume(engine, run_id)
    with transaction(engine) as session:
        runs.get(session, run_id).stop_bound_s = 0.2  # it hears no stop: how long it gets before it is ended
    do(read(engine, run_id)[1].id, seated, settings)
    assert read(engine, run_id)[0].state == "completed"
    assert left.wait(0.0)


def seated(work: Work) -> dict[str, object]:
    """What `gpu.train` does, with the fake engine."""
    with lease.devices_for(work) as hold:
        if not run_job.clear_device(work, Patience(keep_s=0.1, terminated_s=0.1)):
            hold.take()
        return run_job.train(work, FAKE, QUICK, hold=hold.take)


def test_a_preflight_at_work_is_found_and_not_waited_for(engine: Engine, settings: Settings, mine: DeviceLock) -> None:
    with transaction(engine) as session:
        asked = preflights.request_preflight(session, frozen_version(session), runs.plan("models/nano", 100))
        preflight_id, job_id = asked.id, asked.job_id or 0
        claim = jobs.claim(session, job_id, "worker")
        preflights.begin(session, asked)
    assert claim is not None
    work = Work(claim, settings, engine, Storage(settings.data_dir))
    folder = settings.data_dir / "preflights" / str(preflight_id)
    assert not preflight_job.clear_device(work)
    left = Trainer.start([sys.executable, "-c", "import time; time.sleep(600)"], folder, 1)
    assert preflight_job.clear_device(work, IMPATIENT)
    with transaction(engine) as session:
        preflights.end(session, preflights.get(session, preflight_id), "cancelled", "It was stopped.")
    assert not preflight_job.clear_device(work, IMPATIENT), "ended: nobody waits for it any more"
    assert left.wait(0.0)


@pytest.mark.parametrize("keep", [True, False])
def test_a_run_that_waits_for_its_device_can_be_stopped(
    engine: Engine, settings: Settings, run_id: int, mine: DeviceLock, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    monkeypatch.setattr(lease, "_WAITS_S", 60.0)
    other = DeviceLock(cpu(), settings.data_dir)
    assert other.take()
    job_id = read(engine, run_id)[1].id
    thread = threading.Thread(target=do, args=(job_id, gpu_train, settings))
    thread.start()
    until(lambda: "waits until it is free" in read(engine, run_id)[1].note)
    with transaction(engine) as session:
        runs.stop(session, runs.get(session, run_id), keep)
    thread.join(20)
    assert not thread.is_alive()
    assert read(engine, run_id)[0].state == ("stopped" if keep else "discarded")
    other.give_back()


def gpu_train(work: Work) -> dict[str, object]:
    """The task itself."""
    return gpu.train(work)


def test_waiting_for_a_device_costs_nothing(engine: Engine, settings: Settings, run_id: int, mine: DeviceLock) -> None:
    with transaction(engine) as session:
        clock.start_cycle(session, settings, None)
    other = DeviceLock(cpu(), settings.data_dir)
    assert other.take()

    def body(work: Work) -> None:
        with lease.devices_for(work) as hold:
            hold.take()

    job_id = read(engine, run_id)[1].id
    for _ in range(2):
        do(job_id, body, settings)
    assert read(engine, run_id)[1].state == "queued"
    with transaction(engine) as session:
        assert session.scalars(select(LedgerEntry)).all() == []
    other.give_back()
    do(job_id, body, settings)
    with transaction(engine) as session:
        assert len(session.scalars(select(LedgerEntry)).all()) == 1
