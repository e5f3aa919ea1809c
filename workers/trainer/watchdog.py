"""Watches a trainer by its events and a clock: whether it hangs, whether it slows down, whether it will end in time.

Pure: it is told the events and what the time is, and answers. A trainer tells something every few seconds in every
phase, or at every report while it trains, so silence much longer than its own habit means that it hangs, even when its
process is alive and well.
"""

from __future__ import annotations

import statistics
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from app.training import silence
from app.training.limits import Binding
from app.units import duration

Kind = Literal["slow", "late"]

SLOW_AT: Final = 2.0
_RECOVERED_AT: Final = 1.5
_WARM: Final = 3  # readings of a attempt or a stage that say nothing yet
_LEAST_READINGS: Final = 15
_RECENT: Final = 5
# What moves bytes tells of them often, but also puts models together, which has no pieces to tell of.
_UNEVEN: Final = frozenset({"save", "export"})
_NEARLY_FULL: Final = 0.95
_MUCH_WAITING: Final = 0.2
_GIB: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Remark:
    """Something a person should know of a run that goes on."""

    kind: Kind
    sentence: str


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """What the run is measured against: seconds are those on the device."""

    steps: int
    limit_s: float  # the hard stop
    binding: Binding
    spent_s: float = 0.0  # by earlier attempts
    second_stage_from: int | None = None  # the first step whose pace may rightly be another
    least_s: float = silence.LEAST_S  # no silence shorter than this is a hang
    first_s: float = silence.FIRST_S  # nor shorter than this where the trainer has shown no habit yet


@dataclass
class Watch:
    """Follows one attempt of a trainer."""

    plan: WatchPlan
    now: float  # the clock, in seconds, when the watch began

    def __post_init__(self) -> None:
        self.phase = "start"
        self._heard_at = self.now
        self._last_at: datetime | None = None
        self._began_at: datetime | None = None
        self._gaps: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=200))
        self._pace = _Pace(self.plan)

    def hear(self, events: Iterable[Mapping[str, Any]], now: float) -> list[Remark]:
        """Take in new events; what there is to remark on. `now` is on the clock that the watch began with."""
        remarks: list[Remark] = []
        for event in events:
            self._heard_at = now
            at = datetime.fromisoformat(event["at"])
            phase = str(event["phase"]) if event["kind"] == "phase" else "train"
            if event["kind"] == "attempt" or self._began_at is None:
                self._begin(at)
            elif self._last_at is not None and (phase == self.phase or event["kind"] != "phase"):
                # A phase that begins at once after other events says nothing of how long the one before is silent.
                self._gaps[self.phase].append(max(0.0, (at - self._last_at).total_seconds()))
            self._last_at, self.phase = at, phase
            remarks += self._pace.hear(event, (at - (self._began_at or at)).total_seconds())
        return remarks

    def deadline_s(self) -> float:
        """How long a silence may last now, in seconds."""
        gaps = self._gaps.get(self.phase)
        unknown_s = max(self.plan.least_s, self.plan.first_s)
        if not gaps:
            return unknown_s
        least_s = unknown_s if self.phase in _UNEVEN else self.plan.least_s
        return silence.deadline_s(statistics.median(gaps), least_s)

    def silent_s(self, now: float) -> float:
        """How long it has told nothing, in seconds."""
        return now - self._heard_at

    def is_hung(self, now: float) -> bool:
        """Whether it has been silent for so long that it is not at work, whatever its process does."""
        return self.silent_s(now) > self.deadline_s()

    def hang(self, now: float) -> str:
        """A sentence about the hang."""
        return (
            f"The trainer told nothing for {duration(self.silent_s(now))} in the phase “{self.phase}”; "
            f"more than {duration(self.deadline_s())} means that it hangs."
        )

    def _begin(self, at: datetime) -> None:
        """A attempt begins: what came before it is another process's."""
        self._began_at = at
        self._gaps.clear()
        self._pace = _Pace(self.plan)


@dataclass
class _Pace:
    """Step times of one attempt against their own median, and where they lead."""

    plan: WatchPlan
    _readings: deque[float] = field(default_factory=lambda: deque(maxlen=2000))
    _marks: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=200))
    _to_skip: int = _WARM
    _step: int = 0
    _is_slow: bool = False
    _told_ago: int = 0  # readings since it was told
    _is_late: bool = False

    def hear(self, event: Mapping[str, Any], elapsed_s: float) -> list[Remark]:
        """One event, `elapsed_s` into the attempt."""
        if event["kind"] != "step" or not event.get("step_s"):
            return []
        before, self._step = self._step, int(event["step"])
        if self.plan.second_stage_from is not None and before <= self.plan.second_stage_from < self._step:
            self._readings.clear()
            self._marks.clear()
            self._to_skip = _WARM
        self._marks.append((self._step, elapsed_s))
        if self._to_skip:
            self._to_skip -= 1
            return []
        self._readings.append(float(event["step_s"]))
        return [*self._slowness(event, self._step - before), *self._lateness(elapsed_s)]

    def _slowness(self, event: Mapping[str, Any], steps: int) -> list[Remark]:
        if len(self._readings) < _LEAST_READINGS:
            return []
        usual_s = statistics.median(self._readings)
        recent_s = statistics.median(list(self._readings)[-_RECENT:])
        if self._is_slow:
            self._told_ago += 1
            self._is_slow = self._told_ago < _RECENT or recent_s >= _RECOVERED_AT * usual_s
            return []
        if recent_s < SLOW_AT * usual_s:
            return []
        self._is_slow, self._told_ago = True, 0
        return [Remark("slow", f"{_slower(recent_s, usual_s)} {hint(event, steps)} {self._end()}".strip())]

    def _lateness(self, elapsed_s: float) -> list[Remark]:
        """Whether the last step would come after the hard stop, told once until it looks well again."""
        estimated_s = self._estimated_s(elapsed_s)
        if estimated_s is None:
            return []
        if self._is_late or estimated_s <= self.plan.limit_s:
            self._is_late = self._is_late and estimated_s > 0.95 * self.plan.limit_s
            return []
        self._is_late = True
        left_s = self.plan.limit_s - self.plan.spent_s - elapsed_s
        last = min(self.plan.steps, self._step + max(0, int(left_s / self._step_s())))
        return [
            Remark(
                "late",
                f"At this pace the last step would be done after {duration(estimated_s)} on the device; the "
                f"{self.plan.binding} limit ends the run at {duration(self.plan.limit_s)}, at about step {last:,} of "
                f"{self.plan.steps:,}. What it has learned by then is kept.",
            )
        ]

    def _step_s(self) -> float:
        """Seconds a step takes of late, with all that happens between steps."""
        (first, began_s), (last, ended_s) = self._marks[0], self._marks[-1]
        return max(1e-6, (ended_s - began_s) / max(1, last - first))

    def _estimated_s(self, elapsed_s: float) -> float | None:
        """Seconds on the device at the last step; None with too few readings."""
        if len(self._readings) < _LEAST_READINGS:
            return None
        return self.plan.spent_s + elapsed_s + (self.plan.steps - self._step) * self._step_s()

    def _end(self) -> str:
        if not self._readings:
            return ""
        left_s = (self.plan.steps - self._step) * statistics.median(list(self._readings)[-_RECENT:])
        return f"If it stays so, the last step is done in {duration(left_s)}."


def hint(event: Mapping[str, Any], steps: int) -> str:
    """What may explain slow steps: memory, waiting for data, or what cannot be seen from here."""
    used, total = event.get("memory_bytes"), event.get("memory_total_bytes")
    if used and total and used >= _NEARLY_FULL * total:
        return f"Its memory is nearly full: {used / _GIB:.1f} of {total / _GIB:.1f} GiB."
    waited_s = float(event.get("data_wait_s") or 0.0)
    busy_s = steps * float(event["step_s"])
    if waited_s >= _MUCH_WAITING * (waited_s + busy_s):
        return f"It waits for pictures {waited_s / (waited_s + busy_s):.0%} of the time."
    return "Neither memory nor waiting for pictures explains it; of clocks and other programs Packshot cannot tell."


def _slower(step_s: float, usual_s: float) -> str:
    return f"Steps take {step_s:.3g} s, {step_s / usual_s:.1f} times their usual {usual_s:.3g} s."
