"""A preflight from the job to what it leads to: a run, alternatives, a refusal, a failure, a stop."""

from __future__ import annotations

import shutil
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from app import jobs
from app.catalog.tables import Catalog
from app.cycles import clock, hard_stop
from app.cycles.tables import LedgerEntry
from app.database import transaction
from app.datasets.tables import DatasetVersion
from app.errors import Refused
from app.host.devices import Device, cpu
from app.launch import preflights
from app.launch.preflights import RequestedLimits
from app.settings import Settings
from app.storage import Storage
from app.training import runs
from app.training.recipe import Recipe, write_recipe
from app.training.tables import Preflight, TrainingRun
from tests.training.cast import frozen_version
from tests.waiting import until
from workers.celery_app import do
from workers.devices import accelerator
from workers.trainer import preflight_job
from workers.trainer.process import Patience, Trainer

FAKE = [sys.executable, str(Path(__file__).parents[1] / "fake_preflight.py")]
QUICK = Patience(keep_s=5.0, discard_s=0.5, terminated_s=5.0, poll_s=0.02)
RECIPE = runs.plan("models/nano", 100)


pytestmark = pytest.mark.usefixtures("committed")


def ask(engine: Engine, recipe: Recipe = RECIPE, requested: RequestedLimits | None = None) -> Preflight:
    with transaction(engine) as session:
        return preflights.request_preflight(session, frozen_version(session), recipe, requested=requested)


def measure(
    engine: Engine, settings: Settings, asked: Preflight, *behaviour: str, silent_s: float = 30.0
) -> tuple[Preflight, jobs.Job]:
    """Do the preflight's job to its end."""
    do(asked.job_id or 0, lambda work: preflight_job.preflight(work, [*FAKE, *behaviour], QUICK, silent_s), settings)
    with transaction(engine) as session:
        return preflights.get(session, asked.id), jobs.get(session, asked.job_id or 0)


def job_of(engine: Engine, asked: Preflight) -> jobs.Job:
    with transaction(engine) as session:
        return jobs.get(session, asked.job_id or 0)


def all_runs(engine: Engine) -> list[TrainingRun]:
    with transaction(engine) as session:
        return list(session.scalars(select(TrainingRun)))


def test_what_was_measured_and_found_is_kept(engine: Engine, settings: Settings) -> None:
    done, job = measure(engine, settings, ask(engine))
    assert (done.state, done.reason, job.state) == ("passed", None, "done")
    assert done.measured["step_s"] == [0.1] * 5
    # From its start until its first word: Python and what the engine imports.
    assert 0 < done.measured["start_s"] < 20
    found = {one["name"]: one["state"] for one in done.findings}
    assert (found["Pictures"], found["Tokens"], found["Weights"]) == ("passed", "passed", "passed")
    assert all_runs(engine) == []


def test_a_run_that_waits_for_it_starts_by_itself_with_what_was_estimated(engine: Engine, settings: Settings) -> None:
    done, _ = measure(engine, settings, ask(engine, requested=RequestedLimits(max_seconds=500.0)))
    (run,) = all_runs(engine)
    assert (run.recipe_hash, run.preflight_id, run.max_seconds) == (RECIPE.recipe_hash(), done.id, 500.0)
    assert run.estimated_low_s < run.estimated_s < run.estimated_high_s  # type: ignore[operator]
    # 100 steps of a tenth of a second, five validations, and what is drawn and written
    assert run.estimated_s == pytest.approx(done.measured["start_s"] + 1.0 + 0.24 + 10.0 + 2.5 + 1.5 + 0.8 + 0.3)
    assert "5 steps measured on CPU" in (run.estimated_from or "")
    with transaction(engine) as session:
        assert jobs.get(session, run.job_id or 0).state == "queued"


@pytest.mark.parametrize(("steps", "pays"), [(100, False), (400, True)])
def test_the_run_that_follows_is_compiled_only_where_that_pays(
    engine: Engine, settings: Settings, steps: int, pays: bool
) -> None:
    recipe = runs.plan("models/nano", steps).model_copy(update={"compile": True})
    done, _ = measure(engine, settings, ask(engine, recipe, RequestedLimits()))
    (run,) = all_runs(engine)
    as_it_was_done = recipe.model_copy(update={"compile": pays})
    assert (run.recipe["compile"], run.recipe_hash) == (pays, as_it_was_done.recipe_hash())
    assert (run.preflight_id, done.recipe["compile"]) == (done.id, True)
    (found,) = [one["sentence"] for one in done.findings if one["name"] == "Compile"]
    assert "10 s of compiling" in found
    if not pays:
        assert "compiling does not pay" in (run.estimated_from or "")
    with transaction(engine) as session:
        assert preflights.find(session, done.version_id, as_it_was_done, "CPU") is not None


def test_without_limits_of_a_person_the_hard_stop_lies_above_the_most_expected(
    engine: Engine, settings: Settings
) -> None:
    measure(engine, settings, ask(engine, requested=RequestedLimits()))
    (run,) = all_runs(engine)
    assert run.estimated_high_s is not None
    assert run.estimated_high_s < (run.max_seconds or 0) < RECIPE.max_wall_clock_s


def test_a_run_that_cannot_end_in_time_is_not_started_and_fewer_steps_are_offered(
    engine: Engine, settings: Settings
) -> None:
    done, job = measure(engine, settings, ask(engine, requested=RequestedLimits(max_seconds=40.0)), "--step", "2")
    assert (done.state, job.state) == ("refused", "done")
    assert (done.reason or "").startswith("Time: takes ") and (done.reason or "").endswith("; 40 s are allowed.")
    assert all_runs(engine) == []
    (fewer,) = done.alternatives
    assert 0 < int(fewer["changes"]["steps"]) < 20


def test_smaller_recipes_are_measured_where_it_does_not_fit(engine: Engine, settings: Settings) -> None:
    asked = ask(engine)
    done, _ = measure(engine, settings, asked, "--holds", "5")
    assert done.state == "refused"
    assert done.reason == "The device's memory is too small for this recipe."
    assert done.measured["weights"]  # the checks' facts are there all the same
    words = [(one["words"], one["state"]) for one in done.alternatives]
    assert words == [
        ("16 pictures at once instead of 32; a batch stays 32", "too_large"),
        ("all blocks computed twice, 8 at once: slower, far less memory", "fits"),
        ("LoRA instead of all weights", "fits"),
    ]
    fits = done.alternatives[1]
    assert fits["step_s"] == pytest.approx(0.1)
    with transaction(engine) as session:
        tried = preflights.get(session, fits["preflight_id"])
        recipe = Recipe.model_validate(tried.recipe)
        assert (tried.state, recipe.micro_batch, recipe.checkpointing, recipe.steps) == ("passed", 8, "full", 100)
        assert preflights.find(session, asked.version_id, recipe, "") is tried
    assert fits["changes"]["micro_batch"] == "8"


def test_enough_that_fit_end_the_search(engine: Engine, settings: Settings) -> None:
    recipe = RECIPE.model_copy(update={"resolution_px": 128, "micro_batch": 16})
    done, _ = measure(engine, settings, ask(engine, recipe), "--holds", "40")
    assert [one["state"] for one in done.alternatives] == ["fits", "fits"]


def test_a_refusal_says_the_engines_last_word(engine: Engine, settings: Settings) -> None:
    done, job = measure(engine, settings, ask(engine, requested=RequestedLimits()), "--refuse")
    assert (done.state, done.reason, job.state) == ("refused", "The base model folder x is missing.", "done")
    assert all_runs(engine) == []


def test_a_broken_program_fails_the_job(engine: Engine, settings: Settings) -> None:
    done, job = measure(engine, settings, ask(engine, requested=RequestedLimits()), "--crash")
    assert done.state == job.state == "failed"
    assert done.reason == job.failure == "It ended without telling why (exit code 1); its last words are in its log."


def test_a_time_limit_too_short_to_measure_in_is_named(engine: Engine, settings: Settings) -> None:
    short = RECIPE.model_copy(update={"max_wall_clock_s": 20.0})
    done, job = measure(engine, settings, ask(engine, short, RequestedLimits()), "--late")
    assert done.state == job.state == "failed"
    assert done.reason == (
        "The recipe’s time limit of 20 s ended it before all was measured. "
        "Raise “Time limit, s” in the recipe and measure again."
    )
    assert all_runs(engine) == []
    with transaction(engine) as session:
        assert preflights.find(session, done.version_id, RECIPE, "CPU") is None, "with more time it can be measured"


def test_silence_is_a_hang_and_is_ended(engine: Engine, settings: Settings) -> None:
    done, job = measure(engine, settings, ask(engine), "--mute", silent_s=0.5)
    assert done.state == job.state == "failed"
    assert (done.reason or "").startswith("It told nothing for 0.5 s while ")
    assert (done.reason or "").endswith(", so it was ended by force.")


def test_it_can_be_stopped(engine: Engine, settings: Settings) -> None:
    asked = ask(engine, requested=RequestedLimits())
    out = settings.data_dir / "preflights" / str(asked.id)
    thread = threading.Thread(target=measure, args=(engine, settings, asked, "--wait"))
    thread.start()
    until(lambda: (out / "events.jsonl").exists(), "the preflight is at work")
    with transaction(engine) as session:
        jobs.cancel(session, asked.job_id or 0)
    thread.join(20)
    with transaction(engine) as session:
        assert preflights.get(session, asked.id).state == "cancelled"
        assert jobs.get(session, asked.job_id or 0).state == "cancelled"
        assert preflights.find(session, asked.version_id, RECIPE, "") is None
    assert Trainer.find(out) is None


def test_a_process_nobody_waits_for_is_ended(engine: Engine, settings: Settings) -> None:
    asked = ask(engine)
    out = settings.data_dir / "preflights" / str(asked.id)
    recipe = out / "recipe.yaml"
    out.mkdir(parents=True)
    recipe.write_text("batch_size: 1\n")
    left = Trainer.start([*FAKE, "--mute", "preflight", str(recipe), "none", str(out)], out, 1)
    assert preflight_job.reconcile(engine, Storage(settings.data_dir), QUICK) == 0
    with transaction(engine) as session:
        jobs.cancel(session, asked.job_id or 0)
    assert preflight_job.reconcile(engine, Storage(settings.data_dir), QUICK) == 1
    assert left.wait(5)
    with transaction(engine) as session:
        assert preflights.get(session, asked.id).state == "cancelled"


def test_a_worker_that_comes_back_finds_the_process_at_work(engine: Engine, settings: Settings) -> None:
    asked = ask(engine)
    out = settings.data_dir / "preflights" / str(asked.id)
    out.mkdir(parents=True)
    write_recipe(out / "recipe.yaml", RECIPE)
    command = [*FAKE, "--wait", "preflight", str(out / "recipe.yaml"), "none", str(out)]
    earlier = Trainer.start(command, out, 1)
    until(lambda: (out / "events.jsonl").exists(), "the preflight is at work")
    # A second process would be told to crash; the first one goes on to its end.
    thread = threading.Thread(target=measure, args=(engine, settings, asked, "--crash"))
    thread.start()
    until(lambda: job_of(engine, asked).note == "loading the base model", "the worker follows it")
    (out / "go").touch()
    assert earlier.wait(10)
    thread.join(20)
    with transaction(engine) as session:
        assert preflights.get(session, asked.id).state == "passed"


def test_its_time_is_on_the_bill_and_in_the_stage(engine: Engine, settings: Settings) -> None:
    priced = settings.model_copy(update={"gpu_hour_price": Decimal(36)})
    with transaction(engine) as session:
        clock.start_cycle(session, priced, session.get(Catalog, 1))
    asked = ask(engine)
    measure(engine, priced, asked)
    with transaction(engine) as session:
        (entry,) = session.scalars(select(LedgerEntry))
        assert entry.seconds > 0 and entry.amount is not None and entry.amount > 0
        now = clock.read(session, priced)
        assert now is not None
        train = next(stage for stage in now.stages if stage.key == "train")
        # Measuring is not training: the stage is still the next step.
        assert train.state == "next" and train.cost.amount == entry.amount


def test_nothing_is_measured_with_money_that_is_not_there(engine: Engine, settings: Settings) -> None:
    priced = settings.model_copy(update={"gpu_hour_price": Decimal(3_600), "budget": Decimal("2")})  # 1 a second
    with transaction(engine) as session:
        clock.start_cycle(session, priced, session.get(Catalog, 1))
    done, _ = measure(engine, priced, ask(engine), "--holds", "5", "--takes", "2")
    assert (done.state, done.alternatives) == ("refused", []), "the first try used up what there was"
    with transaction(engine) as session:
        version = session.get_one(DatasetVersion, done.version_id)
        left = hard_stop.left(session, priced, RECIPE)
        with pytest.raises(Refused, match="Nothing is left of the cycle’s money"):
            preflights.request_preflight(session, version, RECIPE, limits=left)
        late = preflights.request_preflight(session, version, RECIPE)
    refused, job = measure(engine, priced, late)
    assert (refused.state, refused.reason, job.state) == ("refused", preflights.NO_MONEY, "done")
    assert not (Storage(settings.data_dir).root / "preflights" / str(late.id)).exists()


def test_nothing_is_measured_with_another_manifest(engine: Engine, settings: Settings, manifest: Path) -> None:
    with transaction(engine) as session:
        version = frozen_version(session, manifest=manifest)
        folder = Storage(settings.data_dir).dataset_folder(version.id)
        asked = preflights.request_preflight(session, version, RECIPE)
    shutil.copytree(manifest.parent, folder)
    text = (folder / manifest.name).read_text()
    (folder / manifest.name).write_text(text.replace("}", ', "licence": "CC0"}', 1))
    refused, _ = measure(engine, settings, asked)
    assert "does not give the facts hash any more" in (refused.reason or "")
    assert refused.measured == {} and refused.state != "passed"


def test_asking_twice_is_one_preflight(engine: Engine) -> None:
    with transaction(engine) as session:
        version = frozen_version(session)
        first = preflights.request_preflight(session, version, RECIPE)
        assert preflights.request_preflight(session, version, RECIPE) is first
        other = RECIPE.model_copy(update={"batch_size": 16})
        assert preflights.request_preflight(session, version, other) is not first


def test_what_was_measured_holds_for_another_length_but_not_for_another_size(engine: Engine) -> None:
    with transaction(engine) as session:
        version = session.get_one(DatasetVersion, ask(engine).version_id)
        assert preflights.find(session, version.id, runs.plan("models/nano", 400), "CPU") is not None
        assert preflights.find(session, version.id, RECIPE.model_copy(update={"micro_batch": 8}), "CPU") is None
        assert preflights.find(session, version.id + 1, RECIPE, "CPU") is None


def test_the_device_is_told_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert accelerator.describe(None) == ("CPU", None)
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559'\n")
    program.chmod(0o755)
    assert accelerator.describe(None) == ("NVIDIA H100 80GB HBM3", 81559 << 20)
    assert accelerator.describe(Device("GPU-1", "GPU 0", "0", "GPU-1")) == ("NVIDIA H100 80GB HBM3", 81559 << 20)
    assert accelerator.describe(cpu()) == ("CPU", None), "a worker on the processor says so beside a GPU too"
    part = Device("MIG-1", "GPU 0, slice 1 (3g.20gb)", "0.1", "MIG-1")
    assert accelerator.describe(part) == ("GPU 0, slice 1 (3g.20gb)", 20 * 10**9)
    program.write_text("#!/bin/sh\nexit 9\n")
    assert accelerator.describe(None) == ("CPU", None)
