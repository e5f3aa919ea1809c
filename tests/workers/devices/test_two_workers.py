"""Two gpu workers of Celery on two devices: they take different runs, and a device has one of them only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine

from app import broker, jobs
from app.database import transaction
from app.datasets.tables import DatasetVersion
from app.host import processes, servers
from app.host.up import worker
from app.settings import Settings
from app.training import runs
from tests.running import PROJECT
from tests.training.cast import frozen_version, one_run
from tests.waiting import until
from workers.trainer.process import Trainer

pytestmark = pytest.mark.usefixtures("emptied")


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    (tmp_path / "data").mkdir()
    url = servers.redis(tmp_path / "data").url
    return Settings(data_dir=tmp_path / "data", database_url=database_url, redis_url=url)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of its own with two GPUs, as far as the driver's tool tells."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    listed = "".join(f"GPU {index}: NVIDIA H100 (UUID: GPU-{index})\\n" for index in range(2))
    tool.write_text(f"#!/bin/sh\nif [ \"$1\" = -L ]; then printf '{listed}'; fi\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "tmp").mkdir()


def start(settings: Settings, device: str, log: Path) -> subprocess.Popen[bytes]:
    """A gpu worker on a device, whose trainers are fake ones that wait."""
    told = {"DATA_DIR": settings.data_dir, "DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url}
    environment = {**os.environ, **{f"PACKSHOT_{name}": str(value) for name, value in told.items()}}
    command = worker("gpu", f"gpu-{log.stem}")
    place = command.index("workers.gpu")
    command = (*command[:place], "tests.workers.fake_training", *command[place + 1 :])
    return processes.start([sys.executable, *command], log, environment | {"PACKSHOT_DEVICE": device}, cwd=PROJECT)


@contextmanager
def workers(settings: Settings, *places: tuple[str, Path]) -> Iterator[None]:
    """Workers on devices, each with its log; what they leave is ended."""
    started: list[subprocess.Popen[bytes]] = []
    with servers.run(servers.redis(settings.data_dir)):
        try:
            started += [start(settings, device, log) for device, log in places]
            yield
        finally:
            for one in started:
                one.kill()
                one.wait()
            for folder in (settings.data_dir / "runs").glob("*"):
                if (left := Trainer.find(folder)) is not None:
                    left.clear_away()


def states(engine: Engine, asked: list[int]) -> list[str]:
    with transaction(engine) as session:
        return [runs.get(session, run_id).state for run_id in asked]


def test_workers_on_two_devices_take_different_runs(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    with transaction(engine) as session:
        asked = [one_run(session, steps=6).id for _ in range(2)]
    logs = [tmp_path / f"{name}.log" for name in ("first", "second", "third")]
    with workers(settings, *zip(("cpu:0", "cpu:1", "cpu:0"), logs, strict=True)):
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
        until(lambda: states(engine, asked) == ["completed"] * 2, "both runs completed")
        assert all(len((folder / "starts").read_text().split()) == 1 for folder in folders)


def test_one_run_on_two_devices_has_both_and_another_waits(
    engine: Engine, settings: Settings, tmp_path: Path, machine: None
) -> None:
    recipe = runs.plan("models/nano", 6)
    with transaction(engine) as session:
        version = frozen_version(session)
        wide = runs.request_run(
            session, version, "models/nano", recipe.model_copy(update={"processes": 2, "micro_batch": 16})
        ).id
    logs = [tmp_path / f"{name}.log" for name in ("first", "second")]
    with workers(settings, *zip(("0", "1"), logs, strict=True)):
        until(lambda: all(b"ready" in log.read_bytes() for log in logs), "both workers at work")
        broker.send_due(engine, str(settings.redis_url))
        folder = settings.data_dir / "runs" / str(wide)
        until(lambda: (folder / "starts").exists(), "the run under way")
        shown = psutil.Process(int((folder / "starts").read_text())).environ()["CUDA_VISIBLE_DEVICES"]
        assert sorted(shown.split(",")) == ["GPU-0", "GPU-1"]
        with transaction(engine) as session:
            narrow = runs.request_run(session, session.get_one(DatasetVersion, version.id), "models/nano", recipe).id
        broker.send_due(engine, str(settings.redis_url))

        def waits() -> bool:
            with transaction(engine) as session:
                job = jobs.get(session, runs.get(session, narrow).job_id or 0)
                return "The job waits until it is free." in job.note

        until(waits, "the other run told that it waits")
        assert states(engine, [narrow]) == ["queued"]
        (folder / "go").touch()
        until(lambda: states(engine, [wide]) == ["completed"], "the run on both completed")
        until(lambda: (settings.data_dir / "runs" / str(narrow) / "starts").exists(), "the other run under way")
        (settings.data_dir / "runs" / str(narrow) / "go").touch()
        until(lambda: states(engine, [narrow]) == ["completed"], "the other run completed")
