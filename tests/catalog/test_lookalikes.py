"""Which photos stand out as one product by their looks, and what groups that makes."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pytest
from numpy.typing import NDArray

from app.catalog import grouping, lookalikes
from app.catalog.grouping import Contender
from app.catalog.lookalikes import Lookalike
from benchmarks.copies import turned_in_hue
from tests.pictures import again, coloured, cut
from workers.signals.fingerprint import fingerprint

Vectors = NDArray[np.float32]


def shelf(spread: float) -> Vectors:
    """Two photos of one product, 0.9 alike, among 14 others, each about `spread` alike to all."""
    draw = np.random.default_rng(3)
    common, own = draw.normal(size=200), draw.normal(size=(15, 200))
    common, own = common / np.linalg.norm(common), own / np.linalg.norm(own, axis=1, keepdims=True)
    photos = np.sqrt(spread) * common + np.sqrt(1 - spread) * own
    second = 0.9 * photos[0] + np.sqrt(1 - 0.81) * draw.normal(size=200) / np.sqrt(200)
    vectors = np.vstack([photos, second])
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def found(vectors: Vectors, asked: set[int] | None = None) -> list[tuple[int, int]]:
    ids = list(range(100, 100 + len(vectors)))
    pairs = lookalikes.outstanding(ids, asked or set(ids), lambda places: lookalikes.nearest(vectors, places))
    return [(pair.first_id, pair.second_id) for pair in pairs]


def test_a_pair_stands_out_from_what_is_near_it_and_not_by_being_alike_alone() -> None:
    assert found(shelf(0.4)) == [(100, 115)]
    assert found(shelf(0.4), asked={115}) == [(100, 115)]
    assert found(shelf(0.4), asked={107}) == []
    # On one bed, in one light, all shirts are alike.
    assert found(shelf(0.85)) == []
    assert found(shelf(0.4)[[0, 15]]) == []


def test_what_differs_in_colour_is_no_lookalike() -> None:
    picture = coloured(1)
    thumbs = {
        number: fingerprint(made).thumbs or b""
        for number, made in enumerate(
            (picture, again(cut(picture, 0.08), "JPEG", quality=70), *(turned_in_hue(picture, by) for by in (30, 120)))
        )
    }
    pairs = [Lookalike(0, other, 0.9, 0.5) for other in (1, 2, 3, 9)]
    assert lookalikes.in_one_colour(pairs, thumbs) == pairs[:1]


def photo(number: int, product: str | None = None, lab: tuple[float, ...] | None = None) -> Contender:
    return Contender(number, str(number), 100 + number, 100, 1000, product, None, 0.5, 0.8, lab)


def grouped(
    photos: list[Contender], *looks: tuple[int, int], apart: Collection[tuple[int, int]] = ()
) -> list[list[int]]:
    alike = [Lookalike(*edge, 0.9, 0.5 - at / 100) for at, edge in enumerate(looks)]
    return [sorted(m.image_id for m in group.members) for group in grouping.groups(photos, [], apart, alike)]


def test_looks_join_photos_with_products_but_never_two_products() -> None:
    photos = [photo(1, "k-1"), photo(2, "k-1"), photo(3), photo(4, "k-2"), photo(5)]
    assert grouped(photos, (2, 3)) == [[1, 2, 3]]
    assert grouped(photos, (2, 4)) == [[1, 2]]
    assert grouped(photos, (2, 3), (3, 4)) == [[1, 2, 3]]
    assert grouped(photos, (2, 3), apart={(2, 3)}) == [[1, 2]]
    assert grouped(photos, (3, 5)) == [[1, 2], [3, 5]]


def test_looks_make_no_chains() -> None:
    photos = [photo(number) for number in range(1, 8)]
    chain = [(number, number + 1) for number in range(1, 7)]
    assert max(map(len, grouped(photos, *chain))) <= 3
    assert grouped(photos, *((a, b) for a in range(1, 8) for b in range(a + 1, 8))) == [[1, 2, 3, 4, 5, 6, 7]]


@pytest.mark.parametrize(("lab", "is_variant"), [((60.0, 50.0, 20.0), True), ((61.0, 2.0, 1.0), False)])
def test_a_photo_joined_by_looks_says_so_and_another_colour_stays_a_variant(
    lab: tuple[float, ...], is_variant: bool
) -> None:
    photos = [photo(1, lab=(60.0, 0.0, 0.0)), photo(2, lab=lab)]
    (group,) = grouping.groups(photos, [], [], [Lookalike(1, 2, 0.9, 0.5)])
    other = group.members[1]
    assert (other.is_variant, other.differs) == (is_variant, () if is_variant else ("looks alike",))
