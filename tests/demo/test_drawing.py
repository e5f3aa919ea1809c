"""Scenes become the same pixels every time, where and as large as they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.captions.facts import name_framing
from app.catalog.colours import delta_e76, dominant_colour, lab_from_srgb, name_background, name_colour
from app.demo.drawing import KINDS, draw
from app.demo.scene import BACKGROUNDS, COLOURS, FRAMINGS, UNREADABLE
from app.demo.worlds import make_scene


def test_the_same_scene_gives_the_same_bytes() -> None:
    scene = make_scene("kettle", "red", "beige", np.random.default_rng(3))
    assert draw(scene, 64).tobytes() == draw(scene, 64).tobytes()
    busy = replace(scene, background="busy", blur=0.02)
    assert draw(busy, 96, 64).tobytes() == draw(busy, 96, 64).tobytes()


def test_the_picture_has_the_asked_size() -> None:
    scene = make_scene("chair", "blue", "pure white", np.random.default_rng(3))
    assert draw(scene, 90, 70).shape == (70, 90, 3)
    assert draw(scene, 64).dtype == np.uint8


@pytest.mark.parametrize(("kind", "view"), [(kind, view) for kind, traits in KINDS.items() for view in traits.views])
def test_every_kind_and_view_fills_its_scale(kind: str, view: str) -> None:
    scene = make_scene(kind, "red", "pure white", np.random.default_rng(4))
    shape = replace(scene, view=view, scale=0.75, centre_x=0.5, centre_y=0.5, shadow=0.0)  # type: ignore[arg-type]
    rows, columns = np.nonzero((draw(shape, 128) != 255).any(axis=2))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert max(height, width) == pytest.approx(0.75 * 128, abs=4)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(64, abs=3)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(64, abs=3)


@pytest.mark.parametrize("colour", COLOURS)
def test_colours_look_like_their_names(colour: str) -> None:
    rng = np.random.default_rng(5)
    background = "pure white" if (colour, "pure white") not in UNREADABLE else "pale blue"
    for kind in ("kettle", "lamp", "chair", "backpack", "sneaker", "watch"):
        scene = replace(make_scene(kind, colour, background, rng), shadow=0.0)
        lab = lab_from_srgb(draw(scene, 64))
        subject = lab[delta_e76(lab, lab_from_srgb(BACKGROUNDS[background])) > 8]
        assert name_colour(dominant_colour(subject)) == colour, kind


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_backgrounds_look_like_their_names(background: str) -> None:
    scene = make_scene("lamp", "red", background, np.random.default_rng(6))
    ring = draw(scene, 64)[:2].reshape(-1, 3)
    assert name_background(np.median(lab_from_srgb(ring), axis=0)) == background


@pytest.mark.parametrize("framing", FRAMINGS)
def test_framings_look_like_their_names(framing: str) -> None:
    rng = np.random.default_rng(7)
    for kind in ("kettle", "lamp", "backpack", "ball"):
        scene = replace(make_scene(kind, "red", "pure white", rng, framing), shadow=0.0)
        rows, columns = np.nonzero((draw(scene, 128) != 255).any(axis=2))
        box = (columns.min() / 128, rows.min() / 128, (columns.max() + 1) / 128, (rows.max() + 1) / 128)
        assert name_framing(*map(float, box)) == framing, kind
