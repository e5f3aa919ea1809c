"""What is laid over a photo to show why it was measured so, drawn with Pillow and NumPy alone."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter

from app.catalog.colours import Lab, chroma, delta_e76, lab_from_srgb
from app.catalog.outlines import points_of
from app.errors import NotFound

# As `workers/signals/light.py`, `encoding.py` and `measure.py` count them.
CLIPPED_LIGHT: Final = 254
CLIPPED_DARK: Final = 2
PEAK: Final = 3
WHITE_CHANNEL: Final = 250
STRONG_EDGES: Final = 0.95
# Seen beside each other, colours this far apart (CIE 1976) are two; nearer ones are one under another light.
OF_ONE_COLOUR: Final = 20.0
JUST_SEEN: Final = 2.3
_FRINGE_PX: Final = 9  # compression smears every edge
_SMALL_PX: Final = 320  # colours are compared at the size that they are measured at

Mark = Literal[
    "light", "dark", "blocks", "edges", "colourful", "differing", "ground", "offwhite", "uneven", "colour",
]  # fmt: skip
Marks = NDArray[np.bool_]
Paint = tuple[int, int, int, int]
# Colours of the marks, as in `review.css`.
LIGHT_MARK: Final[Paint] = (214, 20, 120, 255)
DARK_MARK: Final[Paint] = (0, 210, 210, 255)
BLOCK_MARK: Final[Paint] = (200, 162, 255, 230)
EDGE_MARK: Final[Paint] = (255, 214, 0, 255)
OFF_MARK: Final[Paint] = (214, 20, 120, 150)
GROUND_MARK: Final[Paint] = (88, 176, 255, 120)
SUBJECT_MARK: Final[Paint] = (61, 220, 132, 150)
_PAINT: Final[dict[Mark, Paint]] = {
    "blocks": BLOCK_MARK, "light": LIGHT_MARK, "dark": DARK_MARK, "edges": EDGE_MARK, "colourful": EDGE_MARK,
    "differing": EDGE_MARK, "ground": GROUND_MARK, "offwhite": OFF_MARK, "uneven": OFF_MARK, "colour": SUBJECT_MARK,
}  # fmt: skip


def evidence_of(view: Path, outline: str, kinds: Collection[Mark], colour: Sequence[float] | None = None) -> bytes:
    """A PNG as large as the view, clear but for marks of these kinds, by the subject inside the outline: where it is
    clipped to white or to black, where pixels step along a grid of 8 px, and what else each signal was measured on.
    `colour` is the subject's, CIELAB.

    Raises NotFound for a view that cannot be read.
    """
    try:
        with Pillow.open(view) as opened:
            picture = opened.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise NotFound("The file of this photo cannot be read. Take its folder in again.") from error
    drawn = np.zeros((picture.height, picture.width, 4), dtype=np.uint8)
    marking = _Marking(picture, outline, colour)
    for kind, paint in _PAINT.items():
        if kind in kinds:
            drawn[marking.marks(kind)] = paint
    buffer = io.BytesIO()
    Pillow.fromarray(drawn).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class _Marking:
    """One picture and what of it is marked, bool (h, w)."""

    def __init__(self, picture: Pillow.Image, outline: str, colour: Sequence[float] | None) -> None:
        self.picture, self.outline, self.colour = picture, outline, colour
        self.pixels = np.asarray(picture)
        self.inside = _inside(picture.size, outline)

    def marks(self, kind: Mark) -> Marks:
        """The pixels that show one signal."""
        if kind == "light":
            return np.asarray(self.inside & (self.pixels.min(axis=2) >= CLIPPED_LIGHT))
        if kind == "dark":
            return np.asarray(self.inside & (self.pixels.max(axis=2) <= CLIPPED_DARK))
        if kind == "ground":
            return self._ground()
        if kind == "offwhite":
            return np.asarray(self._ground() & (self.pixels.min(axis=2) < WHITE_CHANNEL))
        grey = np.asarray(self.picture.convert("L"), dtype=np.int16)
        if kind == "blocks":
            return np.asarray(_blocks(grey) | _blocks(grey.T).T)
        if kind == "edges":
            return self._edges()
        return self._by_colour(kind)

    def _ground(self) -> Marks:
        """All but the subject and the fringe around it."""
        if not self.outline:
            return np.ones(self.inside.shape, dtype=bool)
        return ~_changed(self.inside, ImageFilter.MaxFilter(_FRINGE_PX))

    def _edges(self) -> Marks:
        """The strongest twentieth of the edges inside the subject; without one, in the middle of the frame."""
        smooth = np.asarray(self.picture.convert("L").filter(ImageFilter.GaussianBlur(1)), dtype=np.float32)
        down, across = np.gradient(smooth, axis=0), np.gradient(smooth, axis=1)
        strength = down * down + across * across
        height, width = self.inside.shape
        where = _changed(self.inside, ImageFilter.MinFilter(_FRINGE_PX)) if self.outline else self.inside.copy()
        if not where.any():
            where[height // 10 : height - height // 10, width // 10 : width - width // 10] = True
        return np.asarray(where & (strength >= float(np.quantile(strength[where], STRONG_EDGES))) & (strength > 0))

    def _by_colour(self, kind: Mark) -> Marks:
        small = self.picture.copy()
        small.thumbnail((_SMALL_PX, _SMALL_PX), Pillow.Resampling.BOX)
        lab = lab_from_srgb(np.asarray(small))
        marks = self._of_colours(kind, lab, small.size)
        shown = Pillow.fromarray(marks).resize(self.picture.size, Pillow.Resampling.NEAREST)
        return np.asarray(shown)

    def _of_colours(self, kind: Mark, lab: Lab, size: tuple[int, int]) -> Marks:
        if kind == "colourful":
            strength = chroma(lab)
            return np.asarray(strength >= max(JUST_SEEN, float(np.quantile(strength, 0.99))))
        if kind == "differing":
            off = delta_e76(lab, _smooth(lab))
            return np.asarray(off >= max(JUST_SEEN, float(np.quantile(off, 0.99))))
        of_size = (Pillow.fromarray(marks).resize(size) for marks in (self.inside, self._ground()))
        inside, ground = (np.asarray(marks) for marks in of_size)
        if kind == "colour" and self.colour is not None:
            return np.asarray(inside & (delta_e76(lab, self.colour) <= OF_ONE_COLOUR))
        if kind == "colour" or not ground.any():
            return np.zeros(ground.shape, dtype=bool)
        off = delta_e76(lab, np.median(lab[ground], axis=0))
        return np.asarray(ground & (off >= max(JUST_SEEN, float(np.quantile(off[ground], 0.9)))))


def _smooth(lab: Lab) -> Lab:
    """The surface of second order that fits colours (h, w, 3) best, as `workers/signals/mask.py` fits it."""
    height, width = lab.shape[:2]
    y, x = np.mgrid[0:height, 0:width].reshape(2, -1) / np.array([[height], [width]]) - 0.5
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    every = max(1, len(terms) // 4000)
    fitted, *_ = np.linalg.lstsq(terms[::every], lab.reshape(-1, 3)[::every], rcond=None)
    return np.asarray((terms @ fitted).reshape(lab.shape))


def _blocks(grey: NDArray[np.int16]) -> Marks:
    """Where grey levels (h, w) step between two columns more than beside them, on the commonest grid of 8 px."""
    marks = np.zeros(grey.shape, dtype=bool)
    step = np.abs(np.diff(grey, axis=1))
    if step.shape[1] < 16:
        return marks
    peaks = step[:, 1:-1] >= np.maximum(step[:, :-2], step[:, 2:]) + PEAK
    counts = peaks.sum(axis=0)
    place = max(range(8), key=lambda at: int(counts[at::8].sum()))
    marks[:, 1 + place : 1 + peaks.shape[1] : 8] = peaks[:, place::8]
    return marks


def _changed(marks: Marks, by: ImageFilter.MultibandFilter | ImageFilter.Filter) -> Marks:
    """Marks grown or shrunk by a filter."""
    return np.asarray(Pillow.fromarray(marks).convert("L").filter(by)) > 0


def _inside(size: tuple[int, int], outline: str) -> Marks:
    """What lies inside an odd number of rings, bool (h, w)."""
    width, height = size
    inside = np.zeros((height, width), dtype=bool)
    for ring in points_of(outline):
        drawn = Pillow.new("1", size)
        if len(ring) > 2:
            ImageDraw.Draw(drawn).polygon([(x * width, y * height) for x, y in ring], fill=1)
        inside ^= np.asarray(drawn)
    return inside
