"""Whether two thumbs show one photo: the one laid onto the other as well as it goes, and what then still differs. Pure.

The second thumb is fitted to the first by moving and stretching it, and by making it brighter, darker, flatter or
steeper: six numbers, by least squares after Lucas and Kanade (1981), a few steps from where nothing is changed. So a
crop and a border that was cut a little differently cost nothing, and what is left is what the pictures differ in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.catalog.ahead import ahead
from app.catalog.fingerprints import COLOUR_SIDE, PLANES_BYTES, THUMB_SIDE, Bytes, Floats

STEPS: Final = 5
# A copy is cut by at most this share of a side, in all or on one side.
MOVED_AT_MOST: Final = 0.10
ZOOMED_AT_MOST: Final = 0.16
# How much steeper the lightness of one may be, and how much stronger its colours, where it was taken brighter.
GAIN_AT_MOST: Final = 1.33
COLOUR_GAIN_AT_MOST: Final = 1.18
# Borders of one colour differ by no more (CIE 1976), their margins by no more than this share of what is inside.
BORDER_DELTA_E: Final = 6.0
MARGIN_TOLERANCE: Final = 0.02
# Few enough for the cache of a core.
_AT_ONCE: Final = 64
# Pictures are laid to the nearest of so many parts of a pixel.
_FINE: Final = 128
_CENTRED: Final = ((np.arange(THUMB_SIDE) + 0.5) / THUMB_SIDE - 0.5).astype(np.float32)
_FIELDS: Final = ((np.arange(COLOUR_SIDE) + 0.5) / COLOUR_SIDE - 0.5).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Fit:
    """How well pairs of thumbs fit, arrays float32 (n,).

    `rest`: what differs in lightness, root mean square after a blur of 3 x 3 px, over the contrast of the picture, 0 to
    about 1. `spot`: the most that one place differs, in L*. `colour`: what 8 x 8 fields differ in a* and b*, root mean
    square; `chroma`: what they are. `cut`: the share by which the second shows less than the first (negative: more).
    `gain`: how much flatter the second is in lightness, 1 / GAIN_AT_MOST to GAIN_AT_MOST; 1: as the first.
    """

    rest: Floats
    spot: Floats
    colour: Floats
    chroma: Floats
    cut: Floats
    gain: Floats


def fit(firsts: Bytes, seconds: Bytes, poses: NDArray[np.int64], threads: int = 1) -> Fit:
    """Lay the second thumbs, each turned back from its pose, onto the first, uint8 (n, THUMB_BYTES); poses (n,)."""
    some = [slice(at, at + _AT_ONCE) for at in range(0, max(1, len(firsts)), _AT_ONCE)]
    parts = list(ahead(lambda those: _fit(firsts[those], seconds[those], poses[those]), some, threads))
    return Fit(*(np.concatenate([getattr(part, name) for part in parts]) for name in Fit.__slots__))


def posed(planes: Floats, poses: NDArray[np.int64]) -> Floats:
    """Pictures (n, ..., h, h) in a pose each: bit 4 laid on their side, bit 1 mirrored across, bit 2 down."""
    out = planes.copy()
    for pose in np.unique(poses):
        those = poses == pose
        some = planes[those]
        some = some.swapaxes(-1, -2) if pose & 4 else some
        out[those] = some[..., :: -1 if pose & 2 else 1, :: -1 if pose & 1 else 1]
    return out


def is_framed_alike(firsts: Bytes, seconds: Bytes, poses: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of frames that both stand in a border: whether one photo can have become the other by cutting the border or
    adding to it, (n,). Its colour is the same then, and no side of it grew while another one shrank.
    """
    colours = [
        np.ascontiguousarray(side[:, PLANES_BYTES + 4 :]).view(np.int8).astype(np.float32) for side in (firsts, seconds)
    ]
    off = np.sqrt(((colours[0] - colours[1]) ** 2).sum(axis=1))
    first, second = (
        _margins(side[:, PLANES_BYTES : PLANES_BYTES + 4].astype(np.float64) / 255) for side in (firsts, seconds)
    )
    more = _posed_margins(first, poses) - second
    is_one_way = (more.max(axis=1) <= MARGIN_TOLERANCE) | (more.min(axis=1) >= -MARGIN_TOLERANCE)
    return np.asarray((off <= BORDER_DELTA_E) & is_one_way)


def _margins(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Left, top, right and bottom margins in shares of what they are around."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.02)
    return np.concatenate([boxes[:, :2] / sides, (1 - boxes[:, 2:]) / sides], axis=1)


def _posed_margins(margins: NDArray[np.float64], poses: NDArray[np.int64]) -> NDArray[np.float64]:
    out = np.where((poses & 4)[:, None] > 0, margins[:, [1, 0, 3, 2]], margins)
    out = np.where((poses & 1)[:, None] > 0, out[:, [2, 1, 0, 3]], out)
    return np.asarray(np.where((poses & 2)[:, None] > 0, out[:, [0, 3, 2, 1]], out))


def _unpacked(thumbs: Bytes) -> tuple[Floats, Floats]:
    """L* (n, 32, 32), and a* and b* (n, 2, 8, 8)."""
    light = thumbs[:, : THUMB_SIDE * THUMB_SIDE].reshape(-1, THUMB_SIDE, THUMB_SIDE).astype(np.float32) / 2.55
    colours = np.ascontiguousarray(thumbs[:, THUMB_SIDE * THUMB_SIDE : PLANES_BYTES]).view(np.int8)
    return light, colours.reshape(-1, 2, COLOUR_SIDE, COLOUR_SIDE).astype(np.float32)


def _fit(firsts: Bytes, seconds: Bytes, poses: NDArray[np.int64]) -> Fit:
    light, colours = _unpacked(firsts)
    other, other_colours = _unpacked(seconds)
    light, colours = posed(light, poses), posed(colours, poses)
    count = len(light)
    # Where a place x of the first lies on the second: move + (1 + zoom) x, both across and down, in shares of it.
    moves, zooms = np.zeros((count, 2), np.float32), np.zeros((count, 2), np.float32)
    for _ in range(STEPS):
        laid, is_there = _laid(other, moves, zooms)
        step = _step(light, laid, is_there)
        moves = np.clip(moves + step[:, 0:2], -MOVED_AT_MOST, MOVED_AT_MOST)
        zooms = np.clip(zooms + step[:, 2:4], -ZOOMED_AT_MOST, ZOOMED_AT_MOST)
    laid, is_there = _laid(other, moves, zooms)
    weight = is_there / is_there.sum(axis=(1, 2), keepdims=True)
    means = [(plane * weight).sum(axis=(1, 2), keepdims=True) for plane in (light, laid)]
    left, right = light - means[0], laid - means[1]
    weighed = left * weight
    contrast = np.sqrt((left * weighed).sum(axis=(1, 2)))
    gain = (right * weighed).sum(axis=(1, 2)) / np.maximum((right * right * weight).sum(axis=(1, 2)), 1e-6)
    gain = np.clip(gain, 1 / GAIN_AT_MOST, GAIN_AT_MOST)
    off = _smooth((left - right * gain[:, None, None]) * is_there)
    rest = np.sqrt((off * off * weight).sum(axis=(1, 2))) / np.maximum(contrast, 1e-6)
    spot = np.abs(off).max(axis=(1, 2))
    fields = other_colours.reshape(count * 2, COLOUR_SIDE, COLOUR_SIDE)
    laid_colours, _ = _laid(fields, np.repeat(moves, 2, axis=0), np.repeat(zooms, 2, axis=0))
    laid_colours = laid_colours.reshape(colours.shape)
    chroma = np.sqrt((colours * colours).mean(axis=(1, 2, 3)) * 2)
    shared = (colours * laid_colours).sum(axis=(1, 2, 3)) / np.maximum((laid_colours**2).sum(axis=(1, 2, 3)), 1e-6)
    shared = np.clip(shared, 1 / COLOUR_GAIN_AT_MOST, COLOUR_GAIN_AT_MOST)[:, None, None, None]
    diff = (laid_colours * shared - colours).reshape(count, 2, -1)
    colour = np.sqrt((diff * diff).sum(axis=1).mean(axis=1))
    cut = zooms.mean(axis=1)
    return Fit(*(np.asarray(each, np.float32) for each in (rest, spot, colour, chroma, cut, gain)))


def _taps(side: int) -> Floats:
    """How much each of `side` pixels counts at a place, for every 128th of a pixel, (128 side + 1, side): by cubic
    convolution (Keys 1981, a = -0.5). Past its middle, an edge goes on as it is.
    """
    places = np.clip(np.arange(_FINE * side + 1) / _FINE - 0.5, 0, side - 1)
    x = np.abs(places[:, None] - np.arange(side))
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


_TAPS: Final = {side: _taps(side) for side in (THUMB_SIDE, COLOUR_SIDE)}


def _laid(planes: Floats, moves: Floats, zooms: Floats) -> tuple[Floats, Floats]:
    """Pictures (n, h, h) moved and stretched, and 1 where that shows them, 0 where it is past their edge."""
    side = planes.shape[-1]
    centred = _CENTRED if side == THUMB_SIDE else _FIELDS
    places = (moves[:, :, None] + (1 + zooms[:, :, None]) * centred + 0.5) * (side * _FINE)
    is_there = ((places >= 0) & (places <= side * _FINE)).astype(np.float32)
    weights = _TAPS[side][np.rint(np.clip(places, 0, side * _FINE)).astype(np.intp)]
    laid = weights[:, 1] @ planes @ weights[:, 0].swapaxes(-1, -2)
    return laid, is_there[:, 1, :, None] * is_there[:, 0, None, :]


def _slopes() -> Floats:
    """What `np.gradient` does to 32 pixels, as a matrix; by shares of the frame."""
    return np.asarray(np.gradient(np.eye(THUMB_SIDE), axis=0) * THUMB_SIDE, np.float32)


_SLOPES: Final = _slopes()


def _step(light: Floats, laid: Floats, is_there: Floats) -> Floats:
    """By how much to move and zoom further, (n, 4): across, down, across, down; in shares of the frame."""
    terms = np.empty((len(laid), 6, THUMB_SIDE, THUMB_SIDE), np.float32)
    np.multiply(laid @ _SLOPES.T, is_there, out=terms[:, 0])
    np.multiply(_SLOPES @ laid, is_there, out=terms[:, 1])
    np.multiply(terms[:, 0], _CENTRED, out=terms[:, 2])
    np.multiply(terms[:, 1], _CENTRED[:, None], out=terms[:, 3])
    np.multiply(laid, is_there, out=terms[:, 4])
    terms[:, 5] = is_there
    flat = terms.reshape(len(laid), 6, -1)
    wanted = (light * is_there - terms[:, 4]).reshape(len(laid), -1, 1)
    square = flat @ flat.swapaxes(1, 2)
    scale = np.sqrt(np.maximum(np.einsum("nii->ni", square), 1e-6))
    square = square / scale[:, :, None] / scale[:, None, :] + 1e-3 * np.eye(6, dtype=np.float32)
    solved = np.linalg.solve(square, flat @ wanted / scale[:, :, None])[..., 0] / scale
    return np.asarray(solved[:, :4], dtype=np.float32)


def _smooth(planes: Floats) -> Floats:
    """The mean of 3 x 3 px, but for the edges, where fewer are there."""
    padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return np.asarray((rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9)
