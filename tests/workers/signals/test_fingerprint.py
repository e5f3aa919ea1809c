"""Fingerprints: copies have one cluster, other pictures another, and nothing depends on order or number."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw, ImageEnhance, ImageOps

from app.catalog.copies import Match, clusters, find
from app.catalog.fingerprints import KEY_BYTES, THUMB_BYTES
from app.catalog.neighbours import NEAR_AT_MOST, in_poses, pairs
from app.demo.drawing import draw
from app.demo.worlds import make_scene
from tests.pictures import BORDERED, COPIES, Picture, again, cut, patches
from workers.signals.fingerprint import Fingerprint, fingerprint

CUT = {
    "cut by 3 % of each side": lambda picture: cut(picture, 0.03),
    "cut by 3 % on two sides": lambda p: p.crop((0, 0, round(p.width * 0.97), round(p.height * 0.97))),
    "cut and mirrored": lambda picture: ImageOps.mirror(cut(picture, 0.02)),
}


def copies_of(pictures: Sequence[Picture]) -> list[int | None]:
    """The cluster of each picture."""
    return clusters_of([fingerprint(picture) for picture in pictures])


def clusters_of(prints: Sequence[Fingerprint]) -> list[int | None]:
    thumbs = dict(enumerate(each.thumbs or b"" for each in prints))
    return clusters([each.keys for each in prints], lambda places: {place: thumbs[place] for place in places})


def pairs_of(pictures: Sequence[Picture]) -> list[Match]:
    prints = [fingerprint(picture) for picture in pictures]
    thumbs = dict(enumerate(each.thumbs or b"" for each in prints))
    return list(find([each.keys for each in prints], lambda places: {place: thumbs[place] for place in places}))


@pytest.mark.parametrize("kind", COPIES | BORDERED | CUT)
def test_a_copy_is_known(kind: str) -> None:
    pictures = [patches(seed) for seed in range(12)]
    numbers = copies_of([*pictures, *((COPIES | BORDERED | CUT)[kind](picture) for picture in pictures)])
    assert numbers[:12] == numbers[12:]
    assert len(set(numbers)) == 12


def test_other_pictures_and_other_colours_are_no_copies() -> None:
    red, green, blue = patches(1).split()
    other_colours = Pillow.merge("RGB", (blue, red, green))
    pictures = [patches(1), other_colours, cut(patches(1), 0.25), *map(patches, range(2, 60))]
    assert len(set(copies_of(pictures))) == len(pictures)


def product(colour: str, ground: str = "white") -> Picture:
    """A mug with a handle and a dot, whose colour alone can be chosen."""
    picture = Pillow.new("RGB", (400, 400), ground)
    pen = ImageDraw.Draw(picture)
    pen.ellipse((220, 150, 340, 270), outline=colour, width=24)
    pen.rectangle((100, 90, 260, 330), fill=colour)
    pen.ellipse((130, 120, 160, 150), fill="black")
    return picture


def test_one_product_in_two_colours_is_no_copy_but_a_variant() -> None:
    # Of one lightness: nothing but the colour tells them apart.
    assert len(set(copies_of([product("#3c8a3c"), product("#7a7a7a"), product("#c2506b")]))) == 3
    (pair,) = pairs_of([product("#4f8a3f"), product("#6a833a")])
    assert pair.is_variant


@pytest.mark.parametrize(("kind", "seed"), [("chair", 0), ("lamp", 0), ("lamp", 1), ("kettle", 2)])
def test_one_product_on_another_ground_is_another_photo(kind: str, seed: int) -> None:
    scene = make_scene(kind, "purple", "light grey", np.random.default_rng(seed), "centred")
    grounds = scene, replace(scene, background="pure white", scale=scene.scale * 1.07)
    assert pairs_of([Pillow.fromarray(draw(each, 400, 400)) for each in grounds]) == []
    darker = ImageEnhance.Brightness(Pillow.fromarray(draw(scene, 400, 400))).enhance(0.8)
    assert len(pairs_of([Pillow.fromarray(draw(scene, 400, 400)), darker])) == 1


def test_a_wider_border_leaves_the_same_frame_of_what_is_wider_at_its_foot() -> None:
    picture = Pillow.new("RGB", (512, 512), "white")
    pen = ImageDraw.Draw(picture)
    pen.polygon([(180, 150), (300, 150), (330, 280), (150, 280)], fill="#dc7896")
    pen.rectangle((232, 280, 246, 400), fill="#969696")
    pen.rectangle((138, 394, 342, 408), fill="#dc7896")
    (pair,) = pairs_of([picture, again(ImageOps.expand(picture, 61, "white"), "JPEG", quality=90)])
    assert (pair.frames, pair.rest < 0.03) == ((1, 1), True)


def test_two_pictures_are_not_joined_by_the_border_around_both() -> None:
    bordered = [ImageOps.expand(patches(seed), 60, "white") for seed in range(40)]
    assert len(set(copies_of(bordered))) == len(bordered)


def test_a_picture_whose_border_is_known_joins_what_is_like_either() -> None:
    inner, outer = patches(1), ImageOps.expand(patches(1), 60, "white")
    both = fingerprint(outer)
    assert both.keys is not None and both.thumbs is not None and len(both.keys) == 2 * KEY_BYTES
    whole = Fingerprint(both.keys[:KEY_BYTES], both.thumbs[:THUMB_BYTES])
    assert clusters_of([fingerprint(inner), both, whole, Fingerprint(None, None)]) == [0, 0, 0, None]


def test_a_flat_picture_tells_nothing() -> None:
    flat = fingerprint(Pillow.new("RGB", (300, 200), "white"))
    assert flat == Fingerprint(None, None)
    assert clusters_of([flat, fingerprint(patches(1)), flat]) == [None, 1, None]
    assert clusters_of([]) == []


def test_a_photo_whose_thumbs_are_gone_is_a_copy_of_none() -> None:
    mark = fingerprint(patches(1))
    assert clusters([mark.keys, mark.keys], lambda places: {}) == [0, 1]


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (64, 64)])
def test_any_size_is_read(size: tuple[int, int]) -> None:
    keys = fingerprint(patches(1).resize(size)).keys
    assert keys is None or len(keys) % KEY_BYTES == 0


@pytest.mark.parametrize("box", [(150, 100, 150, 100), (0, 0, 299, 0), (290, 190, 299, 199)])
def test_a_speck_on_a_plain_ground_is_read(box: tuple[int, int, int, int]) -> None:
    picture = Pillow.new("RGB", (300, 200), "white")
    ImageDraw.Draw(picture).rectangle(box, fill="black")
    assert copies_of([picture, picture]) in ([0, 0], [None, None])


def test_new_photos_alone_are_compared_with_all() -> None:
    pictures = [patches(seed % 8) for seed in range(24)]
    prints = [fingerprint(picture) for picture in pictures]
    thumbs = {place: each.thumbs or b"" for place, each in enumerate(prints)}
    is_new = np.arange(24) >= 16
    asked: set[int] = set()

    def given(places: Sequence[int]) -> dict[int, bytes]:
        asked.update(places)
        return {place: thumbs[place] for place in places}

    met = {(pair.first, pair.second) for pair in find([each.keys for each in prints], given, is_new)}
    assert {place for pair in met for place in pair if is_new[place]} == set(range(16, 24))


def test_the_search_finds_what_comparing_all_pairs_finds() -> None:
    draw = np.random.default_rng(4)
    base = draw.normal(size=(3_000, KEY_BYTES)).astype(np.float32)
    base = np.concatenate([base, base[:600] + 0.2 * draw.normal(size=(600, KEY_BYTES))])
    base[:, :63] *= 127 / np.linalg.norm(base[:, :63], axis=1, keepdims=True)
    poses = draw.integers(0, 8, len(base))
    keys = np.rint(np.clip(in_poses(base.astype(np.float32), poses), -127, 127)).astype(np.int8).view(np.uint8)
    met = {
        (min(a, b), max(a, b))
        for some in pairs(keys, np.ones(len(keys), np.bool_))
        for a, b in zip(some.first.tolist(), some.second.tolist(), strict=True)
    }
    wanted = {(place, 3_000 + place) for place in range(600)}
    assert len(wanted - met) <= 6 and len(met - wanted) <= 2 and NEAR_AT_MOST < 1


def test_very_many_alike_are_joined_without_comparing_each_with_each() -> None:
    mark = fingerprint(patches(3))
    count = 0

    def given(places: Sequence[int]) -> dict[int, bytes]:
        nonlocal count
        count += len(places)
        return dict.fromkeys(places, mark.thumbs or b"")

    assert set(clusters([mark.keys] * 5_000, given)) == {0}
    assert count < 20_000


@pytest.mark.photos
def test_copies_of_real_photos_are_known_and_no_two_photos_are_taken_for_one(photos: Path) -> None:
    files = [*sorted(photos.glob("grocery/packshots/**/*.jpg"))[:9], *sorted(photos.glob("clothing/*/*.jpg"))[::150]]
    pictures, places = [], []
    for place, file in enumerate(files):
        picture: Picture = ImageOps.exif_transpose(Pillow.open(file)).convert("RGB")
        made = (picture, *(make(picture) for make in itertools.chain(COPIES.values(), BORDERED.values())))
        pictures += made
        places += [place] * len(made)
    numbers = copies_of(pictures)
    assert len(set(numbers)) == len(files)
    assert len(set(zip(places, numbers, strict=True))) == len(files)
