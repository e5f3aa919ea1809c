"""What is measured of a photo, each with its unit and range, for whoever reads a value: pages and rules. Pure.

How each is measured is told where it is measured: `workers/signals/measure.py` and the files that it names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Unit = Literal["", "%", "L*", "C*", "ΔE"]


@dataclass(frozen=True, slots=True)
class Scale:
    """One column of `Signals`: its name for people, its unit, what it runs from and to, and what a value says.

    `low` and `high` are in the column's own values; percents are kept as shares, and shown times 100.
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
        shown = value * 100 if self.unit == "%" else value
        return f"{shown:g}" if value in (self.low, self.high) else f"{shown:.{self.places}f}"


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
SCALE_OF: Final = {scale.column: scale for scale in SCALES}
