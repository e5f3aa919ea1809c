"""Colour as people name it: sRGB to CIELAB, and plain names for subject and background colours.

Formulae: sRGB decoding and the D65 primaries matrix from IEC 61966-2-1:1999; CIELAB and the 1976 colour difference from
CIE 15:2004. The names are plain English words of a shop. Their prototypes are ours, chosen by eye on photos of the half
for tuning; where those left gaps (amber, browns, olive, mustard, dusty pinks and purples, dark greens, deep and muted
blues, tinted greys) they are the values that the XKCD colour survey gives for a kind of the same colour (R. Munroe,
"Color Survey Results", 2010; xkcd.com/color/rgb.txt, CC0). That is what people call colours on a screen; which of our
words a name of the survey falls under (mustard: yellow, slate: grey) is our judgement.

A dark colour has little chroma whatever its paint: the light that it sends back scales lightness and chroma alike. So
what counts as coloured is chroma over lightness in the dark, and chroma alone above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Lab = NDArray[np.float64]
Planes = NDArray[np.float32]

SRGB_TO_XYZ = np.array(
    [
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.9505],
    ]
)
WHITE_D65 = SRGB_TO_XYZ.sum(axis=1)

# Below this chroma a colour reads as a grey; the same number splits tinted backgrounds from neutral ones.
NEUTRAL_CHROMA = 7.0
COLOURED_CHROMA = 14.0
# In the dark that second limit falls with lightness, to the first at the least: on 200 photos of clothing black lay at
# a chroma of 0 to 6, dark brown, olive and navy from 7 on.
_DARK_SATURATION = 0.45
# White cloth takes on the colour of lamps and of blue shade, which lie along b*. What is no white and yellower than
# this is cream or beige: five of the six such garments of the half for tuning.
_LIGHT = 68.0
WHITE = 85.0
_LIGHT_NEUTRAL_CHROMA = 10.0
_BEIGE_B = 8.0
_CAST_A = 4.0
# Light tints along b*, or towards red under lamps; cloth that is off grey towards green has a colour by itself: washed
# denim, teal and sage. Pale cloth that is off it towards red and yellow at once is beige.
_TINT_CHROMA = 4.5
_COOL = (45.0, 78.0)
_COOL_A = -2.5
_WARM = (62.0, 84.0)
_WARM_A = 0.8
_WARM_B = 3.0
# Black cloth shines: of 30 dark garments of that half the black ones had a median lightness of 21 to 30, the dark grey
# ones of 32 to 34. Paper does not, and backgrounds are called black below the second.
_BLACK = 30.0
_BLACK_PAPER = 27.0
# A subject's colour is clear when a third of its pixels have it; the name of a subject of which none is.
CLEAR_SHARE = 1 / 3
MULTICOLOUR = "multicolour"

_HUE_REACH = 30.0
_LIGHTNESS_REACH = 12.0
# A neutral wins over a colour only when clearly larger: shade, highlights and fittings are neutral on any product.
_COLOUR_OVER_NEUTRAL = 0.85

_PROTOTYPES: dict[str, tuple[str, ...]] = {
    "red": ("d62628", "c81e28", "ff0000", "e34234", "b21a1e", "a83c4f", "9f1b30", "a94a40"),
    "orange": ("f78716", "ff7f00", "e06c10", "ffa544", "d1701d", "e05d38", "de9d5b", "d08719"),
    # The last: mustard cloth in shade.
    "yellow": ("f7d528", "ffe135", "ffff00", "e3c020", "fbf1a0", "d9b92a", "b5984e"),
    "green": (
        "30a042", "00a000", "1f7a34", "7dc142", "bfe0bf", "006400", "8fae8b", "00ff00", "556b2f",
        # Olive and bottle green cloth, nearly black; faded olive, on a screen called greyish brown; pears and mangoes.
        "2a2d18", "1c2a1e", "00c896", "47695a", "42422f", "6a6a53", "797a58", "9a9a2e", "8a8636", "68643a",
    ),
    "teal": ("008080", "1a9e98", "0f6a6c", "40c4bf", "6d9a9d", "0b4456"),
    # The last: indigo cloth, washed, and blue cotton, on a screen called slate: darker than this they are seldom grey.
    "blue": (
        "2262d2", "0000ff", "4a86e8", "b6d4f0", "7fa6d9", "1c51ae", "87ceeb", "4a5a75", "515a68", "616c7a", "596577",
        "6e7c8c",
    ),
    "navy": ("000080", "16224d", "1f2a5c", "1b2131", "252d42", "33353f", "3c4862"),
    # The last: magenta leather, purple cloth in the dark, mauve.
    "purple": (
        "8038a8", "800080", "6a2d8c", "a064c8", "c9b3e0", "4b1f66", "963d80", "281a2c", "3b3145", "977882",
    ),
    # The last: faded pink cloth, which on a screen is called pinkish grey.
    "pink": ("f680b0", "ffc0cb", "ff69b4", "f6cbd2", "e0659a", "ff1493", "a74163", "a48b8e"),
    # The last: brown cloth and leather in shade, taupe.
    "brown": (
        "7a4a28", "8b4513", "5f3a20", "96603a", "4a2c18", "2b1d14", "3d2b20", "583630", "4c3b3a", "735f56",
    ),
    "beige": ("e5d2b2", "f5f5dc", "d8c3a0", "efe3cf", "c9b48f", "9f917a", "cfc8b6"),
    "maroon": ("800000", "6b1020", "7a1f2b", "3a1218", "5a2430", "5c363a"),
    # `name_colour` tells greys by lightness alone.
    "grey": ("6f6d7e", "5a4e5e", "818392"),
}  # fmt: skip

# The same from the survey, under the names that it gives them.
SURVEYED: dict[str, dict[str, str]] = {
    "red": {"rusty red": "af2f0d"},
    "orange": {"yellowish orange": "ffab0f"},
    "yellow": {
        "golden yellow": "fec615", "mustard": "ceb301", "dark mustard": "a88905", "ocher": "bf9b0c",
        "yellow ochre": "cb9d06", "gold": "dbb40c",
    },
    "green": {
        "light olive green": "a4be5c", "olive green": "677a04", "pea green": "8eab12", "pine green": "0a481e",
        "dark forest green": "002d04", "drab": "828344", "dark olive": "373e02", "dark olive green": "3c4d03",
    },
    "blue": {
        "cobalt blue": "030aa7", "true blue": "010fcc", "royal blue": "0504aa", "slate blue": "5b7c99",
        "greyish blue": "5e819d", "denim": "3b638c", "dark slate blue": "214761", "grey blue": "6b8ba4",
        "light grey blue": "9dbcd4",
    },
    "navy": {"navy": "01153e"},
    "purple": {"dull purple": "84597e", "greyish purple": "887191", "dark mauve": "874c62"},
    "pink": {"greyish pink": "c88d94", "dusty pink": "d58a94", "brownish pink": "c27e79", "dark pink": "cb416b"},
    "brown": {
        "light brown": "ad8150", "golden brown": "b27a01", "greyish brown": "7a6a4f", "dark brown": "341c02",
        "chocolate brown": "411900",
    },
    "grey": {
        "slate": "516572", "steel grey": "6f828a", "cool grey": "95a3a6", "warm grey": "978a84",
        "charcoal grey": "3c4142", "medium grey": "7d7f7c",
    },
}  # fmt: skip

# A contrast under one just noticeable difference (2.3 in CIE 1976: Mahy et al. 1994): nothing in the frame can be seen.
# Measured: one colour or one gradient 0.0 to 0.9 as a JPEG, the dark frame of a noisy camera 0.9 to 3.3, the palest of
# 250 real photos 24.
EMPTY_BELOW = 2.3


def lab_from_srgb(srgb: ArrayLike) -> Lab:
    """sRGB values in 0..255 of shape (..., 3) as CIELAB (D65, 2 degrees), float64 of the same shape.

    L* runs 0..100; a* and b* roughly -110..110.
    """
    encoded = np.asarray(srgb, dtype=np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    relative = linear @ SRGB_TO_XYZ.T / WHITE_D65
    cubic = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative / (3 * (6 / 29) ** 2) + 4 / 29)
    fx, fy, fz = cubic[..., 0], cubic[..., 1], cubic[..., 2]
    return np.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], axis=-1)


def delta_e76(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """CIE 1976 colour difference of Lab colours, shapes (..., 3) broadcasting to (...)."""
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    return np.asarray(np.sqrt((difference * difference).sum(axis=-1)))


def chroma(lab: ArrayLike) -> NDArray[np.float64]:
    """Chroma C*ab of Lab colours of shape (..., 3)."""
    values = np.asarray(lab, dtype=np.float64)
    return np.asarray(np.hypot(values[..., 1], values[..., 2]))


@dataclass(frozen=True, eq=False, slots=True)
class LeadingColour:
    """The colour of the largest part of a subject: its Lab (3,), and that part's share of the pixels, above 0 to 1."""

    lab: Lab
    share: float


def leading_colour(labs: ArrayLike) -> LeadingColour:
    """The colour a person would name a product by, from its subject's pixels: Lab (n, 3), n >= 1.

    The coloured pixels of about one hue stand against the neutral ones of about one lightness. The hue wins with a
    third of the pixels, unless the neutral part is clearly larger. Shade and highlights both take chroma from a paint
    (Shafer, "Using color to separate reflection components", 1985), so a paint's lightness and chroma are the medians
    of its stronger half; its hue, which light hardly moves, is that of all its pixels. Of a grey, which only shade can
    darken, it is the lighter half that counts, of a light one the lightest quarter: a white shirt is white though its
    folds are not. Of black all counts, for its light half is sheen.
    """
    # Planes of single floats: exact to far less than a colour is told by, in a third of the time.
    pixels = np.ascontiguousarray(np.asarray(labs, dtype=np.float32).reshape(-1, 3).T)
    count = pixels.shape[1]
    strength = _strength(pixels)
    is_coloured = strength > np.clip(_DARK_SATURATION * pixels[0], NEUTRAL_CHROMA, COLOURED_CHROMA)
    hued = _of_one_hue(pixels.compress(is_coloured, axis=1), strength[is_coloured])
    neutral = _of_one_lightness(pixels.compress(~is_coloured, axis=1))
    hues, neutrals = hued.shape[1], neutral.shape[1]
    is_hue_clear = hues >= count * CLEAR_SHARE and hues >= neutrals * _COLOUR_OVER_NEUTRAL
    if is_hue_clear or neutrals == 0:
        return LeadingColour(_paint(hued), hues / count)
    middle = float(quantile(neutral[0], 0.5))
    shaded = 0.75 if middle >= _LIGHT else 0.5 if middle >= _BLACK else 0.0
    lit = neutral[:, neutral[0] >= quantile(neutral[0], shaded)] if shaded else neutral
    return LeadingColour(quantile(lit, 0.5).astype(np.float64), neutrals / count)


def quantile(values: Planes, share: float) -> Planes:
    """The value below which a `share` of the last axis lies, between two of them in proportion: (..., n) to (...).

    As `np.quantile`, which takes ten times as long. At least one value, and none that is no number.
    """
    place = share * (values.shape[-1] - 1)
    low = int(place)
    # Asked for two places at once, numpy looks for the second without vector instructions: 700 us for 50 of 75,000.
    ordered = np.partition(values, low, axis=-1)
    value = ordered[..., low]
    if low + 1 == values.shape[-1]:
        return np.asarray(value)
    return np.asarray(value + (ordered[..., low + 1 :].min(axis=-1) - value) * np.float32(place - low))


def dominant_colour(labs: ArrayLike) -> Lab:
    """The Lab (3,) of `leading_colour`, however small its share."""
    return leading_colour(labs).lab


def name_colour(lab: Sequence[float] | Lab, white_from: float = WHITE) -> str:
    """The plain name of one Lab colour (3 numbers). A grey from the lightness `white_from` on is white.

    One of: black, dark grey, grey, light grey, white, red, orange, yellow, green, teal, blue, navy, purple, pink,
    brown, beige, maroon. A photo's subject without a colour of its own is `MULTICOLOUR`.
    """
    colour = np.asarray(lab, dtype=np.float64)
    return _name_tint(colour) or _name_plain(colour, white_from)


def _name_plain(colour: Lab, white_from: float = WHITE) -> str:
    is_cast = abs(colour[1]) < _CAST_A and (colour[0] >= WHITE or (colour[0] >= _LIGHT and colour[2] < _BEIGE_B))
    limit = _LIGHT_NEUTRAL_CHROMA if is_cast else NEUTRAL_CHROMA
    if float(chroma(colour)) < limit or float(colour[0]) < 9:
        return _name_neutral(float(colour[0]), white_from)
    name = _NAMES[int(delta_e76(_PROTOTYPE_LABS, colour).argmin())]
    return _name_neutral(float(colour[0]), white_from) if name == "grey" else name


def name_background(lab: Sequence[float] | Lab, busy: bool = False) -> str:
    """The plain name of a background from its Lab colour: "pure white", "light grey", "pale blue", "dark green"...

    `busy` is the caller's finding that the background is no one colour; then the name is "busy".
    """
    if busy:
        return "busy"
    colour = np.asarray(lab, dtype=np.float64)
    lightness = float(colour[0])
    if lightness >= 99 and float(chroma(colour)) < 1.5:
        return "pure white"
    name = _name_plain(colour)
    if name == "white" and lightness < 93:
        return "light grey"
    if name == "black" and lightness >= _BLACK_PAPER:
        return "dark grey"
    if name in _NEUTRALS or name in {"beige", "navy", "maroon"}:
        return name
    if lightness >= 72:
        return "yellow" if name == "yellow" and float(chroma(colour)) > 60 else f"pale {name}"
    return f"dark {name}" if lightness < 35 else name


def _of_one_hue(pixels: Planes, strength: Planes) -> Planes:
    """Of coloured pixels, those within 30 degrees of the hue that has the most chroma around it."""
    if pixels.shape[1] == 0:
        return pixels
    hues = _round(np.degrees(np.arctan2(pixels[2], pixels[1])))
    weights = np.bincount((hues / 5).astype(np.intp), strength, minlength=73)
    weights[0] += weights[72]  # a hue just under 0, to the precision of a single float
    weights = weights[:72]
    # Eleven bins of 5 degrees stay within reach of their middle, so at least one pixel is near.
    around = np.convolve(np.tile(weights, 3), np.ones(11), mode="same")[72:144]
    centre = (float(around.argmax()) + 0.5) * 5
    for _ in range(3):
        away = _round(hues - np.float32(centre - 180)) - np.float32(180)
        near = np.where(np.abs(away) <= _HUE_REACH, strength, 0)
        centre += float(near @ away) / float(near.sum())
    away = _round(hues - np.float32(centre - 180)) - np.float32(180)
    return pixels.compress(np.abs(away) <= _HUE_REACH, axis=1)


def _round(degrees: Planes) -> Planes:
    """Angles above -360 and under 720 as from 0 to 360: the very remainder, which numpy takes ten times as long for."""
    once = degrees + np.float32(360) * (degrees < 0)
    return np.asarray(once - np.float32(360) * (once >= 360))


def _of_one_lightness(pixels: Planes) -> Planes:
    """Of neutral pixels, those around their most common lightness."""
    bins = np.clip((pixels[0] / 4).astype(np.intp), 0, 24)
    counts = np.convolve(np.bincount(bins, minlength=25), (1, 2, 3, 2, 1), mode="same")
    crest = (int(counts.argmax()) + 0.5) * 4
    return pixels[:, np.abs(pixels[0] - np.float32(crest)) <= _LIGHTNESS_REACH]


def _strength(pixels: Planes) -> Planes:
    """Chroma of planes (3, n). A hypotenuse that minds overflow takes three times as long."""
    return np.asarray(np.sqrt(pixels[1] * pixels[1] + pixels[2] * pixels[2]))


def _paint(pixels: Planes) -> Lab:
    """The colour of a paint from its pixels, lit and shaded: planes (3, n), n >= 1, to Lab (3,)."""
    strength = _strength(pixels)
    level, a, b = quantile(pixels[:, strength >= quantile(strength, 0.5)], 0.5).astype(np.float64)
    all_level, all_a, all_b = quantile(pixels, 0.5).astype(np.float64)
    # Satin shines over half of it: what is strongest there lies in the shade.
    level = max(level, all_level)
    turn = np.hypot(a, b) / np.hypot(all_a, all_b)
    return np.array([level, all_a * turn, all_b * turn])


def _name_tint(colour: Lab) -> str | None:
    """The name of cloth near grey whose tint is no light's, else None."""
    level, a, b = map(float, colour)
    if not _TINT_CHROMA <= float(chroma(colour)) < _LIGHT_NEUTRAL_CHROMA:
        return None
    if _COOL[0] <= level < _COOL[1] and a < _COOL_A:
        return "green" if b > 0 else "teal" if b > a else "blue"
    return "beige" if _WARM[0] <= level < _WARM[1] and a > _WARM_A and b > _WARM_B else None


def _name_neutral(lightness: float, white_from: float) -> str:
    if lightness >= white_from:
        return "white"
    return next((name for limit, name in _NEUTRAL_STEPS if lightness < limit), "light grey")


_NEUTRAL_STEPS = ((_BLACK, "black"), (44.0, "dark grey"), (_LIGHT, "grey"))
_NEUTRALS = frozenset({"black", "dark grey", "grey", "light grey", "white"})
_CODES = [(name, code) for name, codes in _PROTOTYPES.items() for code in (*codes, *SURVEYED.get(name, {}).values())]
_NAMES = tuple(name for name, _ in _CODES)
_PROTOTYPE_LABS = lab_from_srgb([list(bytes.fromhex(code)) for _, code in _CODES])
