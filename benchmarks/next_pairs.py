"""Whether asking where it matters finds the best checkpoint sooner than asking at random.

    python -m benchmarks.next_pairs [--evaluations 200] [--votes 300]

Six simulated checkpoints, each a gap above the last in Elo points; prompts favour one or another by normal effects of
half a unit of log odds, one vote in ten is a tie. Three people vote on 120 prompts with two seeds; the pairs are those
that voters are shown, beside pairs drawn uniformly. Told is how often the column with the highest rating is truly the
best, on the same prompts and with the same chance. Limit: more often than with uniform pairs, at every gap.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from itertools import combinations
from typing import Final

import numpy as np

from app.evaluation import pairing, ranking
from app.evaluation.pairing import VoteSpot
from app.evaluation.ranking import PER_UNIT, Ballot, Choice

SEED: Final = 12
COLUMNS: Final = (1, 2, 3, 4, 5, 6)
GAPS: Final = (20, 40, 80)
PROMPTS: Final = 120
SEEDS: Final = (11, 23)
VOTERS: Final = 3
TIES: Final = 0.1
OF_PROMPT: Final = 0.5

Shown = tuple[int, int, int, int]
SPOTS: Final = [
    VoteSpot(prompt, seed, f"{prompt % 12}", frozenset(COLUMNS)) for prompt in range(PROMPTS) for seed in SEEDS
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--votes", type=int, default=300)
    given = parser.parse_args()
    print(f"seed {SEED}, {given.evaluations} evaluations of {given.votes} votes each")
    print(f"{'Elo points between two':28}{'uniform':>10}{'chosen':>10}{'ratio':>8}   share that picks the best")
    is_better = True
    for gap in GAPS:
        shares = [
            np.mean([picks_best(choose, gap, given.votes, SEED + number) for number in range(given.evaluations)])
            for choose in (uniform, chosen)
        ]
        is_better = is_better and shares[1] > shares[0]
        missed = "" if shares[1] > shares[0] else "  missed"
        print(f"{gap:<28}{shares[0]:10.1%}{shares[1]:10.1%}{shares[1] / shares[0]:8.2f}{missed}", flush=True)
    return 0 if is_better else 1


def picks_best(choose: Callable[..., Shown], gap: float, votes: int, seed: int) -> bool:
    """Whether one evaluation ends with the best on top."""
    rng = np.random.default_rng(seed)
    places = rng.permutation(len(COLUMNS))
    strengths = places * gap / PER_UNIT
    favours = rng.normal(0, OF_PROMPT, (PROMPTS, len(COLUMNS)))
    ballots: list[Ballot] = []
    for turn in range(votes):
        prompt, number, left, right = choose(ballots, f"p{turn % VOTERS}", rng)
        of_left, of_right = (strengths[c - 1] + favours[prompt, c - 1] for c in (left, right))
        is_left = rng.random() < 1 / (1 + np.exp(of_right - of_left))
        choice: Choice = "tie" if rng.random() < TIES else "left" if is_left else "right"
        ballots.append(Ballot(prompt, number, left, right, choice, f"p{turn % VOTERS}"))
    fitted, _ = ranking.posterior(ballots, COLUMNS)
    return bool(fitted.argmax() == places.argmax())


def chosen(ballots: list[Ballot], voter: str, rng: np.random.Generator) -> Shown:
    """The pair that a voter is shown."""
    pair = pairing.next_pair(ballots, SPOTS, voter, rng)
    assert pair is not None
    return pair.prompt, pair.seed, pair.left, pair.right


def uniform(ballots: list[Ballot], voter: str, rng: np.random.Generator) -> Shown:
    """Any pair on any prompt, prompts in turns as they are with chosen ones."""
    pairs = list(combinations(COLUMNS, 2))
    left, right = rng.permutation(pairs[rng.integers(len(pairs))]).tolist()
    return len(ballots) % PROMPTS, SEEDS[len(ballots) // PROMPTS % len(SEEDS)], left, right


if __name__ == "__main__":
    sys.exit(main())
