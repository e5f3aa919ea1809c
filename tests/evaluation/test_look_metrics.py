"""Distances and spreads of pictures as an embedder sees them: unbiased, by prompt, and told only where they can be."""

from __future__ import annotations

import numpy as np
import pytest

from app.evaluation import look_metrics


def drawn(count: int, shift: float = 0.0, seed: int = 0, size: int = 64) -> np.ndarray:
    """Vectors (count, size) of length 1 around one direction; `shift` moves them to another."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, size)) + 2.0
    vectors[:, 0] += shift
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_same_distribution_is_at_zero_whatever_the_number_of_pictures() -> None:
    reference = drawn(400, seed=99)
    for count in (64, 128, 256):
        values = [
            known.value
            for seed in range(12)
            if (known := look_metrics.distance(drawn(count, seed=seed), [n // 4 for n in range(count)], reference))
        ]
        spread = np.std(values) / np.sqrt(len(values))
        assert abs(np.mean(values)) < 4 * spread + 1e-3, f"biased at {count}: {np.mean(values)}"


def test_another_distribution_is_told_with_its_interval() -> None:
    prompts = [n // 4 for n in range(128)]
    same = look_metrics.distance(drawn(128), prompts, drawn(200, seed=5))
    other = look_metrics.distance(drawn(128, shift=6.0), prompts, drawn(200, seed=5))
    assert same is not None and other is not None
    assert same.low < 0.0 + 0.05 and other.low > same.high
    assert other.low < other.value < other.high and other.count == 128


@pytest.mark.parametrize(("count", "prompts", "photos"), [(63, 16, 100), (80, 1, 100), (80, 20, 1)])
def test_too_little_is_not_told(count: int, prompts: int, photos: int) -> None:
    of = [number % prompts for number in range(count)]
    assert look_metrics.distance(drawn(count), of, drawn(photos, seed=1)) is None


def test_pictures_of_one_prompt_are_no_independent_draws() -> None:
    """Every prompt four times the same picture: the interval is that of the prompts, not of four times as many."""
    once = drawn(40, seed=3)
    four = np.repeat(once, 4, axis=0)
    known = look_metrics.distance(four, [n // 4 for n in range(160)], drawn(200, seed=5))
    alone = look_metrics.distance(four, list(range(160)), drawn(200, seed=5))
    assert known is not None and alone is not None
    assert known.high - known.low > 1.4 * (alone.high - alone.low)


def test_variety_is_between_the_seeds_of_a_prompt() -> None:
    first, second = np.eye(3)[0], np.eye(3)[1]
    known = look_metrics.variety({1: np.stack([first, second]), 2: np.stack([first, first]), 3: first[None]})
    assert known is not None and known.value == pytest.approx(0.5) and known.count == 4
    assert known.low == 0.0 and known.high == 1.0
    assert look_metrics.variety({1: first[None]}) is None
