"""Two gpu workers of Celery on two devices: they take different runs, and a device has one of them only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from app import broker, embedded, jobs, processes
from app.database import transaction
from app.settings import Settings
from app.training import runs
from app.up import worker
from tests.running import PROJECT
from tests.training.cast import one_run
from tests.waiting import until
from workers.trainer import Trainer


@pytest.fixture(autouse=True)
def clean_tables(engine: Engine) -> Iterator[None]:
    """Workers commit; what they leave is taken away."""
    yield
    with transaction(engine) as session:
        session.execute(text("truncate person, catalog, job, suite cascade"))


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    (tmp_path / "data").mkdir()
    url = embedded.redis(tmp_path / "data").url
    return Settings(data_dir=tmp_path / "data", database_url=database_url, redis_url=url)


def start(settings: Settings, device: str, log: Path) -> subprocess.Popen[bytes]:
    """A gpu worker on a device, whose trainers are fake ones that wait."""
    told = {"DATA_DIR": settings.data_dir, "DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url}
    environment = {**os.environ, **{f"PACKSHOT_{name}": str(value) for name, value in told.items()}}
    command = worker("gpu", f"gpu-{log.stem}")
    place = command.index("workers.gpu")
    command = (*command[:place], "tests.workers.fake_training", *command[place + 1 :])
    return processes.start([sys.executable, *command], log, environment | {"PACKSHOT_DEVICE": device}, cwd=PROJECT)


def test_workers_on_two_devices_take_different_runs(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    with transaction(engine) as session:
        asked = [one_run(session, steps=6).id for _ in range(2)]
    logs = [tmp_path / f"{name}.log" for name in ("first", "second", "third")]
    with embedded.run(embedded.redis(settings.data_dir)):
        workers = [start(settings, device, log) for device, log in zip(("cpu:0", "cpu:1", "cpu:0"), logs, strict=True)]
        try:
            # "by a worker", or "by another" where that one has the lock but has not yet written down who it is.
            until(lambda: sum(b"is in use by a" in log.read_bytes() for log in logs) == 1, "one that waits")
            broker.send_due(engine, str(settings.redis_url))
            folders = [settings.data_dir / "runs" / str(run_id) for run_id in asked]
            until(lambda: all((folder / "starts").exists() for folder in folders), "both runs under way")
            with transaction(engine) as session:
                claimed = {jobs.get(session, runs.get(session, run_id).job_id or 0).worker for run_id in asked}
            assert len(claimed) == 2
            for folder in folders:
                (folder / "go").touch()

            def are_done() -> bool:
                with transaction(engine) as session:
                    return all(runs.get(session, run_id).state == "completed" for run_id in asked)

            until(are_done, "both runs completed")
            assert all(len((folder / "starts").read_text().split()) == 1 for folder in folders)
        finally:
            for one in workers:
                one.kill()
                one.wait()
            for folder in (settings.data_dir / "runs").glob("*"):
                if (left := Trainer.find(folder)) is not None:
                    left.clear_away()
