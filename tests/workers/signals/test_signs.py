"""Light, encoding and layout on drawn pictures whose truth is known, and on real photos that were changed."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter, ImageOps
from sqlalchemy import inspect

from app.catalog.measures import SCALE_OF
from app.catalog.outlines import area_of, is_inside, points_of
from app.catalog.tables import Image, PhotoMap, Signals
from app.demo.drawing import draw
from app.demo.worlds import base_world
from app.review.rules import LIMITS
from app.selection.tables import PhotoIndex
from workers.signals.measure import SignalValues, measure

Picture = Pillow.Image
Change = Callable[[Picture], Picture]


def saved(picture: Picture, quality: int) -> Picture:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Pillow.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def viewed(picture: Picture) -> Picture:
    """As intake keeps it for the screen."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=92, subsampling=0)
    return Pillow.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def enlarged(times: float) -> Change:
    def change(picture: Picture) -> Picture:
        small = (round(picture.width / times), round(picture.height / times))
        return picture.resize(small, Pillow.Resampling.LANCZOS).resize(picture.size, Pillow.Resampling.BICUBIC)

    return change


def with_bars(picture: Picture) -> Picture:
    return ImageOps.expand(picture, (0, picture.height // 12), "black")


def beside(first: Picture, second: Picture, gap: int = 0) -> Picture:
    both = Pillow.new("RGB", (2 * first.width + gap, first.height), "white")
    both.paste(first, (0, 0))
    both.paste(ImageOps.fit(second, first.size), (first.width + gap, 0))
    return both


def product(shadow: int = 0, at: tuple[int, int, int, int] = (220, 200, 580, 600), ground: str = "white") -> Picture:
    """A blue box on plain ground, in a soft shadow on white ground below it that is `shadow` levels deep."""
    paper = Pillow.new("RGB", (800, 800), ground)
    if shadow:
        x0, _, x1, y1 = at
        level = 255 - shadow
        ImageDraw.Draw(paper).ellipse((x0 - 40, y1 - 60, x1 + 40, y1 + 60), fill=(level, level, level))
        paper = paper.filter(ImageFilter.GaussianBlur(12))
    ImageDraw.Draw(paper).rectangle(at, fill=(40, 90, 170))
    return paper


def test_a_drawn_product_has_no_sign_of_anything() -> None:
    seen = measure(viewed(product()))
    assert (seen.border, seen.border_lines, seen.seam_lines, seen.parts) == (0.0, [], [], 1)
    assert (seen.clipped_light, seen.clipped_dark) == (0.0, 0.0)
    assert seen.shadow is not None and seen.shadow < 1
    assert seen.brightness == pytest.approx(38.4, abs=1)
    assert seen.blockiness is not None and seen.blockiness < 0.3


def test_every_measure_has_a_unit_and_lies_in_its_range() -> None:
    pictures = [product(), product(shadow=60), with_bars(product()), Pillow.new("RGB", (90, 70), "white")]
    for seen in map(measure, pictures):
        for name in SCALE_OF.keys() & {each.name for each in fields(SignalValues)}:
            value, scale = getattr(seen, name), SCALE_OF[name]
            assert value is None or scale.low <= value <= scale.high, (name, value)
    stored = {column.key for table in (Signals, PhotoIndex, PhotoMap, Image) for column in inspect(table).columns}
    assert stored >= SCALE_OF.keys()
    assert SCALE_OF["clipped_light"].written(0.0541) == "5.4 %" and SCALE_OF["fill"].range == "0 to 100 %"
    assert SCALE_OF["shadow"].written(None) == "cannot tell"


@pytest.mark.parametrize(("levels", "least", "most"), [(20, 2, 10), (60, 8, 26), (110, 18, 48)])
def test_a_shadow_is_as_deep_as_it_was_drawn(levels: int, least: float, most: float) -> None:
    seen = measure(viewed(product(shadow=levels)))
    assert seen.shadow is not None and least <= seen.shadow <= most


def test_no_ground_below_a_product_tells_no_shadow() -> None:
    assert measure(product(at=(220, 300, 580, 800))).shadow is None


@pytest.mark.parametrize(("colour", "light", "dark"), [((254, 255, 254), 0.18, 0), ((0, 0, 0), 0, 0.18)])
def test_clipping_is_a_share_of_the_subject(colour: tuple[int, int, int], light: float, dark: float) -> None:
    picture = product(ground="#b0b0b0")
    # A stripe on the product: 65 px of 360.
    ImageDraw.Draw(picture).rectangle((300, 240, 365, 560), fill=colour)
    seen = measure(picture)
    share = 65 * 320 / (360 * 400)
    assert seen.clipped_light == pytest.approx(share if light else 0, abs=0.02)
    assert seen.clipped_dark == pytest.approx(share if dark else 0, abs=0.02)


def test_a_grey_photo_in_rgb_has_no_colour() -> None:
    for scene, _ in base_world(8, seed=5):
        drawn = Pillow.fromarray(draw(scene, 320))
        seen, grey = measure(viewed(drawn)), measure(viewed(drawn.convert("L").convert("RGB")))
        assert grey.chroma is not None and seen.chroma is not None
        assert grey.chroma < LIMITS["grey_below"].usual < seen.chroma or seen.chroma < 8


@pytest.mark.parametrize("colour", ["black", "#808080", "#e0c040"])
@pytest.mark.parametrize("sides", [(40, 0), (0, 40), (30, 30)])
def test_bars_and_frames_end_where_they_were_drawn(colour: str, sides: tuple[int, int]) -> None:
    across, down = sides
    inner = product().filter(ImageFilter.GaussianBlur(1))
    framed = Pillow.new("RGB", (800 + 2 * across, 800 + 2 * down), colour)
    framed.paste(inner, (across, down))
    seen = measure(viewed(framed))
    expected = {("x", across / framed.width), ("y", down / framed.height)}
    expected = {(axis, at) for axis, share in expected if share for at in (share, 1 - share)}
    assert len(seen.border_lines) == len(expected)
    for axis, at in seen.border_lines:
        assert min(abs(at - other) for name, other in expected if name == axis) < 0.01
    assert seen.border == pytest.approx(max(across / framed.width, down / framed.height), abs=0.01)


def test_several_products_are_counted_and_the_outline_lies_around_them() -> None:
    picture = Pillow.new("RGB", (900, 600), "white")
    pen = ImageDraw.Draw(picture)
    for x in (60, 340, 620):
        pen.ellipse((x, 180, x + 220, 400), fill=(200, 40, 40))
    seen = measure(picture)
    assert seen.parts == 3 and seen.outline is not None
    rings = points_of(seen.outline)
    assert len(rings) == 3
    assert sum(map(area_of, rings)) == pytest.approx(3 * np.pi * 110**2 / (900 * 600), rel=0.04)
    assert sum(is_inside(ring, 0.19, 0.48) for ring in rings) == 1
    assert not any(is_inside(ring, 0.5, 0.1) for ring in rings)
    assert len(seen.outline) < 2500


def test_small_and_flat_pictures_cannot_tell() -> None:
    tiny, flat = measure(Pillow.new("RGB", (12, 12), "red")), measure(Pillow.new("RGB", (300, 200), "white"))
    assert (tiny.border, tiny.blockiness, tiny.detail, tiny.parts, tiny.outline) == (None,) * 5
    assert (flat.blockiness, flat.detail, flat.brightness, flat.shadow) == (None,) * 4


class Rates:
    """How many real photos a limit speaks of as they are, and after a change."""

    def __init__(self, photos: list[Path]) -> None:
        self.plain = [measure(viewed(opened(photo))) for photo in photos]
        self.photos = photos

    def rate(self, limit: str, change: Change | None = None) -> float:
        seen = [measure(viewed(change(opened(photo)))) for photo in self.photos] if change else self.plain
        return sum(speaks(limit, values) for values in seen) / len(seen)


def opened(path: Path) -> Picture:
    with Pillow.open(path) as photo:
        return ImageOps.exif_transpose(photo).convert("RGB")


def speaks(name: str, values: SignalValues) -> bool:
    limit = LIMITS[name]
    value = getattr(values, limit.signal)
    return value is not None and (value > limit.usual if limit.is_above else value < limit.usual)


def test_real_photos_are_told_from_what_was_done_to_them(photos: Path) -> None:
    """Every second photo was tuned on; these are some of the others. Rates are those of the benchmark, with room."""
    clothing, grocery = (sorted(photos.glob(f"{kind}/**/*.jpg"))[1::2] for kind in ("clothing", "grocery"))
    some = [*clothing[::70], *grocery[::60]]
    rates = Rates(some)
    for limit in ("blocky_above", "enlarged_below", "grey_below", "framed_above", "collage_above"):
        assert rates.rate(limit) <= 0.05, limit
    assert rates.rate("blocky_above", lambda photo: saved(photo, 10)) >= 0.85
    assert rates.rate("enlarged_below", enlarged(3)) >= 0.9
    assert rates.rate("grey_below", lambda photo: photo.convert("L").convert("RGB")) == 1
    assert rates.rate("framed_above", with_bars) >= 0.9
    other = opened(some[0])
    assert rates.rate("collage_above", lambda photo: beside(photo, ImageOps.flip(other), 8)) >= 0.85
