"""Outlines of product parts in unit coordinates: x to the right, y down, a product spans roughly -1..1.

A `ShapePart` is a closed outline with a surface that says how its normals run, and a paint: which colour it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.demo.scene import Material, View

Points = NDArray[np.float64]
Paint = Literal["main", "shade", "light", "dark", "steel", "paper", "inside", "flame"]


@dataclass(frozen=True, slots=True)
class Turned:
    """Surface of revolution about the vertical line `axis_x`: radius `radii[i]` at height `heights[i]`."""

    axis_x: float
    heights: Points
    radii: Points


@dataclass(frozen=True, slots=True)
class Flat:
    """A plane facing `normal` (x, y, z; z towards the viewer)."""

    normal: tuple[float, float, float] = (0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Sphere:
    """An ellipsoid with centre (x, y) and half axes (rx, ry)."""

    x: float
    y: float
    rx: float
    ry: float


@dataclass(frozen=True, slots=True)
class Puffed:
    """A cushion over the outline whose edge rounds off over `softness` units."""

    softness: float


Surface = Turned | Flat | Sphere | Puffed


@dataclass(frozen=True, eq=False, slots=True)
class ShapePart:
    """One painted piece; `outline` and each hole are float64 arrays of shape (n, 2), n >= 3."""

    outline: Points
    surface: Surface
    paint: Paint = "main"
    holes: tuple[Points, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of product: its parts from a view, the views it has (the usual one first) and believable materials.

    From the `lying` views it rests on the ground, so its shadow falls beside it.
    """

    parts: Callable[[View], list[ShapePart]]
    views: tuple[View, ...]
    materials: tuple[Material, ...]
    lying: frozenset[View] = frozenset()


def points(*pairs: tuple[float, float]) -> Points:
    """Corners of an outline, [n, 2], in the product's own units."""
    return np.array(pairs, dtype=np.float64)


def smooth(corners: Points, rounds: int = 3) -> Points:
    """Closed outline with its corners cut `rounds` times (Chaikin 1974, corner cutting at 1/4 and 3/4)."""
    for _ in range(rounds):
        following = np.roll(corners, -1, axis=0)
        cut = np.stack([0.75 * corners + 0.25 * following, 0.25 * corners + 0.75 * following], axis=1)
        corners = cut.reshape(-1, 2)
    return corners


def smooth_line(line: Points, rounds: int = 3) -> Points:
    """Open line with its corners cut and its two ends kept."""
    for _ in range(rounds):
        first, second = line[:-1], line[1:]
        cut = np.stack([0.75 * first + 0.25 * second, 0.25 * first + 0.75 * second], axis=1).reshape(-1, 2)
        line = np.concatenate([line[:1], cut, line[-1:]])
    return line


def ellipse(x: float, y: float, rx: float, ry: float, start: float = 0.0, stop: float = 2 * np.pi) -> Points:
    """Points of an ellipse from angle `start` to `stop` in radians; 0 is right, a quarter turn is down."""
    angle = np.linspace(start, stop, 48)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def rectangle(left: float, top: float, right: float, bottom: float, corner: float = 0.0) -> Points:
    """Rectangle with corners of radius `corner`."""
    if corner == 0:
        return points((left, top), (right, top), (right, bottom), (left, bottom))
    quarter = np.pi / 2
    return np.concatenate(
        [
            ellipse(right - corner, top + corner, corner, corner, -quarter, 0)[::6],
            ellipse(right - corner, bottom - corner, corner, corner, 0, quarter)[::6],
            ellipse(left + corner, bottom - corner, corner, corner, quarter, 2 * quarter)[::6],
            ellipse(left + corner, top + corner, corner, corner, 2 * quarter, 3 * quarter)[::6],
        ]
    )


def stroke(line: Points, start_width: float, stop_width: float | None = None) -> Points:
    """Outline of a pen drawn along an open line, its width running from `start_width` to `stop_width`."""
    along = np.gradient(line, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    last = start_width if stop_width is None else stop_width
    half = np.linspace(start_width / 2, last / 2, len(line))[:, None]
    return np.concatenate([line + across * half, (line - across * half)[::-1]])


def turned(
    profile: tuple[tuple[float, float], ...],
    tilt: float = 0.0,
    paint: Paint = "main",
    axis_x: float = 0.0,
    rounds: int = 3,
) -> ShapePart:
    """A turned body from (height, radius) pairs, top first; `tilt` is how far its end discs bulge (0..0.4)."""
    line = smooth_line(np.array([(radius, height) for height, radius in profile], dtype=np.float64), rounds)
    top, bottom = line[0], line[-1]
    axis = np.array([axis_x, 0.0])
    outline = np.concatenate(
        [
            line + axis,
            ellipse(axis_x, bottom[1], bottom[0], bottom[0] * tilt, 0, np.pi),
            line[::-1] * (-1, 1) + axis,
            ellipse(axis_x, top[1], top[0], top[0] * tilt, np.pi, 2 * np.pi),
        ]
    )
    return ShapePart(outline, Turned(axis_x, line[:, 1].copy(), line[:, 0].copy()), paint)


def disc(x: float, y: float, rx: float, ry: float, paint: Paint, normal: tuple[float, float, float]) -> ShapePart:
    """A flat ellipse that faces along `normal`."""
    return ShapePart(ellipse(x, y, rx, ry), Flat(normal), paint)


def tube(line: Points, width: float, paint: Paint = "main", stop_width: float | None = None) -> ShapePart:
    """A rounded pipe along an open line."""
    return ShapePart(stroke(smooth_line(line), width, stop_width), Puffed(width * 0.5), paint)
