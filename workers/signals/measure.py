"""What can be measured on a product photo: framing, background, colour and sharpness.

Everything is measured on the picture as a person sees it (sRGB, upright, no alpha), scaled to a long side of at most
320 px; sharpness alone looks at finer pixels. None means "cannot tell", never zero. No database, no torch.

**Background.** Measured 3 px away from the subject, for compression smears every edge. `background_delta_e` is the
CIE 1976 difference of its median colour to pure white, `whiteness` the share of it whose darkest channel is 250 or
more, `uniformity` 1 for one flat colour, falling to 0 where a tenth of it lies 20 or further (CIE 1976) from its
median. `background` is *white* up to a difference of 3.5, *plain* where another single colour fits it, *scene* where
none does, and *cannot tell* where no subject could be told from it.

**Contrast** of the whole frame: the CIE 1976 difference to the smooth surface that fits it best, which 999 of 1,000
pixels stay within, each taken as the mean of 3 x 3 against noise. An empty frame, of one colour or one gradient, has
next to none: see `app.catalog.colours.EMPTY_BELOW`.

**Sharpness.** Let an edge be a step blurred by a Gaussian of `s` px. Its Laplacian energy over its gradient energy is
1 / (2 s^2), whatever its contrast. After a first blur of 1 px against noise, `sharpness` is twice the median of that
ratio (2.5 times, for on the pixel grid a perfect step reaches 0.4) over the strongest twentieth of the edges inside
the subject, scaled so that the subject is 512 px long:

    sharpness = 1 / (1 + b^2),  b = blur of the edges in 1/512 of the subject's longer side

so 1 is as sharp as pixels can be, 0.5 (`SOFT_BELOW`) is a blur of one such pixel, 0.2 (`BLURRED_BELOW`) of two.
Small subjects are not enlarged. Edges too faint to tell from noise give None.

**Framing, colour, light, encoding, layout.** `workers/signals/framing.py`, `colour.py`, `light.py`, `encoding.py`,
`layout.py`.

**Fingerprint.** Keys and thumbs by which copies are known again: `workers/signals/fingerprint.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self, TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from app.catalog.colours import name_background
from workers.signals.colour import colour_of, colours_at
from workers.signals.encoding import blockiness, detail
from workers.signals.fingerprint import fingerprint_of
from workers.signals.framing import framing_of
from workers.signals.lab import Field, Pixels, Planes, averaged, distance, lab_planes, quantile, strongest_places
from workers.signals.layout import Layout, Line, layout_of, outline_of, parts_in
from workers.signals.light import chroma_of, light_on
from workers.signals.mask import MASK_SIDE_PX, Segmentation, find_subjects, off_smooth
from workers.signals.regions import Mask, box_of, grown, ring_of, shrunk
from workers.signals.scaling import within

Levels = NDArray[np.uint8]  # grey, (h, w)

# Raise when a definition changes: images measured under an older version are measured again.
# 9: outlines by the quantised network; fingerprints of a picture made smaller by interpolation.
SIGNALS_VERSION: Final = 9

SHARPNESS_SIDE_PX: Final = 512
WHITE_DELTA_E: Final = 3.5
PLAIN_DELTA_E: Final = 10.0
WHITE_CHANNEL: Final = 250
SOFT_BELOW: Final = 0.5
BLURRED_BELOW: Final = 0.2
FAINTEST_EDGE: Final = 0.3
_BLUR: Final = cv2.getGaussianKernel(7, 1.0, cv2.CV_32F)


@dataclass(frozen=True, slots=True)
class SignalValues:
    """What was measured on one image; the names are the columns of `catalog.tables.Signals`."""

    background: str
    confidence: float
    contrast: float
    sharpness: float | None = None
    background_colour: str | None = None
    whiteness: float | None = None
    background_delta_e: float | None = None
    uniformity: float | None = None
    coverage: float | None = None
    fill: float | None = None
    offset_x: float | None = None
    offset_y: float | None = None
    box: list[float] | None = None
    is_cropped: bool | None = None
    cropped_edges: list[str] = field(default_factory=list)
    subject_lab: list[float] | None = None
    subject_colour: str | None = None
    brightness: float | None = None
    clipped_light: float | None = None
    clipped_dark: float | None = None
    shadow: float | None = None
    chroma: float | None = None
    blockiness: float | None = None
    detail: float | None = None
    border: float | None = None
    border_lines: list[Line] = field(default_factory=list)
    seam: float | None = None
    seam_lines: list[Line] = field(default_factory=list)
    parts: int | None = None
    outline: str | None = None
    frame_keys: bytes | None = None
    frame_thumbs: bytes | None = None

    def columns(self) -> dict[str, Any]:
        """The values by their names."""
        return {name: getattr(self, name) for name in self.__slots__}


def measure(picture: Pillow.Image) -> SignalValues:
    """Measure one picture: any mode Pillow turns into RGB, any size from 1 x 1 px; alpha is laid on white.

    Raises OSError when the picture's pixels cannot be read.
    """
    return measure_pixels(np.asarray(_on_white(picture)))


def measure_pixels(pixels: Pixels) -> SignalValues:
    """Measure a picture by its pixels, sRGB, uint8 (h, w, 3) or, of a grey one, (h, w)."""
    return measure_each([pixels])[0]


def measure_each(pictures: Sequence[Pixels]) -> list[SignalValues]:
    """Measure some pictures, each as `measure_pixels` does: together, the network costs less (see `find_subjects`)."""
    seen = [_Seen.of(pixels) for pixels in pictures]
    large = [each for each in seen if min(each.small.shape[:2]) >= 16]
    findings = iter(find_subjects([(each.small, each.lab) for each in large]))
    return [_measured(each, next(findings) if min(each.small.shape[:2]) >= 16 else None) for each in seen]


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A picture, uint8 (h, w, 3), and what all is measured on: a small one, and that as CIELAB."""

    pixels: Pixels
    small: Pixels
    lab: Planes

    @classmethod
    def of(cls, pixels: Pixels) -> Self:
        if pixels.ndim == 2:
            pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
        small = within(pixels, MASK_SIDE_PX)
        return cls(pixels, small, lab_planes(small))


def _measured(seen: _Seen, finding: Segmentation | None) -> SignalValues:
    mark = fingerprint_of(seen.pixels, seen.small)
    return replace(_by_finding(seen, finding), frame_keys=mark.keys, frame_thumbs=mark.thumbs)


def _by_finding(seen: _Seen, finding: Segmentation | None) -> SignalValues:
    pixels, small, lab = seen.pixels, seen.small, seen.lab
    contrast = _contrast(lab)
    if finding is None:
        return SignalValues(background="cannot tell", confidence=0.0, contrast=contrast)
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    frame = _Frame(
        contrast=contrast, chroma=chroma_of(lab), blockiness=blockiness(grey), detail=detail(grey), **layout_of(small)
    )
    if finding.subject is None:
        kind = "cannot tell" if finding.is_plain else "scene"
        sharpness = _sharpness(grey, _middle(lab))
        return SignalValues(background=kind, confidence=0.0, sharpness=sharpness, **frame, **colour_of(lab, finding))
    return SignalValues(
        confidence=round(finding.confidence, 3),
        sharpness=_sharpness(grey, finding.subject),
        parts=parts_in(finding.subject),
        outline=outline_of(finding.subject),
        **frame,
        **framing_of(lab, finding.subject, finding.is_plain),
        **_background(small, lab, finding),
        **colour_of(lab, finding),
        **light_on(small, lab, finding.subject, finding),
    )


def _contrast(lab: Planes) -> float:
    # Each mean of 3 x 3 px is much the same as its neighbour's: a quarter of them tells as much.
    means = np.ascontiguousarray(averaged(lab, 3)[:, ::2, ::2])
    return round(float(quantile(off_smooth(means).ravel(), 0.999)), 2)


class _Frame(Layout):
    contrast: float
    chroma: float
    blockiness: float | None
    detail: float | None


class _Background(TypedDict):
    background: str
    background_colour: str | None
    background_delta_e: float | None
    whiteness: float | None
    uniformity: float | None


def _background(pixels: Pixels, lab: Planes, finding: Segmentation) -> _Background:
    ground = shrunk(finding.background, 3)
    if np.count_nonzero(ground) < 50:
        return {
            "background": "cannot tell", "background_colour": None, "background_delta_e": None, "whiteness": None,
            "uniformity": None,
        }  # fmt: skip
    where = np.flatnonzero(ground)
    colours = colours_at(lab, where)
    middle = quantile(colours, 0.5)
    off = distance(colours, middle[:, None])
    most, nearly_all = float(quantile(off, 0.75)), float(quantile(off, 0.9))
    delta_e = float(distance(middle, np.array([100, 0, 0], dtype=np.float32)))
    kind = "plain" if finding.is_plain or most <= PLAIN_DELTA_E else "scene"
    if kind == "plain" and delta_e <= WHITE_DELTA_E:
        kind = "white"
    return {
        "background": kind,
        "background_colour": name_background(middle.astype(np.float64), busy=kind == "scene"),
        "background_delta_e": round(delta_e, 2),
        "whiteness": round(np.count_nonzero(ground & (_darkest(pixels) >= WHITE_CHANNEL)) / len(where), 4),
        "uniformity": round(1 - min(1.0, float(nearly_all) / 20), 4),
    }


def _darkest(pixels: Pixels) -> Pixels:
    """The darkest channel of each pixel, uint8 (h, w)."""
    red, green, blue = cv2.split(pixels)
    return np.asarray(cv2.min(cv2.min(red, green), blue), dtype=np.uint8)


def _sharpness(grey: Levels, subject: Mask) -> float | None:
    near, mask = _close_up(grey, subject)
    slope, bend = _energies(near)
    # Inside first: a cut-out has a crisp outline even where the product is out of focus.
    for where in (shrunk(mask, 5), grown(mask, 3)):
        if np.count_nonzero(where) < 200:
            continue
        places = strongest_places(slope, where, 0.95)
        strongest = slope.take(places)
        if float(quantile(strongest, 0.5)) >= FAINTEST_EDGE:
            ratio = float(quantile(bend.take(places) / strongest, 0.5))
            return round(min(1.0, 2.5 * ratio), 4)
    return None


def _energies(grey: Levels) -> tuple[Field, Field]:
    """Gradient and Laplacian energy of a picture after a blur of 1 px, each a mean over 5 x 5 px, float32 (h, w)."""
    smooth = cv2.sepFilter2D(grey, cv2.CV_32F, _BLUR, _BLUR, borderType=cv2.BORDER_REFLECT)
    # Without a third row or column of its own, this is the plain difference of the neighbours on either side.
    across = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1, borderType=cv2.BORDER_REPLICATE), dtype=np.float32)
    along = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1, borderType=cv2.BORDER_REPLICATE), dtype=np.float32)
    bend = np.asarray(cv2.Laplacian(smooth, cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REPLICATE), dtype=np.float32)
    across *= across
    along *= along
    across += along
    across *= np.float32(0.25)
    bend *= bend
    return averaged(across, 5), averaged(bend, 5)


def _close_up(grey: Levels, subject: Mask) -> tuple[Levels, Mask]:
    """Grey levels and mask of the subject's box with a margin, its longer side at most 512 px."""
    height, width = subject.shape
    left, right, top, bottom = box_of(subject)
    across, down = grey.shape[1] / width, grey.shape[0] / height
    box = (
        max(0, round((left - 4) * across)), max(0, round((top - 4) * down)),
        min(grey.shape[1], round((right + 5) * across)), min(grey.shape[0], round((bottom + 5) * down)),
    )  # fmt: skip
    near = within(grey[box[1] : box[3], box[0] : box[2]], SHARPNESS_SIDE_PX)
    x = _nearest(box[0] / across, box[2] / across, near.shape[1])
    y = _nearest(box[1] / down, box[3] / down, near.shape[0])
    # Whole rows are copied, and turning is quick, where columns would be gathered pixel by pixel.
    turned = np.asarray(cv2.transpose(subject.view(np.uint8)), dtype=np.uint8)
    columns = np.asarray(cv2.transpose(turned.take(x, axis=0)), dtype=np.uint8)
    return near, columns.take(y, axis=0).view(bool)


def _nearest(first: float, last: float, count: int) -> NDArray[np.intp]:
    """Where the middles of `count` equal parts between two places in px lie."""
    return (first + (np.arange(count) + 0.5) * (last - first) / count).astype(np.intp)


def _middle(lab: Planes) -> Mask:
    """All but the outer tenth of the frame, where no subject is known."""
    height, width = lab.shape[1:]
    return ~ring_of(height, width, share=0.1)


def _on_white(picture: Pillow.Image) -> Pillow.Image:
    if not picture.has_transparency_data:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    cut_out = picture.convert("RGBA")
    paper = Pillow.new("RGBA", cut_out.size, "white")
    return Pillow.alpha_composite(paper, cut_out).convert("RGB")
