"""Timestep densities, the learning rate's course, keyed noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from app.training.recipe import Recipe
from workers.finetune.loss import draw_timesteps, keyed_generator, lr_share

CPU = torch.device("cpu")
MakeRecipe = Callable[..., Recipe]


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (0.3, 1.0), (-1.0, 0.5)])
def test_timesteps_are_logit_normal(recipe: MakeRecipe, mean: float, sd: float) -> None:
    knobs = recipe(timestep_mean=mean, timestep_sd=sd, timestep_uniform_share=0.0)
    logits = draw_timesteps(50_000, knobs, keyed_generator(CPU, "test")).logit()
    assert logits.mean().item() == pytest.approx(mean, abs=0.02)
    assert logits.std().item() == pytest.approx(sd, abs=0.02)


def test_the_uniform_share_is_uniform(recipe: MakeRecipe) -> None:
    drawn = draw_timesteps(50_000, recipe(timestep_uniform_share=1.0), keyed_generator(CPU, "test"))
    shares = torch.histc(drawn, bins=10, min=0.0, max=1.0) / len(drawn)
    assert torch.allclose(shares, torch.full((10,), 0.1), atol=0.01)
    assert 0.0 < drawn.min().item() < drawn.max().item() <= 1.0


def test_a_tenth_uniform_fills_the_tails_by_the_expected_amount(recipe: MakeRecipe) -> None:
    knobs = recipe(timestep_mean=0.0, timestep_sd=1.0, timestep_uniform_share=0.1)
    below = (draw_timesteps(100_000, knobs, keyed_generator(CPU, "test")) < 0.05).float().mean().item()
    normal_part = 0.5 * math.erfc(-math.log(0.05 / 0.95) / math.sqrt(2))
    assert below == pytest.approx(0.9 * normal_part + 0.1 * 0.05, abs=0.001)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_a_shift_leaves_the_evenly_drawn_where_they_are(recipe: MakeRecipe, shift: float) -> None:
    knobs = recipe(timestep_mean=0.0, timestep_sd=1.0, timestep_uniform_share=0.1)
    below = (draw_timesteps(200_000, knobs, keyed_generator(CPU, "test"), shift) < 0.05).float().mean().item()
    # A shifted t is below 0.05 where t itself is below 0.05 / (0.05 + 0.95 s).
    bound = 0.05 / (0.05 + 0.95 * shift)
    normal_part = 0.5 * math.erfc(-math.log(bound / (1 - bound)) / math.sqrt(2))
    assert below == pytest.approx(0.9 * normal_part + 0.1 * 0.05, rel=0.06)


def test_the_learning_rate_rises_stays_and_falls(recipe: MakeRecipe) -> None:
    knobs = recipe(steps=100, warmup_steps=10, constant_share=0.6, final_lr_share=0.02)
    course = [lr_share(step, knobs) for step in range(100)]
    assert course[0] == pytest.approx(0.1)
    assert course[9:60] == [1.0] * 51
    assert course[99] == pytest.approx(0.02)
    falls = [one - other for one, other in pairwise(course[60:])]
    assert falls == pytest.approx([falls[0]] * len(falls))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_runs_have_a_learning_rate(recipe: MakeRecipe, steps: int) -> None:
    knobs = recipe(steps=steps, warmup_steps=0, constant_share=1.0)
    assert [lr_share(step, knobs) for step in range(steps)] == [1.0] * steps
    assert all(0 <= lr_share(s, recipe(steps=steps, warmup_steps=0, constant_share=0.0)) <= 1 for s in range(steps))


def test_draws_hang_on_their_key_alone() -> None:
    first = torch.randn(4, generator=keyed_generator(CPU, 7, "step", 1))
    torch.randn(4, generator=keyed_generator(CPU, 7, "step", 2))
    assert torch.equal(first, torch.randn(4, generator=keyed_generator(CPU, 7, "step", 1)))
    assert not torch.equal(first, torch.randn(4, generator=keyed_generator(CPU, 7, "step", 2)))
    assert not torch.equal(first, torch.randn(4, generator=keyed_generator(CPU, 71, "step")))
