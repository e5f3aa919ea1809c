"""How well people agree: Cohen's kappa with its interval, shares with a lower bound, words changed in a text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

import numpy as np

MIN_PAIRS: Final = 20
"""Fewer photos that two people both judged tell nothing (`n` below which an interval spans most of the scale)."""
LIMIT: Final = 0.6
"""A team's limit: kappa from 0.61 on is called substantial (Landis and Koch, Biometrics 33, 1977)."""
_DRAWS: Final = 2000
_SEED: Final = 11
_ALPHA: Final = 0.05


@dataclass(frozen=True, slots=True)
class Kappa:
    """Agreement beyond chance on `n` photos: 1 is all, 0 is what chance gives, below 0 is less. `low` to `high` is its
    95 % interval. All three None: cannot tell, of fewer than `MIN_PAIRS` or where everybody always said the same.
    """

    n: int
    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def is_low(self) -> bool:
        """Whether it is surely below the limit."""
        return self.high is not None and self.high < LIMIT


@dataclass(frozen=True, slots=True)
class SureShare:
    """`count` of `n`, and the share that it surely is at least: one-sided 95 % (Clopper and Pearson, Biometrika 26,
    1934). `low` None: there is nothing to tell from."""

    count: int
    n: int
    low: float | None


def kappa(both_kept: int, kept_rejected: int, rejected_kept: int, both_rejected: int) -> Kappa:
    """Cohen's kappa of two people who kept or rejected the same photos, from how often each pair of verdicts was given.

    (Cohen, Educational and Psychological Measurement 20, 1960.) The interval is a bootstrap over photos: 2,000 tables
    drawn with the shares that were seen, with a fixed seed, 2.5 % cut off at both ends.
    """
    table = np.array([both_kept, kept_rejected, rejected_kept, both_rejected], dtype=np.int64)
    n = int(table.sum())
    if n < MIN_PAIRS:
        return Kappa(n)
    value = float(_kappas(table[None, :])[0])
    if math.isnan(value):
        return Kappa(n)
    drawn = np.random.default_rng(_SEED).multinomial(n, table / n, size=_DRAWS)
    values = _kappas(drawn)
    low, high = np.nanquantile(values, (_ALPHA / 2, 1 - _ALPHA / 2))
    return Kappa(n, value, float(min(low, value)), float(max(high, value)))


def surely(count: int, n: int) -> SureShare:
    """`count` of `n` with its lower bound."""
    from scipy.special import betaincinv

    low = None if not n else float(betaincinv(count, n - count + 1, _ALPHA)) if count else 0.0
    return SureShare(count, n, low)


def words_changed(before: str, after: str) -> float:
    """The share of words that differ between two texts: 0 the same, 1 nothing in common. Case counts, white space not.

    Words put in, taken out or put in another's place, of those of the longer text.
    """
    old, new = before.split(), after.split()
    if not old and not new:
        return 0.0
    steps = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    changed = sum(max(i2 - i1, j2 - j1) for tag, i1, i2, j1, j2 in steps if tag != "equal")
    return min(1.0, changed / max(len(old), len(new)))


def median(values: Sequence[float]) -> float | None:
    """The middle one; None of none."""
    return float(np.median(values)) if len(values) else None


def _kappas(tables: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Of (tables, 4) counts; NaN where chance alone explains everything."""
    n = tables.sum(axis=1)
    seen = (tables[:, 0] + tables[:, 3]) / n
    kept_one, kept_other = (tables[:, 0] + tables[:, 1]) / n, (tables[:, 0] + tables[:, 2]) / n
    chance = kept_one * kept_other + (1 - kept_one) * (1 - kept_other)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(chance < 1, (seen - chance) / (1 - chance), np.nan)
