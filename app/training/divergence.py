"""When a loss that is still a number has exploded: the one rule, for the trainer and for the evidence of it. Pure.

A diffusion loss jumps with the noise that a step happened to draw, so losses are compared within one noise band and
never across bands, over windows of steps, as logarithms. A window's rise over a reference is the mean over its
pictures of log(the band's loss in this window / the band's reference). There are two references: `start`, what the
base itself lost, and `lowest`, the least that the smoothed loss of the band came to. A loss has exploded

- when it stays `SUSTAINED` times above the lowest and `ABOVE_START` times above the start, `WINDOWS` windows in a row;
- at once when one window is `AT_ONCE` times above both: weights that are gone do not come back;
- or when the kept weights prove it: a validation `ABOVE_START` times the base's own, while the window is so high, or
  `AT_ONCE` times, whatever the window is;
- or when a run ends before its last window is full, with what is there of it `CUT_SHORT` times above both.

A loss that memorised its photos may bounce far above its lowest and is still below its start; a warm-up, a fall from
scratch, and small batches stay below both. The figures come from the runs that benchmarks/loss_series.py records: the
22 sound ones (ablations, batches of one, few photos) rise at most 3.0 times above both in any window, 1.7 times
without the batches of one, and 18.8 times in any single step; the 10 exploding ones 9 times and more, and all are known
within 20 steps. The gradient's norm was tried as a second sign and left out: in sound runs single steps reach 400 times
the median before them.
Spikes of single steps are common and mostly harmless (Chowdhery et al. 2022, section 5.1), hence windows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

SUSTAINED: Final = 4.0
ABOVE_START: Final = 2.0
WINDOWS: Final = 3
AT_ONCE: Final = 30.0
CUT_SHORT: Final = 150.0
LEAST_STEPS: Final = 5
LEAST_PICTURES: Final = 32
_WEIGHT: Final = 0.25
"""Of the newest window in the smoothed loss."""

_LEAST_LOSS: Final = 1e-12
_MOST: Final = 700.0  # a float's

Levels = list[float | None]
"""Logarithms of mean losses, one for each band; None where nothing was seen of it."""


@dataclass
class Divergence:
    """Follows a run's plain losses, from its first step or from what `state` wrote down.

    `since` is the last step before the loss began to stay up, None while it does not; `above` is how many times the
    start it was in the last window; `is_over`: it has exploded.
    """

    stage: int = 0
    start: Levels = field(default_factory=list)
    lowest: Levels = field(default_factory=list)
    smoothed: Levels = field(default_factory=list)
    # The window that is not full yet.
    sums: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    from_step: int = 0
    high: int = 0  # windows in a row
    since: int | None = None
    above: float = 1.0
    is_over: bool = False

    @classmethod
    def known(cls, state: Mapping[str, Any]) -> Divergence:
        """As it was when `state` was written down; what another version kept besides is passed over."""
        names = {known.name for known in fields(cls)}
        return cls(**{name: value for name, value in state.items() if name in names})

    def state(self) -> dict[str, Any]:
        """All of it as plain JSON values: whoever goes on from them decides alike."""
        return asdict(self)

    @property
    def losses(self) -> list[float | None]:
        """The smoothed training loss of each band; the start's until a window is full, None where nothing was seen."""
        levels = _merged(self.start, self.smoothed, lambda _, new: new) if self.smoothed else self.start
        return [None if level is None else math.exp(level) for level in levels]

    def begin(self, losses: Sequence[float | None]) -> None:
        """Take a validation's `losses` by band as what the run starts from, unless a start is known."""
        if not self.start:
            self.start = [_log(loss) for loss in losses]
            self.lowest = list(self.start)

    def take(self, step: int, stage: int, sums: Sequence[float], counts: Sequence[int]) -> bool:
        """The losses of one step or a few up to `step`: summed and counted by band. Whether the loss has exploded.

        `step` counts from 1. Another `stage` of the recipe has other sizes and so another loss: all begins anew.
        """
        if stage != self.stage:
            self.ends()
        # While it is high it stays measured against where it came from: a new start would be the exploded loss itself.
        if stage != self.stage and not self.high and not self.is_over:
            self.stage, self.from_step = stage, step - 1
            self.start, self.lowest, self.smoothed, self.sums, self.counts = [], [], [], [], []
            self.high, self.since = 0, None
        # The first step's weights are not changed yet, however hot the run is about to be.
        self.begin(_means(sums, counts))
        self.sums = [known + more for known, more in zip(self.sums or [0.0] * len(sums), sums, strict=True)]
        self.counts = [known + more for known, more in zip(self.counts or [0] * len(counts), counts, strict=True)]
        if step - self.from_step >= LEAST_STEPS and sum(self.counts) >= LEAST_PICTURES:
            self._close(step)
        return self.is_over

    def validated(self, loss: float, base: float) -> None:
        """A validation of the weights that are kept, and the base's own."""
        rise = loss / max(base, _LEAST_LOSS)
        if rise >= (ABOVE_START if self.high else AT_ONCE):
            self.above = max(self.above, rise)
            self._is_over_since(self.from_step)

    def ends(self) -> bool:
        """The window is not filled any more, for the run or its stage ends. Whether the loss has exploded."""
        levels = [_log(mean) for mean in _means(self.sums, self.counts)]
        if levels:
            over = min(_rise(levels, reference, self.counts) for reference in (self.start, self.lowest))
            if over >= math.log(CUT_SHORT):
                self.above = math.exp(min(_rise(levels, self.start, self.counts), _MOST))
                self._is_over_since(self.from_step)
        return self.is_over

    def _is_over_since(self, step: int) -> None:
        self.is_over = True
        self.since = step if self.since is None else self.since

    def _close(self, step: int) -> None:
        """A window is full."""
        levels = [_log(mean) for mean in _means(self.sums, self.counts)]
        over_start = _rise(levels, self.start, self.counts)
        over_lowest = _rise(levels, self.lowest, self.counts)
        is_high = over_lowest >= math.log(SUSTAINED) and over_start >= math.log(ABOVE_START)
        self.high = self.high + 1 if is_high else 0
        self.above = math.exp(min(over_start, _MOST))
        self.since = None if not is_high else self.from_step if self.since is None else self.since
        self.is_over = self.high >= WINDOWS or min(over_start, over_lowest) >= math.log(AT_ONCE)
        self.smoothed = _merged(self.smoothed, levels, lambda old, new: old + _WEIGHT * (new - old))
        self.lowest = _merged(self.lowest, self.smoothed, min)
        self.start = _merged(self.start, levels, lambda old, new: old)
        self.sums, self.counts, self.from_step = [], [], step


def _means(sums: Sequence[float], counts: Sequence[int]) -> list[float | None]:
    return [total / count if count else None for total, count in zip(sums, counts, strict=True)]


def _log(loss: float | None) -> float | None:
    return None if loss is None else math.log(max(loss, _LEAST_LOSS))


def _merged(known: Levels, new: Levels, both: Callable[[float, float], float]) -> Levels:
    """Band by band what is known and what is new, merged by `both`; where there is one of them, that one."""
    pairs = zip(known or [None] * len(new), new, strict=True)
    return [b if a is None else a if b is None else both(a, b) for a, b in pairs]


def _rise(levels: Levels, reference: Levels, counts: Sequence[int]) -> float:
    """The mean over pictures of how far their band is above its reference, in logarithms; 0 where none has one."""
    above = [
        (count, level - known)
        for level, known, count in zip(levels, reference, counts, strict=True)
        if level is not None and known is not None
    ]
    pictures = sum(count for count, _ in above)
    return sum(count * rise for count, rise in above) / pictures if pictures else 0.0
