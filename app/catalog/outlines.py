"""A subject's outline as it is kept, and as points: the path of a drawing, in thousandths of the frame. Pure."""

from __future__ import annotations

from collections.abc import Sequence

Points = Sequence[tuple[float, float]]


def points_of(outline: str) -> list[Points]:
    """The rings of an outline "M10 20L30 40...Z...", each as points in shares of the frame."""
    return [
        [(int(x) / 1000, int(y) / 1000) for x, y in (point.split(" ") for point in ring.rstrip("Z").split("L"))]
        for ring in outline.split("M")
        if ring
    ]


def area_of(ring: Points) -> float:
    """The share of the frame inside a ring."""
    pairs = zip(ring, [*ring[1:], ring[0]], strict=True)
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)) / 2


def is_inside(ring: Points, x: float, y: float) -> bool:
    """Whether a point lies inside a ring."""
    pairs = zip(ring, [*ring[1:], ring[0]], strict=True)
    crossings = sum((y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0 for (x0, y0), (x1, y1) in pairs)
    return crossings % 2 == 1


def outer_rings(outline: str) -> list[Points]:
    """The rings around the parts of a subject, the largest first; holes in them are left out."""
    rings = sorted((ring for ring in points_of(outline) if len(ring) > 2), key=area_of, reverse=True)
    return [ring for ring in rings if not any(_lies_in(ring, other) for other in rings if other is not ring)]


def _lies_in(ring: Points, other: Points) -> bool:
    return area_of(other) > area_of(ring) and is_inside(other, *ring[0])
