"""What validations prove: beyond noise, product by product; nothing where products are few or only means are known."""

from __future__ import annotations

import random
from typing import Any

import pytest

from app.training.learning import LEVEL, Look, Streak, difference, student, verdict

BASE = (0.30, 0.12, 0.22, 0.18, 0.25, 0.15, 0.20, 0.28)
STILL = (0.1, 0.1, 0.1, 0.1)


def look(step: int, factor: float = 1.0, training: tuple[float, ...] = STILL, jitter: float = 0.02) -> Look:
    """A validation of eight products, `factor` times the base's, each a little off."""
    noise = random.Random(step)
    products = tuple((1, loss * factor * noise.uniform(1 - jitter, 1 + jitter)) for loss in BASE)
    return Look(step, sum(loss for _, loss in products) / len(products), products, training)


def test_the_issue_s_own_run_is_overfitting_since_the_step_after_its_lowest() -> None:
    run = [look(0, 1.0), look(150, 0.65), look(300, 1.1), look(450, 1.9), look(600, 2.4)]
    told = verdict(run)
    assert (told.lowest, told.best, told.worse_since, told.is_overfitting) == (150, 150, 300, True)


def test_a_run_that_gets_worse_on_its_own_photos_too_is_not_overfitting() -> None:
    run = [look(0, 1.0), look(10, 1.4, (0.14,) * 4), look(20, 2.0, (0.2,) * 4)]
    told = verdict(run)
    assert (told.lowest, told.best, told.worse_since, told.is_overfitting) == (0, 0, 10, False)


def test_a_difference_inside_noise_claims_nothing() -> None:
    told = verdict([look(0, 1.0), look(10, 0.999), look(20, 1.001)])
    assert (told.best, told.worse_since) == (None, None)
    assert sorted((told.lowest or 0, *told.alike)) == [0, 10, 20]


def test_one_product_that_jumps_proves_nothing_about_the_others() -> None:
    worse = Look(10, 0.5, ((1, 2.5), *((1, loss) for loss in BASE[1:])), STILL)
    assert verdict([look(0, jitter=0.0), worse]).worse_since is None


def test_views_of_one_product_count_as_one() -> None:
    """Twenty photos of one product that gets worse and three that do not: one witness, not twenty."""
    before = Look(0, 0.2, ((20, 0.2), (1, 0.2), (1, 0.2), (1, 0.2)), STILL)
    after = Look(10, 0.28, ((20, 0.3), (1, 0.2), (1, 0.19), (1, 0.21)), STILL)
    mean, error = difference(after, before)
    assert mean == pytest.approx(0.1 * 20 / 23)
    assert error > mean / 6.0
    assert verdict([before, after]).worse_since is None


def test_what_got_better_again_is_not_worse_since() -> None:
    assert verdict([look(0), look(10, 0.6), look(20, 0.9), look(30, 0.601)]).worse_since is None


@pytest.mark.parametrize(
    "looks",
    [
        [Look(0, 0.2), Look(10, 0.1), Look(20, 0.4)],  # as events before told it
        [Look(0, 0.2, ((1, 0.2),) * 3), Look(10, 0.1, ((1, 0.1),) * 3), Look(20, 0.4, ((1, 0.4),) * 3)],
        [Look(0, 0.2, ((1, 0.2),) * 5), Look(10, 0.1, ((1, 0.1),) * 6)],  # not the same photos
    ],
)
def test_without_products_enough_it_only_knows_the_lowest(looks: list[Look]) -> None:
    told = verdict(looks)
    assert (told.lowest, told.best, told.worse_since, told.can_tell) == (10, None, None, False)


def test_nothing_and_one_look_prove_nothing() -> None:
    assert verdict([]).lowest is None
    assert verdict([look(0)]).best is None


@pytest.mark.parametrize("products", [5, 12, 40])
def test_runs_in_which_nothing_changes_are_hardly_ever_told_to(products: int) -> None:
    draw, claims, runs = random.Random(4), 0, 200
    for _ in range(runs):
        base = [draw.lognormvariate(-2, 0.6) for _ in range(products)]
        looks = []
        for step in range(9):
            told = tuple((1, loss * draw.lognormvariate(0, 0.05)) for loss in base)
            looks.append(Look(step, sum(loss for _, loss in told) / products, told, STILL))
        known = verdict(looks)
        claims += known.best is not None or known.worse_since is not None
    assert claims / runs <= LEVEL + 0.03


def test_a_streak_counts_what_is_no_better_than_the_last_that_was() -> None:
    streak = Streak()
    lengths = []
    for step, factor in enumerate((1.0, 0.8, 0.799, 0.81, 0.5, 0.9, 0.501)):
        streak = streak.after(look(step, factor))
        lengths.append(streak.length)
    assert lengths == [0, 0, 1, 2, 0, 1, 2]
    assert streak.reference is not None and streak.reference.step == 4


def test_slow_learning_is_learning() -> None:
    """Each step alone is inside noise, three of them are not: the reference stays until it is beaten."""
    streak, longest = Streak(), 0
    for step in range(30):
        streak = streak.after(look(step, 0.993**step, jitter=0.03))
        longest = max(longest, streak.length)
    assert longest <= 4


def test_a_streak_needs_products_and_forgets_nothing_told_twice() -> None:
    few: list[Any] = [Look(step, 0.2, ((1, 0.2),) * 3) for step in range(9)]
    streak = Streak()
    for one_look in few:
        streak = streak.after(one_look)
    assert streak.length == 0
    streak = Streak().after(look(5)).after(look(10))
    assert streak.length == 1 and streak.after(look(5)).length == 1


@pytest.mark.parametrize("degrees", [3, 4, 5, 7, 11, 30, 63])
@pytest.mark.parametrize("share", [0.1, 0.05, 0.01, 0.05 / 80])
def test_student_s_quantiles_are_scipy_s(degrees: int, share: float) -> None:
    from scipy.special import stdtrit

    assert student(degrees, share) == pytest.approx(float(stdtrit(degrees, 1 - share)), rel=2e-3)
