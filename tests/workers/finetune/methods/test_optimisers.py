"""Prodigy and 8-bit AdamW: they learn, and stopping in between changes no bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from app.training.recipe import Recipe
from workers.finetune.methods.adamw8bit import make_adamw8bit
from workers.finetune.methods.muon import make_muon
from workers.finetune.methods.prodigy import make_prodigy

MakeRecipe = Callable[..., Recipe]
Make = Callable[[list[torch.nn.Parameter], Recipe], torch.optim.Optimizer]
BOTH = pytest.mark.parametrize("make", [make_prodigy, make_adamw8bit])


def fresh_weights() -> list[torch.nn.Parameter]:
    """A matrix large enough for 8 bits and a vector that is not."""
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator) / 8) for shape in ((96, 64), (64,))]


def learn(optimiser: torch.optim.Optimizer, weights: list[torch.nn.Parameter], steps: range) -> float:
    """Some steps of a least squares problem whose inputs depend on the step; the last loss."""
    loss = torch.zeros(())
    for step in steps:
        inputs = torch.randn((32, 96), generator=torch.Generator().manual_seed(step))
        optimiser.param_groups[0]["lr"] = (1.0 if step < 40 else 0.5) * optimiser.defaults["lr"]
        loss = (inputs @ weights[0] + weights[1] - 1.0).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
    return loss.item()


@BOTH
def test_it_learns(recipe: MakeRecipe, make: Make) -> None:
    weights = fresh_weights()
    optimiser = make(weights, recipe(adamw_lr=0.01, weight_decay=0.0))
    before = learn(optimiser, weights, range(1))
    assert learn(optimiser, weights, range(1, 120)) < 0.3 * before


@BOTH
def test_stopping_in_between_changes_no_bit(recipe: MakeRecipe, make: Make, tmp_path: Path) -> None:
    """Through a file, as the train_state does it: each weight's memory by name, nothing else."""
    knobs = recipe(adamw_lr=0.01, weight_decay=0.01)
    straight = fresh_weights()
    learn(make(straight, knobs), straight, range(60))

    first = fresh_weights()
    optimiser = make(first, knobs)
    learn(optimiser, first, range(25))
    state = {f"{place}/{key}": value for place, p in enumerate(first) for key, value in optimiser.state[p].items()}
    save_file({**state, **{f"{place}/weight": p.detach() for place, p in enumerate(first)}}, tmp_path / "state")

    loaded = load_file(tmp_path / "state")
    second = [torch.nn.Parameter(loaded[f"{place}/weight"].clone()) for place in range(2)]
    resumed = make(second, knobs)
    for name, value in loaded.items():
        place, key = name.split("/")
        if key != "weight":
            resumed.state[second[int(place)]][key] = value
    learn(resumed, second, range(25, 60))
    assert all(torch.equal(one, other) for one, other in zip(straight, second, strict=True))


def test_eight_bits_take_a_quarter_of_the_memory(recipe: MakeRecipe) -> None:
    weights = fresh_weights()
    optimiser = make_adamw8bit(weights, recipe())
    learn(optimiser, weights, range(1))
    held = sum(v.numel() * v.element_size() for v in optimiser.state[weights[0]].values())
    assert held < 0.27 * 8 * weights[0].numel()


def test_prodigy_finds_its_learning_rate(recipe: MakeRecipe) -> None:
    weights = fresh_weights()
    optimiser = make_prodigy(weights, recipe(weight_decay=0.0))
    learn(optimiser, weights, range(40))
    d = optimiser.param_groups[0]["d"]
    assert 1e-4 < d < 1.0


@pytest.mark.parametrize("shape", [(8, 24), (24, 8)])
def test_muon_in_fp32_makes_the_steps_of_torchs_own(recipe: Callable[..., Recipe], shape: tuple[int, int]) -> None:
    knobs = recipe(muon_lr=0.01, weight_decay=0.1)
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(shape, generator=generator)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    muon = make_muon([ours], knobs)
    torchs = torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(5):
        gradient = torch.randn(shape, generator=generator)
        for weight, optimiser in ((ours, muon), (theirs, torchs)):
            weight.grad = gradient.clone()
            optimiser.step()
    moved = (theirs - start).norm()
    # What is left between them is bf16's rounding.
    assert (ours - theirs).norm() < 0.02 * moved
