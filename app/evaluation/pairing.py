"""Which two samples somebody is shown next: where an answer can change what ships. Pure.

Two columns are drawn as the best and its challenger, by how likely each is to be the best given all votes (top-two
Thompson sampling, Russo 2016): columns that can hardly be the best cost no votes. Where limits name a baseline, the
likely best is held against it as often as against its challenger, until that is decided. Categories, prompts and seeds
take turns by how many votes the two have had there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.evaluation import eprocess
from app.evaluation.ranking import Ballot, duel, posterior

REPEAT_SHARE: Final = 0.09
"""Of a voter's votes, those asked again with sides swapped: 5 of 60. Five in a hundred, as research on raters has it,
would be 3 of the 60 that one person gives, too few to say anything of."""
REPEATED_AFTER: Final = 8
"""So many votes of the same voter lie between the two."""
NEGLIGIBLE: Final = 0.01
"""The chance of being the best below which a column is asked about only where nothing else is left."""
_DRAWS: Final = 1_000
_LEAST_WEIGHT: Final = 1e-6


@dataclass(frozen=True, slots=True)
class VoteSpot:
    """A prompt and seed, with its category and the columns that have drawn it."""

    prompt: int
    seed: int
    category: str
    columns: frozenset[int]


@dataclass(frozen=True, slots=True)
class NextPair:
    """What to show: prompt, seed, the columns left and right, and which of the ballots it repeats, sides swapped."""

    prompt: int
    seed: int
    left: int
    right: int
    repeats: int | None = None


def next_pair(
    ballots: Sequence[Ballot],
    spots: Sequence[VoteSpot],
    voter: str,
    rng: np.random.Generator,
    baseline: int | None = None,
    threshold: float = 0.4,
) -> NextPair | None:
    """What to show a voter next, None where they have seen every pair.

    `threshold` is the share of votes that a candidate has to win against the `baseline`: whether it surely does, or
    surely does not, is what ends asking for the two. Ballots that are "both bad" say nothing of strength, but that the
    two were seen.
    """
    own = [(place, ballot) for place, ballot in enumerate(ballots) if ballot.voter == voter]
    if (repeat := _repeat(own, spots, rng)) is not None:
        return repeat
    seen = {ballot.shown for _, ballot in own}
    for first, second in _pairs(ballots, spots, rng, baseline, threshold):
        had = [ballot for ballot in ballots if ballot.shown[2:] == (first, second)]
        there = [spot for spot in spots if first in spot.columns and second in spot.columns]
        if spot := _spot(had, [s for s in there if (s.prompt, s.seed, first, second) not in seen], there, rng):
            left, right = (first, second) if rng.random() < 0.5 else (second, first)
            return NextPair(spot.prompt, spot.seed, left, right)
    return None


def _repeat(own: Sequence[tuple[int, Ballot]], spots: Sequence[VoteSpot], rng: np.random.Generator) -> NextPair | None:
    """A pair of this voter's with its sides swapped, where it is time for one and there is one long enough ago."""
    times = Counter(ballot.shown for _, ballot in own)
    if len(own) - len(times) + 1 > REPEAT_SHARE * (len(own) + 1):
        return None
    columns = {(spot.prompt, spot.seed): spot.columns for spot in spots}
    again = [
        (place, ballot)
        for place, ballot in own[:-REPEATED_AFTER]
        if times[ballot.shown] == 1 and {ballot.left, ballot.right} <= columns.get(ballot.shown[:2], frozenset())
    ]
    if not again:
        return None
    place, ballot = again[int(rng.integers(len(again)))]
    return NextPair(ballot.prompt, ballot.seed, ballot.right, ballot.left, place)


def _pairs(
    ballots: Sequence[Ballot],
    spots: Sequence[VoteSpot],
    rng: np.random.Generator,
    baseline: int | None,
    threshold: float,
) -> list[tuple[int, int]]:
    """All pairs of columns, the lower number first, in an order drawn by how much an answer matters."""
    ids = sorted(frozenset().union(*(spot.columns for spot in spots)))
    contenders = [number for number in ids if number != baseline]
    if len(ids) < 2:
        return []
    chance = _chances(ballots, ids, contenders, rng)
    pairs = list(combinations(ids, 2))
    weights = []
    for first, second in pairs:
        if baseline in (first, second):
            candidate = second if first == baseline else first
            low, high = eprocess.clustered_bounds(duel(ballots, candidate, first + second - candidate))
            weight = chance[candidate] if low < threshold <= high else 0.0
        else:
            p, q = chance[first], chance[second]
            weight = p * q / (1 - p) + p * q / (1 - q)
        weights.append(max(weight, _LEAST_WEIGHT))
    # Drawn one after the other without replacement, by their weights (Efraimidis and Spirakis 2006).
    keys: NDArray[np.float64] = np.log(rng.random(len(pairs))) / np.array(weights)
    return [pairs[place] for place in np.argsort(-keys)]


def _chances(
    ballots: Sequence[Ballot], ids: Sequence[int], contenders: Sequence[int], rng: np.random.Generator
) -> dict[int, float]:
    """How likely each contender is to be the best of them, given the votes; below 1 and above 0."""
    strengths, unsure = posterior(ballots, ids)
    drawn = strengths + rng.normal(size=(_DRAWS, len(ids))) @ np.linalg.cholesky(unsure).T
    best = drawn[:, [ids.index(number) for number in contenders]].argmax(axis=1)
    wins = np.bincount(best, minlength=len(contenders))
    shares = [wins[place] / _DRAWS for place in range(len(contenders))]
    return {
        number: float(min(share if share >= NEGLIGIBLE else _LEAST_WEIGHT, 1 - _LEAST_WEIGHT))
        for number, share in zip(contenders, shares, strict=True)
    }


def _spot(
    had: Sequence[Ballot], free: Sequence[VoteSpot], there: Sequence[VoteSpot], rng: np.random.Generator
) -> VoteSpot | None:
    """Where the two have been asked about least, for the size of the category, then for the prompt, then the seed."""
    if not free:
        return None
    category_of = {(spot.prompt, spot.seed): spot.category for spot in there}
    size = Counter(category_of.values())
    by_category = Counter(category_of.get(ballot.shown[:2]) for ballot in had)
    by_prompt, by_seed = Counter(ballot.prompt for ballot in had), Counter(ballot.shown[:2] for ballot in had)
    order = rng.permutation(len(free))
    _, place = min(
        ((by_category[spot.category] / size[spot.category], by_prompt[spot.prompt], by_seed[spot.prompt, spot.seed],
          int(order[place])), place)
        for place, spot in enumerate(free)
    )  # fmt: skip
    return free[place]
