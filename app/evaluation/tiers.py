"""How much of a suite is drawn: a preview at every checkpoint, a quick look, all of it, and the prompts held out. Pure.

Tiers and their sizes: research on evaluating within one day (12 prompts with one seed at every checkpoint, 24 with two
at the candidates, all with four at the last ones, the held-out ones once at the winner).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

Tier = Literal["preview", "quick", "full", "hold_out"]

TIERS: Final[tuple[Tier, ...]] = get_args(Tier)
SEEDS_OF: Final[dict[Tier, int | None]] = {"preview": 1, "quick": 2, "full": None, "hold_out": None}
"""How many of the suite's seeds a tier draws with, from the first on; None: all."""


def draws(tier: Tier, prompt_tier: str, seed_index: int) -> bool:
    """Whether a column of `tier` draws a prompt whose own tier is `prompt_tier` with the `seed_index`-th seed.

    A preview is part of a quick look, and that of a full one; the held-out prompts are drawn by `hold_out` alone, which
    draws the full tier too, so that the winner is seen whole.
    """
    if prompt_tier == "hold_out" and tier != "hold_out":
        return False
    most = SEEDS_OF[tier]
    return TIERS.index(tier) >= TIERS.index(known(prompt_tier)) and (most is None or seed_index < most)


def why_not(tier: Tier, prompt_tier: str, seed: int) -> str:
    """Why a column of `tier` has no such picture, for its empty cell."""
    if prompt_tier == "hold_out":
        return "held out"
    if TIERS.index(tier) < TIERS.index(known(prompt_tier)):
        return f"not in the {name_of(tier)} sheet"
    return f"{name_of(tier)} sheet has no seed {seed}"


def name_of(tier: Tier) -> str:
    """A tier as people read it."""
    return tier.replace("_", "-")


def picture_count(prompt_tiers: Sequence[str], seeds: int, tier: Tier) -> int:
    """How many pictures a column of `tier` has in a suite of such prompts and so many seeds."""
    return sum(draws(tier, prompt_tier, index) for prompt_tier in prompt_tiers for index in range(seeds))


def known(tier: str) -> Tier:
    """A tier as it is kept in tables."""
    (known,) = (each for each in TIERS if each == tier)
    return known
