"""Bounds of shares: the figures that limits were set by, and how often they hold where pictures share a prompt."""

from __future__ import annotations

import numpy as np
import pytest

from app.evaluation import intervals


@pytest.mark.parametrize(
    ("successes", "count", "share"), [(54, 60, 0.81), (90, 100, 0.84), (108, 120, 0.84), (180, 200, 0.86)]
)
def test_lower_bounds_are_those_that_limits_were_set_by(successes: int, count: int, share: float) -> None:
    assert round(intervals.lower(successes, count), 2) == share


@pytest.mark.parametrize(("count", "share"), [(60, 0.049), (100, 0.030), (300, 0.010)])
def test_no_failure_at_all_still_leaves_a_rate(count: int, share: float) -> None:
    assert round(intervals.upper(0, count), 3) == share
    assert intervals.upper(0, count) == pytest.approx(1 - 0.05 ** (1 / count)), "the rule of three, exactly"


def test_bounds_without_counts_say_nothing() -> None:
    assert (intervals.lower(0, 0), intervals.upper(0, 0)) == (0.0, 1.0)
    assert (intervals.lower(0, 9), intervals.upper(9, 9)) == (0.0, 1.0)
    assert (intervals.clustered_lower({}), intervals.clustered_upper({1: []})) == (0.0, 1.0)


def test_an_exact_bound_is_wrong_in_one_of_twenty_at_most() -> None:
    """Clopper and Pearson: whatever the rate, the lower bound is above it with a chance of at most 5 %."""
    rng = np.random.default_rng(1)
    for rate, count in ((0.7, 60), (0.9, 120), (0.97, 40)):
        bounds = {successes: intervals.lower(successes, count) for successes in range(count + 1)}
        drawn = rng.binomial(count, rate, 20_000)
        assert np.mean([bounds[successes] > rate for successes in drawn]) <= 0.055


def test_pictures_of_one_prompt_tell_less_than_as_many_of_their_own() -> None:
    alike = {prompt: [prompt % 5 > 0] * 4 for prompt in range(30)}
    assert intervals.design_effect(alike) == pytest.approx(4.0), "four times the same picture is one"
    assert intervals.effective(alike) == (pytest.approx(24), pytest.approx(30))
    apart = {prompt: [prompt % 5 > 0] for prompt in range(120)}
    assert intervals.design_effect(apart) == 1.0
    assert intervals.clustered_lower(alike) < intervals.clustered_lower(apart) == intervals.lower(96, 120)
    assert intervals.design_effect({1: [True, False, True]}) == 3.0, "one prompt is one, however often it is drawn"


def by_prompt(
    rng: np.random.Generator, rate: float, prompts: int, seeds: int, correlation: float
) -> dict[int, list[bool]]:
    """Prompts whose own rates differ by a beta distribution, so that pictures of one are as correlated as asked."""
    spread = 1 / correlation - 1
    rates = rng.beta(rate * spread, (1 - rate) * spread, prompts)
    return {prompt: (rng.random(seeds) < rates[prompt]).tolist() for prompt in range(prompts)}


def test_the_design_effect_is_that_of_the_correlation() -> None:
    """Four seeds at a correlation of 0.3 tell 1.9 times less; forty pictures at 80 % are then known to 17 points."""
    rng = np.random.default_rng(2)
    effects = [intervals.design_effect(by_prompt(rng, 0.8, 120, 4, 0.3)) for _ in range(200)]
    assert np.mean(effects) == pytest.approx(1.9, abs=0.05)
    half = 1.96 * np.sqrt(0.8 * 0.2 / (40 / 1.9))
    assert half == pytest.approx(0.17, abs=0.005)


@pytest.mark.parametrize(("prompts", "seeds"), [(24, 2), (120, 4), (30, 4)])
def test_clustered_bounds_hold_where_plain_ones_do_not(prompts: int, seeds: int) -> None:
    rng, rate = np.random.default_rng(3), 0.7
    drawn = [by_prompt(rng, rate, prompts, seeds, 0.3) for _ in range(2_000)]
    wrong = np.mean([intervals.clustered_lower(said) > rate for said in drawn])
    plain = np.mean([intervals.lower(sum(map(sum, said.values())), prompts * seeds) > rate for said in drawn])
    assert wrong <= 0.065 and wrong < plain
