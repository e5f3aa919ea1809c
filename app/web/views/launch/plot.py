"""The drawing “It will end”: the expected end and its range on a line of time, and the hard stop. x in percents."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.launch.estimate import Estimate

# Distances between marks of the time line, in seconds: the first that leaves at most TICKS of them is taken.
_GRAINS: Final = (5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200, 86_400)
TICKS: Final = 6
_ROOM: Final = 1.12


@dataclass(frozen=True)
class Mark:
    """A moment on the line."""

    x: float
    at: datetime


@dataclass(frozen=True)
class Plot:
    """What is drawn. `stop` is None when the hard stop lies far beyond the end; `style` is that of the times."""

    low: Mark
    expected: Mark
    high: Mark
    stop: Mark | None
    stop_at: datetime
    ticks: list[Mark]
    style: str
    label: str
    is_late: bool


def plot(estimate: Estimate, stop_s: float, now: datetime) -> Plot:
    """The drawing for a run and its sheet that would start now, and must end within `stop_s`."""
    low_s, expected_s, high_s = estimate.in_all
    is_near = stop_s <= 2.5 * high_s
    whole_s = _ROOM * (max(high_s, stop_s) if is_near else high_s)
    grain = next((grain_s for grain_s in _GRAINS if whole_s / grain_s <= TICKS), _GRAINS[-1])

    def mark(seconds: float) -> Mark:
        return Mark(round(100 * seconds / whole_s, 2), now + timedelta(seconds=seconds))

    style = "hms" if whole_s < 1200 else "hm"
    words = f"{{:%H:%M{':%S' if style == 'hms' else ''}}}"
    times = [
        words.format((now + timedelta(seconds=seconds)).astimezone()) for seconds in (expected_s, low_s, high_s, stop_s)
    ]
    return Plot(
        low=mark(low_s),
        expected=mark(expected_s),
        high=mark(high_s),
        stop=mark(stop_s) if is_near else None,
        stop_at=now + timedelta(seconds=stop_s),
        ticks=[mark(float(seconds)) for seconds in range(0, int(whole_s), grain)],
        style=style,
        label=f"Estimate: ends {times[0]}, between {times[1]} and {times[2]}; must end by {times[3]}",
        is_late=expected_s > stop_s,
    )
