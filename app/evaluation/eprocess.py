"""Evidence that may be looked at after every vote: an e-process of wins against losses, and bounds that always hold.

A mixture over all rates of winning: E = 2^n B(w + a, n - w + a) / B(a, a) with a = 5. Of two that are equally good, E
passes 20 at any time with a chance of at most 1 in 20 (Ville 1939; Ramdas et al. 2023, "Game-theoretic statistics and
safe anytime-valid inference"). The bounds are the rates at which the same mixture is not refuted. Pure.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaln

PRIOR: Final = 5.0
ENOUGH: Final = 20.0
"""Evidence at which a difference is called: 1 / 0.05."""


def evidence(wins: float, losses: float, rate: float = 0.5) -> float:
    """How much more likely the votes are under some other rate of winning than under `rate`, above 0."""
    return math.exp(_log_evidence(wins, losses, rate))


def bounds(wins: float, losses: float, enough: float = ENOUGH) -> tuple[float, float]:
    """The rates of winning that are not refuted, 0 to 1: a 95 % interval that holds at every number of votes."""
    count = wins + losses
    if count <= 0:
        return 0.0, 1.0
    goal, middle = math.log(enough), min(max(wins / count, 1e-9), 1 - 1e-9)

    def above(rate: float) -> float:
        return _log_evidence(wins, losses, rate) - goal

    least = 0.0 if wins <= 0 or above(1e-12) < 0 else float(brentq(above, 1e-12, middle))
    most = 1.0 if losses <= 0 or above(1 - 1e-12) < 0 else float(brentq(above, middle, 1 - 1e-12))
    return least, most


def votes_to(threshold: float, wins: float, losses: float, most: int = 2_000) -> int | None:
    """How many more decisive votes until the lower bound passes `threshold`, if wins go on at their rate; None where
    `most` more would not do."""
    count = wins + losses
    rate = (wins + 1) / (count + 2)
    for more in _steps(most):
        if bounds(wins + rate * more, losses + (1 - rate) * more)[0] > threshold:
            return more
    return None


def can_still(threshold: float, wins: float, losses: float, left: int) -> bool:
    """Whether winning every one of the `left` votes would bring the lower bound above `threshold`."""
    return bounds(wins + left, losses)[0] > threshold


def _log_evidence(wins: float, losses: float, rate: float) -> float:
    of_rate = wins * math.log(rate) + losses * math.log1p(-rate)
    return float(betaln(wins + PRIOR, losses + PRIOR) - betaln(PRIOR, PRIOR)) - of_rate


def _steps(most: int) -> list[int]:
    """0, then about 4 % more each time: nobody plans votes more exactly."""
    return [0, *dict.fromkeys(int(step) for step in np.geomspace(1, most, 120).round())]
