"""Runs that explode, that stop learning, and that were interrupted on the way: where they end and what is left."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from app.datasets.manifest import read_manifest, write_manifest
from app.training import learning
from app.training.learning import Look
from app.training.recipe import Recipe
from workers.errors import InputError
from workers.finetune.__main__ import main
from workers.finetune.checkpoint import latest_checkpoint, read_sidecar
from workers.finetune.learning_watch import LearningWatch, by_product
from workers.finetune.train import train
from workers.finetune.train_state import Diverged

CPU = torch.device("cpu")
MakeRecipe = Callable[..., Recipe]
HOT: dict[str, Any] = {
    "optimiser": "adamw", "adamw_lr": 0.5, "clip_norm": 1000.0, "batch_size": 8, "steps": 60, "warmup_steps": 60,
    "constant_share": 1.0, "report_every": 4, "checkpoint_every": 4, "validate_every": 4, "ema_decay": 0.0,
}  # fmt: skip


def steps_saved(out: Path) -> list[int]:
    return [int(folder.name.removeprefix("step-")) for folder in sorted((out / "checkpoints").iterdir())]


def test_a_loss_that_explodes_and_stays_finite_ends_the_run_with_the_model_of_before(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    out, report = tmp_path / "out", listener()
    with pytest.raises(Diverged, match="The loss exploded: since step") as ended:
        train(recipe(**HOT), manifest, out, report, CPU, False)
    steps = report.facts("step")
    assert all(facts["loss"] < 1e30 for facts in steps)
    assert steps[-1]["step"] < 50 and steps[-1]["loss"] > 2 * steps[0]["loss"], "it is told up to the end"
    good = ended.value.facts["good_step"]
    assert 0 < good < steps[-1]["step"] and ended.value.facts["model_step"] == good
    assert json.loads((out / "model" / "packshot.json").read_text())["step"] == good
    assert not report.facts("finished")
    # No run goes on from what was saved on the way up.
    folder, faults = latest_checkpoint(out)
    assert folder is not None and read_sidecar(folder)["step"] == good
    assert len(faults) == sum(step > good for step in steps_saved(out))
    assert all("begun to explode" in fault for fault in faults)


def test_the_command_tells_the_last_good_step(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from app.training.recipe import write_recipe

    write_recipe(tmp_path / "recipe.yaml", recipe(**HOT))
    assert main([str(tmp_path / "recipe.yaml"), str(manifest), str(tmp_path / "out")]) == 6
    told = json.loads((tmp_path / "out" / "events.jsonl").read_text().splitlines()[-1])
    assert (told["kind"], told["cause"]) == ("failed", "diverged")
    assert told["good_step"] == told["model_step"] > 0


@pytest.mark.parametrize("stop_at", [None, 3])
def test_a_short_run_that_explodes_ends_red_too(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any, stop_at: int | None
) -> None:
    # No window of the losses is full, and nothing is held out.
    rows = [row for row in read_manifest(manifest) if row.split == "train"]
    write_manifest(manifest, rows)
    hot = {
        **HOT,
        "adamw_lr": 1.0,
        "warmup_steps": 0,
        "steps": 4,
        "batch_size": 4,
        "checkpoint_every": 1,
        "report_every": 1,
    }
    report = listener(stop_at=stop_at)
    with pytest.raises(Diverged, match="The loss exploded: since step 0"):
        train(recipe(**hot), manifest, tmp_path / "out", report, CPU, False)
    assert report.facts("step")[-1]["step"] == stop_at or 4
    assert not (tmp_path / "out" / "model").exists()


@pytest.fixture
def worse_and_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Validations that are better at step 2 and no better ever after, in place of those of an untrained model."""
    monkeypatch.setattr("workers.finetune.learning_watch.LearningWatch.validated", _with(LearningWatch.validated))


def _with(validated: Any) -> Any:
    losses = {0: 1.0, 2: 0.5}

    def counted(watch: LearningWatch, look: Look, by_band: list[float | None]) -> None:
        loss = losses.get(look.step, 0.6)
        products = tuple((count, loss + number / 1000) for number, (count, _) in enumerate(look.products))
        validated(watch, Look(look.step, loss, products), by_band)

    return counted


PATIENT: dict[str, Any] = {
    "steps": 20, "patience": 3, "validate_every": 2, "checkpoint_every": 2, "report_every": 1, "optimiser": "adamw",
    "batch_size": 3, "adamw_lr": 1e-4,
}  # fmt: skip


@pytest.mark.usefixtures("worse_and_worse")
def test_it_stops_when_it_stops_learning_wherever_it_was_interrupted(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    straight, last = listener(), listener()
    assert train(recipe(**PATIENT), manifest, tmp_path / "straight", straight, CPU, False) == "no_better"
    assert train(recipe(**PATIENT), manifest, tmp_path / "cut", listener(stop_at=3), CPU, False) == "stopped"
    assert train(recipe(**PATIENT), manifest, tmp_path / "cut", listener(stop_at=7), CPU, True) == "stopped"
    assert train(recipe(**PATIENT), manifest, tmp_path / "cut", last, CPU, True) == "no_better"
    for report in (straight, last):
        finished = report.facts("finished")[0]
        assert (finished["step"], finished["looks"], finished["than_step"]) == (8, 3, 2)
    one, other = (read_sidecar(tmp_path / name / "checkpoints" / "step-000008") for name in ("straight", "cut"))
    assert one["watch"]["divergence"] == other["watch"]["divergence"]
    # Killed between the last checkpoint and its end, it ends there too.
    again = listener()
    assert train(recipe(**PATIENT), manifest, tmp_path / "straight", again, CPU, True) == "no_better"
    assert not again.facts("step") and again.facts("finished")[0]["step"] == 8


@pytest.mark.usefixtures("worse_and_worse")
def test_patience_begins_when_the_learning_rate_is_up(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    report = listener()
    knobs = recipe(**{**PATIENT, "patience": 2, "warmup_steps": 9, "constant_share": 0.5})
    assert train(knobs, manifest, tmp_path / "out", report, CPU, False) == "no_better"
    assert report.facts("finished")[0]["step"] == 12
    assert [facts["no_better"] for facts in report.facts("validation")] == [0, 0, 0, 0, 0, 1, 2]


def test_the_model_of_a_run_that_stopped_learning_is_of_where_it_learned() -> None:
    watch = LearningWatch()
    told: list[tuple[int, float | None]] = [(0, 0.9), (100, 0.3), (200, 0.25), (300, 0.4), (400, 0.5)]
    # All but the last were saved between two validations.
    for step in (0, 100, 130, 200, 260, 300, 390, 400):
        loss = dict(told).get(step)
        if loss is not None:
            watch.validated(Look(step, loss, ((1, loss),) * 4), [loss] * 4)
        if step in (130, 260, 390, 400):
            watch.saved(step, loss)
    assert LearningWatch(watch.state()).best_saved() == 130


def test_without_patience_it_goes_on(recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any) -> None:
    knobs = recipe(**{**PATIENT, "patience": 0, "steps": 4})
    assert train(knobs, manifest, tmp_path / "out", listener(), CPU, False) == "completed"


def test_too_few_products_stop_nothing_and_that_is_said(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.finetune.loop_state.LEAST_PRODUCTS", 5)
    monkeypatch.setattr(learning, "LEAST_PRODUCTS", 5)
    report = listener()
    knobs = recipe(**{**PATIENT, "steps": 8, "patience": 1})
    assert train(knobs, manifest, tmp_path / "out", report, CPU, False) == "completed"
    assert "4 of 5 products" in report.facts("started")[0]["note"]


def test_a_validation_is_told_product_by_product(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    report = listener()
    train(recipe(steps=2, validate_every=1), manifest, tmp_path / "out", report, CPU, False)
    for facts in report.facts("validation"):
        assert [count for count, _ in facts["products"]] == [1, 1, 1, 1]
        assert sum(loss for _, loss in facts["products"]) / 4 == pytest.approx(facts["loss"], rel=1e-5)
        assert len(facts["training"]) == 4


def test_members_without_a_group_are_products_of_their_own(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    write_manifest(manifest, [replace(row, group=" ") for row in read_manifest(manifest)])
    report = listener()
    train(recipe(steps=2), manifest, tmp_path / "out", report, CPU, False)
    assert [count for count, _ in report.facts("validation")[0]["products"]] == [1, 1, 1, 1]


def test_members_of_a_group_are_one_product() -> None:
    assert by_product(["b", "a", "b"], [1.0, 5.0, 2.0]) == ((2, 1.5), (1, 5.0))


def test_a_checkpoint_of_before_has_nothing_to_take_up_and_goes_on(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    out, knobs = tmp_path / "out", recipe(steps=6, validate_every=2, checkpoint_every=2, report_every=1)
    train(knobs, manifest, out, listener(stop_at=4), CPU, False)
    folder = out / "checkpoints" / "step-000004"
    sidecar = read_sidecar(folder)
    del sidecar["watch"]
    for name in ("products", "training"):
        del sidecar["losses"]["validation"][name]
    (folder / "checkpoint.json").write_text(json.dumps(sidecar))
    assert train(knobs, manifest, out, listener(), CPU, True) == "completed"


def test_the_model_is_the_best_saved_one_and_never_one_of_a_rising_loss() -> None:
    watch = LearningWatch()
    watch.validated(Look(0, 1.0), [1.0])
    for step, loss in ((10, 0.6), (20, 0.4), (30, None), (40, 0.7)):
        watch.saved(step, loss)
    assert (watch.best_saved(), watch.last_sound()) == (20, 40)
    watch.divergence.since = 35
    assert watch.last_sound() == 30
    watch.saved(32, 2.5)  # after a resume from 30: what was saved later is undone
    assert watch.last_sound() == 30, "its validation is too high to be sound"
    assert LearningWatch(json.loads(json.dumps(watch.state()))).state() == watch.state()


def test_refused_resumes_name_no_patience(recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any) -> None:
    """Patience decides when a run ends, not what it learns: it may be changed on the way."""
    knobs = {"steps": 4, "checkpoint_every": 2, "report_every": 1}
    train(recipe(**knobs), manifest, tmp_path / "out", listener(stop_at=2), CPU, False)
    try:
        train(recipe(**knobs, patience=2), manifest, tmp_path / "out", listener(), CPU, True)
    except InputError as error:
        pytest.fail(str(error))
