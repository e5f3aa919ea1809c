"""What depends on something that is to be removed, told before it is: what goes with it, and what has to stay."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Consequences:
    """Lines for the person who is about to remove something.

    `goes` is removed with it. `stays` is kept, with the reason. Where there is an `obstacle`, nothing is removed.
    """

    goes: tuple[str, ...]
    stays: tuple[str, ...] = ()
    obstacle: str | None = None


def counted(number: int, noun: str, plural: str = "") -> str:
    """ "1 caption", "1,204 captions"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
