"""Which edges cut a product off, as a rough outline and the photo's own last lines tell."""

from __future__ import annotations

import numpy as np
import pytest

from workers.signals.framing import framing_of
from workers.signals.lab import lab_planes

SIDE = 320
GROUND, CLOTH = (190, 170, 140), (40, 60, 120)


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
@pytest.mark.parametrize(("gap_px", "is_cropped"), [(0, True), (2, False), (3, False)])
def test_a_rough_outline_reaches_the_frame_where_the_product_may_not(turn: int, gap_px: int, is_cropped: bool) -> None:
    pixels = np.full((SIDE, SIDE, 3), GROUND, dtype=np.uint8)
    pixels[gap_px:200, 100:220] = CLOTH
    outline = np.zeros((SIDE, SIDE), dtype=bool)
    outline[:200, 100:220] = True
    framing = framing_of(lab_planes(np.rot90(pixels, turn)), np.rot90(outline, turn), is_plain=False)
    edge = ("top", "left", "bottom", "right")[turn]
    assert framing["cropped_edges"] == ([edge] if is_cropped else [])
    assert framing["is_cropped"] is is_cropped


def test_a_flooded_outline_is_true_to_the_pixel() -> None:
    pixels = np.full((SIDE, SIDE, 3), GROUND, dtype=np.uint8)
    outline = np.zeros((SIDE, SIDE), dtype=bool)
    outline[:200, 100:106] = True
    assert framing_of(lab_planes(pixels), outline, is_plain=True)["cropped_edges"] == ["top"]


def test_where_the_product_fills_a_whole_edge_no_ground_can_speak() -> None:
    pixels = np.full((SIDE, SIDE, 3), CLOTH, dtype=np.uint8)
    pixels[200:] = GROUND
    outline = np.zeros((SIDE, SIDE), dtype=bool)
    outline[:200] = True
    assert set(framing_of(lab_planes(pixels), outline, is_plain=False)["cropped_edges"]) == {"left", "top", "right"}
