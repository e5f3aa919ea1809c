"""Fingerprints: copies have one cluster, other pictures another, and nothing depends on order or number."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw, ImageOps

from app.catalog.fingerprints import (
    BITS_AT_MOST,
    COLOUR_AT_MOST,
    GAIN_AT_MOST,
    LOW_BITS_AT_MOST,
    MARK_BYTES,
    SIGN_BYTES,
    clusters,
)
from tests.pictures import BORDERED, COPIES, Picture, cut, patches
from workers.signals.fingerprint import fingerprint


@pytest.mark.parametrize("kind", COPIES | BORDERED)
def test_a_copy_is_known(kind: str) -> None:
    pictures = [patches(seed) for seed in range(12)]
    marks = [fingerprint(picture) for picture in pictures] + [
        fingerprint((COPIES | BORDERED)[kind](p)) for p in pictures
    ]
    numbers = clusters(marks)
    assert numbers[:12] == numbers[12:]
    assert len(set(numbers)) == 12


def test_other_pictures_and_other_colours_are_no_copies() -> None:
    red, green, blue = patches(1).split()
    other_colours = Pillow.merge("RGB", (blue, red, green))
    cropped = cut(patches(1), 0.1)
    marks = [fingerprint(picture) for picture in (patches(1), other_colours, cropped, *map(patches, range(2, 60)))]
    assert len(set(clusters(marks))) == len(marks)


def test_two_pictures_are_not_joined_by_the_border_around_both() -> None:
    bordered = [fingerprint(ImageOps.expand(patches(seed), 60, "white")) for seed in range(40)]
    assert len(set(clusters(bordered))) == len(bordered)


def test_a_picture_whose_border_is_known_joins_what_is_like_either() -> None:
    inner, outer = patches(1), ImageOps.expand(patches(1), 60, "white")
    both, first, second = (fingerprint(picture) for picture in (outer, inner, outer))
    assert both is not None and second is not None and len(both) == 2 * MARK_BYTES
    assert clusters([first, both, second[:MARK_BYTES], None]) == [0, 0, 0, None]


def test_a_flat_picture_tells_nothing() -> None:
    assert fingerprint(Pillow.new("RGB", (300, 200), "white")) is None
    assert clusters([None, fingerprint(patches(1)), None]) == [None, 0, None]
    assert clusters([]) == []


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (64, 64)])
def test_any_size_is_read(size: tuple[int, int]) -> None:
    mark = fingerprint(patches(1).resize(size))
    assert mark is None or len(mark) == MARK_BYTES


@pytest.mark.parametrize("box", [(150, 100, 150, 100), (0, 0, 299, 0), (290, 190, 299, 199)])
def test_a_speck_on_a_plain_ground_is_read(box: tuple[int, int, int, int]) -> None:
    picture = Pillow.new("RGB", (300, 200), "white")
    ImageDraw.Draw(picture).rectangle(box, fill="black")
    assert clusters([fingerprint(picture), fingerprint(picture)]) in ([0, 0], [None, None])


def test_the_search_finds_what_comparing_all_pairs_finds() -> None:
    draw = np.random.default_rng(4)
    bases = draw.integers(0, 256, (20, MARK_BYTES), dtype=np.uint8)
    marks = []
    for base, changed in itertools.product(bases, (0, 2, 11, 30, 48, 49, 60)):
        bits = np.unpackbits(base[:SIGN_BYTES])
        bits[draw.choice(len(bits), changed, replace=False)] ^= 1
        colours = np.clip(base[SIGN_BYTES:].astype(int) + draw.integers(-20, 21), 0, 255).astype(np.uint8)
        marks.append(np.packbits(bits).tobytes() + colours.tobytes())
    assert _partition(clusters(marks)) == _partition(_slowly(marks))
    order = draw.permutation(len(marks))
    shuffled = clusters([marks[place] for place in order])
    assert _partition([shuffled[place] for place in np.argsort(order)]) == _partition(_slowly(marks))


def _slowly(marks: list[bytes]) -> list[int]:
    numbers = list(range(len(marks)))
    for one, other in itertools.combinations(range(len(marks)), 2):
        if _is_near(marks[one], marks[other]):
            numbers = [numbers[one] if number == numbers[other] else number for number in numbers]
    return numbers


def _is_near(one: bytes, other: bytes) -> bool:
    rows = [np.frombuffer(mark, np.uint8) for mark in (one, other)]
    bits = np.unpackbits(rows[0][:SIGN_BYTES] ^ rows[1][:SIGN_BYTES])
    colours = [row[SIGN_BYTES:].astype(float) for row in rows]
    lengths = [np.linalg.norm(each) for each in colours]
    gain = np.sqrt(np.clip(lengths[0] / lengths[1], 1 / GAIN_AT_MOST, GAIN_AT_MOST))
    off = colours[0] / gain - colours[1] * gain
    is_like = bits[:128].sum() <= LOW_BITS_AT_MOST and bits.sum() <= BITS_AT_MOST
    return bool(is_like and (off**2).mean() <= COLOUR_AT_MOST**2)


def _partition(numbers: list[int | None] | list[int]) -> set[frozenset[int]]:
    return {frozenset(place for place, number in enumerate(numbers) if number == each) for each in set(numbers)}


@pytest.mark.photos
def test_copies_of_real_photos_are_known_and_no_two_photos_are_taken_for_one(photos: Path) -> None:
    files = [*sorted(photos.glob("grocery/packshots/**/*.jpg"))[:9], *sorted(photos.glob("clothing/*/*.jpg"))[::150]]
    marks, places = [], []
    for place, file in enumerate(files):
        picture: Picture = ImageOps.exif_transpose(Pillow.open(file)).convert("RGB")
        for copy in (picture, *(make(picture) for make in COPIES.values())):
            marks.append(fingerprint(copy))
            places.append(place)
    numbers = clusters(marks)
    assert len(set(numbers)) == len(files)
    assert len(set(zip(places, numbers, strict=True))) == len(files)
