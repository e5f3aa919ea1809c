"""Text that is tiled over a picture, too faint or too mixed with the product to be read where it stands.

What repeats at one lattice is found by autocorrelation of the picture's fine, low contrast light; then every place
takes the median of all places that lie a step of the lattice away. What stands in one tile alone goes, the mark stays,
and is read as if it stood on plain paper. A pattern in which nothing can be read is no mark: cloth repeats too.

Thresholds were tuned on 27 packshots with tiles laid over them and on photos of clothing and shelves (`python -m
benchmarks.lettering` reports on others).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import fft

from app.catalog.text_lines import TextLine

Light = NDArray[np.float32]
Step = tuple[int, int]
Reader = Callable[[Pillow.Image], list[TextLine]]

SIDE_PX: Final = 384
SHORT_SIDE_AT_LEAST_PX: Final = 96
# Levels of 255: edges of products, stronger than that, count no more than a mark half through.
FINE: Final = (0.007, 6.0)
READABLE: Final = (0.012, 12.0)
# A step is longer than this share of the long side, and two places share so much of the frame at least.
STEP_AT_LEAST: Final = 0.12
SHARED_AT_LEAST: Final = 0.25
# Of 120 photos without tiles none had a lattice of 8, of 60 with faint ones 33 had this one and 27 had 12; 27 packshots
# with plain ones had 16 or more.
SURE: Final = 9.0
SUREST_PLACE: Final = 12.0  # one place alone makes no lattice
PLACES: Final = 3
CANDIDATES: Final = 10
NEAR_PX: Final = 3
TILES: Final = 24
LETTERS: Final = 4
DIFFERENT_LETTERS: Final = 3
ALIKE: Final = 0.65
_REACH: Final = 6
_HALF: Final = np.array([(m, n) for n in range(_REACH) for m in range(-5, _REACH) if n > 0 or m > 0])


class Lattice(NamedTuple):
    """Two steps, right and down in px of the scaled light, after which a picture repeats; and how sure that is."""

    first: Step
    second: Step
    sureness: float


def with_tiled(picture: Pillow.Image, lines: Sequence[TextLine], read: Reader) -> list[TextLine]:
    """The lines that were read in a picture, and those tiled over it in place of what was read of them before.

    `read` gives the lines of a grey picture. Raises OSError when the picture's pixels cannot be read.
    """
    light = _scaled(picture)
    lattice = None if light is None else find_lattice(light)
    if light is None or lattice is None:
        return list(lines)
    tiled = [replace(line, is_tiled=True) for line in read(median_of_tiles(light, lattice)) if _is_word(line)]
    return tiled + [line for line in lines if not any(_is_of(line, tile) for tile in tiled)]


def find_lattice(light: Light) -> Lattice | None:
    """At which lattice a picture repeats, float32 (h, w) of 0 to 255; None where at none for sure."""
    likeness = _likeness(_whitened(_fine(light, *FINE)))
    if likeness is None:
        return None
    width = light.shape[1]
    is_known = ~np.isnan(likeness)
    smooth = cv2.GaussianBlur(np.where(is_known, likeness, 0), (0, 0), 1.0)
    # Stripes, and whatever else repeats along a line, go.
    peaks = np.asarray(smooth - cv2.blur(smooth, (41, 41)), dtype=np.float32)
    down, right = np.mgrid[0 : light.shape[0], 1 - width : width]
    is_far = is_known & (np.hypot(right, down) > STEP_AT_LEAST * SIDE_PX)
    if not is_far.any():
        return None
    near = cv2.dilate(peaks, np.ones((2 * NEAR_PX + 1, 2 * NEAR_PX + 1)))
    middle = np.median(near[is_far])
    spread = max(0.005, 1.4826 * float(np.median(np.abs(near[is_far] - middle))))
    sureness = np.where(is_known, np.minimum((near - middle) / spread, SUREST_PLACE), np.nan)
    is_peak = is_far & (peaks > 0) & (peaks == cv2.dilate(peaks, np.ones((9, 9)))) & ((down > 0) | (right > 0))
    best = np.argsort(-peaks[is_peak], kind="stable")[:CANDIDATES]
    steps = [(int(x), int(y)) for x, y in zip(right[is_peak][best], down[is_peak][best], strict=True)]
    return _best_pair(steps, sureness)


def median_of_tiles(light: Light, lattice: Lattice) -> Pillow.Image:
    """The picture as grey, each place the median of those that lie a step of its lattice away, contrast stretched."""
    fine = _fine(light, *READABLE)
    height, width = fine.shape
    whole = np.round(fine * 8).clip(-100, 100).astype(np.int8)
    turns = np.mgrid[-_REACH : _REACH + 1, -_REACH : _REACH + 1].reshape(2, -1).T
    shifts = {(int(x), int(y)) for x, y in turns @ np.array([lattice.first, lattice.second])}
    inside = [(x, y) for x, y in shifts if abs(x) < width and abs(y) < height]
    nearest = sorted(inside, key=lambda shift: (max(abs(shift[0]) / width, abs(shift[1]) / height), shift))[:TILES]
    # What lies outside sorts behind all that lies inside.
    tiles = np.full((len(nearest), height, width), 127, np.int8)
    for tile, (x, y) in zip(tiles, nearest, strict=True):
        tile[max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)] = whole[
            max(0, y) : height + min(0, y), max(0, x) : width + min(0, x)
        ]
    count = (tiles < 127).sum(axis=0)
    tiles.sort(axis=0)
    low, high = (np.take_along_axis(tiles, at[None], 0)[0].astype(np.float32) for at in ((count - 1) // 2, count // 2))
    median = (low + high) / 2
    strongest = max(16.0, float(np.percentile(np.abs(median), 99)))
    return Pillow.fromarray(np.clip(128 + median * (100 / strongest), 0, 255).astype(np.uint8))


def _scaled(picture: Pillow.Image) -> Light | None:
    """The light of a picture, its long side `SIDE_PX`; None of one too small or too narrow to repeat."""
    light = np.asarray(picture.convert("L"))
    scale = SIDE_PX / max(light.shape)
    if min(light.shape) * scale < SHORT_SIDE_AT_LEAST_PX or min(light.shape) < SHORT_SIDE_AT_LEAST_PX:
        return None
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(light.astype(np.float32), None, fx=scale, fy=scale, interpolation=way))


def _fine(light: Light, share: float, most: float) -> Light:
    """What differs from its surroundings, which are so large a share of the side, in at most so many levels."""
    return np.asarray(np.clip(light - cv2.GaussianBlur(light, (0, 0), share * SIDE_PX), -most, most), dtype=np.float32)


def _whitened(fine: Light) -> Light:
    """Every wave as strong as those beside it, so that folds and edges weigh no more than faint letters."""
    waves = fft.rfft2(fine)
    strength = np.abs(waves)
    evened = waves / (cv2.blur(strength, (5, 5)) + 1e-3 * float(strength.max()) + 1e-6)
    return np.asarray(fft.irfft2(evened, fine.shape), dtype=np.float32)


def _likeness(fine: Light) -> Light | None:
    """How alike a picture is to itself, moved 0 to h - 1 down and 1 - w to w - 1 right: float32 (h, 2 w - 1), -1 to 1.

    NaN where too little of it lies over itself; None of a picture in which nothing is.
    """
    height, width = fine.shape
    energy = float((fine * fine).mean())
    if energy <= 0:
        return None
    room = (fft.next_fast_len(2 * height, True), fft.next_fast_len(2 * width, True))
    waves, squares, frame = (fft.rfft2(what, room) for what in (fine, fine * fine, np.ones_like(fine)))
    shared = np.maximum(fft.irfft2(np.abs(frame) ** 2, room), 1)
    here, there = (np.maximum(fft.irfft2(sums, room), 0) for sums in (frame.conj() * squares, squares.conj() * frame))
    # An even part of the frame is like every other by chance: it counts as if it held a little.
    floor = 0.15 * energy
    alike = fft.irfft2(np.abs(waves) ** 2, room) / shared
    alike /= np.sqrt((here / shared + floor) * (there / shared + floor))
    alike[shared < SHARED_AT_LEAST * height * width] = np.nan
    return np.concatenate([alike[:height, 1 - width :], alike[:height, :width]], axis=1).astype(np.float32)


def _best_pair(steps: Sequence[Step], sureness: Light) -> Lattice | None:
    """The two steps whose lattice is surest in all of its places together; None where none is sure."""
    shortest = STEP_AT_LEAST * SIDE_PX
    halves = [(round(x / 2), round(y / 2)) for x, y in steps if np.hypot(x, y) / 2 > shortest]
    each = sorted({*steps, *halves})
    best: Lattice | None = None
    for number, first in enumerate(each):
        for second in each[number + 1 :]:
            area = abs(first[0] * second[1] - first[1] * second[0])
            if area < shortest**2 or area < 0.5 * np.hypot(*first) * np.hypot(*second):
                continue
            sure = _sureness_of(first, second, sureness)
            if sure > (best.sureness if best else SURE):
                best = Lattice(first, second, sure)
    return best


def _sureness_of(first: Step, second: Step, sureness: Light) -> float:
    """Standard deviations by which the places of a lattice together are above chance (Stouffer's sum)."""
    height, width = sureness.shape[0], (sureness.shape[1] + 1) // 2
    places = _HALF @ np.array([first, second])
    places = np.where(places[:, 1:] < 0, -places, places)
    places = places[(places[:, 1] < height) & (np.abs(places[:, 0]) < width)]
    sure = sureness[places[:, 1], places[:, 0] + width - 1]
    sure = sure[~np.isnan(sure)]
    return float(sure.sum() / np.sqrt(sure.size)) if sure.size >= PLACES else 0.0


def _is_word(line: TextLine) -> bool:
    letters = _bare(line.text)
    return line.is_trusted and len(letters) >= LETTERS and len(set(letters)) >= DIFFERENT_LETTERS


def _is_of(line: TextLine, tile: TextLine) -> bool:
    """Whether a line that was read before is of this tile: mostly on it, and no sure reading of another text."""
    x0, y0, x1, y1 = line.box
    across, down = min(x1, tile.box[2]) - max(x0, tile.box[0]), min(y1, tile.box[3]) - max(y0, tile.box[1])
    if across <= 0 or down <= 0 or across * down < 0.5 * (x1 - x0) * (y1 - y0):
        return False
    mine, whole = _bare(line.text), _bare(tile.text)
    return not line.is_trusted or mine in whole or SequenceMatcher(None, mine, whole, autojunk=False).ratio() >= ALIKE


def _bare(text: str) -> str:
    return "".join(sign for sign in text.casefold() if sign.isalnum())
