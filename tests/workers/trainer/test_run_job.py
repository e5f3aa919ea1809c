"""A run's trainer: started once, followed, stopped, found again, never left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app import jobs
from app.database import transaction, utc_now
from app.datasets.tables import DatasetVersion
from app.evaluation import sheets
from app.settings import Settings
from app.storage import Storage
from app.training import run_events, runs
from tests.workers.trained import (
    FAKE,
    IMPATIENT,
    QUICK,
    expire_lease,
    is_alive,
    notes,
    read,
    starts,
    steps_kept,
    stop,
    train,
    until,
    worker,
)  # fmt: skip
from workers import celery_app
from workers.celery_app import Work
from workers.trainer import process
from workers.trainer.follow import Follower
from workers.trainer.process import Patience, Record, Trainer
from workers.trainer.watchdog import WatchPlan

pytestmark = pytest.mark.usefixtures("committed")


def test_a_run_is_trained_to_its_end(engine: Engine, settings: Settings, run_id: int, out: Path) -> None:
    run = train(engine, settings, run_id)
    assert (run.state, run.reason, run.step) == (
        "completed",
        "All 6 steps are done and the model is whole. Test pictures of step 6 are there.",
        6,
    )
    assert steps_kept(engine, run_id) == [1, 2, 3, 4, 5, 6]
    assert read(engine, run_id)[1].state == "done"
    assert not (out / "trainer.json").exists()
    with transaction(engine) as session:
        assert [c.step for c in runs.checkpoints(session, run_id)] == [0, 2, 4, 6]
        sheet = sheets.latest_of(session, run_id)
        assert sheet is not None, "the end of a run asks for its sheet"
        assert jobs.get(session, sheet.job_id or 0).kind == "sheet.draw"


def test_a_run_learns_from_no_manifest_but_the_one_that_was_frozen(
    engine: Engine, settings: Settings, run_id: int, out: Path, manifest: Path
) -> None:
    with transaction(engine) as session:
        version = session.get_one(DatasetVersion, runs.get(session, run_id).version_id)
        shutil.copytree(manifest.parent, Storage(settings.data_dir).dataset_folder(version.id))
    run = train(engine, settings, run_id)
    assert (run.state, run.cause, (out / "starts").exists()) == ("failed", "refused", False)
    assert "does not give the content hash any more. Restore it from a backup" in (run.reason or "")


def test_a_message_delivered_twice_starts_one_trainer(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    with worker(engine, settings, run_id, "--after", "1", "wait"):
        until(lambda: steps_kept(engine, run_id) == [1])
        train(engine, settings, run_id)
        (out / "go").touch()
    assert len(starts(out)) == 1
    assert read(engine, run_id)[0].state == "completed"


def test_stop_and_keep_leaves_a_checkpoint_of_the_step_it_stopped_at(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    with worker(engine, settings, run_id, "--after", "3", "wait"):
        until(lambda: 3 in steps_kept(engine, run_id))
        stop(engine, run_id, keep=True)
    run, job = read(engine, run_id)
    assert (run.state, job.state) == ("stopped", "done")
    assert run.reason == "Somebody stopped it. The checkpoint of step 3 is kept."
    assert not is_alive(starts(out)[0])
    with transaction(engine) as session:
        assert sheets.latest_of(session, run_id) is not None


@pytest.mark.parametrize("keep", [True, False])
def test_what_only_loads_its_libraries_is_not_waited_for(
    engine: Engine, settings: Settings, run_id: int, out: Path, keep: bool
) -> None:
    patience = Patience(keep_s=600.0, discard_s=600.0, terminated_s=600.0, poll_s=0.02)
    with worker(engine, settings, run_id, "--loads", patience=patience):
        until(lambda: (out / "starts").exists())
        stop(engine, run_id, keep)
    run, _ = read(engine, run_id)
    assert (run.state, run.reason) == (
        ("stopped", "Somebody stopped it. It ended before its first checkpoint.")
        if keep
        else ("discarded", "Somebody discarded it.")
    )
    assert not is_alive(starts(out)[0])


def test_discard_forgets_what_was_learned(engine: Engine, settings: Settings, run_id: int, out: Path) -> None:
    with worker(engine, settings, run_id, "--after", "3", "wait"):
        until(lambda: 3 in steps_kept(engine, run_id))
        stop(engine, run_id, keep=False)
    run, _ = read(engine, run_id)
    assert (run.state, run.ended_at is not None) == ("discarded", True)
    assert not (out / "checkpoints").exists()
    assert (out / "events.jsonl").exists()
    with transaction(engine) as session:
        assert not runs.checkpoints(session, run_id)
        assert sheets.latest_of(session, run_id) is None


def test_a_job_cancelled_elsewhere_stops_and_keeps(engine: Engine, settings: Settings, run_id: int, out: Path) -> None:
    with worker(engine, settings, run_id, "--after", "3", "wait"), transaction(engine) as session:
        until(lambda: 3 in steps_kept(engine, run_id))
        jobs.cancel(session, runs.get(session, run_id).job_id or 0)
    assert read(engine, run_id)[0].state == "stopped"


def test_a_deaf_trainer_is_killed_with_all_it_started(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    with worker(engine, settings, run_id, "--deaf", "--child", "--after", "2", "wait", patience=IMPATIENT):
        until(lambda: 2 in steps_kept(engine, run_id))
        child = int((out / "child").read_text())
        assert is_alive(child)
        stop(engine, run_id, keep=True)
    run, _ = read(engine, run_id)
    assert run.state == "stopped"
    assert run.reason == "Somebody stopped it. The checkpoint of step 2 is kept."
    until(lambda: not is_alive(starts(out)[0]) and not is_alive(child))


def test_a_failed_run_goes_on_from_its_last_checkpoint(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    train(engine, settings, run_id, "--after", "3", "crash")
    with transaction(engine) as session:
        runs.resume(session, runs.get(session, run_id))
    run = train(engine, settings, run_id)
    assert run.state == "completed"
    assert steps_kept(engine, run_id) == [1, 2, 3, 3, 4, 5, 6]
    assert len(starts(out)) == 2


def test_a_worker_that_lost_its_lease_writes_nothing_and_leaves_the_trainer(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    with worker(engine, settings, run_id, "--after", "2", "wait"):
        until(lambda: 2 in steps_kept(engine, run_id))
        expire_lease(engine, run_id)
        with transaction(engine) as session:
            assert jobs.claim(session, runs.get(session, run_id).job_id or 0, "the other worker")
    (pid,) = starts(out)
    assert is_alive(pid), "the trainer is the other worker's now"
    assert steps_kept(engine, run_id) == [1, 2]
    assert read(engine, run_id)[0].state == "running"
    os.killpg(pid, signal.SIGKILL)
    process._handed_over.pop().wait(5)


def test_a_worker_that_comes_back_finds_its_trainer_and_goes_on(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    """The first worker is killed without a word while its trainer trains."""
    code = (
        "import sys; from app.settings import Settings; from workers.trainer import run_job;"
        "from workers.celery_app import do; from workers.trainer.process import Patience;"
        "do(int(sys.argv[1]), lambda work: run_job.train(work, sys.argv[2:], Patience(poll_s=0.02)), Settings())"
    )
    job_id = read(engine, run_id)[1].id
    known = {
        "PACKSHOT_DATABASE_URL": settings.database_url or "",
        "PACKSHOT_REDIS_URL": settings.redis_url or "",
        "PACKSHOT_DATA_DIR": str(settings.data_dir),
    }
    first = subprocess.Popen(
        [sys.executable, "-c", code, str(job_id), *FAKE, "--after", "3", "wait"],
        env={**os.environ, **known}, start_new_session=True,
    )  # fmt: skip
    until(lambda: 3 in steps_kept(engine, run_id))
    first.kill()
    first.wait()
    found = Trainer.find(out)
    assert found is not None, "the trainer outlives its worker"
    expire_lease(engine, run_id)
    with worker(engine, settings, run_id):
        until(lambda: [kind for kind, _ in notes(engine, run_id)] == ["found_again"])
        (out / "go").touch()
    assert read(engine, run_id)[0].state == "completed"
    assert steps_kept(engine, run_id) == [1, 2, 3, 4, 5, 6], "no gap, nothing twice"
    assert len(starts(out)) == 1
    assert process.read_record(out) is None


def test_a_trainer_that_ended_while_no_worker_looked_is_not_started_again(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    out.mkdir(parents=True)
    (out / "recipe.yaml").write_text("steps: 6\n")
    subprocess.run([*FAKE, out / "recipe.yaml", "none", out], check=True, capture_output=True)
    assert train(engine, settings, run_id).state == "completed"
    assert len(starts(out)) == 1


def test_another_process_with_the_same_pid_is_not_the_trainer(tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        child = Trainer.start(["sleep", "60"], tmp_path, threads=1)
        assert Trainer.find(tmp_path) is not None
        record = (tmp_path / "trainer.json").read_text()
        own = str(child.record.started)
        (tmp_path / "trainer.json").write_text(record.replace(own, str(child.record.started - 3600)))
        assert Trainer.find(tmp_path) is None
        (tmp_path / "trainer.json").write_text(record.replace('"host": "', '"host": "elsewhere-'))
        assert Trainer.find(tmp_path) is None
        child.clear_away()
        child.wait(5)
        assert Trainer.find(tmp_path) is None
    finally:
        process.kill()
        process.wait()


def test_a_worker_told_to_stop_saves_and_leaves_the_run_to_another(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    with worker(engine, settings, run_id, "--after", "3", "wait"):
        until(lambda: 3 in steps_kept(engine, run_id))
        celery_app.stopped_for_good.set()
    run, job = read(engine, run_id)
    assert not is_alive(starts(out)[0]), "no orphan"
    assert (run.state, job.state, run.ended_at) == ("running", "queued", None)
    celery_app.stopped_for_good.clear()
    assert train(engine, settings, run_id).state == "completed"
    assert steps_kept(engine, run_id) == [1, 2, 3, 4, 5, 6]


def test_stopped_again_and_again_a_worker_loses_no_run(engine: Engine, settings: Settings, run_id: int) -> None:
    for stops in range(1, jobs.MAX_ATTEMPTS + 2):
        with worker(engine, settings, run_id, "--after", str(stops), "wait"):
            until(lambda stops=stops: stops in steps_kept(engine, run_id))  # type: ignore[misc]
            celery_app.stopped_for_good.set()
        run, job = read(engine, run_id)
        assert (run.state, job.state, job.attempts) == ("running", "queued", 0)
        celery_app.stopped_for_good.clear()
    assert train(engine, settings, run_id).state == "completed"


def test_a_trainer_whose_run_is_over_is_ended_by_the_next_worker(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    out.mkdir(parents=True)
    (out / "recipe.yaml").write_text("steps: 6\n")
    stray = Trainer.start([*FAKE, "--after", "1", "wait", str(out / "recipe.yaml"), "none", str(out)], out, threads=1)
    until(lambda: (out / "starts").exists())
    assert process.end_strays(engine, Storage(settings.data_dir), QUICK) == 0, "its run still waits for a worker"
    with transaction(engine) as session:
        runs.end(session, runs.get(session, run_id), "failed", "The worker stopped answering.")
    assert process.end_strays(engine, Storage(settings.data_dir), QUICK) == 1
    assert stray.wait(5)
    assert not (out / "trainer.json").exists()


def test_the_trainer_knows_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKSHOT_DATABASE_URL", "postgresql://user:secret@host/name")
    child = Trainer.start(["env"], tmp_path, threads=3)
    assert child.wait(5)
    child.clear_away()
    words = (tmp_path / runs.LOG).read_text()
    assert "OMP_NUM_THREADS=3" in words
    assert "PACKSHOT_" not in words


def test_events_of_a_lost_lease_are_refused(engine: Engine, settings: Settings, run_id: int, tmp_path: Path) -> None:
    with transaction(engine) as session:
        job_id = runs.get(session, run_id).job_id or 0
        claim = jobs.claim(session, job_id, "first")
    assert claim is not None
    expire_lease(engine, run_id)
    with transaction(engine) as session:
        assert jobs.claim(session, job_id, "second")
    work = Work(claim, settings, engine, Storage(settings.data_dir))
    told = [{"seq": 1, "at": utc_now().isoformat(), "kind": "started", "step": 0}]
    mine = Trainer(psutil.Process(), tmp_path, Record("here", os.getpid(), 0.0))
    following = Follower(work, run_id, mine, WatchPlan(6, 60.0, "time"), QUICK, is_found=False)
    with pytest.raises(jobs.LeaseLost):
        following._record(told, [])
    with Session(engine) as session:
        assert run_events.last_seq(session, run_id) == 0
