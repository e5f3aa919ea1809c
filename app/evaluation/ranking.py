"""Ratings of columns from votes on pairs: Bradley and Terry 1952, with intervals from resampling whole prompts. Pure.

A tie counts half a win for each; "both bad" says nothing of which is better and is left out, to be told by itself. A
small ridge keeps columns that never lost from running to infinity. Votes on one prompt are not independent, so prompts
are resampled, and votes within them: as if they were, a difference is called falsely in 13 to 21 % of cases instead of
5 to 7 % (research on comparing checkpoints, simulated).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Choice = Literal["left", "right", "tie", "both_bad"]
BASELINE_RATING: Final = 1000.0
PER_UNIT: Final = 400 / math.log(10)
RIDGE: Final = 0.1
PLAUSIBLE: Final = 0.01
"""The chance of being the best below which a column is not asked about any more."""
REPEAT_SHARE: Final = 0.05
REPEATS_AFTER: Final = 10
_NEWTON_STEPS: Final = 8
_AT_ONCE: Final = 100  # rounds drawn together

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ballot:
    """One vote: what was shown on each side for a prompt and seed, what was chosen, and by whom."""

    prompt: int
    seed: int
    left: int
    right: int
    choice: Choice
    voter: str


@dataclass(frozen=True, slots=True)
class Rating:
    """A column's rating, the baseline's being 1000; 400 more are ten to one. Intervals are of 95 %.

    `difference` is to the baseline's, with the interval that decides whether they can be told apart; `p_best` the share
    of rounds in which no other column was better.
    """

    id: int
    rating: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    p_best: float


def rate(
    ballots: Sequence[Ballot], ids: Sequence[int], baseline: int, rounds: int = 1000, seed: int = 0
) -> dict[int, Rating]:
    """The rating of each of `ids` from votes between them. Without votes all are as the baseline, and any may be best.

    Raises ValueError where the baseline is not among `ids`.
    """
    strengths = resampled(ballots, ids, rounds, seed)
    centre, at = fitted(ballots, ids), ids.index(baseline)
    points = BASELINE_RATING + PER_UNIT * (strengths - strengths[:, [at]])
    best = np.bincount(strengths.argmax(axis=1), minlength=len(ids)) / len(strengths)
    if not any(ballot.choice != "both_bad" for ballot in ballots):
        best = np.full(len(ids), 1 / len(ids))
    low, high = np.quantile(points, (0.025, 0.975), axis=0)
    ratings = {}
    for place, number in enumerate(ids):
        rating = BASELINE_RATING + PER_UNIT * float(centre[place] - centre[at])
        ratings[number] = Rating(
            number, rating, float(low[place]), float(high[place]), rating - BASELINE_RATING,
            float(low[place]) - BASELINE_RATING, float(high[place]) - BASELINE_RATING, float(best[place]),
        )  # fmt: skip
    return ratings


def fitted(ballots: Sequence[Ballot], ids: Sequence[int]) -> Floats:
    """The strengths (len(ids),) of the votes as they are, on the scale of log odds."""
    wins = _wins(ballots, ids)
    count = len(ids)
    total = np.zeros(count * count)
    np.add.at(total, wins.pair, wins.share)
    strengths: Floats = _strengths(total.reshape(1, count, count))[0]
    return strengths


def resampled(ballots: Sequence[Ballot], ids: Sequence[int], rounds: int, seed: int) -> Floats:
    """Strengths (rounds, len(ids)) of votes drawn anew: prompts with replacement, then votes within each."""
    wins, rng, count = _wins(ballots, ids), np.random.default_rng(seed), len(ids)
    if not len(wins.pair):
        return np.zeros((rounds, count))
    order = np.argsort(wins.pair, kind="stable")
    pair, share, prompt, vote = wins.pair[order], wins.share[order], wins.prompt[order], wins.vote[order]
    starts = np.flatnonzero(np.diff(pair, prepend=-1))
    prompts, votes = int(prompt.max()) + 1, int(vote.max()) + 1
    parts = []
    for begin in range(0, rounds, _AT_ONCE):
        some = min(_AT_ONCE, rounds - begin)
        of_prompt = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=some)
        # Within a prompt as often as by chance: a Poisson draw of mean 1 is a resample of many (Hanley 2006).
        of_vote = rng.poisson(1.0, size=(some, votes))
        weight = of_prompt[:, prompt] * of_vote[:, vote] * share
        total = np.zeros((some, count * count))
        total[:, pair[starts]] = np.add.reduceat(weight, starts, axis=1)
        parts.append(_strengths(total.reshape(some, count, count)))
    return np.concatenate(parts)


def next_pair(
    ballots: Sequence[Ballot],
    ids: Sequence[int],
    cells: Sequence[tuple[int, int, str]],
    voter: str,
    rng: np.random.Generator,
) -> tuple[int, int, int, int, int | None] | None:
    """What to show a voter next: (prompt, seed, left, right, which of `ballots` it repeats with its sides swapped).

    `cells` are prompt, seed and category of what every column has drawn. Asked is where an answer can change the
    decision: between columns that may still be the best, where their difference is least known. Categories take turns.
    None where this voter has seen every pair.
    """
    own = [(place, ballot) for place, ballot in enumerate(ballots) if ballot.voter == voter]
    if len(own) >= REPEATS_AFTER and rng.random() < REPEAT_SHARE:
        seen = Counter(_shown(ballot) for _, ballot in own)
        once = [(place, ballot) for place, ballot in own[: -REPEATS_AFTER // 2] if seen[_shown(ballot)] == 1]
        if once:
            place, ballot = once[int(rng.integers(len(once)))]
            return ballot.prompt, ballot.seed, ballot.right, ballot.left, place
    seen_pairs = {_shown(ballot) for _, ballot in own}
    categories = {(prompt, seed): category for prompt, seed, category in cells}
    for one_id, other_id in _by_doubt(ballots, ids, rng):
        asked = [ballot for ballot in ballots if {ballot.left, ballot.right} == {one_id, other_id}]
        by_category = Counter(categories.get((ballot.prompt, ballot.seed), "") for ballot in asked)
        by_prompt = Counter(ballot.prompt for ballot in asked)
        free = [
            (by_category[category], by_prompt[prompt], rng.random(), prompt, seed)
            for prompt, seed, category in cells
            if (prompt, seed, frozenset((one_id, other_id))) not in seen_pairs
        ]
        if free:
            _, _, _, prompt, seed = min(free)
            left, right = (one_id, other_id) if rng.random() < 0.5 else (other_id, one_id)
            return prompt, seed, left, right, None
    return None


def duel(ballots: Sequence[Ballot], candidate: int, baseline: int) -> dict[int, list[float]]:
    """A candidate's votes against the baseline by prompt: 1 won, 0 lost, 0.5 a tie; "both bad" is left out.

    Two votes of one voter on the same two samples are one, their mean: who says both has not said which.
    """
    by_voter: dict[tuple[int, int, str], list[float]] = {}
    for ballot in ballots:
        if {ballot.left, ballot.right} == {candidate, baseline} and ballot.choice != "both_bad":
            score = 0.5 if ballot.choice == "tie" else float((ballot.choice == "left") == (ballot.left == candidate))
            by_voter.setdefault((ballot.prompt, ballot.seed, ballot.voter), []).append(score)
    by_prompt: dict[int, list[float]] = {}
    for (prompt, _, _), scores in by_voter.items():
        by_prompt.setdefault(prompt, []).append(sum(scores) / len(scores))
    return by_prompt


def both_bad_share(ballots: Sequence[Ballot], number: int) -> tuple[int, int]:
    """How many of the votes that showed a column found both sides bad, and how many showed it."""
    shown = [ballot for ballot in ballots if number in (ballot.left, ballot.right)]
    return sum(ballot.choice == "both_bad" for ballot in shown), len(shown)


def _by_doubt(ballots: Sequence[Ballot], ids: Sequence[int], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Pairs of columns, those first about whose order least is known; of columns that can hardly be the best none
    before the others."""
    strengths = resampled(ballots, ids, 200, int(rng.integers(2**31)))
    best = np.bincount(strengths.argmax(axis=1), minlength=len(ids)) / len(strengths)
    counted = Counter(frozenset((ballot.left, ballot.right)) for ballot in ballots)
    doubts = []
    for i, one_id in enumerate(ids):
        for j in range(i + 1, len(ids)):
            gap = strengths[:, i] - strengths[:, j]
            ahead = float((gap > 0).mean())
            is_open = min(best[i], best[j]) >= PLAUSIBLE or not ballots
            doubt = ahead * (1 - ahead) + 0.25 / (1 + counted[frozenset((one_id, ids[j]))])
            doubts.append((not is_open, -doubt, rng.random(), one_id, ids[j]))
    return [(one_id, other_id) for _, _, _, one_id, other_id in sorted(doubts)]


def _shown(ballot: Ballot) -> tuple[int, int, frozenset[int]]:
    return ballot.prompt, ballot.seed, frozenset((ballot.left, ballot.right))


@dataclass(frozen=True)
class _Wins:
    """Shares of wins: `pair` is winner * n + loser by their places, a tie is half of one each way."""

    pair: NDArray[np.int64]
    share: Floats
    prompt: NDArray[np.int64]
    vote: NDArray[np.int64]


def _wins(ballots: Sequence[Ballot], ids: Sequence[int]) -> _Wins:
    place = {number: at for at, number in enumerate(ids)}
    prompts: dict[int, int] = {}
    rows: list[tuple[int, float, int, int]] = []
    kept = 0
    for ballot in ballots:
        if ballot.choice == "both_bad" or ballot.left not in place or ballot.right not in place:
            continue
        left, right, prompt = place[ballot.left], place[ballot.right], prompts.setdefault(ballot.prompt, len(prompts))
        if ballot.choice != "right":
            rows.append((left * len(ids) + right, 1.0 if ballot.choice == "left" else 0.5, prompt, kept))
        if ballot.choice != "left":
            rows.append((right * len(ids) + left, 1.0 if ballot.choice == "right" else 0.5, prompt, kept))
        kept += 1
    columns: Any = list(zip(*rows, strict=True)) if rows else [[], [], [], []]
    return _Wins(
        np.array(columns[0], dtype=np.int64), np.array(columns[1], dtype=np.float64),
        np.array(columns[2], dtype=np.int64), np.array(columns[3], dtype=np.int64),
    )  # fmt: skip


def _strengths(wins: Floats) -> Floats:
    """Strengths (rounds, n) from wins (rounds, n, n), the row's over the column's: Newton's method, all at once."""
    rounds, count, _ = wins.shape
    between = wins + wins.transpose(0, 2, 1)
    theta = np.zeros((rounds, count))
    ridge = RIDGE * np.eye(count)
    for _ in range(_NEWTON_STEPS):
        chance = 1 / (1 + np.exp(theta[:, None, :] - theta[:, :, None]))
        slope = (wins - between * chance).sum(axis=2) - RIDGE * theta
        curve = between * chance * (1 - chance)
        hessian = -curve
        hessian[:, range(count), range(count)] = curve.sum(axis=2)
        step = np.linalg.solve(hessian + ridge, slope[:, :, None])[:, :, 0]
        theta += np.clip(step, -2.0, 2.0)
    centred: Floats = theta - theta.mean(axis=1, keepdims=True)
    return centred
