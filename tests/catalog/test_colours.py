"""Lab values against published ones, and the names people would give."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from app.catalog.colours import (
    CLEAR_SHARE,
    SURVEYED,
    delta_e76,
    dominant_colour,
    lab_from_srgb,
    leading_colour,
    name_background,
    name_colour,
)


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
        ("00008b", "navy"), ("4169aa", "blue"), ("ffae1a", "orange"), ("14320f", "green"),
    ],
)  # fmt: skip
def test_names_of_known_colours(code: str, name: str) -> None:
    assert name_colour(lab_from_srgb(list(bytes.fromhex(code)))) == name


@pytest.mark.parametrize(
    ("code", "name"),
    [
        # Mustard and ochre; olive; brown, olive, navy, maroon and purple cloth in the dark; dusty pinks; khaki; indigo.
        ("ceb301", "yellow"), ("b5933f", "yellow"), ("bf9005", "yellow"), ("c89a3c", "yellow"), ("373e02", "green"),
        ("2b2e17", "green"), ("3d4220", "green"), ("33261c", "brown"), ("3b2a1f", "brown"), ("2c1b12", "brown"),
        ("2b3044", "navy"), ("1d2233", "navy"), ("4a1c28", "maroon"), ("d8a0a6", "pink"), ("b98087", "pink"),
        ("875064", "purple"), ("9e9078", "beige"), ("4b5973", "blue"), ("ab5d3a", "brown"), ("a57a3a", "brown"),
        # Faded olive, faded pink, and cream that is no white in a lamp's light; grey in it is one.
        ("696652", "green"), ("7d7857", "green"), ("ac8f92", "pink"), ("d0c9b7", "beige"), ("bebcaf", "light grey"),
        # Washed denim and blue cotton.
        ("5f6a79", "blue"), ("5d6873", "blue"), ("4d5462", "blue"), ("858f9a", "grey"),
        ("828494", "grey"), ("707a8b", "blue"),
        # Pale pink in shade, and taupe.
        ("968184", "pink"), ("70625a", "brown"),
        # Washed denim, teal and sage, hardly coloured; pale pinkish beige; denim, which on a screen is called slate; a
        # blue so dark that it is nearly black; pears and green mangoes by lamp light, and peppers there.
        ("9ba6ac", "blue"), ("92a3a5", "teal"), ("78837b", "green"), ("ada29d", "beige"), ("5a6576", "blue"),
        ("343644", "navy"), ("9f9a26", "green"), ("8f8733", "green"), ("c78c1c", "orange"),
    ],
)  # fmt: skip
def test_names_of_cloth_as_cameras_see_it(code: str, name: str) -> None:
    assert name_colour(lab_from_srgb(list(bytes.fromhex(code)))) == name


def cloth(paint: tuple[int, int, int], noise: float = 2.0) -> np.ndarray:
    """Pixels of folded cloth in Lab (n, 3): the paint under light from 50 to 105 %, and a camera's noise."""
    rng = np.random.default_rng(3)
    linear = (np.array(paint) / 255) ** 2.2 * rng.uniform(0.5, 1.05, (3000, 1))
    return lab_from_srgb(np.clip(255 * linear ** (1 / 2.2) + rng.normal(0, noise, (3000, 3)), 0, 255))


@pytest.mark.parametrize(
    ("paint", "name"),
    [
        ((54, 38, 28), "brown"), ((44, 28, 20), "brown"), ((50, 54, 28), "green"), ((36, 42, 68), "navy"),
        ((70, 26, 36), "maroon"), ((190, 150, 60), "yellow"), ((36, 35, 37), "black"), ((46, 42, 40), "black"),
        ((236, 234, 230), "white"), ((120, 120, 122), "grey"),
    ],
)  # fmt: skip
def test_dark_cloth_keeps_its_colour_and_white_cloth_is_white_in_its_folds(
    paint: tuple[int, int, int], name: str
) -> None:
    leading = leading_colour(cloth(paint))
    assert leading.share >= CLEAR_SHARE
    assert name_colour(leading.lab) == name


def shining(level: int, sheen: int) -> np.ndarray:
    """Pixels of neutral cloth in Lab (n, 3): two thirds of one grey level, the others brighter with light on them."""
    levels = np.concatenate([np.full(2000, level), np.linspace(level, sheen, 1200)])
    return lab_from_srgb(np.repeat(levels[:, None], 3, axis=1))


@pytest.mark.parametrize(("level", "sheen", "name"), [(56, 110, "black"), (66, 110, "black"), (82, 120, "dark grey")])
def test_sheen_does_not_make_black_cloth_grey(level: int, sheen: int, name: str) -> None:
    assert name_colour(leading_colour(shining(level, sheen)).lab) == name


def test_paper_has_no_sheen_to_be_black_by() -> None:
    assert name_background(lab_from_srgb((69, 69, 69))) == "dark grey"
    assert name_colour(lab_from_srgb((69, 69, 69))) == "black"


def test_prototypes_of_the_survey_are_what_it_says() -> None:
    """The digest is of these names in the list that the survey published (https://xkcd.com/color/rgb.txt)."""
    lines = sorted(f"{name} {code}" for names in SURVEYED.values() for name, code in names.items())
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == (
        "2abc54cdbe1dd9bd874082533b336a4be04e940bd325998c652cb1fd40376a18"
    )


@pytest.mark.parametrize(
    ("lab", "name"), [((30, -1, -7), "dark grey"), ((64, 0, -8), "grey"), ((43, 0, -5), "dark grey")]
)
def test_a_tinted_grey_is_a_grey(lab: tuple[float, float, float], name: str) -> None:
    assert name_colour(lab) == name


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


def test_a_wall_has_the_tint_of_its_light() -> None:
    assert name_background(lab_from_srgb((173, 162, 157))) == "grey"
    assert name_colour(lab_from_srgb((173, 162, 157))) == "beige"


def test_a_busy_background_has_no_colour() -> None:
    assert name_background((50, 0, 0), busy=True) == "busy"


def test_a_label_and_shade_do_not_outvote_the_paint() -> None:
    red, shaded_red, label = (214, 38, 40), (110, 20, 22), (240, 238, 230)
    pixels = lab_from_srgb([red] * 30 + [shaded_red] * 25 + [label] * 45)
    assert name_colour(dominant_colour(pixels)) == "red"


def test_a_black_shoe_with_a_white_sole_is_black() -> None:
    pixels = lab_from_srgb([(34, 34, 38)] * 55 + [(240, 238, 230)] * 45)
    assert name_colour(dominant_colour(pixels)) == "black"


def test_of_two_colours_the_larger_is_named() -> None:
    blue, pink, white = (34, 98, 212), (246, 128, 176), (250, 250, 248)
    assert name_colour(dominant_colour(lab_from_srgb([blue] * 60 + [pink] * 40))) == "blue"
    carton = leading_colour(lab_from_srgb([white] * 55 + [blue] * 35 + [pink] * 10))
    assert (name_colour(carton.lab), carton.share) == ("white", pytest.approx(0.55))


def test_many_colours_have_no_clear_one() -> None:
    patches = [(214, 38, 40), (247, 213, 40), (48, 160, 66), (34, 98, 212), (246, 128, 176), (128, 56, 168)]
    patches += [(34, 34, 38), (250, 250, 248)]
    assert leading_colour(lab_from_srgb(patches * 10)).share < CLEAR_SHARE


def test_shade_and_highlights_do_not_move_the_hue() -> None:
    orange = np.array([247, 135, 22])
    lit = np.clip([orange * light + shine for light in np.linspace(0.4, 1, 20) for shine in (0, 20, 90)], 0, 255)
    assert name_colour(dominant_colour(lab_from_srgb(lit))) == "orange"


def test_one_pixel_is_enough() -> None:
    assert dominant_colour([50, 60, 40]) == pytest.approx([50, 60, 40])
    assert dominant_colour([0, 0, 0]) == pytest.approx([0, 0, 0])
