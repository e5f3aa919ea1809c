"""Masks where no backdrop is plain: on drawn boards, tiles and folds, and on real photos that were judged by eye."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from workers.signals.lab import lab_planes
from workers.signals.mask import TRUSTED, find_subject, fit_backdrop
from workers.signals.mask_network import SIDE_PX, WEIGHTS, log_odds
from workers.signals.measure import measure

PROJECT = Path(__file__).resolve().parents[3]
SIDE = 320
# A T-shirt, in shares of the frame.
SHIRT = [
    (0.38, 0.2), (0.44, 0.24), (0.56, 0.24), (0.62, 0.2), (0.82, 0.32), (0.76, 0.45), (0.68, 0.41), (0.68, 0.8),
    (0.32, 0.8), (0.32, 0.41), (0.24, 0.45), (0.18, 0.32),
]  # fmt: skip


def smooth_noise(seed: int, down: int, across: int) -> np.ndarray:
    grid = np.random.default_rng(seed).normal(0, 1, (down, across)).astype(np.float32)
    return cv2.resize(grid, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def ground(kind: str) -> np.ndarray:
    """Float sRGB (320, 320, 3): boards with grain and seams, tiles with grout, folded cloth, or a carpet's pile."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    if kind == "boards":
        light = 1 + 0.06 * smooth_noise(1, 6, 80) + 0.08 * np.random.default_rng(2).normal(0, 1, 9)[x // 40]
        return np.array([176, 132, 88]) * np.where(x % 40 < 2, 0.7, light)[..., None]
    if kind == "tiles":
        light = 1 + 0.03 * smooth_noise(3, 8, 8)
        return np.array([176, 164, 150]) * np.where((x % 90 < 3) | (y % 90 < 3), 0.65, light)[..., None]
    if kind == "folds":
        return np.array([170, 40, 44]) * (1 + 0.22 * smooth_noise(4, 4, 11))[..., None]
    pile = np.random.default_rng(5).normal(0, 16, (SIDE, SIDE, 1))
    return np.array([120, 122, 118]) + pile + 6 * smooth_noise(6, 4, 4)[..., None]


def shirt_on(kind: str, paint: tuple[int, int, int], shift: float = 0.0) -> tuple[Pillow.Image, np.ndarray]:
    """A shirt with folds and a shadow on a ground, moved right by a share of the frame; and its truth, bool."""
    outline = np.array([[(x + shift) * SIDE, y * SIDE] for x, y in SHIRT], dtype=np.int32)
    truth = cv2.fillPoly(np.zeros((SIDE, SIDE), np.uint8), [outline], 1)
    shadow = cv2.GaussianBlur(np.roll(truth, (5, 4), (0, 1)).astype(np.float32), (15, 15), 0)[..., None]
    folds = (1 + 0.1 * smooth_noise(7, 7, 5))[..., None]
    share = cv2.GaussianBlur(truth.astype(np.float32), (3, 3), 0)[..., None]
    picture = ground(kind) * (1 - 0.4 * shadow) * (1 - share) + np.array(paint) * folds * share
    return Pillow.fromarray(np.clip(picture, 0, 255).astype(np.uint8)), truth > 0


@pytest.mark.parametrize("kind", ["boards", "tiles", "folds", "carpet"])
@pytest.mark.parametrize(
    ("paint", "colour"), [((36, 40, 66), "navy"), ((228, 226, 220), "white"), ((40, 110, 70), "green")]
)
def test_a_shirt_is_found_on_any_ground(kind: str, paint: tuple[int, int, int], colour: str) -> None:
    picture, truth = shirt_on(kind, paint)
    pixels = np.asarray(picture)
    finding = find_subject(pixels, lab_planes(pixels))
    assert finding.subject is not None
    assert (finding.subject & truth).sum() / (finding.subject | truth).sum() > 0.85
    values = measure(picture)
    assert (values.subject_colour, values.is_cropped) == (colour, False)
    assert values.confidence > TRUSTED


def test_what_leaves_the_frame_is_cropped_there() -> None:
    picture, _ = shirt_on("boards", (36, 40, 66), shift=0.3)
    assert measure(picture).cropped_edges == ["right"]


def test_bare_ground_has_no_product() -> None:
    for kind in ("boards", "tiles", "folds", "carpet"):
        pixels = np.clip(ground(kind), 0, 255).astype(np.uint8)
        assert find_subject(pixels, lab_planes(pixels)).confidence == 0, kind


@pytest.mark.parametrize("size", [(16, 16), (400, 16), (16, 400), (1, 1)])
def test_log_odds_are_of_a_square_whatever_the_photo(size: tuple[int, int]) -> None:
    odds = log_odds(np.zeros((*size, 3), dtype=np.uint8))
    assert odds.shape == (SIDE_PX // 2, SIDE_PX // 2)
    assert odds.dtype == np.float32
    assert np.isfinite(odds).all()


def test_white_without_grain_needs_no_second_opinion(monkeypatch: pytest.MonkeyPatch) -> None:
    """A carton that fills a retouched packshot from edge to edge: what crosses pure white is product."""
    pixels = np.full((SIDE, SIDE, 3), 255, dtype=np.uint8)
    pixels[:, 100:220] = (30, 90, 160)
    monkeypatch.setattr("workers.signals.mask.log_odds", lambda _: pytest.fail("the network was asked"))
    finding = find_subject(pixels, lab_planes(pixels))
    assert finding.subject is not None
    assert finding.subject[:, 100:220].all()
    assert finding.subject.mean() == pytest.approx(120 / 320, abs=0.02)


@pytest.mark.parametrize("size", [(240, 320), (320, 48), (64, 64)])
def test_a_ramp_of_any_shape_is_one_backdrop(size: tuple[int, int]) -> None:
    height, width = size
    ramp = np.linspace(150, 170, width)[None, :, None] + np.linspace(0, 10, height)[:, None, None]
    pixels = np.broadcast_to(ramp, (height, width, 3)).astype(np.uint8)
    backdrop = fit_backdrop(lab_planes(pixels))
    assert backdrop.agreement == 1
    assert backdrop.noise < 1


def test_the_weights_are_those_of_their_card() -> None:
    digest = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert digest in WEIGHTS.with_suffix(".md").read_text()
    assert WEIGHTS.stat().st_size < 4_000_000


def test_real_photos_are_read_as_when_they_were_judged(photos: Path) -> None:
    """Every sixth of the photos that a person looked at and found named right."""
    judged = json.loads((PROJECT / "benchmarks" / "masks_judged.json").read_text())["photos"]
    right = {name: facts["says"] for name, facts in judged.items() if facts["colour"] == "right"}
    names = [name for name in sorted(right)[::6] if (photos / name).is_file()]
    assert len(names) > 15
    changed = [name for name in names if measure(Pillow.open(photos / name)).subject_colour != right[name]]
    assert len(changed) <= 1, changed
