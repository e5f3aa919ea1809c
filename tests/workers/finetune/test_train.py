"""The training loop from outside: what it learns, how it stops, goes on, refuses, and what it leaves on disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from app.datasets.manifest import content_hash, read_manifest, write_manifest
from app.training.recipe import Recipe
from workers.errors import InputError
from workers.families.prx_pixel import load
from workers.families.registry import load_family
from workers.finetune.checkpoint import is_complete, read_sidecar
from workers.finetune.clock import Clock
from workers.finetune.loop_state import LoopState
from workers.finetune.preflight import preflight
from workers.finetune.ranks import Ranks
from workers.finetune.train import train
from workers.finetune.train_state import Diverged, keeps_base_narrow

CPU = torch.device("cpu")
MakeRecipe = Callable[..., Recipe]


def checkpoint(out: Path, step: int) -> Path:
    return out / "checkpoints" / f"step-{step:06d}"


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        return np.asarray(picture)


def all_tensors(folder: Path) -> dict[str, torch.Tensor]:
    weights = load_file(next((folder / "weights").glob("*.safetensors")))
    return {**{f"ema/{name}": t for name, t in weights.items()}, **load_file(folder / "state.safetensors")}


def assert_same(one: Path, other: Path) -> None:
    first, second = all_tensors(one), all_tensors(other)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


@pytest.mark.parametrize(
    ("method", "precision", "device", "is_narrow"),
    [
        ("lora", "bf16-autocast", "cuda", True),
        ("lora", "bf16-autocast", "cpu", False),
        ("lora", "fp32", "cuda", False),
        ("full", "bf16-autocast", "cuda", False),
    ],
)
def test_only_a_frozen_base_that_is_asked_in_bf16_on_a_gpu_is_kept_narrow(
    recipe: MakeRecipe, method: str, precision: str, device: str, is_narrow: bool
) -> None:
    knobs = recipe(method=method, lora_rank=4, precision=precision)
    assert keeps_base_narrow(knobs, torch.device(device)) == is_narrow


def test_a_base_that_is_kept_narrow_is_loaded_so_and_exported_wide(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    def watched(*given: Any) -> Any:
        family = load_family(*given)
        loaded.append({module.weight.dtype for module in family.model.modules() if type(module) is torch.nn.Linear})
        return family

    knobs = recipe(steps=2, method="lora", lora_rank=4, precision="bf16-autocast")
    monkeypatch.setattr("workers.finetune.train.keeps_base_narrow", lambda *_: True)
    monkeypatch.setattr("workers.finetune.train.load_family", watched)
    (tmp_path / "before").mkdir()
    preflight(knobs, manifest, tmp_path / "before", listener(), CPU, tmp_path / "cache")
    train(knobs, manifest, tmp_path / "out", listener(), CPU, resume=False)
    assert loaded == [{torch.bfloat16}] * 2
    (exported,) = (tmp_path / "out" / "model" / "transformer").glob("*.safetensors")
    assert {tensor.dtype for tensor in load_file(exported).values()} == {torch.float32}


def test_it_overfits_one_batch(recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any) -> None:
    four = [row for row in read_manifest(manifest) if row.group.endswith("-6")]
    write_manifest(manifest, four)
    report = listener()
    knobs = {"optimiser": "muon", "muon_lr": 0.01, "adamw_lr": 0.01, "caption_dropout": 0.0, "constant_share": 0.7}
    train(recipe(steps=120, report_every=5, **knobs), manifest, tmp_path / "out", report, CPU, False)
    losses = [facts["loss"] for facts in report.facts("step")]
    assert sum(losses[-8:]) / 8 < 0.25 * losses[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"optimiser": "muon"},
        {"optimiser": "adamw", "ema_every": 2},
        {"optimiser": "adamw", "ema_decay": 0.0},
        {"optimiser": "prodigy"},
        {"optimiser": "adamw8bit"},
        {"optimiser": "muon", "method": "lora", "lora_rank": 4},
        {"optimiser": "adamw", "batch_size": 4, "route_share": 0.5, "route_from": 0},
        {"optimiser": "adamw", "second_from": 0.5, "second_resolution_px": 24, "second_batch_size": 2},
        {"optimiser": "adamw", "batch_size": 4, "micro_batch": 2, "caption_dropout": 0.5, "short_caption_share": 0.5},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_stopping_and_going_on_equals_going_straight_through(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any, changes: dict[str, Any]
) -> None:
    # Batches of 3 from 8 members: the stop at step 4 falls into the middle of an epoch.
    knobs = recipe(**{"steps": 9, "batch_size": 3, "report_every": 1, "checkpoint_every": 100, **changes})
    train(knobs, manifest, tmp_path / "straight", listener(), CPU, False)
    assert train(knobs, manifest, tmp_path / "broken", listener(stop_at=4), CPU, False) == "stopped"
    assert train(knobs, manifest, tmp_path / "broken", listener(stop_at=7), CPU, True) == "stopped"
    last = listener()
    assert train(knobs, manifest, tmp_path / "broken", last, CPU, True) == "completed"
    assert last.facts("started")[0]["step"] == 7
    assert_same(checkpoint(tmp_path / "straight", 9), checkpoint(tmp_path / "broken", 9))


def test_micro_batches_learn_what_the_whole_batch_does(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    for micro in (0, 2):
        knobs = recipe(steps=3, batch_size=4, micro_batch=micro, optimiser="adamw")
        train(knobs, manifest, tmp_path / str(micro), listener(), CPU, False)
    one, other = (all_tensors(checkpoint(tmp_path / micro, 3)) for micro in ("0", "2"))
    for name in one:
        assert torch.allclose(one[name], other[name], rtol=1e-3, atol=1e-5), name


def test_a_resume_that_changes_nothing_is_found_out(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *_: None)
    with pytest.raises(InputError, match="changed no weight"):
        train(recipe(optimiser="adamw"), manifest, tmp_path / "out", listener(), CPU, False)


def test_a_checkpoint_that_was_not_put_back_is_found_out(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    train(recipe(steps=6, checkpoint_every=3, report_every=1), manifest, out, listener(stop_at=4), CPU, False)
    shutil.rmtree(checkpoint(out, 4))
    monkeypatch.setattr("workers.finetune.loop_state.weights.load", lambda *_: None)
    with pytest.raises(InputError, match="was not put back as it was"):
        train(recipe(steps=6, checkpoint_every=3, report_every=1), manifest, out, listener(), CPU, True)


def test_pulse_pictures_are_drawn_at_the_start_and_at_each_checkpoint(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    out, report = tmp_path / "out", listener()
    out.mkdir()
    asked = [{"prompt_id": 7, "text": "red box", "seed": 11}, {"prompt_id": 9, "text": "blue box", "seed": 11}]
    (out / "previews.json").write_text(json.dumps(asked))
    train(recipe(steps=4, checkpoint_every=2), manifest, out, report, CPU, False)
    assert [facts["step"] for facts in report.facts("samples")] == [0, 2, 4]
    for facts in report.facts("samples"):
        assert [(one["prompt_id"], one["seed"]) for one in facts["files"]] == [(7, 11), (9, 11)]
        assert all(pixels(out / one["file"]).shape == (16, 16, 3) for one in facts["files"])
    # What was shown while training is what the finished model draws.
    family = load(str(out / "model"), CPU)
    drawn = family.draw(["red box", "blue box"], [11, 11], 16, 4, 2.0)
    shown = [pixels(out / one["file"]) for one in report.facts("samples")[-1]["files"]]
    assert (drawn.numpy() == np.stack(shown)).all()


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_finished_model_says_where_it_comes_from(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any, method: str
) -> None:
    out, report = tmp_path / "out", listener()
    train(recipe(steps=2, method=method), manifest, out, report, CPU, False)
    told = json.loads((out / "model" / "packshot.json").read_text())
    assert told["dataset_hash"] == report.facts("started")[0]["dataset_hash"]
    assert (told["step"], told["method"]) == (2, method)
    assert (out / "lora" / "comfyui.safetensors").exists() is (method == "lora")
    assert load(str(out / "model"), CPU)


def test_the_validation_loss_after_a_resume_is_the_saved_one(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    knobs = recipe(steps=6, checkpoint_every=3, validate_every=3, report_every=1)
    train(knobs, manifest, tmp_path / "out", listener(stop_at=4), CPU, False)
    shutil.rmtree(checkpoint(tmp_path / "out", 4))
    saved = read_sidecar(checkpoint(tmp_path / "out", 3))["losses"]["validation"]
    again = listener()
    train(knobs, manifest, tmp_path / "out", again, CPU, True)
    assert again.facts("validation")[0] == saved


def test_a_attempt_clears_away_what_a_killed_one_left(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    out = tmp_path / "out"
    left = [out / ".model.99.new", out / ".lora.99.new", out / "checkpoints" / ".step-000002.99.new"]
    for folder in left:
        folder.mkdir(parents=True)
    train(recipe(steps=2), manifest, out, listener(), CPU, resume=True)
    assert not any(folder.exists() for folder in left)
    assert checkpoint(out, 2).exists()


def test_the_same_recipe_twice_gives_the_same_weights(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    for out in ("one", "two"):
        train(recipe(steps=3), manifest, tmp_path / out, listener(), CPU, False)
    assert_same(checkpoint(tmp_path / "one", 3), checkpoint(tmp_path / "two", 3))


def test_bf16_autocast_learns_with_fp32_weights(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    train(recipe(steps=2, precision="bf16-autocast"), manifest, tmp_path / "out", listener(), CPU, False)
    tensors = all_tensors(checkpoint(tmp_path / "out", 2))
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_what_it_tells_and_leaves_behind(recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any) -> None:
    report = listener()
    knobs = recipe(steps=5, checkpoint_every=2, validate_every=2, report_every=2)
    assert train(knobs, manifest, tmp_path / "out", report, CPU, False) == "completed"
    kinds = [kind for kind, _ in report.events]
    assert [kind for kind in kinds if kind != "phase"][:2] == ["started", "validation"]
    assert kinds[-1] == "finished"
    started = report.facts("started")[0]
    assert (started["train_count"], started["validation_count"], started["steps"]) == (8, 4, 5)
    assert [facts["step"] for facts in report.facts("step")] == [2, 4, 5]
    assert [facts["step"] for facts in report.facts("validation")] == [0, 2, 4, 5]
    assert [facts["step"] for facts in report.facts("checkpoint")] == [2, 4, 5]
    assert all(len(facts["loss_by_band"]) == 4 for facts in report.facts("validation"))
    for told in report.facts("checkpoint"):
        folder = tmp_path / "out" / told["folder"]
        # Only the newest two can be resumed from; of older ones the weights stay, and they are complete without.
        assert (folder / "state.safetensors").exists() is (told["step"] != 2)
        assert is_complete(folder)
        if told["step"] != 2:
            assert told["size_bytes"] == sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        sidecar = read_sidecar(folder)
        assert Recipe.model_validate(sidecar["recipe"]) == knobs
        assert sidecar["dataset_hash"] == started["dataset_hash"]
    json.dumps(report.events)


@pytest.mark.parametrize(("request_", "kept"), [("keep", True), ("discard", False)])
def test_a_stop_is_kept_or_discarded(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any, request_: str, kept: bool
) -> None:
    report = listener(stop_at=2, request=request_)
    knobs = recipe(steps=50, report_every=1, checkpoint_every=100)
    assert train(knobs, manifest, tmp_path / "out", report, CPU, False) == "stopped"
    assert checkpoint(tmp_path / "out", 2).exists() is kept
    assert (tmp_path / "out" / "model" / "model_index.json").exists() is kept
    assert report.facts("finished")[0]["kept"] is kept


@pytest.mark.parametrize(("binding", "reason"), [("time", "out_of_time"), ("money", "out_of_money")])
def test_the_hard_stop_ends_with_a_checkpoint_and_a_model(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any, binding: str, reason: str
) -> None:
    out, report = tmp_path / "out", listener()
    out.mkdir()
    known = {"told_seq": 3, "spent_s": 1.5}
    (out / "limits.json").write_text(json.dumps({"seconds": 280.0, "binding": binding, "reserve_s": 60.0, **known}))
    # Each step that was told counts as 70 seconds: after four, nothing is left beside what is kept back.
    report.spent_s = lambda: 70.0 * len(report.facts("step"))
    assert train(recipe(steps=50, report_every=1), manifest, out, report, CPU, False) == reason
    assert report.facts("finished")[0]["step"] == 4
    assert checkpoint(out, 4).exists()
    assert (out / "model" / "model_index.json").exists()


def test_time_of_earlier_attempts_counts(recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any) -> None:
    out = tmp_path / "out"
    train(recipe(steps=50, report_every=1), manifest, out, listener(stop_at=3), CPU, False)
    report = listener(earlier_s=299.5)
    assert train(recipe(steps=50, report_every=1), manifest, out, report, CPU, True) == "out_of_time"
    assert report.facts("finished")[0] | {"elapsed_s": 0} == {
        "reason": "out_of_time", "step": 3, "kept": True, "elapsed_s": 0, "model_step": 3,
    }  # fmt: skip


def test_a_loss_that_is_no_number_ends_the_run_and_saves_nothing(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    knobs = recipe(steps=200, muon_lr=1.0, adamw_lr=1.0, clip_norm=1000.0, timestep_mean=5.0, velocity_floor=1e-30)
    knobs = knobs.model_copy(update={"adamw_lr": 1e30, "timestep_mean": 0.3})
    with pytest.raises(Diverged, match=r"became (nan|inf) at step \d+, with a learning rate of 1\.0e\+30"):
        train(knobs, manifest, tmp_path / "out", listener(), CPU, False)


def test_a_run_is_not_resumed_under_another_recipe_or_other_members(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    out = tmp_path / "out"
    train(recipe(steps=3), manifest, out, listener(), CPU, False)
    with pytest.raises(
        InputError, match=r"another recipe: seed is 99 and was \d+; adamw_lr is 0\.5 and was 0\.0\d+\. "
    ):
        train(recipe(steps=3, seed=99, adamw_lr=0.5), manifest, out, listener(), CPU, True)
    write_manifest(manifest, read_manifest(manifest)[:-1])
    with pytest.raises(InputError, match="other members"):
        train(recipe(steps=3), manifest, out, listener(), CPU, True)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("captions", {"caption": "a red box"}),
        ("split", {"split": "train"}),
        ("groups", {"group": "boxes"}),
        ("captions and groups", {"caption": "a red box", "group": "boxes"}),
        ("pictures", {}),
    ],
)
def test_a_refused_resume_names_what_is_other_in_the_members(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any, part: str, changes: dict[str, Any]
) -> None:
    out, rows = tmp_path / "out", read_manifest(manifest)
    train(recipe(steps=2), manifest, out, listener(stop_at=1), CPU, False)
    changed = next(row for row in rows if row.split == "validation")
    others = [row for row in rows if row is not changed]
    write_manifest(manifest, [*others, replace(changed, **changes)] if changes else others)
    with pytest.raises(InputError, match=rf"learned from other members: other {part}\. Start a new run"):
        train(recipe(steps=2), manifest, out, listener(), CPU, True)


@pytest.mark.parametrize(("name", "value"), [("learning_hash", None), ("losses", []), ("step", "two")])
def test_a_checkpoint_that_does_not_say_what_it_is_is_passed_over(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any, name: str, value: object
) -> None:
    out = tmp_path / "out"
    train(recipe(steps=4, checkpoint_every=1, report_every=1), manifest, out, listener(stop_at=2), CPU, False)
    sidecar = out / "checkpoints" / "step-000002" / "checkpoint.json"
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), name: value}))
    report = listener()
    assert train(recipe(steps=4, checkpoint_every=1, report_every=1), manifest, out, report, CPU, True) == "completed"
    note = report.facts("started")[0]["note"]
    assert f"step-000002 is damaged: checkpoint.json does not say its {name}. The run goes on from step 1" in note


def test_a_run_whose_knobs_meant_something_else_is_told_what(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    out, knobs = tmp_path / "out", recipe(steps=3, timestep_shift=3.0)
    train(knobs, manifest, out, listener(), CPU, False)
    sidecar = read_sidecar(checkpoint(out, 3))
    before = knobs.model_copy(update={"timestep_shift": 1.0}).learning_hash()
    (checkpoint(out, 3) / "checkpoint.json").write_text(json.dumps({**sidecar, "learning_hash": before}))
    with pytest.raises(
        InputError, match="earlier version of Packshot: timesteps that are drawn evenly are not shifted"
    ):
        train(knobs, manifest, out, listener(), CPU, True)


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_a_run_with_nothing_whole_to_go_on_from_is_refused_by_name(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    out = tmp_path / "out"
    train(recipe(steps=3), manifest, out, listener(), CPU, False)
    damage(checkpoint(out, 3) / "state.safetensors")
    with pytest.raises(InputError, match=r"damaged: state\.safetensors"):
        train(recipe(steps=3), manifest, out, listener(), CPU, True)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_and_told_of(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    knobs, out = recipe(steps=6, checkpoint_every=2, report_every=1), tmp_path / "out"
    train(knobs, manifest, tmp_path / "straight", listener(), CPU, False)
    train(knobs, manifest, out, listener(stop_at=4), CPU, False)
    damage(checkpoint(out, 4) / "state.safetensors")
    again = listener()
    assert train(knobs, manifest, out, again, CPU, True) == "completed"
    started = again.facts("started")[0]
    assert started["step"] == 2
    assert started["note"].startswith(
        "The checkpoint step-000004 is damaged: state.safetensors is not what was saved. "
        "The run goes on from step 2 instead."
    )
    assert_same(checkpoint(tmp_path / "straight", 6), checkpoint(out, 6))


def test_all_processes_go_on_from_the_first_ones_checkpoint(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    class Second(Ranks):
        """The second of two; the first one has found only the checkpoint of step 2 whole."""

        def same(self, number: int) -> int:
            return 2

    knobs, out = recipe(steps=4, checkpoint_every=2), tmp_path / "out"
    train(knobs, manifest, out, listener(), CPU, False)
    assert checkpoint(out, 4).exists()
    report, digest = listener(), content_hash(read_manifest(manifest))
    of_second = cast(Any, SimpleNamespace(shift=lambda *_: 1.0, base_revision=""))
    run = LoopState(knobs, out, report, Clock(knobs, out, report), of_second, digest, Second(1, 2))
    run.look_back()
    assert (run.step, run.saved_weights) == (2, checkpoint(out, 2) / "weights")


def test_a_missing_base_is_refused(recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any) -> None:
    with pytest.raises(InputError, match="is missing"):
        train(recipe(base=str(tmp_path / "nowhere")), manifest, tmp_path / "out", listener(), CPU, False)


def test_samples_asked_for_between_two_checkpoints_are_drawn_after_the_step_and_change_nothing_learned(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    out, plain = tmp_path / "out", tmp_path / "plain"

    class Asking(listener):  # type: ignore[misc]
        def tell(self, kind: str, **facts: Any) -> None:
            super().tell(kind, **facts)
            if kind == "step" and facts["step"] == 2:
                (out / "draw").touch()

    report, knobs = Asking(), recipe(steps=4, checkpoint_every=4, report_every=1)
    for folder in (out, plain):
        folder.mkdir()
        (folder / "previews.json").write_text(json.dumps([{"prompt_id": 7, "text": "a red box", "seed": 11}]))
    train(knobs, manifest, out, report, CPU, False)
    assert [facts["step"] for facts in report.facts("samples")] == [0, 2, 4]
    assert (out / report.facts("samples")[1]["files"][0]["file"]).is_file()
    assert is_complete(checkpoint(out, 2)) and not (out / "draw").exists()
    train(knobs, manifest, plain, listener(), CPU, False)
    assert_same(checkpoint(out, 4), checkpoint(plain, 4))
