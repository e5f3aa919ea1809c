"""Text tiled over a picture: told however faint, turned or mixed with what it lies over; patterns of cloth are none."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from app.catalog.text_kinds import kinds_of
from app.catalog.text_lines import TextLine
from workers.lettering import reader
from workers.lettering.reader import read
from workers.lettering.tiled import find_lattice, with_tiled


def folds(seed: int = 3, side: int = 480) -> Pillow.Image:
    """Folded cloth: light that wanders, and a weave of fine noise."""
    chance = np.random.default_rng(seed)
    wide = Pillow.fromarray(chance.integers(60, 200, (7, 9), np.uint8)).resize((side, side), Pillow.Resampling.BICUBIC)
    cloth = np.asarray(wide, np.float32) + chance.normal(0, 5, (side, side))
    return Pillow.fromarray(np.clip(cloth, 0, 255).astype(np.uint8)).convert("RGB")


def tiled(picture: Pillow.Image, words: str, angle: int, strength: int, colour: str = "black") -> Pillow.Image:
    """These words all over a square picture, every second row moved."""
    side, font = 2 * picture.width, ImageFont.load_default(24)
    veil = Pillow.new("L", (side, side))
    pen = ImageDraw.Draw(veil)
    for row, y in enumerate(range(0, side, 61)):
        for x in range(-(row % 2) * 70, side, 141):
            pen.text((x, y), words, fill=strength, font=font)
    corner = picture.width // 2
    veil = veil.rotate(angle, Pillow.Resampling.BICUBIC).crop((corner, corner, side - corner, side - corner))
    laid = picture.copy()
    laid.paste(colour, (0, 0), veil)
    return laid


def light_of(picture: Pillow.Image) -> np.ndarray:
    return np.asarray(picture.convert("L").resize((384, 384)), np.float32)


@pytest.mark.parametrize(
    ("angle", "strength", "colour"), [(0, 50, "black"), (30, 60, "black"), (-45, 90, "white"), (20, 60, "white")]
)
def test_what_is_tiled_faintly_and_at_any_angle_is_found(angle: int, strength: int, colour: str) -> None:
    assert find_lattice(light_of(tiled(folds(), "PREMIUM", angle, strength, colour)))


def test_tiles_are_told_and_their_words_are_read() -> None:
    picture = tiled(folds(), "PREMIUM", 30, 60)
    lines = with_tiled(picture, [], lambda tiles: reader._lines(tiles.convert("RGB"), None))
    told = [line for line, kind in zip(lines, kinds_of(lines), strict=True) if kind == "watermark"]
    assert any("PREMIUM" in line.text for line in told)


@pytest.mark.parametrize("pattern", ["folds", "one word", "even", "strip", "small"])
def test_nothing_is_tiled_over_what_does_not_repeat(pattern: str) -> None:
    picture = folds()
    pen, side = ImageDraw.Draw(picture), picture.width
    if pattern == "one word":
        pen.text((90, 200), "ORGANIC", fill="white", font=ImageFont.load_default(50))
    if pattern == "even":
        picture = Pillow.new("RGB", (side, side), "white")
    picture = {"strip": picture.resize((600, 40)), "small": picture.resize((60, 60))}.get(pattern, picture)
    assert with_tiled(picture, [], lambda _: [TextLine("SAMPLE", 0.99, (0, 0, 1, 1))]) == []


def test_a_pattern_in_which_nothing_can_be_read_is_no_mark() -> None:
    picture = folds()
    pen, side = ImageDraw.Draw(picture), picture.width
    for row, y in enumerate(range(0, side, 60)):
        for x in range(-(row % 2) * 30, side, 60):
            pen.ellipse((x, y, x + 18, y + 18), fill="white")
            pen.line((x + 30, y, x + 44, y + 22), fill="navy", width=3)
    asked: list[Pillow.Image] = []

    def read(tiles: Pillow.Image) -> list[TextLine]:
        asked.append(tiles)
        return reader._lines(tiles.convert("RGB"), None)

    assert with_tiled(picture, [], read) == []
    assert asked, "it repeats"


def test_what_was_read_stays_but_for_readings_of_the_tiles() -> None:
    tile = TextLine("SAMPLE SAMPLE", 0.98, (0.0, 0.4, 1.0, 0.5))
    garbled = TextLine("SAMDLE", 0.6, (0.1, 0.41, 0.3, 0.49))
    same = TextLine("SAMPLE", 0.99, (0.5, 0.4, 0.7, 0.5))
    label = TextLine("ORGANIC TEA", 0.97, (0.3, 0.41, 0.6, 0.49))
    price = TextLine("19.99", 0.98, (0.1, 0.8, 0.2, 0.9))
    picture = tiled(folds(), "SAMPLE", 0, 120)
    noise = TextLine("llll", 0.99, (0.0, 0.0, 0.1, 0.1))
    told = with_tiled(picture, [garbled, same, label, price], lambda _: [tile, noise])
    assert [line.text for line in told] == ["SAMPLE SAMPLE", "ORGANIC TEA", "19.99"]
    assert [line.is_tiled for line in told] == [True, False, False]
    assert with_tiled(folds(), [garbled], lambda _: [tile]) == [garbled], "nothing is tiled over it"


def test_what_was_read_before_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read_now: list[Pillow.Image] = []
    monkeypatch.setattr(reader, "_lines", lambda picture, _: read_now.append(picture) or [])
    known = [TextLine("TEA", 0.99, (0.1, 0.1, 0.2, 0.2), True)]
    assert read(folds(), None, known) == known
    assert not read_now
