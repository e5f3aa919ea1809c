"""The methods inside the training loop: a stopped run goes on bit by bit, and nothing of them is exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file

from app.training.recipe import Recipe
from workers.finetune.train import train

CPU = torch.device("cpu")
MakeRecipe = Callable[..., Recipe]


def test_a_run_with_a_teacher_goes_on_where_it_stopped(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any, dino_folder: Path
) -> None:
    """The projection is trained, saved and put back; the teacher leaves in between."""
    knobs = recipe(
        steps=6,
        batch_size=3,
        report_every=1,
        checkpoint_every=100,
        optimiser="muon",
        route_share=0.5,
        route_from=0,
        teacher=str(dino_folder),
        teacher_block=2,
        teacher_until=0.7,
        dino=str(dino_folder),
        checkpointing="half",
        precision="bf16-autocast",
    )
    report = listener()
    train(knobs, manifest, tmp_path / "straight", report, CPU, False)
    assert "Token routing is on with about 16 tokens" in report.facts("started")[0]["note"]
    train(knobs, manifest, tmp_path / "broken", listener(stop_at=2), CPU, False)
    train(knobs, manifest, tmp_path / "broken", listener(), CPU, True)
    states = [
        load_file(tmp_path / run / "checkpoints" / "step-000006" / "state.safetensors")
        for run in ("straight", "broken")
    ]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any("teacher" in name for name in states[0])
    model = DiffusionPipeline.from_pretrained(tmp_path / "broken" / "model").transformer
    assert not [name for name in model.state_dict() if "teacher" in name]


def test_checkpointing_changes_no_weight(recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any) -> None:
    weights = []
    for level in ("none", "half", "full"):
        out = tmp_path / level
        train(recipe(steps=3, checkpointing=level), manifest, out, listener(), CPU, False)
        weights.append(load_file(next((out / "model" / "transformer").glob("*.safetensors"))))
    for other in weights[1:]:
        assert all(torch.equal(weights[0][name], other[name]) for name in weights[0])
