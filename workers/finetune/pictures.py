"""Reading pictures for training, and their masks: upright, fitted into a size without cropping or distorting.

What is missing to the size is filled with the colour of the picture's own border.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps

from workers.errors import InputError
from workers.finetune.buckets import Size

# Sizes were vetted when the photos were taken in, against a limit of the team's own; Pillow's default is lower.
Image.MAX_IMAGE_PIXELS = None

_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)


def read_fitted(file: Path, size: Size, sha256: str = "", enlarge_at_most: float = 0.0) -> np.ndarray:
    """The picture as uint8 [height, width, 3], upright, on white where it is transparent.

    A smaller one is enlarged to fit, or `enlarge_at_most` times where that is not 0. Raises `InputError`, naming the
    file, when it cannot be read, or when its bytes have another SHA-256 (hex) than `sha256`, where one is given.
    """
    try:
        content = file.read_bytes()
        if sha256 and (digest := hashlib.sha256(content).hexdigest()) != sha256.lower():
            raise InputError(
                f"The picture {file} is not the one in the manifest: its SHA-256 is {digest} and not {sha256}."
            )
        with Image.open(io.BytesIO(content)) as opened:
            # A large JPEG is decoded at a fraction of its size, still twice as fine as what is kept of it.
            opened.draft("RGB", (2 * max(size), 2 * max(size)))
            picture = ImageOps.exif_transpose(opened)
            if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
                picture = picture.convert("RGBA")
                picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
            picture = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"The picture {file} cannot be read: {error}.") from error
    # One that was decoded at a fraction of its size is still to be made smaller, so nothing is enlarged unseen.
    fitted, corner = _placed(picture.size, size, enlarge_at_most)
    if fitted != picture.size:
        picture = picture.resize(fitted, Image.Resampling.LANCZOS)
    if fitted != size:
        filled = Image.new("RGB", size, _border_colour(np.asarray(picture)))
        filled.paste(picture, corner)
        picture = filled
    return np.asarray(picture)


def read_fitted_mask(file: Path, size: Size, picture_size: Size, enlarge_at_most: float = 0.0) -> np.ndarray:
    """The mask as uint8 [height, width], 255 where the product is, lying where `read_fitted` lays its picture.

    `picture_size` is the picture's own, upright. What is missing to the size is background. Raises `InputError`,
    naming the file, when it cannot be read, has another shape than the picture, or is named by the SHA-256 (hex) of
    other bytes, as the masks of a frozen version are.
    """
    try:
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if _SHA256.fullmatch(file.stem) and digest != file.stem.lower():
            raise InputError(f"The mask {file} is not the one in the manifest: its SHA-256 is {digest}.")
        with Image.open(io.BytesIO(content)) as opened:
            mask = opened.convert("L")
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"The mask {file} cannot be read: {error}.") from error
    width_px, height_px = picture_size
    # It may be smaller than its picture, and was cropped with it: off by a pixel of its own at either end.
    if abs(mask.width * height_px - mask.height * width_px) > 2 * (width_px + height_px) + mask.width + mask.height:
        raise InputError(
            f"The mask {file} has another shape than its picture: {mask.width:,} × {mask.height:,} px "
            f"for {width_px:,} × {height_px:,} px."
        )
    fitted, corner = _placed(picture_size, size, enlarge_at_most)
    # Linear, unlike the picture: a mask must not ring.
    filled = Image.new("L", size, 0)
    filled.paste(mask.resize(fitted, Image.Resampling.BILINEAR), corner)
    return np.asarray(filled)


def _placed(picture_size: Size, size: Size, enlarge_at_most: float) -> tuple[Size, tuple[int, int]]:
    """What a picture of this size is resized to in a frame of `size`, and where its left top corner lies."""
    (width, height), (width_px, height_px) = picture_size, size
    scale = min(width_px / width, height_px / height, enlarge_at_most or math.inf)
    fitted = (max(1, round(width * scale)), max(1, round(height * scale)))
    return fitted, ((width_px - fitted[0]) // 2, (height_px - fitted[1]) // 2)


def _border_colour(pixels: np.ndarray) -> tuple[int, int, int]:
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    red, green, blue = np.median(border, axis=0).astype(int).tolist()
    return red, green, blue
