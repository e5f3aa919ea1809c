"""Lab values against published ones, and the names people would give."""

from __future__ import annotations

import numpy as np
import pytest

from app.catalog.colours import delta_e76, dominant_colour, lab_from_srgb, name_background, name_colour


@pytest.mark.parametrize(
    ("srgb", "lab"),
    [
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0.0, 0.0)),
    ],
)
def test_lab_of_known_colours(srgb: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    assert lab_from_srgb(srgb) == pytest.approx(lab, abs=0.05)


def test_lab_keeps_the_shape_of_a_picture() -> None:
    assert lab_from_srgb(np.zeros((3, 5, 3), dtype=np.uint8)).shape == (3, 5, 3)


def test_difference_is_the_euclidean_one() -> None:
    assert delta_e76([50, 3, 0], [50, 0, 4]) == pytest.approx(5)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("ffffff", "white"), ("000000", "black"), ("808080", "grey"), ("d3d3d3", "light grey"), ("ff0000", "red"),
        ("ffa500", "orange"), ("ffff00", "yellow"), ("008000", "green"), ("008080", "teal"), ("0000ff", "blue"),
        ("000080", "navy"), ("800080", "purple"), ("ffc0cb", "pink"), ("8b4513", "brown"), ("f5f5dc", "beige"),
        ("800000", "maroon"), ("f5deb3", "beige"), ("dc143c", "red"), ("4169e1", "blue"), ("303030", "black"),
        ("101018", "black"), ("555555", "dark grey"),
    ],
)  # fmt: skip
def test_names_of_known_colours(code: str, name: str) -> None:
    assert name_colour(lab_from_srgb(list(bytes.fromhex(code)))) == name


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("ffffff", "pure white"), ("f2f2f2", "white"), ("d0d1d3", "light grey"), ("808080", "grey"),
        ("e5d2b2", "beige"), ("bad6f0", "pale blue"), ("f6cbd2", "pale pink"), ("c2e2c2", "pale green"),
        ("44464a", "dark grey"), ("f7d528", "yellow"), ("203a20", "dark green"),
    ],
)  # fmt: skip
def test_names_of_backgrounds(code: str, name: str) -> None:
    assert name_background(lab_from_srgb(list(bytes.fromhex(code)))) == name


def test_a_busy_background_has_no_colour() -> None:
    assert name_background((50, 0, 0), busy=True) == "busy"


def test_a_label_and_shade_do_not_outvote_the_paint() -> None:
    red, shaded_red, label = (214, 38, 40), (110, 20, 22), (240, 238, 230)
    pixels = lab_from_srgb([red] * 30 + [shaded_red] * 25 + [label] * 45)
    assert name_colour(dominant_colour(pixels)) == "red"


def test_a_black_shoe_with_a_white_sole_is_black() -> None:
    pixels = lab_from_srgb([(34, 34, 38)] * 55 + [(240, 238, 230)] * 45)
    assert name_colour(dominant_colour(pixels)) == "black"
