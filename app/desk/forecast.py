"""When a queue ends, as an interval: told from how fast it was of late, and how unevenly. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

PACE_MINUTES: Final = 15
PACE_FROM: Final = 10
"""Passes in the last quarter of an hour; with fewer nothing is told."""
CASES: Final = 8
"""Of ten cases, in which the end lies in the interval."""
_Z: Final = 1.2816  # the normal distribution's two-sided 80 %


@dataclass(frozen=True, slots=True)
class QueueEnd:
    """When a queue ends: most likely at `ends_at`, in eight of ten cases from `earliest` to `latest`."""

    earliest: datetime
    ends_at: datetime
    latest: datetime


def end(now: datetime, left: int, minutes: Sequence[int]) -> QueueEnd | None:
    """When `left` more passes are made, where so many were made in each of the last minutes. None: cannot tell.

    A prediction interval for a Poisson count, solved for the time: after T minutes at a rate r, measured over W, the
    count is off by at most z sqrt(f r (T + T²/W)) in 80 % of cases (Krishnamoorthy and Peng, Journal of Statistical
    Planning and Inference 141, 2011), so that the ends are the roots of (left - r T)² = z² f r (T + T²/W). f is the
    dispersion, Pearson's chi² by its degrees of freedom over the minutes (McCullagh and Nelder, Generalized Linear
    Models, 1989, 6.2), at least 1: people come in bursts, and go for coffee. It takes for granted that who worked of
    late goes on so. With fewer than ten passes, or so uneven ones that a late end has no bound, it cannot be told.
    """
    passes = sum(minutes)
    if left <= 0 or passes < PACE_FROM:
        return None
    mean = passes / len(minutes)
    spread = sum((each - mean) ** 2 for each in minutes) / mean / (len(minutes) - 1)
    doubt = _Z**2 * max(1.0, spread)
    a = mean**2 * (1 - doubt / passes)
    if a <= 0:
        return None
    b = 2 * left * mean + doubt * mean
    root = math.sqrt(b * b - 4 * a * left * left)
    early, late = (b - root) / (2 * a), (b + root) / (2 * a)
    return QueueEnd(*(now + timedelta(minutes=each) for each in (early, left / mean, late)))
