"""What a run makes of its own losses while it goes on: whether they explode, whether it still learns, what is sound.

It goes into every checkpoint and is taken up with it, so that a run that was interrupted ends where it would have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from app.training.divergence import ABOVE_START, Divergence
from app.training.learning import Look, Streak, loss_at
from workers.finetune.loss import BandedLoss
from workers.finetune.ranks import Ranks


class LearningWatch:
    """Follows one run. `state` is what an earlier attempt wrote down of it."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        known = state or {}
        self.divergence = Divergence.known(known.get("divergence", {}))
        reference = known.get("reference")
        self.streak = Streak(Look.told(reference) if reference else None, int(known.get("streak", 0)))
        self._base_loss: float | None = known.get("base_loss")
        self._losses: list[tuple[int, float]] = [(int(step), loss) for step, loss in known.get("losses", [])]
        self._saved: list[tuple[int, float | None]] = [(int(step), loss) for step, loss in known.get("saved", [])]

    @property
    def is_known(self) -> bool:
        """Whether a validation was counted before."""
        return self._base_loss is not None

    def state(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "divergence": self.divergence.state(),
            "reference": None if self.streak.reference is None else told(self.streak.reference),
            "streak": self.streak.length,
            "base_loss": self._base_loss,
            "losses": [list(known) for known in self._losses],
            "saved": [list(saved) for saved in self._saved],
        }

    def step(self, step: int, stage: int, errors: torch.Tensor, timesteps: torch.Tensor, ranks: Ranks) -> bool:
        """Step `step`'s (from 1) plain errors float32 [B] under timesteps float32 [B]. Whether the loss has exploded.

        For all processes: they count together and come to the same answer.
        """
        losses = BandedLoss()
        losses.add(errors, timesteps)
        losses.add_others(ranks)
        return self.divergence.take(step, stage, losses.sums, losses.counts)

    def validated(self, look: Look, by_band: list[float | None]) -> None:
        """One more validation of the weights that are kept, which may prove that the loss has exploded."""
        if self._base_loss is None:
            self._base_loss = look.loss
            self.divergence.begin(by_band)
        self.streak = self.streak.after(look)
        self.divergence.validated(look.loss, self._base_loss)
        self._losses = [*(known for known in self._losses if known[0] < look.step), (look.step, look.loss)]

    def is_warming_up(self) -> None:
        """The learning rate is not up yet: that nothing gets better says nothing of what the run can learn."""
        self.streak = Streak(self.streak.reference, 0)

    def saved(self, step: int, loss: float | None) -> None:
        """The checkpoint of `step` is about to be written; `loss` is its validation's, where there was one."""
        self._saved = [*(known for known in self._saved if known[0] < step), (step, loss)]

    def last_sound(self) -> int:
        """The last checkpoint before the loss began to rise, if it does, with a validation that is not far above the
        base's; 0, the base, where there is none."""
        return max(self._sound(), default=0)

    def best_saved(self) -> int:
        """The sound checkpoint of the lowest validation, taken between the two beside it where it was not validated."""
        sound = self._sound()
        losses = dict(self._losses) | {step: loss for step, loss in self._saved if loss is not None}
        if not losses:
            return max(sound, default=0)
        return min(sound, key=partial(loss_at, sorted(losses.items())), default=0)

    def _sound(self) -> list[int]:
        since = math.inf if self.divergence.since is None else self.divergence.since
        most = math.inf if self._base_loss is None else ABOVE_START * self._base_loss
        return [step for step, loss in self._saved if step <= since and (loss is None or loss < most)]


def told(look: Look) -> dict[str, Any]:
    """A look as events and checkpoints hold it: plain JSON values that give the same look again."""
    return {
        "step": look.step,
        "loss": look.loss,
        "products": [list(product) for product in look.products],
        "training": list(look.training),
    }


def by_product(groups: Sequence[str], losses: Sequence[float]) -> tuple[tuple[int, float], ...]:
    """How many members each group has and their mean loss, in the order in which groups come up first."""
    photos: dict[str, list[float]] = {}
    for group, loss in zip(groups, losses, strict=True):
        photos.setdefault(group, []).append(loss)
    return tuple((len(known), short(sum(known) / len(known))) for known in photos.values())


def short(value: float) -> float:
    """A loss with six figures, as events and checkpoints hold it."""
    return float(f"{value:.6g}")
