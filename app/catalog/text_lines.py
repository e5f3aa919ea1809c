"""Lines of text in a photo: how sure the reading of one is, and whether it stands beside the product. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from app.catalog.outlines import area_of, is_inside, points_of

# Under this, what was read was wrong more often than not on real packshots (30 November 2026): 0.94 to 1.0 for words
# that stand there, under 0.8 for words that do not.
TRUSTED: Final = 0.9
# Single signs are read into stalks, buttons and rings, surely and wrongly.
SHORTEST: Final = 2
# A product is larger than what is written beside it, which is an outline of its own on plain paper.
LARGER_THAN_TEXT: Final = 4.0

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text: how sure its reading is, 0 to 1, and its box x0, y0, x1, y1 in shares of the frame.

    `is_beside`: whether it stands beside the product; None where no product is known. `is_tiled`: whether it is known
    to stand all over the picture.
    """

    text: str
    score: float
    box: Box
    is_beside: bool | None = None
    is_tiled: bool = False

    @property
    def is_trusted(self) -> bool:
        """Whether the reading is sure enough to be searched for and held against a photo."""
        return self.score >= TRUSTED and sum(map(str.isalnum, self.text)) >= SHORTEST


def share_of(boxes: Sequence[Box]) -> float:
    """How much of the frame these boxes cover, 0 to 1; what lies under two of them counts once."""
    edges = sorted({edge for x0, _, x1, _ in boxes for edge in (x0, x1)})
    covered = 0.0
    for left, right in pairwise(edges):
        end = 0.0
        for top, bottom in sorted((y0, y1) for x0, y0, x1, y1 in boxes if x0 <= left and right <= x1):
            covered += (right - left) * max(0.0, bottom - max(top, end))
            end = max(end, bottom)
    return round(min(1.0, covered), 4)


def is_beside(outline: str | None, box: Box) -> bool | None:
    """Whether text in this box stands beside the product with this outline; None without one."""
    if not outline:
        return None
    x0, y0, x1, y1 = box
    least = LARGER_THAN_TEXT * (x1 - x0) * (y1 - y0)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    # Windows in a product are rings as well; what is written in one is on the product.
    return not any(area_of(ring) >= least and is_inside(ring, x, y) for ring in points_of(outline))
