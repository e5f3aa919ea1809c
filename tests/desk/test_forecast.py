"""When a queue ends: the interval holds as often as it says, widens with uneven work, and is not told of too little."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from app.database import utc_now
from app.desk.forecast import PACE_MINUTES, QueueEnd, end

NOW = utc_now()
EVEN = (4,) * PACE_MINUTES


def minutes(at: QueueEnd | None) -> tuple[float, ...]:
    assert at is not None
    return tuple((each - NOW).total_seconds() / 60 for each in (at.earliest, at.ends_at, at.latest))


def test_a_steady_pace_is_told_with_an_interval() -> None:
    early, likely, late = minutes(end(NOW, 240, EVEN))
    assert likely == pytest.approx(60)
    assert 45 < early < 60 < late < 80
    assert late - 60 > 60 - early, "a slow end is further off than a fast one"


def test_more_to_do_and_more_uneven_work_are_less_certain() -> None:
    def width(left: int, paces: tuple[int, ...]) -> float:
        early, _, late = minutes(end(NOW, left, paces))
        return late - early

    bursts = (8, 0, 8, 1, 7, 0, 9, 1, 6, 2, 8, 0, 7, 1, 2)
    assert sum(bursts) == sum(EVEN)
    assert width(60, EVEN) < width(240, EVEN) < width(240, bursts)


@pytest.mark.parametrize(
    ("left", "paces"),
    [
        (0, EVEN),
        (40, ()),
        (40, (9, *(0,) * 14)),
        (40, (60, *(0,) * 14)),  # enough, but all in one minute: nobody knows whether they go on
    ],
)
def test_of_too_little_it_cannot_be_told(left: int, paces: tuple[int, ...]) -> None:
    assert end(NOW, left, paces) is None


@pytest.mark.parametrize(("rate", "left"), [(2.0, 60), (6.0, 400)])
def test_the_interval_holds_in_eight_of_ten_cases(rate: float, left: int) -> None:
    """Work drawn at an even rate: the interval is told from fifteen minutes, and the end then comes by chance."""
    chance = np.random.default_rng(5)
    held = []
    for _ in range(2_000):
        told_of = end(NOW, left, tuple(int(each) for each in chance.poisson(rate, PACE_MINUTES)))
        if told_of is not None:
            comes = NOW + timedelta(minutes=float(chance.gamma(left, 1 / rate)))
            held.append(told_of.earliest <= comes <= told_of.latest)
    assert len(held) > 1_900
    assert 0.76 < np.mean(held) < 0.9
