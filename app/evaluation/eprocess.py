"""Evidence that may be looked at after every vote: an e-process of wins against losses, and bounds that always hold.

A mixture over all rates of winning: E = 2^n B(w + a, n - w + a) / B(a, a) with a = 5. Of two that are equally good, E
passes 20 at any time with a chance of at most 1 in 20 (Ville 1939; Ramdas et al. 2023, "Game-theoretic statistics and
safe anytime-valid inference"). A tie may count half of a win and of a loss: the likelihood ratio is convex in the
outcome, so anything between 0 and 1 only makes it smaller. The bounds are the rates at which the same mixture is not
refuted. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from app.evaluation.intervals import ByPrompt, effective

PRIOR: Final = 5.0
ENOUGH: Final = 20.0
"""Evidence at which a difference is called: 1 / 0.05."""
LEAST_CORRELATION: Final = 0.3
"""Of votes on one prompt, where nothing more is known: what research on comparing checkpoints simulates with."""
_LEAST_RATE: Final = 1e-12


def evidence(wins: float, losses: float, rate: float = 0.5) -> float:
    """How much more likely the votes are under some other rate of winning than under `rate`, above 0."""
    return math.exp(min(_log_evidence(wins, losses, rate), 700.0))


def bounds(wins: float, losses: float, enough: float = ENOUGH) -> tuple[float, float]:
    """The rates of winning that are not refuted, 0 to 1: a 95 % interval that holds at every number of votes."""
    count = wins + losses
    if count <= 0:
        return 0.0, 1.0
    middle = min(max(wins / count, _LEAST_RATE), 1 - _LEAST_RATE)

    def is_refuted(rate: float) -> bool:
        return _log_evidence(wins, losses, rate) >= math.log(enough)

    least, most = _LEAST_RATE, 1 - _LEAST_RATE
    low = _edge(is_refuted, least, middle) if is_refuted(least) else 0.0
    high = _edge(is_refuted, most, middle) if is_refuted(most) else 1.0
    return low, high


def clustered_bounds(by_prompt: ByPrompt) -> tuple[float, float]:
    """`bounds` of outcomes by prompt (1 won, 0 lost, 0.5 a tie), as if there were fewer by their design effect."""
    wins, count = effective(by_prompt, LEAST_CORRELATION)
    return bounds(wins, count - wins)


def is_above(threshold: float, wins: float, losses: float, enough: float = ENOUGH) -> bool:
    """Whether the lower of the `bounds` is above `threshold`."""
    count = wins + losses
    return count > 0 and wins / count > threshold and _log_evidence(wins, losses, threshold) >= math.log(enough)


def _log_evidence(wins: float, losses: float, rate: float) -> float:
    of_rate = wins * math.log(rate) + losses * math.log1p(-rate)
    return _log_beta(wins + PRIOR, losses + PRIOR) - _log_beta(PRIOR, PRIOR) - of_rate


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _edge(is_refuted: Callable[[float], bool], outside: float, inside: float) -> float:
    """Where refuted rates end, between one that is refuted and one that is not; by halves, to 1e-9."""
    for _ in range(30):
        rate = (outside + inside) / 2
        outside, inside = (rate, inside) if is_refuted(rate) else (outside, rate)
    return outside
