"""The 24-hour dial of the cycle page, as numbers for an SVG: pure geometry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.cycles.clock import CycleClock, State

SIZE: Final = 420.0
MIDDLE: Final = SIZE / 2
DAY_RADIUS: Final = 160.0
MONEY_RADIUS: Final = 136.0
# A stage shorter than this share of the day is drawn as a sliver of it, so that it can be seen.
LEAST_SHARE: Final = 0.004
# Names of neighbours closer than this (in shares of the day) would lie on each other.
NAME_SHARE: Final = 0.045


@dataclass(frozen=True, slots=True)
class Arc:
    """A stage on the dial. `name` is empty where it would lie on another one's."""

    path: str
    state: State
    title: str
    name: str
    x: float
    y: float
    anchor: str


@dataclass(frozen=True, slots=True)
class Tick:
    """An hour on the dial; every sixth part of the day carries its time."""

    x1: float
    y1: float
    x2: float
    y2: float
    text_x: float
    text_y: float
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Dial:
    """What the template draws, in a square of `size` units. `hand`: x1, y1, x2, y2; `money`: None while unpriced."""

    size: float
    arcs: list[Arc]
    ticks: list[Tick]
    hand: tuple[float, float, float, float]
    money: str | None


def dial(clock: CycleClock) -> Dial:
    """The clock as a dial that starts at the top and goes once around in the cycle's hours."""
    share_spent = None if clock.spent is None else float(clock.spent / clock.budget)
    hand = (*point(clock.share_gone, MONEY_RADIUS - 20), *point(clock.share_gone, DAY_RADIUS + 16))
    return Dial(
        size=SIZE,
        arcs=_arcs(clock),
        ticks=_ticks(clock),
        hand=hand,
        money=arc(0.0, share_spent, MONEY_RADIUS) if share_spent else None,
    )


def point(share: float, radius: float) -> tuple[float, float]:
    """Where a share of the way around lies; 0 is the top."""
    angle = 2 * math.pi * share
    return round(MIDDLE + radius * math.sin(angle), 2), round(MIDDLE - radius * math.cos(angle), 2)


def arc(start: float, end: float, radius: float) -> str:
    """The path of an arc from one share to another, clockwise. A whole turn stops just short of itself."""
    start, end = max(0.0, start), min(end, 0.9999)
    (x1, y1), (x2, y2) = point(start, radius), point(end, radius)
    return f"M{x1} {y1}A{radius:g} {radius:g} 0 {int(end - start > 0.5)} 1 {x2} {y2}"


def _arcs(clock: CycleClock) -> list[Arc]:
    arcs: list[Arc] = []
    named_at = -1.0
    for piece in clock.pieces:
        width = max(piece.width, LEAST_SHARE)
        middle = piece.start + width / 2
        x, y = point(middle, DAY_RADIUS + 24)
        is_named = middle - named_at >= NAME_SHARE
        named_at = middle if is_named else named_at
        side = math.sin(2 * math.pi * middle)
        anchor = "middle" if abs(side) < 0.3 else "start" if side > 0 else "end"
        # A hair of ground between neighbours.
        path = arc(piece.start, piece.start + max(width - 0.0015, LEAST_SHARE / 2), DAY_RADIUS)
        arcs.append(Arc(path, piece.state, piece.name, piece.name if is_named else "", x, y + 4, anchor))
    return arcs


def _ticks(clock: CycleClock) -> list[Tick]:
    ticks = []
    for hour in range(24):
        share = hour / 24
        is_long = hour % 6 == 0
        inner, outer = point(share, MONEY_RADIUS - 20), point(share, MONEY_RADIUS - (12 if is_long else 15))
        # A time is wider than it is high.
        text = point(share, MONEY_RADIUS - (42 if hour % 12 else 34))
        at = clock.started_at + share * (clock.ends_at - clock.started_at) if is_long else None
        ticks.append(Tick(*inner, *outer, text[0], text[1] + 4, at))
    return ticks
