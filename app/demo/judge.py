"""Judges a picture against what was asked, where the truth is known: is the background, the colour, the kind right?

Works on pictures of the drawn worlds only. Everything is measured the same way on the picture and on templates drawn
on the fly, so what the judge cannot see in a drawing it does not demand of a model. Deterministic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import ndimage

from app.catalog.colours import COLOURED_CHROMA, Lab, chroma, delta_e76, dominant_colour, lab_from_srgb
from app.demo.drawing import KINDS, Pixels, draw
from app.demo.scene import BACKGROUNDS, BUSY, COLOURS, UNREADABLE
from app.demo.worlds import make_scene

CANNOT_TELL = "cannot tell"

SIDE_PX = 64
RING_PX = 2
GRID = 20
TEMPLATES_PER_PAIR = 5  # for every view on every background
_TEMPLATE_SEED = 20_011
# Lab distances: the same flat background varies by 4 at most; a busy one by far more.
_SUBJECT_DELTA_E = 9.0
_BUSY_SPREAD = 12.0
_SMALLEST_SUBJECT = 0.015
_DARK_GROUND = 45.0
_SOFTENING_PX = 0.6
# Of 2,230 fresh drawings 4 lay farther from every template; of 200 shapeless blobs 196 did.
_FARTHEST = 4.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the judge saw (a name or "cannot tell") and how preset, in its feature space, the nearest template lay."""

    background: str
    colour: str
    kind: str
    kind_distance: float

    def right(self, kind: str, colour: str, background: str) -> tuple[bool, bool, bool]:
        """Whether background, colour and kind, in this order, are as asked."""
        return self.background == background, self.colour == colour, self.kind == kind


def judge(picture: Pixels) -> Judgement:
    """Judges one uint8 sRGB picture of shape (h, w, 3), its shorter side at least 64 px."""
    lab = lab_from_srgb(_small(picture))
    background, reference = _background(lab)
    mask = _subject(lab, reference)
    if background == CANNOT_TELL or mask.mean() < _SMALLEST_SUBJECT:
        return Judgement(background, CANNOT_TELL, CANNOT_TELL, float("inf"))
    known = _templates()
    kind, distance = _nearest_kind(_features(lab, reference), known)
    return Judgement(background, _nearest_colour(_paint(lab, mask), known.colours), kind, distance)


@dataclass(frozen=True, eq=False, slots=True)
class _Templates:
    """Drawn examples: features float32 (n, d), kind index (n,); colours Lab (len(COLOURS), 3)."""

    features: NDArray[np.float32]
    kinds: NDArray[np.intp]
    colours: Lab


def _small(picture: Pixels) -> Pixels:
    height, width = picture.shape[:2]
    factor = SIDE_PX / min(height, width)
    if factor > 1:
        raise ValueError(f"The picture is {width} x {height} px; the judge needs at least {SIDE_PX} px.")
    if factor == 1:
        return picture
    size = (round(width * factor), round(height * factor))
    return np.asarray(Pillow.fromarray(picture).resize(size, Pillow.Resampling.BOX))


def _background(lab: Lab) -> tuple[str, Lab]:
    ring = np.ones(lab.shape[:2], dtype=bool)
    ring[RING_PX:-RING_PX, RING_PX:-RING_PX] = False
    colours = lab[ring]
    reference = np.median(colours, axis=0)
    spread = float(np.median(delta_e76(colours, reference)))
    if spread > _BUSY_SPREAD:
        return BUSY, reference
    names = tuple(BACKGROUNDS)
    distances = delta_e76(_BACKGROUND_LABS, reference)
    nearest = int(distances.argmin())
    return (names[nearest] if distances[nearest] < _BUSY_SPREAD else CANNOT_TELL), reference


def _subject(lab: Lab, reference: Lab) -> NDArray[np.bool_]:
    """Pixels unlike the background and not its shadow; the largest piece and what lies close to it."""
    unlike = delta_e76(lab, reference) > _SUBJECT_DELTA_E
    # A shadow keeps the background's hue and loses a part of its light: Lab shrinks towards black.
    share = np.clip(lab[..., 0] / max(float(reference[0]), 1.0), 0, 1)
    hue_kept = np.hypot(*np.moveaxis(lab[..., 1:] - share[..., None] * reference[1:], -1, 0)) < 5
    solid = unlike & ~(hue_kept & (share > 0.45) & (share < 1))
    core = ndimage.binary_opening(solid)
    if core.mean() >= _SMALLEST_SUBJECT:
        beside = ~ndimage.binary_dilation(ndimage.binary_fill_holes(solid), iterations=2)
        below = np.arange(lab.shape[0])[:, None] > np.flatnonzero(core.any(axis=1))[-1]
        # On a dark ground a shadow hardly shows, while dark handles and straps would pass for one.
        unlike &= solid | ~(below | (beside & (reference[0] > _DARK_GROUND)))
    pieces, count = ndimage.label(unlike, structure=np.ones((3, 3)))
    if count < 2:
        return unlike
    sizes = np.bincount(pieces.ravel())[1:]
    return np.asarray(np.isin(pieces, 1 + np.flatnonzero(sizes >= 0.04 * sizes.max())), dtype=bool)


def _paint(lab: Lab, mask: NDArray[np.bool_]) -> Lab:
    """The subject's colour without its outermost pixels, which are mixed with the background."""
    core = ndimage.binary_erosion(mask)
    return dominant_colour(lab[core if core.sum() > 0.3 * mask.sum() else mask])


def _nearest_colour(colour: Lab, drawn: Lab) -> str:
    """The nearest drawn colour; a colour without chroma is only ever black or white."""
    names = tuple(COLOURS)
    neutral = chroma(colour) < COLOURED_CHROMA
    allowed = [index for index, prototype in enumerate(drawn) if (chroma(prototype) < COLOURED_CHROMA) == neutral]
    return names[allowed[int(delta_e76(drawn[allowed], colour).argmin())]]


def _features(lab: Lab, reference: Lab) -> NDArray[np.float32]:
    """Silhouette and interior of the subject on a GRID x GRID raster of its box, its shape kept by centring.

    Taken from a slightly softened picture, so that a model's pixel noise is no feature.
    """
    lab = np.asarray(ndimage.gaussian_filter(lab, (_SOFTENING_PX, _SOFTENING_PX, 0)))
    mask = _subject(lab, reference)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    lightness = lab[box][..., 0]
    middle = np.median(lightness[mask[box]])
    inside = np.where(mask[box], np.clip((lightness - middle) / 60, -1, 1), 0)
    silhouette = _raster(mask[box].astype(np.float32))
    relief = _raster(inside.astype(np.float32))
    return np.concatenate([silhouette.ravel(), 0.8 * relief.ravel()]).astype(np.float32)


def _raster(patch: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = patch.shape
    side = max(height, width)
    size = (max(1, round(GRID * width / side)), max(1, round(GRID * height / side)))
    small = np.asarray(Pillow.fromarray(patch).resize(size, Pillow.Resampling.BOX))
    raster = np.zeros((GRID, GRID), dtype=np.float32)
    top, left = (GRID - size[1]) // 2, (GRID - size[0]) // 2
    raster[top : top + size[1], left : left + size[0]] = small
    return np.asarray(ndimage.uniform_filter(raster, 3), dtype=np.float32)


def _nearest_kind(features: NDArray[np.float32], known: _Templates) -> tuple[str, float]:
    """The kind of most of the five nearest templates, unless even the nearest is too far."""
    distances = np.linalg.norm(known.features - features, axis=1)
    nearest = np.argsort(distances, kind="stable")[:5]
    votes = np.bincount(known.kinds[nearest], weights=1 / (distances[nearest] + 1e-6))
    distance = float(distances[nearest[0]])
    return (CANNOT_TELL if distance > _FARTHEST else tuple(KINDS)[int(votes.argmax())]), distance


@lru_cache(maxsize=1)
def _templates() -> _Templates:
    rng = np.random.default_rng(_TEMPLATE_SEED)
    views = [(kind, view) for kind, traits in KINDS.items() for view in traits.views]
    features, kinds = [], []
    seen: dict[str, list[Lab]] = {colour: [] for colour in COLOURS}
    for kind, view in views:
        for background in (*BACKGROUNDS,) * TEMPLATES_PER_PAIR:
            readable = [colour for colour in COLOURS if (colour, background) not in UNREADABLE]
            colour = readable[rng.integers(len(readable))]
            framing = ("centred", "centred", "left of centre", "small in the frame")[rng.integers(4)]
            scene = replace(make_scene(kind, colour, background, rng, framing), view=view)
            lab = lab_from_srgb(draw(scene, SIDE_PX))
            reference = _background(lab)[1]
            features.append(_features(lab, reference))
            kinds.append(tuple(KINDS).index(kind))
            seen[colour].append(_paint(lab, _subject(lab, reference)))
    colours = np.stack([np.median(seen[colour], axis=0) for colour in COLOURS])
    return _Templates(np.stack(features), np.array(kinds), colours)


_BACKGROUND_LABS = lab_from_srgb(list(BACKGROUNDS.values()))
