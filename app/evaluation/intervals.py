"""Bounds of shares seen few times: exact ones for independent pictures, wider ones where prompts have several. Pure.

Clopper and Pearson 1934 (exact, from the beta distribution); the design effect of Kish 1965 for pictures that share a
prompt: n pictures tell as much as n / (1 + (m - 1) rho) independent ones, m to a prompt, correlated by rho.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

CONFIDENCE: Final = 0.95

ByPrompt = Mapping[int, Sequence[float]]
"""Outcomes of each prompt, 0 to 1: a yes or no, or a vote of which a tie is half."""


def lower(successes: float, count: float, confidence: float = CONFIDENCE) -> float:
    """The one-sided lower bound of a share, 0 to 1: of a lower one, so many successes have a chance below 1 -
    `confidence`. Counts need not be whole. 0 where there are none."""
    from scipy.special import betaincinv  # half a second at the start of a process, for the pages that draw bounds

    if count <= 0 or successes <= 0:
        return 0.0
    return float(betaincinv(successes, max(count - successes, 0.0) + 1, 1 - confidence))


def upper(successes: float, count: float, confidence: float = CONFIDENCE) -> float:
    """The one-sided upper bound of a share, 0 to 1. 1 where there are no counts."""
    return 1 - lower(count - successes, count, confidence)


def design_effect(by_prompt: ByPrompt, least_correlation: float = 0.0) -> float:
    """How many times fewer pictures would tell as much, were they independent: at least 1.

    The correlation within prompts is estimated by the analysis of variance (Fleiss 1981, chapter 13), at least
    `least_correlation`: a guess for when there is too little to estimate it from.
    """
    groups = [group for group in by_prompt.values() if group]
    sizes, sums = [len(group) for group in groups], [sum(group) for group in groups]
    count, clusters, squares = sum(sizes), len(groups), sum(x * x for group in groups for x in group)
    if count == clusters:
        return 1.0
    weight = sum(size * size for size in sizes) / count
    if clusters == 1:
        return weight
    explained = sum(total * total / size for total, size in zip(sums, sizes, strict=True))
    between = (explained - sum(sums) ** 2 / count) / (clusters - 1)
    within = (squares - explained) / (count - clusters)
    spread = between + ((count - weight) / (clusters - 1) - 1) * within
    estimated = (between - within) / spread if spread > 0 else 0.0
    return 1 + (weight - 1) * min(1.0, max(least_correlation, estimated))


def effective(by_prompt: ByPrompt, least_correlation: float = 0.0) -> tuple[float, float]:
    """Successes and count of as many independent pictures as tell as much."""
    effect = design_effect(by_prompt, least_correlation)
    return sum(map(sum, by_prompt.values())) / effect, sum(map(len, by_prompt.values())) / effect


def clustered_lower(by_prompt: ByPrompt, confidence: float = CONFIDENCE) -> float:
    """`lower` of all pictures by prompt, as if there were fewer by their design effect."""
    return lower(*effective(by_prompt), confidence)


def clustered_upper(by_prompt: ByPrompt, confidence: float = CONFIDENCE) -> float:
    """`upper` of all pictures by prompt, as if there were fewer by their design effect."""
    return upper(*effective(by_prompt), confidence)
