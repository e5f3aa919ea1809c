"""What is measured of a photo, each with its unit and range, for whoever reads a value: pages and rules. Pure.

How each is measured is told where it is measured: `workers/signals/measure.py` and the files that it names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Unit = Literal["", "%", "L*", "C*", "ΔE", "px", "MB", "characters", "words"]
_PER_UNIT: Final[dict[Unit, float]] = {"%": 100.0, "MB": 1e-6}


@dataclass(frozen=True, slots=True)
class Scale:
    """One column of numbers: its name for people, its unit, what it runs from and to, and what a value says.

    `low` and `high` are in the column's own values; percents are kept as shares, and shown times 100, MB as bytes.
    """

    column: str
    title: str
    unit: Unit
    low: float
    high: float
    places: int
    says: str

    def written(self, value: float | None) -> str:
        """A value with its unit; None is "cannot tell"."""
        return "cannot tell" if value is None else f"{self._figure(value)}{self._suffix}"

    @property
    def range(self) -> str:
        """What it runs from and to, with its unit."""
        return f"{self._figure(self.low)} to {self._figure(self.high)}{self._suffix}"

    @property
    def _suffix(self) -> str:
        return f" {self.unit}" if self.unit else ""

    def _figure(self, value: float) -> str:
        shown = value * _PER_UNIT.get(self.unit, 1.0)
        return f"{shown:,g}" if value in (self.low, self.high) else f"{shown:,.{self.places}f}"


SCALES: Final = (
    Scale("contrast", "Contrast", "ΔE", 0, 100, 1, "Of the whole frame; 2.3 can just be seen."),
    Scale("sharpness", "Sharpness", "", 0, 1, 2, "Of the subject’s edges; 1 is as sharp as pixels can be."),
    Scale("detail", "Detail", "", 0, 1, 2, "Of the resolution; low once enlarged, or out of focus."),
    Scale("blockiness", "JPEG blocks", "", 0, 1, 2, "How much squares of 8 px show; 0 is none."),
    Scale("brightness", "Subject brightness", "L*", 0, 100, 1, "The middle lightness of the subject; 0 is black."),
    Scale("clipped_light", "Clipped to white", "%", 0, 1, 1, "Of the subject: it has lost its form to white."),
    Scale("clipped_dark", "Clipped to black", "%", 0, 1, 1, "Of the subject: it has lost its form to black."),
    Scale("shadow", "Contact shadow", "L*", 0, 100, 1, "How much darker the plain ground is just below the subject."),
    Scale("chroma", "Colourfulness", "C*", 0, 134, 1, "Of the most colourful hundredth; none in grey photos."),
    Scale("fill", "Fill, longest side", "%", 0, 1, 0, "Of the frame’s side, by the subject’s longer one."),
    Scale("coverage", "Coverage", "%", 0, 1, 0, "Of the frame, by the subject."),
    Scale("offset_x", "Off centre, right", "%", -0.5, 0.5, 1, "Of the frame’s width; negative is left."),
    Scale("offset_y", "Off centre, down", "%", -0.5, 0.5, 1, "Of the frame’s height; negative is up."),
    Scale("background_delta_e", "Background to white", "ΔE", 0, 100, 1, "The background’s colour against pure white."),
    Scale("whiteness", "Pure white", "%", 0, 1, 0, "Of the background."),
    Scale("uniformity", "Uniformity", "", 0, 1, 2, "Of the background; 1 is one flat colour."),
    Scale("border", "Border", "%", 0, 0.4, 1, "Of the frame’s side: flat bars or a frame around the picture."),
    Scale("seam", "Seam", "%", 0, 1, 0, "Of a line across the frame along which two pictures seem to meet."),
    Scale("parts", "Separate parts", "", 1, 20, 0, "Of the subject; a pair of shoes is two."),
    Scale("confidence", "Outline", "", 0, 1, 2, "How sure the outline of the subject is."),
)  # fmt: skip
# Of `Image`, of `Lettering` and `PhotoMap`, and of captions.
OF_FILE: Final = (
    Scale("width_px", "Width", "px", 1, 100_000, 0, "Upright."),
    Scale("height_px", "Height", "px", 1, 100_000, 0, "Upright."),
    Scale("ratio", "Width to height", "", 0, 1_000, 2, "1 is square, more is wide."),
    Scale("size_bytes", "File", "MB", 0, 10_000_000_000, 2, "As it came."),
)
_OTHERS: Final = (
    Scale("longest_px", "Longest side", "px", 1, 100_000, 0, "What small photos lack."),
    Scale("shortest_px", "Shortest side", "px", 1, 100_000, 0, "What strips lack."),
    Scale("text_share", "Text", "%", 0, 1, 1, "Of the frame, by text that was read."),
    Scale("apart", "Unlike the others", "", 0, 2, 2, "How far the five photos are that look most like it."),
    Scale("caption_characters", "Caption length", "characters", 0, 4_000, 0, "Of the current caption."),
    Scale("caption_words", "Caption length in words", "words", 0, 4_000, 0, "Of the current caption."),
)
SCALE_OF: Final = {scale.column: scale for scale in (*SCALES, *OF_FILE, *_OTHERS)}
