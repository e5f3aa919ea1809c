"""How long it takes to rate columns from many votes, and to choose the next pair among them.

    python -m benchmarks.ranking [--votes 10000]

Made-up votes (seed printed) of five people on eight columns, 120 prompts with four seeds: ties and "both bad" among
them. Times are of the processor, so that other work on the machine does not count. Limit: 2 s for ratings with
intervals by 1,000 rounds over 10,000 votes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from app.evaluation import pairing, ranking
from app.evaluation.pairing import VoteSpot
from app.evaluation.ranking import Ballot, Choice

LIMIT_S: Final = 2.0
SEED: Final = 12
COLUMNS: Final = tuple(range(1, 9))
PROMPTS: Final = 120
SEEDS: Final = (11, 23, 42, 77)
CHOICES: Final[tuple[Choice, ...]] = ("left", "right", "tie", "both_bad")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--votes", type=int, default=10_000)
    count = parser.parse_args().votes
    ballots = votes(count)
    spots = [
        VoteSpot(prompt, seed, f"{prompt % 13}", frozenset(COLUMNS)) for prompt in range(PROMPTS) for seed in SEEDS
    ]
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}, {count:,} votes, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    rated = spent(lambda: ranking.rate(ballots, COLUMNS, COLUMNS[0]))
    chosen = spent(lambda: pairing.next_pair(ballots, spots, "somebody new", rng, COLUMNS[0]))
    print(f"ratings with intervals by 1,000 rounds: {rated:.2f} s; limit {LIMIT_S:.0f} s; ratio {LIMIT_S / rated:.1f}")
    print(f"the next pair: {chosen * 1000:.0f} ms")
    return 0 if rated <= LIMIT_S else 1


def votes(count: int) -> list[Ballot]:
    """Votes between columns that get a little better each."""
    rng = np.random.default_rng(SEED)
    ballots = []
    for number in range(count):
        left, right = rng.choice(COLUMNS, 2, replace=False).tolist()
        chance = 1 / (1 + np.exp((right - left) * 0.1))
        choice = CHOICES[rng.choice(4, p=[0.8 * chance, 0.8 * (1 - chance), 0.12, 0.08])]
        seed = SEEDS[rng.integers(len(SEEDS))]
        ballots.append(Ballot(int(rng.integers(PROMPTS)), seed, left, right, choice, f"p{number % 5}"))
    return ballots


def spent(act: Callable[[], object]) -> float:
    """Seconds of the processor, in the median of three turns."""
    times = []
    for _ in range(3):
        began = time.process_time()
        act()
        times.append(time.process_time() - began)
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(main())
