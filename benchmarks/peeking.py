"""How often a verdict is false although it is looked at after every vote.

    python -m benchmarks.peeking [--evaluations 2000]

Simulated evaluations (seed printed), looked at after each vote by what the verdict page asks, to 240 votes on 60
prompts. Of two equal checkpoints neither may be called the winner: limit 5 % of evaluations. A quarter as many are made
of a candidate that is worse by the whole margin and must not pass for "not worse", and of one that is usable exactly as
often as is asked and must not pass before all is answered: limit 5 % as well. Outcomes within a prompt are correlated
by 0.2 (beta distributed rates), one vote in ten is a tie. Beside equals stands who looks at a plain z test of all votes
each time, from the twentieth on.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from app.evaluation import eprocess, gates
from app.evaluation.gates import GateLimits

SEED: Final = 12
LIMIT: Final = 0.05
PROMPTS: Final = 60
PER_PROMPT: Final = 4
CORRELATION: Final = 0.2
TIES: Final = 0.1
LIMITS: Final = GateLimits()

ByPrompt = dict[int, list[float]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--evaluations", type=int, default=2_000)
    count = parser.parse_args().evaluations
    few = max(1, count // 4)
    floor, asked = 0.5 - (LIMITS.margin or 0), LIMITS.usable or 0
    print(f"seed {SEED}, {PROMPTS} prompts, {PER_PROMPT} votes on each")
    print(f"{'called, of':36}{'evaluations':>12}{'share':>9}{'limit':>8}")
    print(
        f"{'equals, by a plain test':36}{count:12,}{called(count, 0.5, TIES, by_plain_test):9.1%}{'none':>8}",
        flush=True,
    )
    shares = [
        line(
            "equals, by the verdict", count, called(count, 0.5, TIES, lambda votes: gates.against(votes) != "unclear")
        ),
        line("worse by the margin, as not worse", few, called(few, floor, TIES, lambda v: surely(v) >= floor)),
        line("usable as asked, before the end", few, called(few, asked, 0.0, lambda v: surely(v) >= asked)),
    ]
    return 0 if max(shares) <= LIMIT else 1


def line(name: str, evaluations: int, share: float) -> float:
    """Print one figure beside the limit; the figure."""
    print(f"{name:36}{evaluations:12,}{share:9.1%}{LIMIT:8.0%}{'' if share <= LIMIT else '  missed'}", flush=True)
    return share


def called(evaluations: int, rate: float, ties: float, is_called: Callable[[ByPrompt], bool]) -> float:
    """The share of evaluations that are called at some vote."""
    seeds = range(SEED, SEED + evaluations)
    return float(np.mean([any(map(is_called, evaluation(np.random.default_rng(s), rate, ties))) for s in seeds]))


def evaluation(rng: np.random.Generator, rate: float, ties: float) -> Iterator[ByPrompt]:
    """The votes by prompt after each one but the last, prompts in turns in an order of their own."""
    spread, decisive = 1 / CORRELATION - 1, (rate - ties / 2) / (1 - ties)
    rates = rng.beta(decisive * spread, (1 - decisive) * spread, PROMPTS)
    order = np.concatenate([rng.permutation(PROMPTS) for _ in range(PER_PROMPT)])
    outcomes = np.where(rng.random(len(order)) < ties, 0.5, rng.random(len(order)) < rates[order])
    votes: ByPrompt = {}
    for prompt, outcome in zip(order[:-1].tolist(), outcomes.tolist(), strict=False):
        votes.setdefault(prompt, []).append(outcome)
        yield votes


def surely(votes: ByPrompt) -> float:
    """The bound that a line passes on while votes come in."""
    return eprocess.clustered_bounds(votes)[0]


def by_plain_test(votes: ByPrompt) -> bool:
    """Two-sided at 5 %, every vote for itself."""
    count, won = sum(map(len, votes.values())), sum(map(sum, votes.values()))
    return count >= 20 and abs(2 * won - count) / math.sqrt(count) > 1.96


if __name__ == "__main__":
    sys.exit(main())
