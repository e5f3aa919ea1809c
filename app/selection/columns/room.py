"""What a process keeps of catalogs, in parts: those that nobody asked for longest go first where they are too many.

Whatever goes is read, or worked out, again when it is asked for; so answers are the same, and later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

STAYS_S: Final = 10.0
"""What was asked for so short a while ago stays: it was just read, and two people who ask for different things would
have each other's read again and again."""


@dataclass(frozen=True, slots=True)
class KeptPart:
    """Something that can be let go by itself: when it was last asked for, by `time.monotonic`, and what it takes."""

    asked_at: float
    size_bytes: int
    let_go: Callable[[], None]


def let_go(parts: Iterable[KeptPart], too_many_bytes: int, now_s: float) -> int:
    """Let go of as many parts as take this much, those asked for longest ago first; what they took, in bytes."""
    freed = 0
    for part in sorted(parts, key=lambda part: part.asked_at):
        if freed >= too_many_bytes or part.asked_at > now_s - STAYS_S:
            break
        part.let_go()
        freed += part.size_bytes
    return freed
