"""How photos look, in plain Python: which are nearest to one, to several, or to what words say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from app.selection import near as near_keys


@dataclass
class Looks:
    """What is known of how a catalog's photos look, and what was drawn on its map."""

    vectors: dict[int, np.ndarray] = field(default_factory=dict)
    phrases: dict[str, np.ndarray] = field(default_factory=dict)
    sets: dict[str, list[int]] = field(default_factory=dict)

    def nearest(self, aim: np.ndarray | None) -> set[int]:
        """The photos whose vectors are nearest to `aim`."""
        if aim is None:
            return set()
        off = {number: 1 - float(_unit(vector) @ _unit(aim)) for number, vector in self.vectors.items()}
        near = sorted(off, key=lambda number: (round(off[number] * 100_000), number))
        return set(near[: near_keys.NEAREST])

    def middle(self, wanted: Iterable[int], unwanted: Iterable[int] = ()) -> np.ndarray | None:
        """Where the wanted ones are, away from the others."""
        ours, others = ([self.vectors[n] for n in numbers if n in self.vectors] for numbers in (wanted, unwanted))
        if not ours:
            return None
        aim = _half_unit(np.mean(ours, axis=0))
        return _half_unit(2 * aim - _half_unit(np.mean(others, axis=0))) if others else aim


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector))


def _half_unit(vector: np.ndarray) -> np.ndarray:
    """Rounded at each step as the database does, so that photos that are as near come in the same order."""
    return _unit(vector.astype(np.float16).astype(float)).astype(np.float16).astype(float)
