"""Colours that a file tells by code points (ITU-T H.273) and not by a profile, brought to sRGB.

HEIC and AVIF name primaries and a transfer curve so. Without this step a P3 photo looks pale and one of HDR grey.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import ImageFilter

Levels = npt.NDArray[np.float64]

# Red, green and blue as x, y of CIE 1931, by the number of the primaries (H.273, table 2); all have the white of D65
# but the film's (11), whose white is taken for D65's as by screens.
_PRIMARIES: Final[dict[int, tuple[float, ...]]] = {
    1: (0.640, 0.330, 0.300, 0.600, 0.150, 0.060),
    5: (0.640, 0.330, 0.290, 0.600, 0.150, 0.060),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
_SRGB: Final = 1
_WHITE: Final = (0.3127, 0.3290)
# Curves (H.273, table 3) that screens show as they show sRGB's: BT.709, BT.601, BT.2020, sRGB, and where none is named.
_LIKE_SRGB: Final = frozenset({1, 2, 6, 13, 14, 15})
_GAMMA_22, _GAMMA_28, _LINEAR, _PQ, _HLG = 4, 5, 8, 16, 18
# BT.2408: a white sheet under HDR has 203 cd/m2, and a screen of reference 1,000.
_WHITE_NITS: Final = 203.0
_HLG_NITS: Final = 1000.0
# From here on highlights are pressed together, so that none is cut off.
_KNEE: Final = 0.8
_SIDE: Final = 65  # the most that Pillow's tables have


def is_hdr(code_points: tuple[int, int] | None) -> bool:
    """Whether the brightness told is beyond a screen's white: PQ or HLG."""
    return code_points is not None and code_points[1] in (_PQ, _HLG)


def to_srgb(code_points: tuple[int, int] | None) -> ImageFilter.Color3DLUT | None:
    """A table from 8-bit RGB under these code points to sRGB; None where they agree or name what nobody knows."""
    if code_points is None:
        return None
    primaries, transfer = code_points
    known = primaries if primaries in _PRIMARIES else _SRGB
    if transfer not in (_GAMMA_22, _GAMMA_28, _LINEAR, _PQ, _HLG):
        transfer = 13
    # BT.601's are those of old encoders that meant sRGB, and differ by less than an eye sees.
    if transfer == 13 and known in (_SRGB, 5, 6, 7):
        return None
    return _table(known, transfer)


@lru_cache(maxsize=8)
def _table(primaries: int, transfer: int) -> ImageFilter.Color3DLUT:
    axis = np.linspace(0.0, 1.0, _SIDE)
    # Pillow's tables change red first.
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    light = _linear(np.stack([red, green, blue], axis=-1).reshape(-1, 3), transfer)
    matrix = np.linalg.inv(_to_xyz(_PRIMARIES[_SRGB])) @ _to_xyz(_PRIMARIES[primaries])
    light = np.maximum(light @ matrix.T, 0.0)
    if transfer in (_PQ, _HLG):
        most = light.max(axis=1, keepdims=True)
        pressed = _KNEE + (1 - _KNEE) * (1 - np.exp(-(most - _KNEE) / (1 - _KNEE)))
        light *= np.where(most > _KNEE, pressed / np.maximum(most, 1e-9), 1.0)
    light = np.minimum(light, 1.0)
    shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.power(light, 1 / 2.4) - 0.055)
    return ImageFilter.Color3DLUT(_SIDE, shown.astype(np.float32).ravel())


def _to_xyz(primaries: tuple[float, ...]) -> Levels:
    """RGB to XYZ of a set of primaries and the white of D65 (SMPTE RP 177)."""

    def xyz(x: float, y: float) -> list[float]:
        return [x / y, 1.0, (1 - x - y) / y]

    columns = np.array([xyz(*primaries[place : place + 2]) for place in (0, 2, 4)]).T
    return columns * np.linalg.solve(columns, np.array(xyz(*_WHITE)))


def _linear(levels: Levels, transfer: int) -> Levels:
    """Light in shares of a white sheet's."""
    if transfer == _LINEAR:
        return levels
    if transfer in (_GAMMA_22, _GAMMA_28):
        return np.power(levels, 2.2 if transfer == _GAMMA_22 else 2.8)
    if transfer == _PQ:  # SMPTE ST 2084
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = np.power(levels, 1 / m2)
        return np.power(np.maximum(power - c1, 0) / (c2 - c3 * power), 1 / m1) * 10_000 / _WHITE_NITS
    if transfer == _HLG:  # ARIB STD-B67; the system's gamma for 1,000 cd/m2 is 1.2 (BT.2100)
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(levels <= 0.5, levels**2 / 3, (np.exp((levels - c) / a) + b) / 12)
        brightness = scene @ np.array([[0.2627], [0.6780], [0.0593]])
        linear: Levels = scene * np.power(np.maximum(brightness, 1e-9), 0.2) * _HLG_NITS / _WHITE_NITS
        return linear
    return np.where(levels <= 0.04045, levels / 12.92, np.power((levels + 0.055) / 1.055, 2.4))
