"""Sizes of pictures and the walk through the members: which come together, and when. Depends on seed and step alone.

A micro-batch holds pictures of one size. Each size has its own endless walk through its members, shuffled anew each
time round; how often a size is next is in proportion to its members. So nothing is left out or shown twice as often,
whatever the numbers, and any moment of the walk can be computed without having walked there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch

from workers.finetune.loss import keyed_generator

Size = tuple[int, int]
"""Width and height in pixels."""

# PRX part 4: thirteen aspect ratios from 1:2 to 2:1.
RATIOS = tuple(2.0 ** (i / 6) for i in range(-6, 7))


def sizes(resolution_px: int, multiple: int, has_buckets: bool) -> list[Size]:
    """The sizes pictures are fitted into: one square, or about its area in `RATIOS`; sides are such multiples."""
    if not has_buckets:
        return [(resolution_px, resolution_px)]
    shapes = {
        (_rounded(resolution_px * math.sqrt(ratio), multiple), _rounded(resolution_px / math.sqrt(ratio), multiple))
        for ratio in RATIOS
    }
    return sorted(shapes)


def nearest(width_px: int, height_px: int, among: Sequence[Size]) -> int:
    """The index of the size whose proportions are nearest to the picture's."""
    wanted = math.log(width_px / height_px)
    return min(range(len(among)), key=lambda i: abs(math.log(among[i][0] / among[i][1]) - wanted))


class Walk:
    """An endless sequence of micro-batches over members that are sorted into buckets."""

    def __init__(self, buckets: Sequence[Sequence[int]], micro_batch: int, *key: int | str) -> None:
        self._buckets = [list(bucket) for bucket in buckets if len(bucket) > 0]
        self._micro_batch = micro_batch
        self._key = key
        self._member_count = sum(map(len, self._buckets))
        # A few rounds are enough: a step never looks further back or ahead than its own.
        self._round = lru_cache(maxsize=4)(self._shuffled_round)
        self._members = lru_cache(maxsize=2 * len(self._buckets) + 2)(self._shuffled_members)

    def at(self, index: int) -> list[int]:
        """The members of micro-batch `index` (0-based), all of one bucket."""
        number = self._round_of(index)
        bucket, emission = self._round(number)[index - self._before(number)]
        places = range(emission * self._micro_batch, (emission + 1) * self._micro_batch)
        count = len(self._buckets[bucket])
        return [self._members(bucket, place // count)[place % count] for place in places]

    def _emissions(self, bucket: int, rounds: int) -> int:
        """Micro-batches that a bucket has given out before round `rounds`."""
        return rounds * len(self._buckets[bucket]) // self._micro_batch

    def _before(self, rounds: int) -> int:
        return sum(self._emissions(bucket, rounds) for bucket in range(len(self._buckets)))

    def _round_of(self, index: int) -> int:
        number = index * self._micro_batch // self._member_count
        while self._before(number + 1) <= index:
            number += 1
        while self._before(number) > index:
            number -= 1
        return number

    def _shuffled_round(self, number: int) -> list[tuple[int, int]]:
        """Pairs (bucket, its how-manieth micro-batch) of one round, in the order they come."""
        turns = [
            bucket
            for bucket in range(len(self._buckets))
            for _ in range(self._emissions(bucket, number), self._emissions(bucket, number + 1))
        ]
        following = [self._emissions(bucket, number) for bucket in range(len(self._buckets))]
        micro_batches = []
        for turn in _shuffled(len(turns), *self._key, "round", number):
            bucket = turns[turn]
            micro_batches.append((bucket, following[bucket]))
            following[bucket] += 1
        return micro_batches

    def _shuffled_members(self, bucket: int, time: int) -> list[int]:
        members = self._buckets[bucket]
        return [members[i] for i in _shuffled(len(members), *self._key, "epoch", bucket, time)]


def _shuffled(count: int, *key: int | str) -> list[int]:
    order: list[int] = torch.randperm(count, generator=keyed_generator(torch.device("cpu"), *key)).tolist()
    return order


def _rounded(side: float, multiple: int) -> int:
    return max(multiple, round(side / multiple) * multiple)
