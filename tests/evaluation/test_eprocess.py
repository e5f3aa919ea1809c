"""Evidence that may be looked at after every vote: published votes to stop, and how rarely equals are told apart."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from app.evaluation import eprocess, ranking

MOST = 600
"""Votes of a simulated evaluation, as in the table that this repeats."""


@cache
def enough() -> NDArray[np.bool_]:
    """Whether so many votes (row) with so many wins (column) are evidence enough."""
    table = np.zeros((MOST + 1, MOST + 1), dtype=bool)
    for votes in range(1, MOST + 1):
        for wins in range(votes + 1):
            table[votes, wins] = eprocess.evidence(wins, votes - wins) >= eprocess.ENOUGH
    return table


def stops(rate: float, evaluations: int, seed: int = 0) -> NDArray[np.float64]:
    """The vote at which each evaluation is called, looked at after every vote; infinite where it never is."""
    wins = (np.random.default_rng(seed).random((evaluations, MOST)) < rate).cumsum(axis=1)
    is_called = enough()[np.arange(1, MOST + 1), wins]
    first = is_called.argmax(axis=1) + 1.0
    return np.where(is_called.any(axis=1), first, np.inf)


@pytest.mark.parametrize(
    ("rate", "gap", "median", "ninetieth"),
    [(0.60, 70, 179, 415), (0.65, 108, 82, 182), (0.70, 147, 47, 98), (0.75, 191, 31, 62), (0.80, 241, 23, 42)],
)
def test_votes_to_stop_are_the_published_ones(rate: float, gap: int, median: int, ninetieth: int) -> None:
    votes = stops(rate, 4_000)
    assert np.median(votes) == pytest.approx(median, rel=0.08)
    assert np.quantile(votes, 0.9, method="lower") == pytest.approx(ninetieth, rel=0.08)
    assert ranking.PER_UNIT * np.log(rate / (1 - rate)) == pytest.approx(gap, abs=0.6)


def test_two_that_are_close_are_mostly_not_told_apart_in_600_votes() -> None:
    assert np.isinf(stops(0.55, 4_000)).mean() > 0.5


def test_equals_are_told_apart_in_at_most_one_of_twenty_however_often_one_looks() -> None:
    assert np.isfinite(stops(0.5, 20_000)).mean() == pytest.approx(0.031, abs=0.005), "3.1 % published"


def test_looking_at_the_usual_test_after_each_vote_is_why() -> None:
    """The figures that the choice of an e-process rests on: a third of equals have a winner at some vote to 300."""
    wins = (np.random.default_rng(4).random((4_000, 300)) < 0.5).cumsum(axis=1)[:, 19:]
    votes = np.arange(20, 301)
    is_significant = np.abs(2 * wins - votes) / np.sqrt(votes) > 1.96
    assert is_significant.any(axis=1).mean() == pytest.approx(0.34, abs=0.03)
    assert is_significant[:, ::20].any(axis=1).mean() == pytest.approx(0.23, abs=0.03)


@pytest.mark.parametrize(("rate", "of_80", "of_95"), [(0.55, 786, 1302), (0.6, 199, 327), (0.7, 49, 79), (0.8, 20, 35)])
def test_votes_of_a_plain_sign_test_are_the_published_ones(rate: float, of_80: int, of_95: int) -> None:
    """What anybody who does not look before the end would need: the measure beside which the e-process stands."""
    counts = np.arange(5, 1500)
    least = binom.isf(0.025, counts, 0.5) + 1  # the fewest wins that are significant
    least = np.where(binom.sf(least - 2, counts, 0.5) <= 0.025, least - 1, least)
    power = binom.sf(least - 1, counts, rate) + binom.cdf(counts - least, counts, rate)
    for wanted, published in ((0.8, of_80), (0.95, of_95)):
        first = counts[np.argmax(power >= wanted)]
        assert published == pytest.approx(first, rel=0.06, abs=2)


def test_bounds_are_the_rates_that_are_not_refuted() -> None:
    assert eprocess.bounds(0, 0) == (0.0, 1.0)
    low, high = eprocess.bounds(34, 28)
    assert 0.34 < low < 0.40 < high
    for rate, is_outside in ((low - 1e-6, True), (low + 1e-6, False), (high - 1e-6, False), (high + 1e-6, True)):
        assert (eprocess.evidence(34, 28, rate) >= eprocess.ENOUGH) is is_outside
    assert eprocess.bounds(28, 34) == (pytest.approx(1 - high), pytest.approx(1 - low))
    least, most = eprocess.bounds(40, 0)
    assert most == 1.0 and least == pytest.approx(0.729, abs=0.001)
    assert eprocess.is_above(least - 1e-6, 40, 0) and not eprocess.is_above(least + 1e-6, 40, 0)
    assert not eprocess.is_above(0.4, 0, 0) and not eprocess.is_above(0.9, 10, 30)
    assert eprocess.evidence(40_000, 0) > eprocess.ENOUGH, "however many there are"


def test_a_tie_is_half_of_each_and_never_evidence() -> None:
    assert eprocess.evidence(50, 50) < 1
    halves = eprocess.bounds(50, 50)
    assert eprocess.clustered_bounds({prompt: [0.5] for prompt in range(100)}) == halves
    assert eprocess.clustered_bounds({1: [1.0, 0.0] * 50}) != halves, "one prompt is one"


def test_votes_on_one_prompt_are_not_taken_for_votes_of_their_own() -> None:
    """Equals whose prompts favour one side or the other, looked at as votes come in, prompt by prompt in turns."""
    rng = np.random.default_rng(5)
    evaluations, prompts, per_prompt, false, naive = 150, 30, 8, 0, 0
    for _ in range(evaluations):
        rates = 1 / (1 + np.exp(-rng.normal(0, 1.3, prompts)))
        order = np.concatenate([rng.permutation(prompts) for _ in range(per_prompt)])
        votes: dict[int, list[float]] = {}
        calls, naive_calls, wins = set(), set(), 0.0
        for count, prompt in enumerate(order.tolist(), start=1):
            won = float(rng.random() < rates[prompt])
            votes.setdefault(prompt, []).append(won)
            wins += won
            naive_calls.add(eprocess.evidence(wins, count - wins) >= eprocess.ENOUGH)
            if count % 10 == 0:
                low, high = eprocess.clustered_bounds(votes)
                calls.add(low > 0.5 or high < 0.5)
        false, naive = false + (True in calls), naive + (True in naive_calls)
    assert false / evaluations <= 0.05 < naive / evaluations
