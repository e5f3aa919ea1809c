"""What saving has done to a picture: the blocks of JPEG, and detail that is not there because it was enlarged.

Both are measured on the picture as it is shown, at most 1024 px a side: what was larger was scaled down to that, which
takes blocks away and gives detail back.

**Blockiness.** JPEG codes squares of 8 px by themselves, so pixels step between them where they do not within. Of the
steps between neighbouring pixels those that exceed both steps beside them by `PEAK` levels are counted for each of the
eight places in a square, in no column more than in seven of ten. Let r be by how much the commonest place exceeds the
others' mean, over that mean and 0.1;
`blockiness` = r / (r + 2): 0 for no grid, 1 for nothing but squares. The idea of measuring the steps at the squares'
edges is that of Wang, Sheikh and Bovik (2002); counting peaks keeps textures from drowning them. On 223 real photos
(of half of those at hand, 30 November 2026) 1 in 100 lies above 0.44 as it is, 87 saved at quality 20, 96 at 10.

**Detail.** The share of a picture's resolution that holds detail: the spatial frequency, over the highest that its
pixels can hold, below which `ENOUGH` of the gradient's energy lies, in the square of 256 px that has most of it. What
is out of focus has little, too: nothing in the pixels tells that from an enlarged picture. None below 64 px a side and
where there is nothing to see. On the same photos 1 in 100 lies below 0.73 as it is, 91 enlarged twice (bicubic), 98
three times.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from workers.signals.regions import Mask

TILE_PX: Final = 256
ENOUGH: Final = 0.95
PEAK: Final = 3
LINES: Final = 256  # of a larger picture some tell as much as all
FAINTEST: Final = 4.0

Grey = NDArray[np.uint8]


def blockiness(grey: Grey) -> float | None:
    """How much squares of 8 px show in grey levels (h, w); None below 64 px a side and for a flat picture."""
    if min(grey.shape) < 64:
        return None
    some = tuple(max(1, side // LINES) for side in grey.shape)
    turned = np.asarray(cv2.transpose(grey[:, :: some[1]]), dtype=np.uint8)
    values = [_grid(lines) for lines in (grey[:: some[0]], turned)]
    known = [value for value in values if value is not None]
    return round(max(0.0, sum(known) / len(known)), 3) if known else None


def _grid(grey: Grey) -> float | None:
    """Squares that show between the columns of (h, w), as `blockiness` tells."""
    step = np.asarray(cv2.absdiff(grey[:, 1:], grey[:, :-1]), dtype=np.uint8)
    middle = step[:, 1:-1]
    beside = np.maximum(step[:, :-2], step[:, 2:])
    peaks = _by_place(cv2.subtract(middle, beside) >= PEAK)
    stepping = _by_place(np.maximum(beside, middle) > 0)
    if stepping.sum() < 100:
        return None
    # An edge that happens to lie on the grid is one column; squares are in most of them.
    usual = np.sort(peaks, axis=0)[-1 - int(0.3 * len(peaks))]
    rates = np.minimum(peaks, usual).sum(axis=0) / np.maximum(stepping.sum(axis=0), 1)
    place = int(rates.argmax())
    others = float(np.delete(rates, [place, (place + 1) % 8, (place - 1) % 8]).mean())
    excess = (float(rates[place]) - others) / (others + 0.1)
    return excess / (excess + 2)


def _by_place(marks: Mask) -> NDArray[np.float64]:
    """How many pixels of (h, w) are marked in each column, as (w // 8, 8)."""
    sums = cv2.reduce(marks.view(np.uint8), 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0]
    return np.asarray(sums[: len(sums) // 8 * 8].reshape(-1, 8), dtype=np.float64)


def detail(grey: Grey) -> float | None:
    """The share of the resolution that holds detail, 0 to 1, of grey levels (h, w)."""
    side = min(TILE_PX, *grey.shape)
    if side < 64:
        return None
    tile = _richest(grey, side).astype(np.float32)
    window, radius, count = _polar(side)
    tile = (tile - tile.mean()) * window
    # The other half of the plane is its mirror image.
    spectrum = fft.rfft2(tile)
    power = spectrum.real**2 + spectrum.imag**2
    rings = np.bincount(radius, power.ravel(), minlength=count)[:count]
    energy = rings * np.arange(count) ** 2.0
    total = float(energy.sum())
    if total / (side**4) < FAINTEST * 1e-3:
        return None
    return round(float(np.searchsorted(np.cumsum(energy), ENOUGH * total)) / (count - 1), 3)


def _richest(grey: Grey, side: int) -> Grey:
    height, width = grey.shape
    places = [
        (int(y), int(x))
        for y in np.linspace(0, height - side, 1 + (height > side) + (height > 2 * side))
        for x in np.linspace(0, width - side, 1 + (width > side) + (width > 2 * side))
    ]
    if len(places) == 1:
        return grey[:side, :side]
    tiles = [grey[y : y + side, x : x + side] for y, x in places]
    return max(tiles, key=lambda tile: cv2.norm(tile[1:, 1:], tile[:-1, :-1], cv2.NORM_L1))


@cache
def _polar(side: int) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
    """A Hann window, the ring that each frequency lies in, and how many rings there are up to the highest."""
    line = np.hanning(side).astype(np.float32)
    at = np.fft.fftfreq(side) * side
    radius = np.rint(np.hypot(at[:, None], at[None, :])).astype(np.int64)
    return line[:, None] * line[None, :], radius[:, : side // 2 + 1].ravel(), side // 2 + 1
