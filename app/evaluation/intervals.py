"""Bounds of shares seen few times: exact ones for independent pictures, wider ones where prompts have several. Pure.

Clopper and Pearson 1934 (exact, from the beta distribution); the design effect of Kish 1965 for pictures that share a
prompt: n pictures tell as much as n / (1 + (m - 1) rho) independent ones, m to a prompt, correlated by rho.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scipy.stats import beta

CONFIDENCE = 0.95


def lower(successes: float, count: float, confidence: float = CONFIDENCE) -> float:
    """The one-sided lower bound of a share, 0 to 1: of a lower one, so many successes have a chance below 1 -
    `confidence`. Counts need not be whole. 0 where there are none."""
    if count <= 0 or successes <= 0:
        return 0.0
    return float(beta.ppf(1 - confidence, successes, count - successes + 1))


def upper(successes: float, count: float, confidence: float = CONFIDENCE) -> float:
    """The one-sided upper bound of a share, 0 to 1. 1 where there are no counts."""
    if count <= 0 or successes >= count:
        return 1.0
    return float(beta.ppf(confidence, successes + 1, count - successes))


def design_effect(by_prompt: Mapping[int, Sequence[bool]]) -> float:
    """How many times fewer pictures would tell as much, were they independent: at least 1.

    The correlation within prompts is estimated by the analysis of variance (Fleiss 1981, chapter 13), at least 0.
    """
    groups = [list(map(float, group)) for group in by_prompt.values() if group]
    count, clusters = sum(map(len, groups)), len(groups)
    if clusters < 2 or count == clusters:
        return 1.0
    mean = sum(map(sum, groups)) / count
    between = sum(len(group) * (sum(group) / len(group) - mean) ** 2 for group in groups) / (clusters - 1)
    within = sum((x - sum(group) / len(group)) ** 2 for group in groups for x in group) / (count - clusters)
    size = (count - sum(len(group) ** 2 for group in groups) / count) / (clusters - 1)
    spread = between + (size - 1) * within
    correlation = max(0.0, (between - within) / spread) if spread > 0 else 0.0
    return 1 + (sum(len(group) ** 2 for group in groups) / count - 1) * correlation


def clustered_lower(by_prompt: Mapping[int, Sequence[bool]], confidence: float = CONFIDENCE) -> float:
    """`lower` of all pictures by prompt, as if there were fewer by their design effect."""
    return lower(*_effective(by_prompt), confidence)


def clustered_upper(by_prompt: Mapping[int, Sequence[bool]], confidence: float = CONFIDENCE) -> float:
    """`upper` of all pictures by prompt, as if there were fewer by their design effect."""
    return upper(*_effective(by_prompt), confidence)


def _effective(by_prompt: Mapping[int, Sequence[bool]]) -> tuple[float, float]:
    effect = design_effect(by_prompt)
    successes = sum(sum(group) for group in by_prompt.values())
    return successes / effect, sum(map(len, by_prompt.values())) / effect
