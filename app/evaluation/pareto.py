"""Candidates worth choosing from: those that no other beats in everything, and why each of them is one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ParetoAim:
    """Something that columns are compared by. `better` and `worse` are said of who has more of it: "is usable more
    often". `least` is the difference below which two are the same."""

    key: str
    is_more_better: bool
    better: str
    least: float = 0.0


def front(values: Mapping[int, Mapping[str, float]], aims: Sequence[ParetoAim]) -> list[int]:
    """The columns that no other is at least as good as in all aims and better than in one, in their order.

    Columns are compared by what is known of both; one of which nothing is known is no candidate.
    """
    known = {number: own for number, own in values.items() if any(aim.key in own for aim in aims)}
    return [
        number
        for number, own in known.items()
        if not any(_beats(other, own, aims) for rival, other in known.items() if rival != number)
    ]


def reasons(
    number: int, others: Sequence[int], values: Mapping[int, Mapping[str, float]], aims: Sequence[ParetoAim]
) -> list[str]:
    """What a column is better at than every other of these, in words; empty where it is at nothing."""
    own = values[number]
    return [
        aim.better
        for aim in aims
        if aim.key in own
        and all(aim.key not in values[other] or _gain(aim, own, values[other]) > aim.least for other in others)
        and any(aim.key in values[other] for other in others)
    ]


def _beats(own: Mapping[str, float], other: Mapping[str, float], aims: Sequence[ParetoAim]) -> bool:
    gains = [(aim, _gain(aim, own, other)) for aim in aims if aim.key in own and aim.key in other]
    is_worse = any(gain < -aim.least for aim, gain in gains)
    return not is_worse and any(gain > aim.least for aim, gain in gains)


def _gain(aim: ParetoAim, own: Mapping[str, float], other: Mapping[str, float]) -> float:
    more = own[aim.key] - other[aim.key]
    return more if aim.is_more_better else -more
