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
_DRAWS: Final = 2_000
_WORDS: Final = ("first", "second", "tie", "both_bad")

Shown = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class SelfAgreement:
    """How often a voter said the same of a pair with its sides swapped, of how many; `low` to `high` is the exact 95 %
    interval of that share (Clopper and Pearson), 0 to 1 without any."""

    same: int
    count: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often different voters said the same of a pair, of `count` pairs of votes on `pairs` pairs of samples.

    `kappa` is agreement beyond chance, 1 is all and 0 what chance gives, `low` to `high` its 95 % interval by prompts.
    All three None: cannot tell, of fewer than `SHARED_FROM` pairs or where everybody always said the same.
    """

    same: int
    count: int
    pairs: int
    kappa: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class SidePicks:
    """How many decisive votes took the left side, with the exact 95 % interval of that share."""

    left: int
    count: int
    low: float
    high: float

    @property
    def is_biased(self) -> bool:
        """Whether that is a fault of the votes: outside 40 to 60 %, of enough votes that chance hardly explains it."""
        return (
            self.count >= LEFT_COUNTED_FROM
            and not LEFT_FROM <= self.left / self.count <= LEFT_TO
            and not self.low <= 0.5 <= self.high
        )


@dataclass(frozen=True, slots=True)
class Rater:
    """One voter: how many votes they gave, how alike on swapped repeats, and which side they took."""

    voter: str
    votes: int
    repeats: SelfAgreement
    sides: SidePicks


def raters(ballots: Sequence[Ballot]) -> list[Rater]:
    """Everybody who voted, those with most votes first."""
    by_voter: dict[str, list[Ballot]] = defaultdict(list)
    for ballot in ballots:
        by_voter[ballot.voter].append(ballot)
    rows = [Rater(voter, len(own), with_themselves(own), side_picks(own)) for voter, own in by_voter.items()]
    return sorted(rows, key=lambda row: (-row.votes, row.voter))


def side_picks(ballots: Sequence[Ballot]) -> SidePicks:
    """Left against right among decisive votes: sides are drawn by chance, so each has half."""
    picks = Counter(ballot.choice for ballot in ballots)
    left, count = picks["left"], picks["left"] + picks["right"]
    return SidePicks(left, count, *_interval(left, count))


def with_themselves(ballots: Sequence[Ballot]) -> SelfAgreement:
    """Votes on pairs that the same voter was shown again, first and second: the same column, or the same word. Of
    several voters together it is all their repeats."""
    said: dict[tuple[str, Shown], list[str]] = defaultdict(list)
    for ballot in ballots:
        said[ballot.voter, ballot.shown].append(_meant(ballot))
    twice = [answers[:2] for answers in said.values() if len(answers) > 1]
    same = sum(first == second for first, second in twice)
    return SelfAgreement(same, len(twice), *_interval(same, len(twice)))


def with_each_other(ballots: Sequence[Ballot]) -> Agreement:
    """Votes of different voters on the same pairs, each voter's first, with Fleiss' kappa (Psychological Bulletin 76,
    1971), in which any number may share a pair. The interval is a bootstrap over prompts, with a fixed seed."""
    said: dict[Shown, dict[str, str]] = defaultdict(dict)
    for ballot in ballots:
        said[ballot.shown].setdefault(ballot.voter, _meant(ballot))
    shared = {shown: list(words.values()) for shown, words in said.items() if len(words) > 1}
    both = [pair for words in shared.values() for pair in combinations(words, 2)]
    agreement = Agreement(sum(first == second for first, second in both), len(both), len(shared))
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
    drawn = np.random.default_rng(0).multinomial(len(places), np.full(len(places), 1 / len(places)), size=_DRAWS)
    low, high = np.nanquantile(_kappas(np.tensordot(drawn.astype(np.float64), together, axes=1)), (0.025, 0.975))
    return replace(agreement, kappa=value, low=float(min(low, value)), high=float(max(high, value)))


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
