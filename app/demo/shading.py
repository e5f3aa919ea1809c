"""Light on drawn parts: surface normals per pixel, one soft lamp from the upper left, four finishes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter, uniform_filter1d

from app.demo.scene import Material, Rgb
from app.demo.shapes import Flat, Puffed, Sphere, Surface, Turned

Field = NDArray[np.float32]
Normal = tuple[Field, Field, Field]

LAMP = np.array([-0.48, -0.56, 0.68], dtype=np.float32)
VIEWER = np.array([0, 0, 1], dtype=np.float32)
HALFWAY = (LAMP + VIEWER) / np.float32(np.linalg.norm(LAMP + VIEWER))


def normals(surface: Surface, mask: Field, x: Field, y: Field, pixels_per_unit: float) -> Normal:
    """Unit-ish normals over a patch.

    `mask` is float32 of shape (h, w) in 0..1; `x` (1, w) and `y` (h, 1) are the patch's unit coordinates.
    Returned fields broadcast to (h, w).
    """
    match surface:
        case Flat(normal):
            unit = (np.array(normal) / np.linalg.norm(normal)).astype(np.float32)
            # A barely bowed plane: a truly flat one would take the whole highlight or none of it.
            return unit[0] + 0.3 * (x - x.mean()), unit[1] + 0.3 * (y - y.mean()), unit[2].reshape(1, 1)
        case Turned():
            return _turned_normals(surface, x, y, pixels_per_unit)
        case Sphere(centre_x, centre_y, rx, ry):
            across, down = (x - np.float32(centre_x)) / np.float32(rx), (y - np.float32(centre_y)) / np.float32(ry)
            return across, down, np.sqrt(np.maximum(1 - across * across - down * down, 0))
        case Puffed(softness):
            return _puffed_normals(mask, max(1, round(softness * pixels_per_unit * 1.2)) | 1)


def _turned_normals(body: Turned, x: Field, y: Field, pixels_per_unit: float) -> Normal:
    profile = np.interp(y[:, 0], body.heights, body.radii)
    radius = profile.astype(np.float32)[:, None]
    # The profile is a chain of straight lines; unsmoothed, its facets would show as bands.
    steepness = uniform_filter1d(np.gradient(profile) * pixels_per_unit, max(1, round(0.12 * pixels_per_unit)))
    slope = np.clip(steepness, -1.5, 1.5).astype(np.float32)[:, None]
    across = np.clip((x - np.float32(body.axis_x)) / np.maximum(radius, np.float32(1e-3)), -1, 1)
    length = 1 / np.sqrt(1 + slope * slope)
    return across * length, -slope * length, np.sqrt(np.maximum(1 - across * across, 0)) * length


def _puffed_normals(mask: Field, size: int) -> Normal:
    """Normals of the mask blurred over `size` pixels, taken as a height."""
    height = uniform_filter(uniform_filter(mask, size, mode="constant"), size, mode="constant")
    rise_down, rise_across = np.gradient(np.sqrt(np.maximum(height, 0)))
    steep = np.float32(-0.9 * size)
    across, down = rise_across * steep, rise_down * steep
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
    facing = (nx * HALFWAY[0] + ny * HALFWAY[1] + nz * HALFWAY[2]) / np.sqrt(nx * nx + ny * ny + nz * nz)
    if material == "glossy":
        gleam = 0.75 * np.maximum(facing, 0) ** 60
    elif material == "steel":
        shade = shade * (0.95 + 0.2 * np.sin(nx * 6.5 + ny * 3.0 + 0.6))
        gleam = 0.35 * np.maximum(facing, 0) ** 24
    elif material == "wooden":
        phase = grain_seed % 17
        waves = y + 0.1 * np.sin(x * 2.1 + phase)
        shade = shade * (0.99 + 0.055 * np.sin(waves * 23 + phase) + 0.04 * np.sin(waves * 47 + 1.3 * phase + x))
    base = np.asarray(colour, dtype=np.float32)
    lightness = np.asarray(shade, dtype=np.float32)[..., None]
    sheen = np.asarray(gleam, dtype=np.float32)[..., None]
    return base * lightness + (255 - base * lightness) * sheen
