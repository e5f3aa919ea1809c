"""What to try when a recipe does not fit the device: fewer pictures at once, blocks twice, smaller, LoRA. Pure.

The order is fixed, and each is tried on top of those before it, except that LoRA goes back to the full resolution:
it frees the memory of gradients and optimiser, so a smaller picture may not be needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.training.recipe import Recipe

TRIED_AT_MOST: Final = 4
ENOUGH: Final = 2
"""How many that fit are offered; the device costs money while further ones are tried."""

_GRAIN_PX: Final = 64


@dataclass(frozen=True, slots=True)
class Smaller:
    """One thing to try: what it changes, in words and as knobs."""

    words: str
    changes: Mapping[str, Any]


def smaller(recipe: Recipe) -> list[Smaller]:
    """What to try, in order; at most `TRIED_AT_MOST`."""
    alternatives: list[Smaller] = []
    changes: dict[str, Any] = {}
    at_once = recipe.micro_batch or recipe.batch_size
    fewer = max((n for n in range(1, at_once // 2 + 1) if recipe.batch_size % n == 0), default=0)
    if fewer:
        changes["micro_batch"] = fewer
        alternatives.append(
            Smaller(f"{fewer} pictures at once instead of {at_once}; a batch stays {recipe.batch_size}", {**changes})
        )
    if recipe.checkpointing != "full":
        if fewer:
            changes["micro_batch"] = least = _least(recipe.batch_size, fewer)
            words = f"all blocks computed twice, {least} at once"
        else:
            words = "all blocks computed twice"
        changes["checkpointing"] = "full"
        alternatives.append(Smaller(f"{words}: slower, far less memory", {**changes}))
    lower = recipe.resolution_px * 3 // 4 // _GRAIN_PX * _GRAIN_PX
    if lower >= _GRAIN_PX:
        alternatives.append(
            Smaller(f"{lower} px instead of {recipe.resolution_px} px", {**changes, "resolution_px": lower})
        )
    if recipe.method == "full":
        alternatives.append(Smaller("LoRA instead of all weights", {"method": "lora", "checkpointing": "full"}))
    return alternatives[:TRIED_AT_MOST]


def _least(batch_size: int, at_most: int) -> int:
    """A quarter of what was tried before, or the nearest below that divides the batch."""
    return max(n for n in range(1, max(1, at_most // 2) + 1) if batch_size % n == 0)
