"""The judge reads drawings it has never seen, and does not name what is no drawing of a kind."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from app.demo.drawing import KINDS, draw
from app.demo.judge import CANNOT_TELL, judge
from app.demo.kinds import fresh
from app.demo.scene import BACKGROUNDS, COLOURS, UNREADABLE
from app.demo.worlds import make_scene


def test_fresh_drawings_are_read_right() -> None:
    rng = np.random.default_rng(99)
    pairs = [pair for pair in product(COLOURS, BACKGROUNDS) if pair not in UNREADABLE]
    right = []
    for index in range(96):
        kind = tuple(KINDS)[index % len(KINDS)]
        colour, background = pairs[rng.integers(len(pairs))]
        framing = ("centred", "right of centre", "low")[index % 3]
        scene = make_scene(kind, colour, background, rng, framing)
        right.append(judge(draw(scene, 64)).right(kind, colour, background))
    shares = np.mean(right, axis=0)
    assert shares[0] == 1.0
    assert shares[1] >= 0.98
    assert shares[2] >= 0.96


def test_larger_pictures_are_read_too() -> None:
    rng = np.random.default_rng(98)
    for kind in fresh.KINDS:
        scene = make_scene(kind, "blue", "pale pink", rng)
        assert judge(draw(scene, 320, 256)).right(kind, "blue", "pale pink") == (True, True, True)


def test_an_empty_background_shows_no_kind() -> None:
    empty = np.full((64, 64, 3), BACKGROUNDS["beige"], dtype=np.uint8)
    verdict = judge(empty)
    assert (verdict.background, verdict.colour, verdict.kind) == ("beige", CANNOT_TELL, CANNOT_TELL)


def test_scattered_blots_are_no_kind() -> None:
    picture = np.full((64, 64, 3), BACKGROUNDS["beige"], dtype=np.uint8)
    for row, column in product(range(8, 56, 16), repeat=2):
        picture[row : row + 8, column : column + 8] = COLOURS["blue"]
    verdict = judge(picture)
    assert verdict.kind == CANNOT_TELL
    assert verdict.colour == "blue"


def test_too_small_a_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="64 px"):
        judge(np.zeros((32, 32, 3), dtype=np.uint8))
