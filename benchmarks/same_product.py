"""Other photos of one product, known by their looks: how many are joined, and how many that show something else.

    python -m benchmarks.same_product [folder of photos]

Products are those of the file names in `grocery/in_store`, ten photos of a shelf each; every second product, for limits
were set on the others. In `clothing` (every second photo) no name says which garment is shown: pairs that are joined
there are printed to be looked at. Variants: the second photo of each joined pair, its hue turned. Beside it what
thresholds of likeness alone do (as FiftyOne's near duplicates): at the likeness that joins as many true pairs.
Targets: of the joined pairs 95 % true, under 1 % of variants joined; recall is reported.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from app.catalog import lookalikes
from app.catalog.lookalikes import Lookalike, Vectors
from benchmarks.copies import Picture, turned_in_hue
from workers.embedding import efficientnet
from workers.embedding.embedder import Embedder
from workers.signals.fingerprint import fingerprint

PRECISION_AT_LEAST: Final = 0.95
VARIANTS_AT_MOST: Final = 0.01
TURNED_BY: Final = (30, 60, 120)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data")
    shelves = sorted((folder / "grocery" / "in_store").glob("*.jpg"))
    garments = sorted((folder / "clothing").rglob("*.jpg"))[1::2]
    products = sorted({product_of(file) for file in shelves})[1::2]
    shelves = [file for file in shelves if product_of(file) in products]
    if not shelves:
        sys.exit(f"There are no photos in {folder}/grocery/in_store.")
    with tempfile.TemporaryDirectory() as cache:
        embedder: Embedder = efficientnet.load(Path(cache))
        pictures = [opened(file) for file in shelves]
        vectors, thumbs = seen(embedder, pictures)
        pairs = joined(vectors, thumbs)
        names = [product_of(file) for file in shelves]
        is_met = report(names, vectors, pairs)
        is_met &= report_variants(embedder, pictures, vectors, thumbs, pairs)
        others, other_thumbs = seen(embedder, [opened(file) for file in garments])
    together = joined(others, other_thumbs)
    print(f"{len(garments)} photos of garments: {len(together)} pairs joined")
    for pair in together:
        print(f"  {garments[pair.first_id].relative_to(folder)} = {garments[pair.second_id].relative_to(folder)}")
    limit = as_alike(names, vectors, true_pairs(names, pairs))
    print(f"  by likeness alone, at {limit:.3f}: {len(above(others, limit))} pairs")
    sys.exit(not is_met)


def product_of(file: Path) -> str:
    return re.sub(r"_\d+$", "", file.stem)


def opened(file: Path) -> Picture:
    picture = ImageOps.exif_transpose(Pillow.open(file)).convert("RGB")
    picture.thumbnail((1024, 1024))
    return picture


def seen(embedder: Embedder, pictures: Sequence[Picture]) -> tuple[Vectors, dict[int, bytes]]:
    vectors: Any = np.concatenate([embedder.look(pictures[at : at + 16]) for at in range(0, len(pictures), 16)])
    return vectors, {at: fingerprint(picture).thumbs or b"" for at, picture in enumerate(pictures)}


def joined(vectors: Vectors, thumbs: dict[int, bytes]) -> list[Lookalike]:
    ids = list(range(len(vectors)))
    pairs = lookalikes.outstanding(ids, set(ids), lambda places: lookalikes.nearest(vectors, places))
    return lookalikes.in_one_colour(list(pairs), thumbs)


def true_pairs(names: Sequence[str], pairs: Sequence[Lookalike]) -> int:
    return sum(names[pair.first_id] == names[pair.second_id] for pair in pairs)


def above(vectors: Vectors, limit: float) -> list[tuple[int, int]]:
    """Pairs as alike as that."""
    likeness = vectors @ vectors.T
    left, right = np.nonzero(np.triu(likeness >= limit, 1))
    return list(zip(left.tolist(), right.tolist(), strict=True))


def as_alike(names: Sequence[str], vectors: Vectors, count: int) -> float:
    """The likeness at which as many pairs of one product are alike."""
    likeness = vectors @ vectors.T
    same = sorted((likeness[a, b] for a, b in combinations(range(len(names)), 2) if names[a] == names[b]), reverse=True)
    return float(same[count - 1])


def report(names: Sequence[str], vectors: Vectors, pairs: Sequence[Lookalike]) -> bool:
    right = true_pairs(names, pairs)
    possible = sum(a == b for a, b in combinations(names, 2))
    rights = [(pair.first_id, pair.second_id) for pair in pairs if names[pair.first_id] == names[pair.second_id]]
    reached = {number for pair in rights for number in pair}
    precision = right / max(1, len(pairs))
    limit = as_alike(names, vectors, right)
    rival = above(vectors, limit)
    rival_right = sum(names[a] == names[b] for a, b in rival)
    print(f"{len(names)} photos of {len(set(names))} products on shelves")
    print(f"{'':34}{'Packshot':>10}{'likeness alone':>16}")
    print(f"{'pairs joined':34}{len(pairs):10}{len(rival):16}")
    print(f"{'of them of one product':34}{precision:10.3f}{rival_right / max(1, len(rival)):16.3f}")
    print(f"{'of all pairs of one product':34}{right / possible:10.3f}{rival_right / possible:16.3f}")
    print(f"{'photos joined with another one':34}{len(reached) / len(names):10.3f}")
    return precision >= PRECISION_AT_LEAST


def report_variants(
    embedder: Embedder,
    pictures: Sequence[Picture],
    vectors: Vectors,
    thumbs: dict[int, bytes],
    pairs: Sequence[Lookalike],
) -> bool:
    """Each joined pair once more with its second photo in another hue, in its place."""
    is_met = True
    chosen = sorted({pair.second_id for pair in pairs})
    for degrees in TURNED_BY:
        made, other_thumbs = seen(embedder, [turned_in_hue(pictures[at], degrees) for at in chosen])
        merged = 0
        for at, vector in zip(chosen, made, strict=True):
            changed = vectors.copy()
            changed[at] = vector
            with_it = {**thumbs, at: other_thumbs[chosen.index(at)]}
            partners = {pair.first_id for pair in pairs if pair.second_id == at}
            merged += any(pair.second_id == at and pair.first_id in partners for pair in joined(changed, with_it))
        share = merged / max(1, len(chosen))
        print(f"hue + {degrees:3}, of {len(chosen)} photos joined {share:10.3f}")
        is_met &= share <= VARIANTS_AT_MOST
    return is_met


if __name__ == "__main__":
    main()
