"""Numbers about many pictures from what an embedder saw in them, each with an interval by prompt. Pure, numpy alone.

Vectors have length 1. Intervals are of 95 %, from drawing whole prompts anew: pictures of one prompt are alike, and as
if they were not, an interval is too narrow (research on comparing checkpoints, 3.2 and 3.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vectors = NDArray[np.floating[Any]]

BANDWIDTH: Final = 10.0
"""Of the Gaussian kernel, with the factor 1,000: as Jayasumana et al. 2024 ("Rethinking FID") have it for CMMD."""
PER_UNIT: Final = 1000.0
LEAST_PICTURES: Final = 64
"""Below so many a distance of distributions is noise (research, 3.2), so it is not shown."""
ROUNDS: Final = 400
_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Interval:
    """A number, its 95 % interval, and how many pictures it rests on."""

    value: float
    low: float
    high: float
    count: int


def distance(vectors: Vectors, prompts: Sequence[int], reference: Vectors) -> Interval | None:
    """How far pictures are from real photos as distributions: the unbiased squared MMD, times 1,000; around 0 for the
    same, and below it by chance.

    vectors: (n, d) with their prompts (n,); reference: (m, d). Pairs of one prompt are left out, since the pictures of
    a prompt are no independent draws, and so is each picture with itself, which is what biases other forms. Prompts and
    photos are drawn anew for the interval. None for fewer than `LEAST_PICTURES`, one prompt alone or one photo.
    """
    names, place = np.unique(np.asarray(prompts), return_inverse=True)
    if len(vectors) < LEAST_PICTURES or len(names) < 2 or len(reference) < 2:
        return None
    own = np.zeros((len(names), len(vectors)))
    own[place, np.arange(len(vectors))] = 1.0
    of_prompts = own @ _kernel(vectors, vectors) @ own.T
    between = own @ _kernel(vectors, reference)
    photos = _kernel(reference, reference)
    sizes = own.sum(axis=1)
    pairs = np.outer(sizes, sizes)
    for square in (of_prompts, pairs, photos):
        np.fill_diagonal(square, 0.0)
    rng = np.random.default_rng(_SEED)
    p, q = len(names), len(reference)
    weights = np.vstack([np.ones(p), rng.multinomial(p, np.full(p, 1 / p), size=ROUNDS)])
    photo_weights = np.vstack([np.ones(q), rng.multinomial(q, np.full(q, 1 / q), size=ROUNDS)])
    inside = _form(weights, of_prompts) / np.maximum(_form(weights, pairs), 1.0)
    outside = _form(photo_weights, photos) / np.maximum(
        photo_weights.sum(axis=1) ** 2 - (photo_weights**2).sum(axis=1), 1.0
    )
    across = ((weights @ between) * photo_weights).sum(axis=1) / (weights @ sizes * photo_weights.sum(axis=1))
    drawn = PER_UNIT * (inside + outside - 2 * across)
    low, high = np.quantile(drawn[1:], (0.025, 0.975))
    return Interval(float(drawn[0]), float(low), float(high), len(vectors))


def variety(by_prompt: Mapping[int, Vectors]) -> Interval | None:
    """How much the seeds of a prompt differ: the mean of 1 - cosine over pairs of its pictures, then over prompts; 0
    for the same picture again and again. None where no prompt has two pictures."""
    return mean({prompt: spread for prompt, own in by_prompt.items() if (spread := spread_of(own)) is not None},
                sum(len(own) for own in by_prompt.values() if len(own) > 1))  # fmt: skip


def spread_of(vectors: Vectors) -> float | None:
    """The mean of 1 - cosine over the pairs of these pictures (n, d); None for fewer than two."""
    count = len(vectors)
    if count < 2:
        return None
    alike = np.asarray(vectors, np.float64) @ np.asarray(vectors, np.float64).T
    return float(1 - (alike.sum() - np.trace(alike)) / (count * (count - 1)))


def mean(by_prompt: Mapping[int, float], count: int) -> Interval | None:
    """The mean over prompts of one number each; None without any."""
    if not by_prompt:
        return None
    values = np.array(list(by_prompt.values()))
    drawn = np.random.default_rng(_SEED).choice(values, size=(ROUNDS, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high), count)


def _kernel(first: Vectors, second: Vectors) -> Floats:
    inner = np.asarray(first, np.float64) @ np.asarray(second, np.float64).T
    return np.exp(-np.maximum(2 - 2 * inner, 0.0) / (2 * BANDWIDTH**2))


def _form(weights: Floats, square: Floats) -> Floats:
    """w M w of each row of weights."""
    result: Floats = ((weights @ square) * weights).sum(axis=1)
    return result
