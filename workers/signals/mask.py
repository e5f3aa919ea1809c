"""Where the product is in a photo: a mask found from the colours at the frame's border, without any model.

Two ways. *Flood*: a smooth surface through CIELAB is fitted to the border; what floods in from the border along that
surface is background, the rest is subject. A second flood stops at edges too, so a white product on white keeps its
outline, and soft shadow beside the product is taken off. *Palette*: where the border is no single colour (wood,
carpet, folded cloth), the colours of border and middle become two histograms, and each pixel goes to the likelier one;
a guess, marked by a low confidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from workers.signals.lab import Field, Pixels, Planes, distance, steepness
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
RING_AGREES: Final = 0.6
PLAIN_NOISE: Final = 1.5
PALETTE_APART: Final = 0.7
PALE_SHARE: Final = 0.02
HOLE_SHARE: Final = 0.005
SMALLEST_SUBJECT: Final = 0.003
LARGEST_SUBJECT: Final = 0.985
SURE: Final = 1.0
PALE_CONFIDENCE: Final = 0.6
PALETTE_CONFIDENCE: Final = 0.6


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The background as one smooth colour: `surface` is its CIELAB at every pixel, float32 (3, h, w).

    `agreement` is the share of border pixels that lie on the surface, `noise` the median CIE 1976 difference of those.
    """

    surface: Planes
    agreement: float
    noise: float


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A subject mask, bool (h, w), None where none can be told; all that is not product; and how sure it is, 0 to 1.

    `is_plain` says that the border is one smooth colour, so that the flood decided and not the palette.
    """

    subject: Mask | None
    background: Mask
    is_plain: bool
    confidence: float


def find_subject(pixels: Pixels, lab: Planes) -> Segmentation:
    """The subject of a photo, uint8 sRGB (h, w, 3) and the same as CIELAB (3, h, w), at least 16 px a side.

    Its long side is meant to be `MASK_SIDE_PX`.
    """
    backdrop = fit_backdrop(lab)
    if backdrop.agreement < RING_AGREES or backdrop.noise > PLAIN_NOISE:
        subject, apart = palette(lab)
        return _finding(subject, False, PALETTE_CONFIDENCE * apart if apart > PALETTE_APART else 0.0)
    if backdrop.noise > 0.3:
        lab = ndimage.gaussian_filter(lab, (0, 1, 1))
    backdrop = _refit(lab, backdrop)
    off, steep = distance(lab, backdrop.surface), steepness(lab)
    like = off <= FLOOD_DELTA_E
    plain = without_specks(~touching_border(like))
    walled = without_specks(~touching_border(like & (steep <= 0.4 + 1.5 * backdrop.noise)))
    subject = _without_holes(plain, off) | _pale_parts(plain, walled)
    rest = without_specks(subject & ~_shade(lab, backdrop, steep, subject))
    if rest.sum() < 0.3 * subject.sum():
        # All but the details of it looks like shade: a white product, not a shadow with a logo.
        return _finding(subject, True, PALE_CONFIDENCE)
    return _finding(rest, True, PALE_CONFIDENCE if subject.sum() > 1.25 * plain.sum() else SURE)


def fit_backdrop(lab: Planes) -> Backdrop:
    """The smooth colour that most of the border shares.

    Starts from the border colour that most others agree with (a product that leaves the frame is outvoted, whether the
    ground is white, grey or black) and lets a plane grow along the border, so that soft gradients fit.
    """
    height, width = lab.shape[1:]
    y, x = np.nonzero(ring_of(height, width))
    colours = lab[:, y, x]
    candidates = colours[:, :: max(1, len(x) // 48)]
    votes = (distance(colours[:, None, :], candidates[:, :, None]) <= FLOOD_DELTA_E).sum(axis=1)
    chosen = candidates[:, [int((votes * (1 + candidates[0] / 1000)).argmax())]]
    where = _terms(x / width - 0.5, y / height - 0.5)
    plane = np.zeros((3, 6), dtype=np.float32)
    plane[:, :1] = chosen
    for limit in (2.0, 1.5, 1.0, 1.0):
        agrees = distance(colours, plane @ where) <= limit * FLOOD_DELTA_E
        plane = _fit_plane(where[:, agrees], colours[:, agrees], plane)
    off = distance(colours, plane @ where)
    agrees = off <= FLOOD_DELTA_E
    noise = float(np.median(off[agrees])) if agrees.any() else 0.0
    return Backdrop(_surface(plane, height, width), float(agrees.mean()), noise)


def _fit_plane(where: Field, colours: Planes, before: Field) -> Field:
    """Coefficients (3, 6), the first three set; slopes only where three sides of the frame speak for them."""
    if where.shape[1] == 0:
        return before
    plane = np.zeros_like(before)
    sides = sum(bool((np.abs(where[axis] - end) < 0.03).mean() > 0.08) for axis in (1, 2) for end in (-0.5, 0.5))
    if sides >= 3:
        plane[:, :3] = np.linalg.lstsq(where[:3].T, colours.T, rcond=None)[0].T
    else:
        plane[:, 0] = np.median(colours, axis=1)
    return plane


def _refit(lab: Planes, backdrop: Backdrop) -> Backdrop:
    """The backdrop as a bowl (all terms to the second order) through everything that floods in from the border."""
    height, width = lab.shape[1:]
    for _ in range(2):
        y, x = np.nonzero(touching_border(distance(lab, backdrop.surface) <= FLOOD_DELTA_E))
        every = max(1, len(y) // 4000)
        y, x = y[::every], x[::every]
        if len(y) < 100:
            break
        where = _terms(x / width - 0.5, y / height - 0.5)
        bowl = np.linalg.lstsq(where.T, lab[:, y, x].T, rcond=None)[0].T
        backdrop = Backdrop(_surface(bowl, height, width), backdrop.agreement, backdrop.noise)
    return backdrop


def off_smooth(lab: Planes) -> Field:
    """CIE 1976 difference of every pixel to the smooth surface (all terms to the second order) that fits best, (h, w).

    Least squares over some 4,000 pixels of the frame: a sheet of paper under uneven light comes close to it everywhere.
    """
    height, width = lab.shape[1:]
    every = max(1, round((height * width / 4000) ** 0.5))
    y, x = np.mgrid[0:height:every, 0:width:every].reshape(2, -1)
    where = _terms(x / width - 0.5, y / height - 0.5).astype(np.float64)
    bowl = np.linalg.lstsq(where @ where.T, where @ lab[:, y, x].T, rcond=None)[0].T
    return distance(lab, _surface(bowl, height, width))


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
    core = shrunk(lost, 4) | shrunk(lost & hull_of(plain), 2)
    if not core.any():
        return core
    pale = grown(core, 4) & lost
    parts, sizes = parts_of(pale)
    return np.asarray((sizes > PALE_SHARE * plain.sum())[parts], dtype=bool)


def _shade(lab: Planes, backdrop: Backdrop, steep: Field, subject: Mask) -> Mask:
    """The soft shadow in a subject mask: the background's own colour under less light, hanging on the background.

    Less light scales X, Y and Z alike, hence L* + 16, a* and b* alike.
    """
    level, a, b = backdrop.surface
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
    parts, sizes = parts_of(subject & (off < 1.5))
    holes = (sizes >= HOLE_SHARE * subject.size)[parts]
    return subject & ~(grown(holes, 2) & (off < FLOOD_DELTA_E)) if holes.any() else subject


def palette(lab: Planes) -> tuple[Mask, float]:
    """A guess at the subject from two colour histograms, border against middle: bool (h, w), and how well they part.

    The second value is 0 (the same colours) to 1 (no colour shared).
    """
    height, width = lab.shape[1:]
    bins = np.floor(lab / np.array([5, 6, 6], dtype=np.float32)[:, None, None]).astype(np.int32)
    index = (np.clip(bins[0], 0, 20) * 32 + np.clip(bins[1] + 16, 0, 31)) * 32 + np.clip(bins[2] + 16, 0, 31)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    middle = np.exp(-((x / 0.75) ** 4 + (y / 0.75) ** 4))
    edge = ring_of(height, width, 0.06)
    subject, border = middle * ~edge, edge.astype(np.float32)
    share, overlap = middle, 0.0
    for _ in range(4):
        ours, theirs = _histogram(index, subject), _histogram(index, border)
        overlap = float(np.minimum(ours, theirs).sum())
        likely = (ours / (ours + theirs + 1e-9)).astype(np.float32)
        share = ndimage.gaussian_filter(likely[index], 2.0)
        subject, border = share * middle, (1 - share) * (1.05 - middle)
    return _main_parts(shrunk(grown(share > 0.5, 2), 2)), 1 - overlap


def _histogram(index: NDArray[np.int32], weight: Field) -> NDArray[np.float64]:
    counts = np.bincount(index.ravel(), weight.ravel(), minlength=21 * 32 * 32).reshape(21, 32, 32)
    counts = ndimage.gaussian_filter(counts, 1.0)
    return np.asarray((counts / counts.sum()).ravel())


def _main_parts(mask: Mask) -> Mask:
    """The parts of a mask of at least a tenth of the largest, their holes under 1 % of the frame filled."""
    parts, sizes = parts_of(mask)
    kept = (sizes >= max(1.0, 0.1 * sizes.max()))[parts]
    holes, sizes = parts_of(~kept)
    return np.asarray(kept | ((sizes > 0) & (sizes < 0.01 * mask.size))[holes], dtype=bool)


def _finding(subject: Mask, is_plain: bool, confidence: float) -> Segmentation:
    if confidence == 0 or not SMALLEST_SUBJECT <= float(subject.mean()) <= LARGEST_SUBJECT:
        return Segmentation(None, ~subject, is_plain, 0.0)
    return Segmentation(subject, ~subject, is_plain, confidence)
