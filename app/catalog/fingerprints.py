"""Fingerprints: by which pictures that may be copies of each other are found among very many. Pure.

A fingerprint has up to three *frames*: the picture as it is, what its plain border leaves, and what the border of that
leaves. Each frame has a *key* of 95 bytes and a *thumb* of 1,160. A key holds the 63 lowest DCT coefficients of the
frame's lightness after the first, after pHash (Zauner 2010) but with their strength, weighed by the root of their
frequency and scaled to unit length; and the mean a* and b* of 4 x 4 fields. A thumb holds L* of 32 x 32 px and a* and
b* of 8 x 8 fields, uint8 and int8; then where the frame lies in the one around it, left, top, right and bottom in
255ths, and the colour of the border between the two, L*, a*, b* and a spare byte.

Keys tell which pairs are worth a look (`app/catalog/neighbours.py`), thumbs whether they are copies
(`app/catalog/aligning.py`); `app/catalog/copies.py` does both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

THUMB_SIDE: Final = 32
COLOUR_SIDE: Final = 8
WAVES: Final = 8  # coefficients that count, across and down
FIELDS: Final = 4  # fields of colour, across and down
GREY_BYTES: Final = WAVES * WAVES - 1
KEY_BYTES: Final = GREY_BYTES + 2 * FIELDS * FIELDS
PLANES_BYTES: Final = THUMB_SIDE * THUMB_SIDE + 2 * COLOUR_SIDE * COLOUR_SIDE
THUMB_BYTES: Final = PLANES_BYTES + 8
# With less contrast than this many L* (root mean square), a frame is too flat to tell.
FLAT_BELOW: Final = 1.5

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]


def _waves(count: int) -> Floats:
    """The first eight rows of the orthonormal DCT-II of `count` values."""
    at = (np.arange(count) + 0.5) / count
    rows = np.cos(np.pi * np.arange(WAVES)[:, None] * at) * np.sqrt(2 / count)
    rows[0] /= np.sqrt(2)
    return np.asarray(rows, dtype=np.float32)


_DCT: Final = _waves(THUMB_SIDE)
_WEIGHTS: Final = np.sqrt(np.add.outer(np.arange(WAVES), np.arange(WAVES))).astype(np.float32)


def pack_key(lab: Floats) -> bytes | None:
    """The key of a frame given as CIELAB (3, 32, 32); None where it is too flat to tell."""
    waves = _DCT @ lab[0] @ _DCT.T
    waves[0, 0] = 0
    if np.sqrt((waves * waves).sum()) / THUMB_SIDE < FLAT_BELOW:
        return None
    weighed = (waves * _WEIGHTS).ravel()[1:]
    grey = np.rint(127 * weighed / np.linalg.norm(weighed)).astype(np.int8)
    side = THUMB_SIDE // FIELDS
    colours = lab[1:].reshape(2, FIELDS, side, FIELDS, side).mean(axis=(2, 4))
    return bytes(grey.tobytes()) + _whole(colours)


def pack_thumb(lab: Floats, box: Sequence[float], ground: Floats) -> bytes:
    """The thumb of a frame given as CIELAB (3, 32, 32), its box in shares of the frame around it, and CIELAB (3,) of
    the border between them."""
    light = np.rint(np.clip(lab[0], 0, 100) * 2.55).astype(np.uint8)
    side = THUMB_SIDE // COLOUR_SIDE
    colours = lab[1:].reshape(2, COLOUR_SIDE, side, COLOUR_SIDE, side).mean(axis=(2, 4))
    place = np.rint(np.clip(np.asarray(box), 0, 1) * 255).astype(np.uint8)
    border = np.append(np.rint(ground), 0.0)
    return bytes(light.tobytes()) + _whole(colours) + bytes(place.tobytes()) + _whole(border)


def _whole(colours: Floats) -> bytes:
    return bytes(np.rint(np.clip(colours, -127, 127)).astype(np.int8).tobytes())
