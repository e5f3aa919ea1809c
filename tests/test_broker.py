"""Sending jobs through a real Redis to a real worker: once is enough, twice does no harm, and nothing is lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete

from app import broker, jobs
from app.database import transaction, utc_now
from app.host import processes, servers
from app.jobs import Job
from app.settings import Settings
from tests.waiting import until
from workers import sweeper
from workers.celery_app import Cancelled, Transient, Work, do

# What tests/slow_work.py does. It is imported by workers only: here its task would be in the way of the real one.
KIND = "signals.measure"

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings whose Redis is not started yet."""
    (tmp_path / "data").mkdir()
    return Settings(
        data_dir=tmp_path / "data", database_url=database_url, redis_url=servers.redis(tmp_path / "data").url
    )


@pytest.fixture
def redis(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    with servers.run(servers.redis(settings.data_dir)) as process:
        yield process


@pytest.fixture
def asked(engine: Engine) -> Iterator[int]:
    """A job that was asked for and committed; its id."""
    with transaction(engine) as session:
        job_id = jobs.request(session, KIND, {}).id
    yield job_id
    with transaction(engine) as session:
        session.execute(delete(Job).where(Job.id == job_id))


@pytest.fixture
def worker(settings: Settings, redis: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    process = start_worker(settings)
    yield process
    stop_worker(process)


def start_worker(settings: Settings) -> subprocess.Popen[bytes]:
    """A real worker with one slot, ready to take jobs."""
    log = settings.data_dir / "worker.log"
    told = {"DATA_DIR": str(settings.data_dir), "DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url}
    environment = {**os.environ, **{f"PACKSHOT_{name}": str(value) for name, value in told.items()}}
    command = [sys.executable, "-m", "celery", "--app", "workers.celery_app:celery_app", "worker", "--include"]
    command += ["tests.slow_work", "--queues", "cpu", "--pool", "prefork", "--concurrency", "1", "--loglevel", "INFO"]
    size = log.stat().st_size if log.exists() else 0
    process = processes.start([*command, "--without-gossip", "--without-mingle"], log, environment, cwd=PROJECT)
    until(lambda: b" ready." in log.read_bytes()[size:] or process.poll() is not None, "a worker that is ready")
    assert process.poll() is None, log.read_text()
    return process


def stop_worker(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGQUIT)
    process.wait(30)


def job_of(engine: Engine, job_id: int) -> Job:
    with transaction(engine) as session:
        return jobs.get(session, job_id)


def is_done(engine: Engine, job_id: int) -> bool:
    return job_of(engine, job_id).state == "done"


def let_go(settings: Settings) -> None:
    (settings.data_dir / "go").touch()


def times_done(settings: Settings, job_id: int) -> int:
    return len(list(settings.data_dir.glob(f"{job_id}.*")))


def test_without_redis_a_job_waits_in_the_database(settings: Settings, engine: Engine, asked: int) -> None:
    assert broker.send_due(engine, str(settings.redis_url)) == 0
    assert (job_of(engine, asked).state, job_of(engine, asked).sent_at) == ("queued", None)


@pytest.mark.usefixtures("asked")
def test_a_redis_that_is_away_or_mute_holds_the_sender_about_a_second(settings: Settings, engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        for url in (str(settings.redis_url), f"redis://127.0.0.1:{mute.getsockname()[1]}/0"):
            began = time.monotonic()
            assert broker.send_due(engine, url) == 0
            assert time.monotonic() - began < 3


def test_a_job_delivered_twice_is_done_once(
    settings: Settings, engine: Engine, worker: subprocess.Popen[bytes], asked: int
) -> None:
    let_go(settings)
    assert broker.send_due(engine, str(settings.redis_url)) == 1
    assert broker.send_due(engine, str(settings.redis_url)) == 0
    for _ in range(3):
        broker.client(str(settings.redis_url)).send_task(KIND, args=[asked], queue="cpu")
    # One slot takes messages in order: when a later job is done, the copies have all been looked at.
    with transaction(engine) as session:
        last = jobs.request(session, KIND, {}).id
    broker.send_due(engine, str(settings.redis_url))
    until(lambda: is_done(engine, last), "the last job done")
    assert is_done(engine, asked)
    assert times_done(settings, asked) == 1
    with transaction(engine) as session:
        session.execute(delete(Job).where(Job.id == last))


@pytest.mark.slow
def test_a_job_whose_message_died_with_redis_is_sent_again(
    settings: Settings, engine: Engine, redis: subprocess.Popen[bytes], asked: int
) -> None:
    url = str(settings.redis_url)
    assert broker.send_due(engine, url) == 1
    redis.kill()
    redis.wait()
    let_go(settings)
    with servers.run(servers.redis(settings.data_dir)):
        process = start_worker(settings)
        try:
            sweeper.sweep(engine, url)
            assert job_of(engine, asked).state == "queued"
            with transaction(engine) as session:
                sent_at = utc_now() - timedelta(seconds=broker.RESEND_AFTER_S + 1)
                jobs.get(session, asked).sent_at = sent_at
            sweeper.sweep(engine, url)
            until(lambda: is_done(engine, asked), "the job done")
        finally:
            stop_worker(process)
    assert times_done(settings, asked) == 1


@pytest.mark.slow
def test_a_worker_survives_the_death_of_redis(
    settings: Settings,
    engine: Engine,
    redis: subprocess.Popen[bytes],
    worker: subprocess.Popen[bytes],
    asked: int,
) -> None:
    redis.kill()
    redis.wait()
    let_go(settings)
    with servers.run(servers.redis(settings.data_dir)):
        broker.send_due(engine, str(settings.redis_url))
        until(lambda: is_done(engine, asked), "the job done")
        assert worker.poll() is None
        stop_worker(worker)


@pytest.mark.slow
def test_a_job_whose_worker_was_killed_is_done_by_another(
    settings: Settings, engine: Engine, worker: subprocess.Popen[bytes], asked: int
) -> None:
    broker.send_due(engine, str(settings.redis_url))
    until(lambda: times_done(settings, asked) == 1, "the job begun")
    worker.kill()
    worker.wait()
    until(lambda: _is_swept(engine, asked), "the lease run out")
    let_go(settings)
    process = start_worker(settings)
    try:
        broker.send_due(engine, str(settings.redis_url))
        until(lambda: is_done(engine, asked), "the job done")
    finally:
        stop_worker(process)
    job = job_of(engine, asked)
    assert (job.attempts, job.result) == (2, {"attempt": 2})


def _is_swept(engine: Engine, job_id: int) -> bool:
    with transaction(engine) as session:
        jobs.sweep(session)
    return job_of(engine, job_id).state == "queued"


@pytest.mark.usefixtures("redis")
def test_what_a_body_raises_decides_what_becomes_of_the_job(settings: Settings, engine: Engine, asked: int) -> None:
    def crash(work: Work) -> dict[str, Any]:
        raise ZeroDivisionError("by zero")

    def stumble(work: Work) -> dict[str, Any]:
        raise Transient("The network is away.")

    def stop(work: Work) -> dict[str, Any]:
        raise Cancelled

    do(asked, stumble, settings)
    assert (job_of(engine, asked).state, job_of(engine, asked).failure) == ("queued", "The network is away.")
    with pytest.raises(ZeroDivisionError):
        do(asked, crash, settings)
    assert job_of(engine, asked).state == "failed"
    assert "ZeroDivisionError: by zero" in (job_of(engine, asked).failure or "")
    with transaction(engine) as session:
        jobs.get(session, asked).state = "queued"
    do(asked, stop, settings)
    assert job_of(engine, asked).state == "cancelled"


@pytest.mark.usefixtures("redis")
def test_a_body_that_lost_its_lease_writes_nothing(settings: Settings, engine: Engine, asked: int) -> None:
    def be_late(work: Work) -> dict[str, Any]:
        with transaction(engine) as session:
            jobs.sweep(session, utc_now() + timedelta(hours=1))
            assert jobs.claim(session, asked, "there:2")
        return {"written": True}

    do(asked, be_late, settings)
    job = job_of(engine, asked)
    assert (job.state, job.worker, job.result) == ("running", "there:2", {})
