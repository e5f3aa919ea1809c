"""One run in several processes: the same weights as in one, one writer, one end, and a failure that ends all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from app.training.recipe import Recipe, write_recipe
from tests.workers.pair import run_together
from workers.finetune.__main__ import main
from workers.finetune.checkpoint import is_complete, latest_checkpoint

ROOT = Path(__file__).parents[2]
MakeRecipe = Callable[..., Recipe]
Command = Callable[..., list[str]]


@pytest.fixture
def knobs(recipe: MakeRecipe) -> MakeRecipe:
    """`knobs(steps=3, ...)`: a recipe whose steps are two micro-batches, so that two processes can share them."""

    def make(**changes: Any) -> Recipe:
        usual = {"steps": 4, "batch_size": 4, "micro_batch": 2, "optimiser": "adamw", "checkpoint_every": 2}
        return recipe(**{**usual, "validate_every": 2, "report_every": 1, "threads": 1, **changes})

    return make


@pytest.fixture
def command(tmp_path: Path, manifest: Path) -> Command:
    """`command(recipe, "name")`: the arguments that run a recipe into the folder of that name."""

    def arguments(recipe: Recipe, name: str, *more: str) -> list[str]:
        write_recipe(tmp_path / f"{name}.yaml", recipe)
        return [str(tmp_path / f"{name}.yaml"), str(manifest), str(tmp_path / name), *more]

    return arguments


def told(out: Path, kind: str | None = None) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    return [event for event in events if kind in (None, event["kind"])]


def tensors(out: Path, step: int) -> dict[str, torch.Tensor]:
    folder = out / "checkpoints" / f"step-{step:06d}"
    weights = load_file(folder / "weights" / "diffusion_pytorch_model.safetensors")
    return {**{f"average/{name}": t for name, t in weights.items()}, **load_file(folder / "state.safetensors")}


def furthest(one: Path, other: Path, step: int) -> float:
    """The largest difference of two checkpoints, as a share of the largest number of its tensor."""
    first, second = tensors(one, step), tensors(other, step)
    assert {n: (t.shape, t.dtype) for n, t in first.items()} == {n: (t.shape, t.dtype) for n, t in second.items()}
    return max(float((first[n] - second[n]).abs().max() / first[n].abs().max().clamp(min=1e-12)) for n in first)


@pytest.mark.parametrize(("sharding", "most"), [("none", 0.0), ("full", 1e-6)])
def test_two_processes_learn_what_one_does(
    knobs: MakeRecipe, command: Command, tmp_path: Path, sharding: str, most: float
) -> None:
    assert main(command(knobs(), "one")) == 0
    assert run_together(command(knobs(sharding=sharding), "two"), of=2) == [0, 0]
    found = furthest(tmp_path / "one", tmp_path / "two", 4)
    print(sharding, found)
    assert found <= most
    for kind, facts in (("step", ("step", "loss", "loss_by_band", "grad_norm")), ("validation", ("step", "loss"))):
        ours, theirs = told(tmp_path / "one", kind), told(tmp_path / "two", kind)
        for fact in facts:
            flat = [[event[fact]] if not isinstance(event[fact], list) else event[fact] for event in ours]
            again = [[event[fact]] if not isinstance(event[fact], list) else event[fact] for event in theirs]
            assert again == [pytest.approx(values, rel=1e-5) for values in flat], fact
    assert [event["kind"] for event in told(tmp_path / "one")] == [event["kind"] for event in told(tmp_path / "two")]
    model = ("model", "transformer", "config.json")
    assert tmp_path.joinpath("two", *model).read_text() == tmp_path.joinpath("one", *model).read_text()
