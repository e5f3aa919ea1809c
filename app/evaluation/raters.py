"""How far voters can be trusted: on swapped repeats, with each other, and by the side that they pick. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.evaluation import intervals
from app.evaluation.ranking import Ballot

LEFT_FROM: Final = 0.4
LEFT_TO: Final = 0.6
LEFT_COUNTED_FROM: Final = 40
SHARED_FROM: Final = 20
"""Shared pairs below which agreement between people is not given: its interval spans most of the scale."""
_TWO_SIDED: Final = 0.975
_PROMPTS_FROM: Final = 5  # for an interval by prompts
_DRAWS: Final = 2_000
_WORDS: Final = ("first", "second", "tie", "both_bad")

Shown = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two votes on one pair were the same, of `count` such twos on `pairs` pairs of samples.

    Between people, `kappa` is agreement beyond chance, 1 is all and 0 what chance gives, `kappa_low` to `kappa_high`
    its 95 % interval by prompts. None: cannot tell, of fewer than `SHARED_FROM` pairs, of hardly any prompts or where
    everybody always said the same.
    """

    same: int
    count: int
    kappa: float | None = None
    kappa_low: float | None = None
    kappa_high: float | None = None
    pairs: int = 0

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95 % interval of the share that was the same (Clopper and Pearson); 0 to 1 without any."""
        return _interval(self.same, self.count)


@dataclass(frozen=True, slots=True)
class SidePicks:
    """How many decisive votes took the left side."""

    left: int
    count: int

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95 % interval of that share; 0 to 1 without any."""
        return _interval(self.left, self.count)

    @property
    def is_biased(self) -> bool:
        """Whether that is a fault of the votes: outside 40 to 60 %, of enough votes that chance hardly explains it."""
        share, (low, high) = self.left / self.count if self.count else 0.5, self.interval
        return self.count >= LEFT_COUNTED_FROM and not LEFT_FROM <= share <= LEFT_TO and not low <= 0.5 <= high


def side_picks(ballots: Sequence[Ballot]) -> SidePicks:
    """Left against right among decisive votes: sides are drawn by chance, so each has half."""
    picks = Counter(ballot.choice for ballot in ballots)
    return SidePicks(picks["left"], picks["left"] + picks["right"])


def with_themselves(ballots: Sequence[Ballot], voter: str | None = None) -> Agreement:
    """Votes on pairs that the same voter was shown again with sides swapped, first and second: the same column, or the
    same word. Of everybody's repeats where no voter is given."""
    said: dict[tuple[str, Shown], list[str]] = defaultdict(list)
    for ballot in ballots:
        if voter in (None, ballot.voter):
            said[ballot.voter, ballot.shown].append(_meant(ballot))
    twice = [answers[:2] for answers in said.values() if len(answers) > 1]
    return Agreement(sum(first == second for first, second in twice), len(twice), pairs=len(twice))


def with_each_other(ballots: Sequence[Ballot]) -> Agreement:
    """Votes of different voters on the same pairs, each voter's first, with Fleiss' kappa (Psychological Bulletin 76,
    1971), in which any number may share a pair. The interval is a bootstrap over prompts, with a fixed seed."""
    said: dict[Shown, dict[str, str]] = defaultdict(dict)
    for ballot in ballots:
        said[ballot.shown].setdefault(ballot.voter, _meant(ballot))
    shared = {shown: list(words.values()) for shown, words in said.items() if len(words) > 1}
    both = [pair for words in shared.values() for pair in combinations(words, 2)]
    agreement = Agreement(sum(first == second for first, second in both), len(both), pairs=len(shared))
    if len(shared) < SHARED_FROM:
        return agreement
    places = {prompt: place for place, prompt in enumerate(sorted({shown[0] for shown in shared}))}
    together = np.zeros((len(places), len(_WORDS), len(_WORDS)))
    for shown, words in shared.items():
        for first, second in permutations(map(_WORDS.index, words), 2):
            together[places[shown[0]], first, second] += 1 / (len(words) - 1)
    value = float(_kappas(together.sum(axis=0)[None])[0])
    if math.isnan(value):
        return agreement
    if len(places) < _PROMPTS_FROM:
        return replace(agreement, kappa=value)
    drawn = np.random.default_rng(0).multinomial(len(places), np.full(len(places), 1 / len(places)), size=_DRAWS)
    low, high = np.nanquantile(_kappas(np.tensordot(drawn.astype(np.float64), together, axes=1)), (0.025, 0.975))
    return replace(agreement, kappa=value, kappa_low=float(min(low, value)), kappa_high=float(max(high, value)))


def without(ballots: Sequence[Ballot], voter: str) -> list[Ballot]:
    """The votes of everybody else: a result that depends on one voter is told."""
    return [ballot for ballot in ballots if ballot.voter != voter]


def _kappas(together: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of (tables, words, words) that say how often two words stood together; NaN where chance alone explains it all."""
    share = together / together.sum(axis=(1, 2), keepdims=True)
    seen, chance = np.trace(share, axis1=1, axis2=2), (share.sum(axis=1) ** 2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        kappas: NDArray[np.float64] = np.where(chance < 1 - 1e-12, (seen - chance) / (1 - chance), np.nan)
    return kappas


def _interval(count: int, of: int) -> tuple[float, float]:
    return intervals.lower(count, of, _TWO_SIDED), intervals.upper(count, of, _TWO_SIDED)


def _meant(ballot: Ballot) -> str:
    """What was chosen, whichever side it was on: the column of the lower number, the other, or neither."""
    if ballot.choice not in ("left", "right"):
        return ballot.choice
    return "first" if (ballot.choice == "left") == (ballot.left < ballot.right) else "second"
