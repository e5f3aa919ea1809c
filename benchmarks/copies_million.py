"""Grouping a million photos' keys: time and memory, and whether the time grows with the number of photos.

    python -m benchmarks.copies_million [photos]

Drawn keys and thumbs: waves whose strength falls with their frequency as photos' does, colours at random; every tenth
photo is a mirrored, noisy copy of another. What is measured is the whole of `copies.find`, from keys in memory to
pairs; thumbs are drawn again when they are asked for, as a database would be asked. Limits: 5 min and 4 GB for
1,000,000, and at most 15 times the time of 100,000 (10 would be exactly linear).
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from scipy.fft import idctn

from app.catalog.copies import find
from app.catalog.fingerprints import COLOUR_SIDE, THUMB_SIDE, Floats, pack_key, pack_thumb

MOST_S: Final = 300.0
MOST_GB: Final = 4.0
GROWTH_AT_MOST: Final = 15.0
SEED: Final = 9
COPY_EACH: Final = 10

_FREQUENCY: Final = np.maximum(np.hypot.outer(np.arange(THUMB_SIDE), np.arange(THUMB_SIDE)), 1.0)


def drawn(number: int) -> Floats:
    """Photo `number` as CIELAB (3, 32, 32); every tenth is the one before it, mirrored and a little noisy."""
    is_copy = number % COPY_EACH == COPY_EACH - 1
    draw = np.random.default_rng((SEED, number - is_copy))
    waves = draw.normal(size=(THUMB_SIDE, THUMB_SIDE)) / _FREQUENCY**1.2
    waves[0, 0] = 0
    light = idctn(waves, norm="ortho")
    light = 50 + 18 * light / light.std()
    fields = draw.normal(0, 14, (2, 1, 1)) + draw.normal(0, 10, (2, COLOUR_SIDE, COLOUR_SIDE))
    lab = np.concatenate([light[None], fields.repeat(4, axis=1).repeat(4, axis=2)]).astype(np.float32)
    if not is_copy:
        return lab
    noise = np.random.default_rng((SEED, number, 1)).normal(0, 1.0, lab.shape)
    return np.asarray(lab[:, :, ::-1] + noise, dtype=np.float32)


def thumbs(numbers: Sequence[int]) -> Mapping[int, bytes]:
    ground = np.zeros(3, np.float32)
    return {number: pack_thumb(drawn(number), (0, 0, 1, 1), ground) for number in numbers}


def measured(keys: Sequence[bytes | None]) -> tuple[float, int, int]:
    """Seconds, copies that were met, and other pairs."""
    began = time.perf_counter()
    pairs = {(min(pair.first, pair.second), max(pair.first, pair.second)) for pair in find(keys, thumbs)}
    took = time.perf_counter() - began
    right = sum(second - first == 1 and second % COPY_EACH == COPY_EACH - 1 for first, second in pairs)
    return took, right, len(pairs) - right


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(f"drawn keys, seed {SEED}")
    keys = [pack_key(drawn(number)) for number in range(count)]
    print(f"{sum(len(key or b'') for key in keys) / 1e6:,.0f} MB of keys")
    took: dict[int, float] = {}
    for some in (count // 10, count):
        took[some], right, others = measured(keys[:some])
        copies = some // COPY_EACH
        print(f"{some:9,} photos {took[some]:8.1f} s   {right / copies:.4f} of {copies:,} copies, {others} other pairs")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    growth = took[count] / took[count // 10]
    print(f"peak memory {peak:.2f} GB (limit {MOST_GB:g}); {growth:.1f} times the time for ten times the photos")
    print(f"limit {MOST_S:g} s for 1,000,000; {growth:.1f} of at most {GROWTH_AT_MOST:g}")
    is_met = took[count] <= MOST_S * count / 1_000_000 and peak <= MOST_GB and growth <= GROWTH_AT_MOST
    sys.exit(not is_met)


if __name__ == "__main__":
    main()
