"""Draws a `Scene` as a soft-shaded product picture at any pixel size, the same bytes every time."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter

from app.demo.kinds import base, fresh
from app.demo.scene import BACKGROUNDS, BUSY, COLOURS, Rgb, Scene, View
from app.demo.shading import Field, lit, normals
from app.demo.shapes import Paint, Points, ShapePart

Pixels = NDArray[np.uint8]
KINDS = {**base.KINDS, **fresh.KINDS}

FIXED_PAINT: dict[Paint, Rgb] = {
    "dark": (46, 45, 48),
    "steel": (172, 176, 182),
    "paper": (240, 238, 230),
    "flame": (255, 190, 60),
}
MAIN_PAINT: dict[Paint, float] = {"main": 1.0, "shade": 0.8, "light": 1.1, "inside": 0.62}


@lru_cache(maxsize=64)
def parts_of(kind: str, view: View) -> tuple[tuple[ShapePart, ...], Points]:
    """Parts of a kind, back to front, and their box [[left, top], [right, bottom]] in unit coordinates.

    Raises KeyError for an unknown kind.
    """
    parts = tuple(KINDS[kind].parts(view))
    outline = np.concatenate([part.outline for part in parts])
    return parts, np.stack([outline.min(axis=0), outline.max(axis=0)])


def draw(scene: Scene, width_px: int, height_px: int | None = None) -> Pixels:
    """The picture of a scene as uint8 sRGB of shape (height_px, width_px, 3); height defaults to width.

    Raises KeyError for an unknown kind, colour or background.
    """
    height_px = width_px if height_px is None else height_px
    rng = np.random.default_rng(scene.seed)
    canvas = _background(scene, width_px, height_px, rng)
    parts, box = parts_of(scene.kind, scene.view)
    widening = np.array([scene.widening, 1.0])
    short = min(width_px, height_px)
    unit_px = scene.scale * short / float(((box[1] - box[0]) * widening).max())
    middle = box.mean(axis=0) * widening * unit_px
    origin = np.array([scene.centre_x * width_px, scene.centre_y * height_px]) - middle

    def to_pixels(outline: Points) -> Points:
        return np.asarray(outline * widening * unit_px + origin, dtype=np.float64)

    if scene.shadow > 0:
        _cast_shadow(canvas, scene, to_pixels(box), [to_pixels(part.outline) for part in parts])
    colour = _tinted(COLOURS[scene.colour], scene.tint)
    for part in parts:
        _paint(canvas, part, to_pixels(part.outline), unit_px, origin, scene, colour)
    picture: Pixels = np.clip(canvas + 0.5, 0, 255).astype(np.uint8)
    if scene.blur > 0:
        defocus = ImageFilter.GaussianBlur(scene.blur * short)
        picture = np.array(Pillow.fromarray(picture).filter(defocus))
    return picture


def _paint(
    canvas: Field, part: ShapePart, outline: Points, unit_px: float, origin: Points, scene: Scene, colour: Rgb
) -> None:
    height, width = canvas.shape[:2]
    left, top = np.maximum(np.floor(outline.min(axis=0)).astype(int) - 1, 0)
    right, bottom = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 1, (width, height))
    if right - left < 2 or bottom - top < 2:
        return
    mask = _coverage(outline - (left, top), right - left, bottom - top)
    x = ((np.arange(left, right) + 0.5 - origin[0]) / (unit_px * scene.widening)).astype(np.float32)[None, :]
    y = ((np.arange(top, bottom) + 0.5 - origin[1]) / unit_px).astype(np.float32)[:, None]
    normal = normals(part.surface, mask, x, y, unit_px)
    if part.paint in MAIN_PAINT:
        paint: Field | Rgb = np.array(colour, dtype=np.float32) * np.float32(MAIN_PAINT[part.paint])
        material = scene.material
    else:
        paint, material = FIXED_PAINT[part.paint], "matte"
    surface = lit(paint, normal, material, x, y, scene.seed)
    patch = canvas[top:bottom, left:right]
    patch += (surface - patch) * mask[..., None]


def _coverage(outline: Points, width: int, height: int) -> Field:
    """Share of each pixel inside the outline, float32 (height, width), from a finer Pillow polygon."""
    finer = 4 if max(width, height) <= 160 else 2
    stencil = Pillow.new("L", (width * finer, height * finer))
    corners = outline * finer - 0.5
    ImageDraw.Draw(stencil).polygon([(float(x), float(y)) for x, y in corners], fill=255)
    return np.asarray(stencil.reduce(finer), dtype=np.float32) / np.float32(255)


def _cast_shadow(canvas: Field, scene: Scene, box: Points, outlines: list[Points]) -> None:
    """Darkens the ground: a pool under a standing product, an offset soft copy beside a lying one.

    Drawn at a quarter of the size for large pictures, for a shadow has no detail to lose.
    """
    height, width = canvas.shape[:2]
    coarser = max(1, min(width, height) // 128)
    stencil = Pillow.new("L", (-(-width // coarser), -(-height // coarser)))
    pen = ImageDraw.Draw(stencil)
    (left, top), (right, bottom) = box / coarser
    span = right - left
    if scene.view in KINDS[scene.kind].lying:
        for outline in outlines:
            shifted = outline / coarser + 0.035 * span
            pen.polygon([(float(x), float(y)) for x, y in shifted], fill=200)
        softness = 0.03 * max(span, bottom - top)
    else:
        thick = 0.055 * span
        lower = bottom - 0.35 * thick
        pen.ellipse((left + 0.02 * span, lower - thick, right + 0.1 * span, lower + thick), fill=210)
        softness = 0.03 * span
    soft = stencil.filter(ImageFilter.GaussianBlur(float(softness)))
    darkness = np.asarray(soft.resize((width, height), Pillow.Resampling.BILINEAR), dtype=np.float32)
    shade = darkness * np.float32(scene.shadow / 255)
    canvas *= (1 - shade)[..., None]


def _background(scene: Scene, width: int, height: int, rng: np.random.Generator) -> Field:
    if scene.background == BUSY:
        return _clutter(width, height, rng)
    canvas = np.empty((height, width, 3), dtype=np.float32)
    canvas[:] = BACKGROUNDS[scene.background]
    if scene.background != "pure white":
        canvas += np.linspace(3, -3, height, dtype=np.float32)[:, None, None]
    return canvas


def _clutter(width: int, height: int, rng: np.random.Generator) -> Field:
    """A table full of other things: overlapping coloured blocks and discs."""
    short = min(width, height)
    table = Pillow.new("RGB", (width, height), tuple(int(v) for v in rng.integers(90, 210, 3)))
    pen = ImageDraw.Draw(table)
    for index in range(26):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        rx, ry = rng.uniform(0.04, 0.2, 2) * short
        fill = tuple(int(v) for v in rng.integers(20, 245, 3))
        shape = pen.ellipse if index % 3 else pen.rectangle
        shape((x - rx, y - ry, x + rx, y + ry), fill=fill)
    return np.asarray(table, dtype=np.float32).copy()


def _tinted(colour: Rgb, tint: float) -> Rgb:
    shift = round(tint * 9)
    red, green, blue = (min(255, max(0, value + shift)) for value in colour)
    return red, green, blue
