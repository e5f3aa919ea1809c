"""How much the demo does on this computer: as much as ends in time by what its preflight measured. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.evaluation.suites import PREVIEWS, PROMPT_COUNT, SEEDS
from app.launch.estimate import PictureCounts, estimate
from app.training.recipe import Recipe

WITHIN_S: Final = 570.0
"""From the first line to the last: the ten minutes that are promised, less what measuring may be wrong by."""

MARGIN: Final = 1.1
"""What a run and its sheet are counted for, in shares of what is expected of them. The demo's own runs took 3 to 8 %
longer than expected; one that takes longer still is stopped in time, and keeps what it learned."""


@dataclass(frozen=True, slots=True)
class DemoSize:
    """The share of the planned steps, checkpoints, and prompts of products that the photos never show."""

    share: float
    checkpoints: int
    held_out: int

    @property
    def cells(self) -> int:
        """Pictures on the sheet, the base's among them."""
        return (1 + self.checkpoints) * (PROMPT_COUNT + self.held_out) * len(SEEDS)

    def changes(self, recipe: Recipe) -> dict[str, Any]:
        """What it changes of the planned recipe."""
        steps = max(1, round(self.share * recipe.steps))
        every = -(-steps // self.checkpoints)
        return {"steps": steps, "checkpoint_every": every, "validate_every": every}

    def words(self, recipe: Recipe) -> str:
        """What it is, for the person at the terminal."""
        count = "1 checkpoint" if self.checkpoints == 1 else f"{self.checkpoints} checkpoints"
        steps = self.changes(recipe)["steps"]
        all_steps = f"all {steps} steps" if steps == recipe.steps else f"{steps} steps instead of {recipe.steps}"
        return f"{all_steps}, {count}, {self.cells} pictures"


SIZES: Final = (
    DemoSize(1, 4, 12),
    DemoSize(1, 2, 12),
    DemoSize(3 / 4, 2, 12),
    DemoSize(1 / 2, 2, 12),
    DemoSize(1 / 2, 1, 6),
    DemoSize(1 / 3, 1, 6),
    DemoSize(1 / 6, 1, 0),
    DemoSize(1 / 12, 1, 0),
)
"""From the whole demo down. Pictures go before steps: after half of the 600 steps 79 % of the new kinds are drawn
right, after all of them 89 % (`benchmarks/known_truth.py`)."""


def seconds(measured: Mapping[str, Any], recipe: Recipe, size: DemoSize) -> float:
    """What a run of this size and its sheet most likely take."""
    changed = recipe.model_copy(update=size.changes(recipe))
    return estimate(measured, changed, PictureCounts(PREVIEWS, size.cells)).in_all[1]


def fitting(measured: Mapping[str, Any], recipe: Recipe, left_s: float) -> DemoSize:
    """The largest size that ends within `left_s`; the smallest where none does."""
    return next((size for size in SIZES if MARGIN * seconds(measured, recipe, size) <= left_s), SIZES[-1])
