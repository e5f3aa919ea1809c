"""Light on drawn parts: surface normals per pixel, one soft lamp from the upper left, four finishes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from app.demo.scene import Material, Rgb
from app.demo.shapes import Flat, Puffed, Sphere, Surface, Turned

Field = NDArray[np.float32]
Normal = tuple[Field, Field, Field]

LAMP = np.array([-0.48, -0.56, 0.68], dtype=np.float32)
HALFWAY = (LAMP + (0, 0, 1)) / np.linalg.norm(LAMP + (0, 0, 1))


def normals(surface: Surface, mask: Field, x: Field, y: Field, pixels_per_unit: float) -> Normal:
    """Unit-ish normals over a patch.

    `mask` is float32 of shape (h, w) in 0..1; `x` (1, w) and `y` (h, 1) are the patch's unit coordinates.
    Returned fields broadcast to (h, w).
    """
    match surface:
        case Flat(normal):
            unit = np.array(normal, dtype=np.float32) / np.float32(np.linalg.norm(normal))
            return unit[0].reshape(1, 1), unit[1].reshape(1, 1), unit[2].reshape(1, 1)
        case Turned(axis_x, heights, radii):
            radius = np.interp(y[:, 0], heights, radii).astype(np.float32)[:, None]
            slope = np.clip(np.gradient(radius[:, 0]) * pixels_per_unit, -1.5, 1.5).astype(np.float32)[:, None]
            across = np.clip((x - np.float32(axis_x)) / np.maximum(radius, 1e-3), -1, 1)
            length = 1 / np.sqrt(1 + slope * slope)
            return across * length, -slope * length, np.sqrt(np.maximum(1 - across * across, 0)) * length
        case Sphere(centre_x, centre_y, rx, ry):
            across, down = (x - np.float32(centre_x)) / np.float32(rx), (y - np.float32(centre_y)) / np.float32(ry)
            depth = np.sqrt(np.maximum(1 - across * across - down * down, 0))
            return across, down, depth
        case Puffed(softness):
            size = max(1, round(softness * pixels_per_unit * 1.2)) | 1
            height = uniform_filter(uniform_filter(mask, size, mode="constant"), size, mode="constant")
            down, across = np.gradient(np.sqrt(np.maximum(height, 0)), np.float32(size / 2.2)) \
                if size < 3 else np.gradient(np.sqrt(np.maximum(height, 0)))
            strength = np.float32(size * 0.9)
            across, down = -across * strength, -down * strength
            length = 1 / np.sqrt(1 + across * across + down * down)
            return across * length, down * length, length


def lit(colour: Rgb | Field, normal: Normal, material: Material, x: Field, y: Field, grain_seed: int) -> Field:
    """Colour of a lit surface, float32 of shape (h, w, 3) in 0..255 (not yet clipped).

    Diffuse and Blinn-Phong highlight terms (Blinn 1977) in sRGB values, which is close enough for a drawing.
    """
    nx, ny, nz = normal
    diffuse = np.maximum(nx * LAMP[0] + ny * LAMP[1] + nz * LAMP[2], 0)
    shade = 0.56 + 0.56 * diffuse
    gleam: Field | float = 0.0
    if material == "glossy":
        facing = np.maximum(nx * HALFWAY[0] + ny * HALFWAY[1] + nz * HALFWAY[2], 0)
        gleam = 0.75 * facing**28
    elif material == "steel":
        shade = shade * (0.93 + 0.22 * np.sin(nx * 6.5 + ny * 3.0 + 0.6))
        facing = np.maximum(nx * HALFWAY[0] + ny * HALFWAY[1] + nz * HALFWAY[2], 0)
        gleam = 0.4 * facing**12
    elif material == "wooden":
        phase = grain_seed % 17
        rings = np.sin(x * 9 + phase + 2.2 * np.sin(y * 2.3 + phase)) + 0.6 * np.sin(x * 23 + 1.7 * np.sin(y * 5))
        shade = shade * (0.98 + 0.09 * rings)
    base = np.asarray(colour, dtype=np.float32)
    lightness = np.asarray(shade, dtype=np.float32)[..., None]
    sheen = np.asarray(gleam, dtype=np.float32)[..., None]
    return base * lightness + (255 - base * lightness) * sheen
