"""Train and validation: which photos belong together, and which groups are held out. Pure.

Photos of one product, photos with the same picture bytes, and near copies form a group that a split never cuts: a model
must not be measured on a product it has learned. Copies are those of `catalog.copies`, which sees some and not others.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.catalog.spelling import label_key
from app.datasets.manifest import Split

VALIDATION_SHARE: Final = 0.10
VALIDATION_AT_MOST: Final = 0.20
# With fewer groups, a held-out one would be missed in training more than it would tell.
GROUPS_TO_SPLIT: Final = 5


_Node = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Group:
    """Photos that stay together: how many, and the category that they count for."""

    size: int
    category: str


def group(photos: Sequence[tuple[str | None, str]], copies: Sequence[int | None] = ()) -> list[str]:
    """The group of each photo, given as (product or None, SHA-256 of the picture), and the number of its near copies
    (None: not known), if those were looked for.

    A group is named by its product in small letters, the first by the alphabet where a shared picture joins several,
    or by the picture where there is none; so the name does not depend on the order of photos.
    """
    parents: dict[_Node, _Node] = {}

    def root(node: _Node) -> _Node:
        while (above := parents.setdefault(node, node)) != node:
            parents[node] = parents.setdefault(above, above)
            node = parents[node]
        return node

    def join(left: _Node, right: _Node) -> None:
        first, second = sorted((root(left), root(right)), key=_rank)
        parents[second] = first

    for (product, picture), number in zip(photos, copies or [None] * len(photos), strict=True):
        # "SKU-1" and "sku-1" are one product, whoever typed them.
        if named := label_key(product or ""):
            join(("product", named), ("picture", picture))
        if number is not None:
            join(("copies", str(number)), ("picture", picture))
    return [root(("picture", picture))[1] for _, picture in photos]


def split(groups: Mapping[str, Group], seed: int = 0) -> dict[str, Split]:
    """Train or validation for each group: about a tenth of the photos held out, of each category alike.

    Groups are drawn in the order of the SHA-256 of seed and name, and each category is rounded up or down by a draw of
    its own: the same groups always split alike, a new one moves few others and none of another category. With
    GROUPS_TO_SPLIT groups or more at least one is held out, and never more than VALIDATION_AT_MOST of the photos.
    """
    if len(groups) < GROUPS_TO_SPLIT:
        return dict.fromkeys(groups, "train")
    at_most = VALIDATION_AT_MOST * sum(each.size for each in groups.values())
    draws = {name: _draw(name, seed) for name in groups}
    by_category: dict[str, list[str]] = defaultdict(list)
    for name in sorted(groups, key=draws.__getitem__):
        by_category[groups[name].category].append(name)
    held_out: set[str] = set()
    total = 0
    for category in sorted(by_category):
        wanted = VALIDATION_SHARE * sum(groups[name].size for name in by_category[category])
        # Of a group that only partly fits, 0 takes none and 1 takes all: the mean over categories is exact.
        rounding = int(_draw(f"category {category}", seed)[:8], 16) / 2**32
        held = 0
        for name in by_category[category]:
            size = groups[name].size
            if held + size * (1 - rounding) <= wanted and total + size <= at_most:
                held_out.add(name)
                held, total = held + size, total + size
    if not held_out:
        held_out.add(min(groups, key=lambda name: (groups[name].size, draws[name])))
    return {name: "validation" if name in held_out else "train" for name in groups}


def _rank(node: _Node) -> tuple[int, str]:
    """Products before pictures, so that a picture names a group only where no product does; copies name none."""
    return ("product", "picture", "copies").index(node[0]), node[1]


def _draw(name: str, seed: int) -> str:
    """Seed 0 draws by the name alone, as versions did before there were seeds."""
    return hashlib.sha256((f"{seed} {name}" if seed else name).encode("utf-8")).hexdigest()
