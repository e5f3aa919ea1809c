"""Where the product is in a photo: a mask, found from the colours at the frame's border or by a small network.

Two ways. *Flood*: a smooth surface through CIELAB is fitted to the border; what floods in from the border along that
surface is background, the rest is subject. A second flood stops at edges too, so a white product on white keeps its
outline, and soft shadow beside the product is taken off. *Network*: where the border is no single colour (wood, tiles,
carpet, folded cloth), a network trained on products laid over such backgrounds says how likely each pixel is product;
it also decides where part of the border is of another colour and the flood comes to another outline.
Why a network and not GrabCut, and how each measures: `docs/decisions/mask-by-network.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.signals.lab import Field, Pixels, Planes, distance, quantile, steepness
from workers.signals.mask_network import log_odds
from workers.signals.regions import (
    Mask,
    grown,
    hull_of,
    parts_of,
    ring_of,
    shrunk,
    touching_border,
    without_specks,
)

# Lengths in px below are meant for this long side.
MASK_SIDE_PX: Final = 320

FLOOD_DELTA_E: Final = 6.0
RING_SAMPLES: Final = 1500
RING_CANDIDATES: Final = 48
RING_AGREES: Final = 0.6
RING_IS_ONE: Final = 0.97
PAPER_NOISE: Final = 0.5
RETOUCHED_NOISE: Final = 0.3
OPINIONS_AGREE: Final = 0.7
PLAIN_NOISE: Final = 1.5
PALE_SHARE: Final = 0.02
HOLE_SHARE: Final = 0.005
SMALLEST_SUBJECT: Final = 0.003
LARGEST_SUBJECT: Final = 0.985
SURE: Final = 1.0
PALE_CONFIDENCE: Final = 0.6
TRUSTED: Final = 0.85
ROUGH: Final = 0.7
# The log odds of 0.62 and of 0.9.
ODDS_AT_FRAME: Final = 0.49
ODDS_SURELY: Final = 2.2
# A plane that fits the border this well has no bowl to it.
FLAT_NOISE: Final = 0.15


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The background as one smooth colour: a polynomial of place for each of L*, a* and b*, float32 (3, 6).

    `agreement` is the share of border pixels that lie on the surface, `noise` the median CIE 1976 difference of those.
    """

    surface: Field
    agreement: float
    noise: float

    @property
    def is_retouched(self) -> bool:
        """Whether it is white without grain, as no camera sees it: what crosses the border of that is product."""
        level, a, b = self.surface[:, 0]
        return bool(self.noise < RETOUCHED_NOISE and level > 98 and np.hypot(a, b) < 1)


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A subject mask, bool (h, w), None where none can be told; all that is not product; and how sure it is, 0 to 1.

    `is_plain` says that the border is one smooth colour, so that the flood decided and not the network. `likely` is
    where the network sees product whose outline it cannot tell, None where it can or sees hardly any.
    """

    subject: Mask | None
    background: Mask
    is_plain: bool
    confidence: float
    likely: Mask | None = None


@dataclass(frozen=True, slots=True)
class _Begun:
    """What is known of a photo before the network is asked: its backdrop, what the flood found, if that was tried."""

    backdrop: Backdrop
    flooded: Segmentation | None
    is_network_asked: bool


def find_subject(pixels: Pixels, lab: Planes) -> Segmentation:
    """The subject of a photo, uint8 sRGB (h, w, 3) and the same as CIELAB (3, h, w), at least 16 px a side.

    Its long side is meant to be `MASK_SIDE_PX`.
    """
    return find_subjects([(pixels, lab)])[0]


def find_subjects(photos: Sequence[tuple[Pixels, Planes]]) -> list[Segmentation]:
    """The subject of each of some photos, as `find_subject` finds it.

    The network sees them one right after the other: its weights and its code then lie in the processor's cache.
    """
    begun = [_begin(lab) for _, lab in photos]
    odds = [
        log_odds(pixels) if first.is_network_asked else None for (pixels, _), first in zip(photos, begun, strict=True)
    ]
    return [_decided(pixels, first, seen) for (pixels, _), first, seen in zip(photos, begun, odds, strict=True)]


def _begin(lab: Planes) -> _Begun:
    backdrop = fit_backdrop(lab)
    if backdrop.agreement < RING_AGREES or backdrop.noise > PLAIN_NOISE:
        return _Begun(backdrop, None, True)
    flooded = by_flood(lab, backdrop)
    is_clear = backdrop.agreement >= RING_IS_ONE or backdrop.is_retouched or flooded.subject is None
    # Something crosses the border: a product that leaves the frame, or tiles whose joints stop the flood.
    return _Begun(backdrop, flooded, not is_clear)


def _decided(pixels: Pixels, begun: _Begun, odds: Field | None) -> Segmentation:
    flooded = begun.flooded
    if flooded is not None and odds is None:
        return flooded
    second = by_network(pixels, odds)
    if flooded is None or flooded.subject is None:
        return second
    is_paper = begun.backdrop.noise < PAPER_NOISE or second.subject is None
    agrees = _overlap(flooded.subject, ~second.background) >= OPINIONS_AGREE
    return flooded if is_paper and agrees else second


def by_flood(lab: Planes, backdrop: Backdrop) -> Segmentation:
    """What does not belong to a backdrop, in a photo as CIELAB (3, h, w): see the top of this file."""
    if backdrop.noise > 0.3:
        lab = np.stack([cv2.GaussianBlur(plane, (0, 0), 1.0, borderType=cv2.BORDER_REFLECT) for plane in lab])
    bowl = backdrop.surface if backdrop.noise < FLAT_NOISE else _refit(lab, backdrop.surface)
    surface = _surface(bowl, *lab.shape[1:])
    off, steep = distance(lab, surface), steepness(lab)
    like = off <= FLOOD_DELTA_E
    plain = without_specks(~touching_border(like))
    walled = without_specks(~touching_border(like & (steep <= 0.4 + 1.5 * backdrop.noise)))
    subject = _without_holes(plain, off) | _pale_parts(plain, walled)
    rest = without_specks(subject & ~_shade(lab, surface, steep, subject))
    if np.count_nonzero(rest) < 0.3 * np.count_nonzero(subject):
        # All but the details of it looks like shade: a white product, not a shadow with a logo.
        return _finding(subject, True, PALE_CONFIDENCE)
    return _finding(rest, True, PALE_CONFIDENCE if np.count_nonzero(subject) > 1.25 * np.count_nonzero(plain) else SURE)


def by_network(pixels: Pixels, odds: Field | None = None) -> Segmentation:
    """What the network takes for the product, in a photo of any background: uint8 sRGB (h, w, 3).

    `odds`: what `log_odds` said of it, where it was asked before.

    The confidence is the overlap (intersection over union) that the mask would have with the truth if each pixel's
    likelihood were right; under `TRUSTED` there is no mask. At the frame, where the network sees one side only, it
    takes a surer pixel to say that the product is cut off.
    """
    odds = log_odds(pixels) if odds is None else odds
    share = 1 / (1 + np.exp(-odds))
    kept = _main_parts(odds > 0)
    sure = float(share[kept].sum())
    overlap = sure / max(1.0, float(share.sum()) - sure + np.count_nonzero(kept))
    height, width = pixels.shape[:2]
    fine = cv2.resize(np.where(kept, abs(odds), -abs(odds)), (width, height), interpolation=cv2.INTER_LINEAR)
    subject = (fine > 0) & (~ring_of(height, width, share=0.0) | (fine > ODDS_AT_FRAME))
    if overlap > TRUSTED:
        return _finding(subject, False, overlap)
    return Segmentation(None, ~subject, False, 0.0, fine > ODDS_SURELY if overlap > ROUGH else None)


def fit_backdrop(lab: Planes) -> Backdrop:
    """The smooth colour that most of the border shares.

    Starts from the border colour that most others agree with (a product that leaves the frame is outvoted, whether the
    ground is white, grey or black) and lets a plane grow along the border, so that soft gradients fit.
    """
    ring = _ring_sample(*lab.shape[1:])
    colours = lab.reshape(3, -1).take(ring.places, axis=1)
    candidates = colours[:, :: max(1, colours.shape[1] // RING_CANDIDATES)]
    is_like = _squares(candidates, colours) <= FLOOD_DELTA_E**2
    votes = cv2.reduce(is_like.view(np.uint8), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0]
    plane = np.zeros((3, 6), dtype=np.float32)
    plane[:, 0] = candidates[:, int((votes * (1 + candidates[0] / 1000)).argmax())]
    fitted: Mask | None = None
    for limit in (2.0, 1.5, 1.0, 1.0):
        agrees = distance(colours, plane @ ring.terms) <= limit * FLOOD_DELTA_E
        if fitted is None or (agrees != fitted).any():
            plane, fitted = _fit_plane(ring, agrees, colours, plane), agrees
    off = distance(colours, plane @ ring.terms)
    agrees = off <= FLOOD_DELTA_E
    noise = float(quantile(off[agrees], 0.5)) if agrees.any() else 0.0
    return Backdrop(plane, np.count_nonzero(agrees) / len(agrees), noise)


@dataclass(frozen=True, slots=True)
class _Ring:
    """Some `RING_SAMPLES` flat places in the border (n), their `_terms` (6, n), which lie at which side (4, n)."""

    places: NDArray[np.intp]
    terms: Field
    is_at_side: Mask


# Photos of one catalog have few shapes, and every one of a shape has this ring.
@lru_cache(maxsize=64)
def _ring_sample(height: int, width: int) -> _Ring:
    y, x = np.nonzero(ring_of(height, width))
    every = max(1, len(y) // RING_SAMPLES)
    y, x = y[::every], x[::every]
    terms = _terms(x / width - 0.5, y / height - 0.5)
    sides = [np.abs(terms[axis] - end) < 0.03 for axis in (1, 2) for end in (-0.5, 0.5)]
    return _Ring(y * width + x, terms, np.stack(sides))


def _squares(first: Planes, second: Planes) -> Field:
    """Squared CIE 1976 differences of each of some colours (3, n) to each of others (3, m), float32 (n, m)."""
    sums = [np.asarray(each * each).sum(axis=0, keepdims=True) for each in (first, second)]
    # One product of matrices: -2 f s + 1 |s|^2 + |f|^2 1.
    left = np.concatenate([-2 * first, np.ones_like(sums[0]), sums[0]])
    return np.asarray(left.T @ np.concatenate([second, sums[1], np.ones_like(sums[1])]))


def _fit_plane(ring: _Ring, agrees: Mask, colours: Planes, before: Field) -> Field:
    """Coefficients (3, 6), the first three set; slopes only where three sides of the frame speak for them."""
    count = int(np.count_nonzero(agrees))
    if count == 0:
        return before
    plane = np.zeros_like(before)
    if (np.count_nonzero(ring.is_at_side & agrees, axis=1) > 0.08 * count).sum() >= 3:
        plane[:, :3] = _least_squares(ring.terms[:3].compress(agrees, axis=1), colours.compress(agrees, axis=1))
    else:
        plane[:, 0] = quantile(colours.compress(agrees, axis=1), 0.5)
    return plane


def _least_squares(terms: Field, values: Planes) -> Field:
    """Coefficients (3, k) with which terms (k, n) come closest to values (3, n), by the normal equations."""
    exact = terms.astype(np.float64)
    return np.linalg.solve(_normal(exact), exact @ values.T).T.astype(np.float32)


def _normal(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix (k, k) of the normal equations of terms (k, n)."""
    square = terms @ terms.T
    # Where places cannot tell two terms apart, as in a frame of a few columns, the smaller coefficients will do.
    square.flat[:: len(square) + 1] += 1e-9 * terms.shape[1]
    return np.asarray(square)


def _refit(lab: Planes, surface: Field) -> Field:
    """The backdrop as a bowl (all terms to the second order) through everything that floods in from the border."""
    # Every second pixel each way is plenty for eighteen numbers.
    lab = lab[:, ::2, ::2]
    height, width = lab.shape[1:]
    for _ in range(2):
        y, x = np.nonzero(touching_border(distance(lab, _surface(surface, height, width)) <= FLOOD_DELTA_E))
        every = max(1, len(y) // 4000)
        y, x = y[::every], x[::every]
        if len(y) < 100:
            break
        where = _terms(x / width - 0.5, y / height - 0.5)
        surface = _least_squares(where, lab[:, y, x])
    return surface


def off_smooth(lab: Planes) -> Field:
    """CIE 1976 difference of every pixel to the smooth surface (all terms to the second order) that fits best, (h, w).

    Least squares over some 4,000 pixels of the frame: a sheet of paper under uneven light comes close to it everywhere.
    """
    height, width = lab.shape[1:]
    every, fit = _sheet_sample(height, width)
    bowl = (fit @ lab[:, ::every, ::every].reshape(3, -1).T.astype(np.float64)).T.astype(np.float32)
    return distance(lab, _surface(bowl, height, width))


@lru_cache(maxsize=64)
def _sheet_sample(height: int, width: int) -> tuple[int, NDArray[np.float64]]:
    """The step at which some 4,000 places of a frame lie; and what makes of values there their coefficients, (6, n)."""
    every = max(1, round((height * width / 4000) ** 0.5))
    y, x = np.mgrid[0:height:every, 0:width:every].reshape(2, -1)
    terms = _terms(x / width - 0.5, y / height - 0.5).astype(np.float64)
    return every, np.asarray(np.linalg.solve(_normal(terms), terms), dtype=np.float64)


def _terms(x: NDArray[np.float64], y: NDArray[np.float64]) -> Field:
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y]).astype(np.float32)


def _surface(coefficients: Field, height: int, width: int) -> Planes:
    """The polynomial of `_terms` with coefficients (3, 6) at every pixel, float32 (3, height, width)."""
    level, x1, y1, x2, xy, y2 = coefficients.astype(np.float32).T[:, :, None, None]
    x = (np.arange(width, dtype=np.float32) / width - 0.5)[None, None, :]
    y = (np.arange(height, dtype=np.float32) / height - 0.5)[None, :, None]
    return np.asarray(level + x * (x1 + x * x2) + y * (y1 + y * y2) + (y * xy) * x)


def _pale_parts(plain: Mask, walled: Mask) -> Mask:
    """What only the walled flood kept, wherever that is more than the fringe that compression leaves beside edges.

    A white mug on white is eaten by the plain flood, but for its logo; its outline stops the walled one. Fringes are up
    to 8 px thick outside a product, 4 px between its printed parts.
    """
    lost = walled & ~plain
    if np.count_nonzero(lost) <= PALE_SHARE * np.count_nonzero(plain):
        return np.zeros_like(lost)
    core = shrunk(lost, 4) | shrunk(lost & hull_of(plain), 2)
    if not core.any():
        return core
    pale = grown(core, 4) & lost
    parts, sizes = parts_of(pale)
    return np.asarray((sizes > PALE_SHARE * np.count_nonzero(plain))[parts], dtype=bool)


def _shade(lab: Planes, surface: Planes, steep: Field, subject: Mask) -> Mask:
    """The soft shadow in a subject mask: the background's own colour under less light, hanging on the background.

    Less light scales X, Y and Z alike, hence L* + 16, a* and b* alike.
    """
    level, a, b = surface
    dimmed = (lab[0] + 16) / (level + 16)
    tint = np.hypot(lab[1] - a * dimmed, lab[2] - b * dimmed)
    drop = level - lab[0]
    shade = touching_border(~subject | ((tint < 4) & (drop > -2) & (drop < 40) & (steep < 4.5))) & subject
    if not shade.any():
        return shade
    # A shadow lies beside the product; a pale face of a carton lies among its printed parts.
    inside = hull_of(without_specks(subject & ~shade))
    parts, sizes = parts_of(shade)
    outside = np.bincount(parts[~inside], minlength=len(sizes))
    return np.asarray((outside > 0.5 * sizes)[parts], dtype=bool) & shade


def _without_holes(subject: Mask, off: Field) -> Mask:
    """Opens what the background shows through: enclosed parts of at least 0.5 % of the frame in its very colour."""
    through = subject & (off < 1.5)
    if np.count_nonzero(through) < HOLE_SHARE * subject.size:
        return subject
    parts, sizes = parts_of(through)
    holes = (sizes >= HOLE_SHARE * subject.size)[parts]
    return subject & ~(grown(holes, 2) & (off < FLOOD_DELTA_E)) if holes.any() else subject


def _overlap(first: Mask, second: Mask) -> float:
    return int(np.count_nonzero(first & second)) / max(1, int(np.count_nonzero(first | second)))


def _main_parts(mask: Mask) -> Mask:
    """The parts of a mask of at least a tenth of the largest, their holes under 1 % of the frame filled."""
    parts, sizes = parts_of(mask)
    kept = (sizes >= max(1.0, 0.1 * sizes.max()))[parts]
    holes, sizes = parts_of(~kept)
    return np.asarray(kept | ((sizes > 0) & (sizes < 0.01 * mask.size))[holes], dtype=bool)


def _finding(subject: Mask, is_plain: bool, confidence: float) -> Segmentation:
    if confidence == 0 or not SMALLEST_SUBJECT <= np.count_nonzero(subject) / subject.size <= LARGEST_SUBJECT:
        return Segmentation(None, ~subject, is_plain, 0.0)
    return Segmentation(subject, ~subject, is_plain, confidence)
