"""How long a trainer may be silent before it counts as hanging: the one rule, for the watchdog and for pages. Pure.

A trainer tells something every few seconds in every phase, or at every report while it trains. Silence much longer
than its own habit means that it hangs, even when its process is alive and well.
"""

from __future__ import annotations

from typing import Final

LEAST_S: Final = 60.0
"""No shorter silence is a hang."""
FIRST_S: Final = 300.0
"""Nor is one shorter than this before the trainer has shown a habit."""
TIMES_THE_HABIT: Final = 20.0


def deadline_s(habit_s: float, least_s: float = LEAST_S) -> float:
    """Seconds of silence after which a trainer hangs that usually tells something every `habit_s` seconds."""
    return max(least_s, TIMES_THE_HABIT * habit_s)
