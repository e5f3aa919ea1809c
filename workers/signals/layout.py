"""How a frame is laid out: a border around the picture, seams between pictures, several products, the outline.

**Border.** A line of pixels across the frame is *flat* while 98 % of it lie within `FLAT` levels of the first line's
median. A border is a run of flat lines from an edge of the frame, at least `THINNEST` of the side, that ends all along
at once: 85 % of what follows is more than `STEP` levels away. White paper around a product is no border, for it ends
nowhere at once. `border` is the widest of the four in shares of the frame's side, 0 without any.

**Seam.** The greatest share of a line across the frame, inside of its borders and off its outer tenth, at which the
picture steps by more than `STEP` levels and by half more than two lines further on either side: 1 where two pictures
meet. The side of a carton steps too, but not as far as to the edges: no more counts than twice the share at which both
outer tenths of the line step. `seam_lines` are those of `SEAM_FROM` and more.

Levels are those of the sRGB channel, 0 to 255, that differs most. On 223 real photos (of half of those at hand, 30
November 2026) 1 had a seam above `SEAM_FROM`; of two laid side by side 94 in 100 had, with a gap between 98.

**Parts.** How many separate parts of the subject are at least `PART_SHARE` of the largest; a pair of shoes is two.
"""

from __future__ import annotations

from typing import Final, TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.signals.lab import Pixels
from workers.signals.regions import Mask

FLAT: Final = 8
STEP: Final = 12
THINNEST: Final = 0.012
WIDEST: Final = 0.4
SEAM_FROM: Final = 0.7
PART_SHARE: Final = 0.15
OUTLINE_POINTS: Final = 160

# A line across the frame, "x" one that runs down and "y" one that runs across, and where: in shares of the frame.
Line = tuple[str, float]


class Layout(TypedDict):
    """The columns of `Signals` that this file measures on any frame. `border_lines` are where borders end."""

    border: float
    border_lines: list[Line]
    seam: float
    seam_lines: list[Line]


def layout_of(pixels: Pixels) -> Layout:
    """Borders and seams of a frame, uint8 sRGB (h, w, 3) of at least 16 px a side."""
    height, width = pixels.shape[:2]
    columns = np.asarray(cv2.transpose(pixels), dtype=np.uint8)  # a line of it is a column of the frame
    widths = [_border(lines) for lines in (columns, pixels, columns[::-1], pixels[::-1])]
    shares = [thick / side for thick, side in zip(widths, (width, height) * 2, strict=True)]
    left, top, right, bottom = widths
    x, y = slice(left, width - right), slice(top, height - bottom)
    seam, lines = 0.0, []
    for name, inner, before, side in (("x", columns[x, y], left, width), ("y", pixels[y, x], top, height)):
        if min(inner.shape[:2]) < 16:
            continue
        steps = _stepping(inner)
        seam = max(seam, float(steps.max()))
        lines += [(name, round((before + place) / side, 4)) for place in _peaks(steps)]
    ends = zip("xyxy", shares, (False, False, True, True), strict=True)
    return {
        "border": round(max(shares), 4),
        "border_lines": [(name, round(1 - at if is_far else at, 4)) for name, at, is_far in ends if at],
        "seam": round(seam, 3),
        "seam_lines": lines,
    }


def frame_of(pixels: Pixels) -> float:
    """How wide a frame around a picture is, uint8 sRGB (h, w, 3) at its full size, in shares of its sides; 0 without.

    Thinner ones than `layout_of` sees, which looks at the small picture: bars of at least a pixel along three edges.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < 16:
        return 0.0
    columns = np.asarray(cv2.transpose(pixels), dtype=np.uint8)
    sides = (columns, pixels, columns[::-1], pixels[::-1])
    shares = sorted(_border(lines, least=1) / len(lines) for lines in sides)
    return round(shares[1], 4)


def _border(lines: Pixels, least: float = 0.0) -> int:
    """How many lines (n, length, 3) from the first on are a border, `least` or more; 0 where none is."""
    most = int(WIDEST * len(lines))
    length = lines.shape[1]
    middle = length // 2
    colour = np.partition(lines[0], middle, axis=0)[middle]
    ground = np.broadcast_to(colour, lines[0].shape)

    def off(place: int) -> NDArray[np.uint8]:
        return np.asarray(cv2.absdiff(lines[place], ground).max(axis=1))

    width = next((n for n in range(most) if np.count_nonzero(off(n) > FLAT) / length > 0.02), 0)
    if width < (least or max(2, THINNEST * len(lines))):
        return 0
    # Compression and scaling smear the step over a line or two.
    return width if np.count_nonzero(off(width + 2) > STEP) / length >= 0.85 else 0


def _stepping(lines: Pixels) -> NDArray[np.float64]:
    """For each line (n, length, 3), the share of it that steps against the line before and not beside it, (n,)."""
    step = _largest(np.asarray(cv2.absdiff(lines[1:], lines[:-1]), dtype=np.uint8))
    # A step is often smeared over two places; the picture beside it is calmer where two pictures meet.
    pair = np.maximum(step[2:-3], step[3:-2])
    beside = cv2.convertScaleAbs(np.maximum(step[:-5], step[5:]), alpha=1.5)
    steps = np.asarray(cv2.compare(pair, np.maximum(beside, STEP), cv2.CMP_GT), dtype=np.uint8) & 1
    shares = np.zeros(len(lines))
    end = max(4, steps.shape[1] // 10)
    # Whole numbers: a mean in floats takes ten times as long.
    whole, first, last = (
        cv2.reduce(np.ascontiguousarray(part), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0] * (1 / part.shape[1])
        for part in (steps, steps[:, :end], steps[:, -end:])
    )
    shares[4 : 4 + len(steps)] = np.minimum(whole, 2 * np.minimum(first, last))
    edge = max(3, len(lines) // 10)
    shares[:edge] = shares[len(lines) - edge :] = 0
    return shares


def _largest(pixels: Pixels) -> Pixels:
    """The largest of three channels, (h, w)."""
    first, second, third = cv2.split(pixels)
    return np.asarray(cv2.max(cv2.max(first, second), third), dtype=np.uint8)


def _peaks(shares: NDArray[np.float64]) -> list[int]:
    """The places of the seams: of neighbours the one that steps most."""
    peaks: list[int] = []
    for place in np.argsort(-shares):
        if shares[place] < SEAM_FROM:
            break
        if all(abs(int(place) - other) > 4 for other in peaks):
            peaks.append(int(place))
    return sorted(peaks)


def parts_in(subject: Mask) -> int:
    """How many separate parts a subject has, at least 1 for any that is not empty."""
    shapes, _ = cv2.findContours(subject.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    sizes = np.array([cv2.contourArea(shape) for shape in shapes])
    return int((sizes >= PART_SHARE * sizes.max()).sum()) if len(sizes) else 0


def outline_of(subject: Mask) -> str:
    """The subject's outline as the path of a drawing, in thousandths of the frame: "M10 20L30 40...Z", holes too."""
    height, width = subject.shape
    shapes, _ = cv2.findContours(subject.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    shapes = sorted(shapes, key=len, reverse=True)[:8]
    coarse = 1.0
    while True:
        drawn = [cv2.approxPolyDP(shape, coarse, True).reshape(-1, 2) for shape in shapes]
        if sum(map(len, drawn)) <= OUTLINE_POINTS or coarse > 16:
            break
        coarse *= 1.5
    scale = np.array([1000 / width, 1000 / height])
    return "".join(
        "M" + "L".join(f"{x} {y}" for x, y in np.rint((shape + 0.5) * scale).astype(int)) + "Z"
        for shape in drawn
        if len(shape) > 2
    )
