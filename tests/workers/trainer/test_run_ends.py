"""How runs end: one true state each, with its cause; what is begun again and what waits for a person; what it cost."""

from __future__ import annotations

import json
import os
import socket
import time
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from app import jobs
from app.cycles import clock, ledger
from app.cycles.tables import LedgerEntry
from app.database import transaction
from app.evaluation import sheets
from app.settings import Settings
from app.training import runs
from app.training.limits import Limits
from app.training.tables import Preflight
from tests.training.cast import one_run
from tests.workers.trained import (
    FAKE,
    IMPATIENT,
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
from workers.trainer.process import Patience, Trainer, read_record

WATCHFUL = Patience(keep_s=5.0, discard_s=5.0, terminated_s=0.3, least_silence_s=0.5, first_silence_s=10.0, poll_s=0.02)


pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def run_id(engine: Engine, settings: Settings) -> int:
    with transaction(engine) as session:
        clock.start_cycle(session, settings, None)
        return one_run(session, steps=6).id


def bills(engine: Engine) -> tuple[int, float]:
    """How many attempts are on the bill, and their seconds."""
    with transaction(engine) as session:
        count, seconds = session.execute(select(func.count(), func.sum(LedgerEntry.seconds))).one()
        return count, seconds or 0.0


def resume(engine: Engine, run_id: int) -> None:
    with transaction(engine) as session:
        runs.resume(session, runs.get(session, run_id))


def leave_record(out: Path, job_id: int, lived_s: float) -> None:
    """A trainer that was started by a worker and died with it."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.yaml").write_text("steps: 6\n")
    (out / "trainer.log").touch()
    record = {
        "host": socket.gethostname(), "pid": 2**22 + 1, "started": time.time() - lived_s, "job_id": job_id, "token": 0,
    }  # fmt: skip
    (out / "trainer.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("what", "cause", "words"),
    [
        ("crash", "broken", "ended without telling why (exit code 1)"),
        ("refuse", "refused", "The base is not there."),
        ("fail-out_of_memory", "out_of_memory", "The engine says out_of_memory."),
        ("fail-diverged", "diverged", "The engine says diverged."),
        ("exit-4", "out_of_memory", "too little memory"),
        ("exit-6", "diverged", "The loss exploded"),
    ],
)
def test_what_would_only_happen_again_fails_the_run_at_once(
    engine: Engine, settings: Settings, run_id: int, out: Path, what: str, cause: str, words: str
) -> None:
    run = train(engine, settings, run_id, "--child", "--after", "3", what)
    job = read(engine, run_id)[1]
    assert (run.state, run.cause, run.resumptions) == ("failed", cause, 0)
    assert words in (run.reason or "")
    assert (job.state, job.failure) == ("failed", run.reason)
    assert steps_kept(engine, run_id) == [1, 2, 3]
    assert len(starts(out)) == 1
    assert not is_alive(int((out / "child").read_text()))


def test_a_killed_trainer_is_begun_again_twice_and_then_waits(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    run = train(engine, settings, run_id, "--after", "3", "die")
    assert (run.state, run.cause, run.resumptions) == ("failed", "killed", 2)
    assert "(Killed). Running out of main memory is the usual cause. The checkpoint of step 2 is kept." in (
        run.reason or ""
    )
    assert len(starts(out)) == 3
    assert [kind for kind, _ in notes(engine, run_id)] == ["begun_again", "begun_again"]
    assert "begun again from step 2 without being asked, 1 of at most 2 times" in notes(engine, run_id)[0][1]
    count, seconds = bills(engine)
    assert count == 3, "every attempt is billed, retries included"
    assert run.actual_s == pytest.approx(seconds)


def test_a_trainer_killed_once_completes(engine: Engine, settings: Settings, run_id: int) -> None:
    run = train(engine, settings, run_id, "--once", "--after", "3", "die")
    assert (run.state, run.cause, run.resumptions) == ("completed", None, 1)
    assert steps_kept(engine, run_id) == [1, 2, 3, 3, 4, 5, 6]


def test_a_hang_is_ended_by_force_and_begun_again(engine: Engine, settings: Settings, run_id: int, out: Path) -> None:
    run = train(engine, settings, run_id, "--once", "--deaf", "--after", "4", "hang", patience=WATCHFUL)
    assert (run.state, run.resumptions) == ("completed", 1)
    assert [kind for kind, _ in notes(engine, run_id)] == ["hung", "forced", "begun_again"]
    assert "in the phase “train”" in notes(engine, run_id)[0][1]
    assert not is_alive(starts(out)[0])


def test_a_trainer_that_always_hangs_fails_as_hung(engine: Engine, settings: Settings, run_id: int) -> None:
    run = train(engine, settings, run_id, "--after", "3", "hang", patience=WATCHFUL)
    assert (run.state, run.cause, run.resumptions) == ("failed", "hung", 2)


@pytest.mark.parametrize("what", ["fail-disk_full", "exit-5"])
def test_a_full_disk_pauses_the_run_until_it_goes_on(
    engine: Engine, settings: Settings, run_id: int, what: str
) -> None:
    run = train(engine, settings, run_id, "--once", "--after", "3", what)
    assert (run.state, run.cause) == ("paused", "disk_full")
    assert "its clock stands still" in (run.reason or "")
    assert "The checkpoint of step 2 is kept." in (run.reason or "")
    assert read(engine, run_id)[1].state == "done", "the device is free for others"
    resume(engine, run_id)
    assert train(engine, settings, run_id).state == "completed"


def test_a_disk_without_room_for_two_checkpoints_pauses_before_anything_is_spent(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    with transaction(engine) as session:
        run = runs.get(session, run_id)
        preflight = Preflight(
            version_id=run.version_id, base="", recipe={}, recipe_hash="", measured={"checkpoint_bytes": 10**15},
            findings=[], alternatives=[],
        )  # fmt: skip
        session.add(preflight)
        session.flush()
        run.preflight_id = preflight.id
    run = train(engine, settings, run_id)
    assert (run.state, run.cause) == ("paused", "disk_full")
    assert "2000000.0 GB are needed" in (run.reason or "")
    assert not (out / "starts").exists()
    stop(engine, run_id, keep=True)
    assert train(engine, settings, run_id).state == "stopped", "a paused run can be given up"


def test_the_engine_stops_at_its_limit_and_the_run_goes_on_with_a_higher_one(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    with transaction(engine) as session:
        runs.get(session, run_id).max_seconds = 7200.0
    run = train(engine, settings, run_id, "--after", "3", "limit")
    assert (run.state, run.cause) == ("stopped", "out_of_time")
    assert run.reason == (
        "Its time limit of 2 h 00 m on the device was reached at step 3 of 6. What it learned until step 3 is kept."
    )
    told = {
        "seconds": 7200.0,
        "binding": "time",
        "reserve_s": 0.0,
        "told_seq": 0,
        "spent_s": 0.0,
        "reserve_pictures": 96,
    }
    assert json.loads((out / "limits.json").read_text()) == told
    with transaction(engine) as session:
        assert sheets.latest_of(session, run_id) is not None
        runs.extend(session, runs.get(session, run_id), Limits(10_000.0))
    assert train(engine, settings, run_id).state == "completed"
    assert steps_kept(engine, run_id) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("deafness", [(), ("--deaf",)])
def test_the_worker_ends_a_run_that_does_not_stop_at_its_limit(
    engine: Engine, settings: Settings, run_id: int, deafness: tuple[str, ...]
) -> None:
    with transaction(engine) as session:
        run = runs.get(session, run_id)
        run.max_seconds, run.stop_bound_s = 1.0, 0.1
    run = train(engine, settings, run_id, *deafness, "--after", "3", "wait", patience=IMPATIENT)
    assert (run.state, run.cause) == ("stopped", "out_of_time")
    assert "The trainer did not end by itself and was ended." in (run.reason or "")
    with transaction(engine) as session:
        assert sheets.latest_of(session, run_id) is not None


def test_a_run_whose_limit_is_used_up_is_not_started(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    with transaction(engine) as session:
        run = runs.get(session, run_id)
        run.max_seconds, run.actual_s = 100.0, 100.0
    run = train(engine, settings, run_id)
    assert (run.state, run.cause) == ("stopped", "out_of_time")
    assert not (out / "starts").exists()


def test_a_run_that_the_cycle_has_no_money_for_is_not_started(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    priced = settings.model_copy(update={"gpu_hour_price": Decimal("2")})
    with transaction(engine) as session:
        spent = ledger.record(session, jobs.request(session, "captions.look", {}), 60 * 3600.0, priced)
        assert spent is not None and spent.amount == 120
    run = train(engine, priced, run_id)
    assert (run.state, run.cause, run.max_amount) == ("stopped", "out_of_money", 0)
    assert not (out / "starts").exists()


def test_what_the_trainer_started_elsewhere_is_gone_when_the_run_is_over(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    with worker(engine, settings, run_id, "--daemon", "--child", "--deaf", "--after", "3", "wait", patience=IMPATIENT):
        until(lambda: 3 in steps_kept(engine, run_id))
        left = [int((out / name).read_text()) for name in ("child", "daemon")]
        assert os.getsid(left[1]) == left[1], "a session of its own, and no parent that is ours"
        stop(engine, run_id, keep=False)
        until(lambda: read(engine, run_id)[0].ended_at is not None)
        assert not [pid for pid in (*left, *starts(out)) if is_alive(pid)]
    assert "forced" in [kind for kind, _ in notes(engine, run_id)]


def test_a_model_that_cannot_be_loaded_is_no_completion(engine: Engine, settings: Settings, run_id: int) -> None:
    run = train(engine, settings, run_id, "--unfinished")
    assert (run.state, run.cause) == ("failed", "broken")
    assert "says that it completed, but weights.safetensors is not whole" in (run.reason or "")


def test_slow_steps_are_noted(engine: Engine, settings: Settings, run_id: int) -> None:
    with transaction(engine) as session:
        run = runs.get(session, run_id)
        run.steps, run.recipe = 30, run.recipe | {"steps": 30}
    assert train(engine, settings, run_id, "--after", "20", "slow").state == "completed"
    ((kind, sentence),) = notes(engine, run_id)
    assert kind == "slow"
    assert sentence.startswith("Steps take 3 s, 300.0 times their usual 0.01 s.")


def test_a_trainer_lost_with_its_worker_is_billed_and_begun_again(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    leave_record(out, read(engine, run_id)[1].id, lived_s=40.0)
    run = train(engine, settings, run_id)
    assert (run.state, run.resumptions) == ("completed", 1)
    assert "nobody saw why" in notes(engine, run_id)[0][1]
    count, seconds = bills(engine)
    assert count == 2
    assert seconds > 40
    assert read_record(out) is None


def test_a_trainer_that_was_asked_to_stop_with_its_worker_is_not_lost(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    leave_record(out, read(engine, run_id)[1].id, lived_s=40.0)
    (out / "stop").write_text("keep")
    run = train(engine, settings, run_id)
    assert (run.state, run.resumptions) == ("completed", 0)
    assert bills(engine)[0] == 2


def test_a_attempt_that_is_on_the_bill_is_not_billed_again(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    """The worker died between the bill and forgetting the trainer."""
    leave_record(out, read(engine, run_id)[1].id, lived_s=40.0)
    record = read_record(out)
    assert record is not None
    with transaction(engine) as session:
        runs.count_attempt(session, runs.get(session, run_id), record.attempt, 40.0)
    run = train(engine, settings, run_id)
    assert (run.state, run.resumptions) == ("completed", 0)
    assert bills(engine)[0] == 1


def test_a_trainer_of_another_job_is_ended_before_one_is_started(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    out.mkdir(parents=True)
    (out / "recipe.yaml").write_text("steps: 6\n")
    command = [*FAKE, "--after", "3", "wait", str(out / "recipe.yaml"), "none", str(out)]
    stranger = Trainer.start(command, out, 1, jobs.Claim(10**6, 1, "run.train", {}, 1))
    until(lambda: (out / "events.jsonl").exists() and '"step": 3' in (out / "events.jsonl").read_text())
    run = train(engine, settings, run_id)
    assert stranger.wait(0)
    assert run.state == "completed"
    assert len(starts(out)) == 2
    assert steps_kept(engine, run_id) == [1, 2, 3, 4, 5, 6], "it saved what it had before it ended"


def test_a_trainer_that_its_worker_could_not_write_down_is_ended(
    engine: Engine, settings: Settings, run_id: int, out: Path
) -> None:
    """The worker was killed right after it had started the trainer."""
    out.mkdir(parents=True)
    unknown = Trainer.start(["sleep", "600"], out, 1)
    (out / "trainer.json").unlink()
    assert train(engine, settings, run_id).state == "completed"
    assert unknown.wait(5)


def test_an_older_claim_does_not_find_the_trainer(tmp_path: Path) -> None:
    def claim(token: int) -> jobs.Claim:
        return jobs.Claim(7, token, "run.train", {}, 1)

    trainer = Trainer.start(["sleep", "60"], tmp_path, 1, claim(3))
    try:
        assert Trainer.find(tmp_path, claim(2)) is None
        found = Trainer.find(tmp_path, claim(4))
        assert found is not None
        found.write_down(claim(4))
        assert Trainer.find(tmp_path, claim(3)) is None
    finally:
        trainer.clear_away()
        trainer.wait(5)
