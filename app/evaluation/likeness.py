"""How near drawn pictures lie to the photos that a model learned from, and to each other. Pure, numpy alone.

Similarity is the cosine of two vectors of one embedding space, -1 to 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Vectors = np.ndarray[Any, np.dtype[np.floating[Any]]]

COPY_FROM: Final = 0.96
"""Similarity in the built-in space from which a sample is called a copy of a training photo.

Measured on real photos at 512 px (54 packshots, 120 of clothing, 120 on shelves; `benchmarks/sample_checks.py`): the
nearest other photo of the same set lies at 0.953 at most, two cartons of one dairy. What is nearer is the same photo;
but a photo drawn again softly lies at 0.7 to 0.98, so this alone sees half of the copies at the best, and a sample is
held against the fingerprints of its training photos too.
"""
HELD_OUT_LEAST: Final = 20
"""So many held-out photos tell how near a new picture of this catalog comes to the training photos by itself."""
HELD_OUT_SHARE: Final = 0.99
ROUNDS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Spread:
    """Diversity of a column: the mean over `count` prompts, and the interval in which it lies with 95 %."""

    value: float
    low: float
    high: float
    count: int


def copy_threshold(held_out: Vectors | Sequence[float]) -> float:
    """From which similarity on a sample counts as a copy of a training photo.

    `held_out`: of photos that were not learned from, the similarity to the nearest training photo, (n,). Where a
    catalog's photos are so alike that one in a hundred new ones comes nearer than `COPY_FROM`, that similarity is the
    threshold: a sample is a copy when it is closer than held-out photos are (research on comparing checkpoints, 6, 12).
    """
    values = np.asarray(held_out, dtype=np.float64)
    if len(values) < HELD_OUT_LEAST:
        return COPY_FROM
    return round(max(COPY_FROM, float(np.quantile(values, HELD_OUT_SHARE))), 4)


class NearestPhotos:
    """The nearest of many photos to some pictures, while the photos come in pieces.

    `pictures` (n, d), of length 1 each. A picture whose vector is of zeros is near to nothing.
    """

    def __init__(self, pictures: Vectors) -> None:
        self._pictures = np.asarray(pictures, dtype=np.float32)
        self.similarity = np.full(len(self._pictures), -np.inf, dtype=np.float32)
        self.photo = np.zeros(len(self._pictures), dtype=np.int64)

    def meet(self, photos: Vectors, numbers: Sequence[int]) -> None:
        """Hold the pictures against photos (m, d) of length 1, whose ids are `numbers` (m)."""
        if not len(numbers) or not len(self._pictures):
            return
        cosines = self._pictures @ np.asarray(photos, dtype=np.float32).T
        place = cosines.argmax(axis=1)
        best = cosines[np.arange(len(place)), place]
        is_nearer = best > self.similarity
        self.similarity[is_nearer] = best[is_nearer]
        self.photo[is_nearer] = np.asarray(numbers, dtype=np.int64)[place[is_nearer]]

    def answers(self) -> list[tuple[int, float] | None]:
        """For each picture the id of its nearest photo and the similarity; None while there was no photo."""
        return [
            (int(photo), round(min(1.0, float(similarity)), 4)) if np.isfinite(similarity) else None
            for photo, similarity in zip(self.photo, self.similarity, strict=True)
        ]


def diversity(by_prompt: Mapping[int, Vectors] | Iterable[Vectors], seed: int = 0) -> Spread | None:
    """The mean distance (1 - cosine) between pictures of one prompt with several seeds, averaged over the prompts.

    Each value (seeds, d), of length 1. Prompts with one picture say nothing; None where no other is left. The interval
    is that of 1,000 bootstrap rounds over prompts, 2.5 to 97.5 %: pictures of one prompt are not independent.
    """
    piles = by_prompt.values() if isinstance(by_prompt, Mapping) else by_prompt
    means = np.array([_mean_distance(np.asarray(pile, dtype=np.float32)) for pile in piles if len(pile) > 1])
    if not len(means):
        return None
    rng = np.random.default_rng(seed)
    rounds = means[rng.integers(0, len(means), (ROUNDS, len(means)))].mean(axis=1)
    low, high = np.quantile(rounds, (0.025, 0.975))
    return Spread(round(float(means.mean()), 4), round(float(low), 4), round(float(high), 4), len(means))


def _mean_distance(pictures: Vectors) -> float:
    count = len(pictures)
    total = float((pictures @ pictures.T).sum() - (pictures * pictures).sum())
    return 1 - total / (count * (count - 1))
