"""Real steps on the clock: as they are, and compiled where the recipe asks for it. What pays is for others to weigh.

Both are timed with the same model: its compiled blocks can be told to run as they are.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch

from app.training.recipe import Recipe, Stage
from workers.families.registry import Family
from workers.finetune.batches import Batch, Members, ahead, step_batches
from workers.finetune.buckets import Size, Walk
from workers.finetune.clock import Clock
from workers.finetune.forward import forward_batches
from workers.finetune.methods.auxiliary import AuxiliaryLosses
from workers.finetune.ranks import Ranks
from workers.finetune.report import memory
from workers.finetune.train_state import TrainState

WARM, TIMED = 3, 5
"""Steps before the clock counts, and steps it counts."""
_PASSES: Final = 2
_WORDS: Final = 200


@dataclass(frozen=True)
class Steps:
    """All that takes steps of a recipe. `members` are of the largest size."""

    recipe: Recipe
    family: Family
    train_state: TrainState
    auxiliary: AuxiliaryLosses
    members: Members
    clock: Clock
    device: torch.device
    ranks: Ranks

    def plain(self) -> list[float]:
        """Seconds of each of the warm and the timed steps, all at the largest size, nothing compiled."""
        # Only where it is needed: the compiler takes seconds to import.
        with torch.compiler.set_stance("force_eager") if self.recipe.compile else nullcontext():
            return self._timed()

    def after(self, state: Mapping[str, torch.Tensor]) -> None:
        """Put a saved `state` back, and take a step from there, as a run that is resumed does."""
        self.train_state.restore(state)
        with torch.compiler.set_stance("force_eager") if self.recipe.compile else nullcontext():
            self._step_s(self._batches, self._first)

    def compiled(self, each: Sequence[tuple[Stage, Members]]) -> dict[str, Any]:
        """The same steps compiled, and what compiling took at each size: width and height in px, seconds.

        `each` has one member of each size of each stage. Where the compiler breaks, or what it made does not fit in
        memory, only `why_not` is told, a sentence; several processes end as they do when any step breaks.
        """
        from torch._dynamo.exc import TorchDynamoException

        memory(self.device)  # its peak begins anew
        try:
            # Before the steps, for what is compiled for many sizes may be slower than what is compiled for one.
            sizes = self._at_each_size(each)
            seconds = self._timed()
        except (torch.OutOfMemoryError, TorchDynamoException) as error:
            if self.ranks.world_size > 1:
                raise
            return {"why_not": _why_not(error)}
        stage = self.recipe.stage(self.recipe.steps - 1)
        passes = stage.batch_size // stage.micro_batch // self.ranks.world_size
        usual_s = statistics.median(seconds[WARM:]) * _PASSES / passes
        return {
            "sizes": [[*size, max(0.0, took_s - usual_s)] for size, took_s in sizes],
            "warm_s": seconds[:WARM],
            "step_s": seconds[WARM:],
            "peak_bytes": memory(self.device)["memory_bytes"],
        }

    def _timed(self) -> list[float]:
        times_s = []
        # As the loop does it: where pictures are read again, a step may wait for them.
        with closing(ahead(self._batches, range(WARM + TIMED))) as batches:
            for number in range(WARM + TIMED):
                self.clock.look("measure", number, WARM + TIMED)
                times_s.append(self._step_s(partial(next, batches), self._first))
        return times_s

    @property
    def _first(self) -> int:
        """A step (0-based) at the largest size."""
        last = self.recipe.steps - 1
        return last if self.recipe.stage(last).number else 0

    def _batches(self, number: int = 0) -> list[Batch]:
        """The micro-batches of the stage's step `number` (0-based)."""
        stage = self.recipe.stage(self.recipe.steps - 1)
        walk = Walk(self.members.buckets, stage.micro_batch, self.recipe.seed, stage.number)
        rank, of = self.ranks.rank, self.ranks.world_size
        return step_batches(self.members, walk, self.recipe, stage, stage.first_step + number, rank, of)

    def _at_each_size(self, each: Sequence[tuple[Stage, Members]]) -> list[tuple[Size, float]]:
        """Seconds of a first step of `_PASSES` micro-batches at each size: captions with words, and without any."""
        count, measurements = sum(len(members) for _, members in each), list[tuple[Size, float]]()
        self.clock.begin("compile", count)
        for stage, members in each:
            step = self.recipe.steps - 1 if stage.number else 0
            for number in range(len(members)):
                self.clock.look("compile", len(measurements), count)
                took_s = self._step_s(partial(_with_and_without_words, members, number, stage.micro_batch), step)
                measurements.append((members.size(number), took_s))
        return measurements

    def _step_s(self, batches: Callable[[], list[Batch]], step: int) -> float:
        def take() -> None:
            forward_batches(
                self.family, batches(), self.recipe, step, self.device, self.auxiliary, self.train_state.gather
            )
            self.train_state.update(step)

        return timed(take, self.device)[1]


def _with_and_without_words(members: Members, number: int, count: int) -> list[Batch]:
    alike, places = [number] * count, range(count)
    return [members.batch(alike, places), members.batch(alike, places, [""] * count)]


def timed(work: Callable[[], Any], device: torch.device) -> tuple[Any, float]:
    """What `work` gives, and the seconds it took until the device was done too."""
    began = time.perf_counter()
    given = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return given, time.perf_counter() - began


def _why_not(error: Exception) -> str:
    if isinstance(error, torch.OutOfMemoryError):
        return "compiled, a step does not fit in the device's memory"
    return f"the compiler broke: {' '.join(str(error).split())[:_WORDS]}"
