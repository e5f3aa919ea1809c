"""Where a product's colour is looked for in a photo, what counts as told, and what nobody can tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from app.catalog.colours import MULTICOLOUR
from benchmarks.colours import read, tally
from workers.signals.colour import Colour, colour_of
from workers.signals.lab import lab_planes
from workers.signals.mask import Segmentation
from workers.signals.measure import measure
from workers.signals.regions import Mask

HEIGHT, WIDTH = 240, 320
RED, BROWN, WHITE = (200, 40, 44), (150, 110, 62), (250, 250, 250)
NOTHING: Colour = {"subject_lab": None, "subject_colour": None}


def frame(paint: tuple[int, int, int]) -> np.ndarray:
    """A frame of one paint under light that wanders by a tenth, and a camera's noise: uint8 sRGB."""
    rng = np.random.default_rng(4)
    light = 1 + 0.1 * np.sin(np.linspace(0, 20, WIDTH))[None, :, None]
    pixels = np.array(paint) * light + rng.normal(0, 3, (HEIGHT, WIDTH, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def middle(share: float = 0.5) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    top, left = round(HEIGHT * (1 - share) / 2), round(WIDTH * (1 - share) / 2)
    mask[top : HEIGHT - top, left : WIDTH - left] = True
    return mask


def named(pixels: np.ndarray, finding: Segmentation) -> str | None:
    return colour_of(lab_planes(pixels), finding)["subject_colour"]


def outlined(confidence: float = 0.95, is_plain: bool = False) -> Segmentation:
    return Segmentation(middle(), ~middle(), is_plain, confidence)


def without_outline(likely: Mask | None = None, is_plain: bool = False) -> Segmentation:
    return Segmentation(None, np.ones((HEIGHT, WIDTH), dtype=bool), is_plain, 0.0, likely)


def test_cloth_of_which_no_colour_has_a_third_is_multicoloured() -> None:
    paints = np.array([RED, (247, 213, 40), (48, 160, 66), (34, 98, 212), (128, 56, 168), (34, 34, 38), WHITE])
    pixels = paints[(np.arange(WIDTH)[None, :] // 8 + np.arange(HEIGHT)[:, None] // 8) % len(paints)].astype(np.uint8)
    assert colour_of(lab_planes(pixels), outlined()) == {"subject_lab": None, "subject_colour": MULTICOLOUR}
    assert colour_of(lab_planes(pixels), without_outline()) == NOTHING


def test_cloth_that_mostly_looks_unlike_its_leading_colour_is_multicoloured() -> None:
    paints = np.array([RED, RED, RED, RED, (48, 160, 66), WHITE, (34, 98, 212), (34, 34, 38), (247, 213, 40), WHITE])
    pixels = paints[(np.arange(WIDTH)[None, :] // 8 + np.arange(HEIGHT)[:, None] // 8) % len(paints)].astype(np.uint8)
    assert named(pixels, outlined()) == MULTICOLOUR
    pixels[:, ::2] = RED
    assert named(pixels, outlined()) == "red"


def test_a_heap_that_fills_the_frame_has_a_colour_and_no_outline() -> None:
    assert named(frame(RED), without_outline()) == "red"
    assert named(frame(BROWN), without_outline(middle())) == "brown"


def test_an_empty_frame_of_one_colour_has_none() -> None:
    assert colour_of(lab_planes(frame(RED)), without_outline(is_plain=True)) == NOTHING


def test_a_mixed_frame_without_an_outline_has_none() -> None:
    pixels = frame(RED)
    pixels[:, ::2] = frame(WHITE)[:, ::2]
    assert colour_of(lab_planes(pixels), without_outline()) == NOTHING


def test_what_is_likely_product_is_named_before_the_middle() -> None:
    pixels, likely = frame(WHITE), middle(0.3)
    pixels[likely] = frame((40, 120, 60))[likely]
    assert named(pixels, without_outline(likely)) == "green"
    assert named(pixels, without_outline(middle(0.02))) == "white", "a few pixels are no product"


@pytest.mark.parametrize(
    ("finding", "colour"),
    [
        (outlined(0.95), "brown"), (outlined(0.87), None), (outlined(0.6, is_plain=True), "brown"),
        (without_outline(middle()), None),
    ],
)  # fmt: skip
def test_the_colour_of_skin_and_cardboard_takes_a_sure_outline(finding: Segmentation, colour: str | None) -> None:
    for paint, name in ((BROWN, colour), (RED, "red")):
        pixels = frame(WHITE)
        pixels[middle()] = frame(paint)[middle()]
        pixels[middle(0.2)] = frame((30, 60, 140))[middle(0.2)]
        assert named(pixels, finding) == name


def test_an_unsure_outline_around_one_colour_will_do() -> None:
    assert named(frame(BROWN), outlined(0.87)) == "brown"


def test_white_cloth_at_home_is_darker_than_on_a_table_with_lamps() -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), 209, dtype=np.uint8)
    assert named(pixels, outlined()) == "white"
    assert named(pixels, outlined(1.0, is_plain=True)) == "light grey"


def test_photos_judged_by_eye_are_named_as_people_name_them(photos: Path) -> None:
    """Every third of one lot; `python -m benchmarks.colours` takes all."""
    judged = read()["report"]
    names = sorted(judged)[::3]
    measured = {name: measure(Pillow.open(photos / name)) for name in names}
    counts = tally(judged, measured)
    assert counts.named >= 0.6 * len(names)
    assert counts.wrong <= 2 and counts.cropped_wrong <= 2
