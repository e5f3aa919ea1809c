"""Drawn pictures that look like nothing but themselves, and their copies, for tests of what tells them apart."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image as Pillow
from PIL import ImageEnhance, ImageOps

Picture = Pillow.Image


def patches(seed: int, side_px: int = 256) -> Picture:
    """Soft patches of colour, others for every seed."""
    draw = np.random.default_rng(seed)
    small = Pillow.fromarray(draw.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return small.resize((side_px, side_px), Pillow.Resampling.BICUBIC)


def coloured(seed: int, colour: str = "orange") -> Picture:
    """Patches, most of them of one colour."""
    picture = patches(seed)
    return Pillow.blend(picture, Pillow.new("RGB", picture.size, colour), 0.6)


def saved(picture: Picture, kind: str, **options: int) -> bytes:
    """The picture as the bytes of a file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def again(picture: Picture, kind: str, **options: int) -> Picture:
    """The picture saved and read."""
    return Pillow.open(io.BytesIO(saved(picture, kind, **options))).convert("RGB")


def cut(picture: Picture, share: float) -> Picture:
    """Without this share of each side."""
    across, down = round(picture.width * share), round(picture.height * share)
    return picture.crop((across, down, picture.width - across, picture.height - down))


# Copies that are known for what they are.
COPIES: Final[dict[str, Callable[[Picture], Picture]]] = {
    "PNG": lambda picture: again(picture, "PNG"),
    "JPEG 30": lambda picture: again(picture, "JPEG", quality=30),
    "WebP": lambda picture: again(picture, "WEBP", quality=75),
    "half": lambda picture: again(picture.resize((picture.width // 2, picture.height // 2)), "JPEG", quality=85),
    "small": lambda picture: again(ImageOps.contain(picture, (160, 160)), "JPEG", quality=70),
    "double": lambda picture: picture.resize((picture.width * 2, picture.height * 2)),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.05),
    "cut by 1 %": lambda picture: cut(picture, 0.01),
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "a quarter left": lambda picture: picture.transpose(Pillow.Transpose.ROTATE_90),
    "a quarter right": lambda picture: picture.transpose(Pillow.Transpose.ROTATE_270),
    "on its side, mirrored": lambda picture: picture.transpose(Pillow.Transpose.TRANSPOSE),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.85),
}
# Known too, but on real photos only where the border's edge can be seen.
BORDERED: Final[dict[str, Callable[[Picture], Picture]]] = {
    "in a white border": lambda picture: again(
        ImageOps.expand(picture, picture.width // 10, "white"), "WEBP", quality=90
    ),
    "on a square": lambda picture: ImageOps.pad(picture, (2 * picture.width, picture.width), color=(20, 20, 20)),
}
