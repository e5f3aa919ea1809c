"""Reading pictures for training: upright, RGB, fitted into a size without cropping or distorting the product.

What is missing to the size is filled with the colour of the picture's own border.
"""

from __future__ import annotations

import hashlib
import io
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from workers.errors import InputError
from workers.finetune.buckets import Size

# Sizes were vetted when the photos were taken in, against a limit of the team's own; Pillow's default is lower.
Image.MAX_IMAGE_PIXELS = None


def read_fitted(file: Path, size: Size, sha256: str = "", enlarge_at_most: float = 0.0) -> np.ndarray:
    """The picture as uint8 [height, width, 3], upright, on white where it is transparent.

    A smaller one is enlarged to fit, or `enlarge_at_most` times where that is not 0. Raises `InputError`, naming the
    file, when it cannot be read, or when its bytes have another SHA-256 (hex) than `sha256`, where one is given.
    """
    width_px, height_px = size
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
    scale = min(width_px / picture.width, height_px / picture.height, enlarge_at_most or math.inf)
    fitted = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    if fitted != picture.size:
        picture = picture.resize(fitted, Image.Resampling.LANCZOS)
    if fitted != size:
        filled = Image.new("RGB", size, _border_colour(np.asarray(picture)))
        filled.paste(picture, ((width_px - fitted[0]) // 2, (height_px - fitted[1]) // 2))
        picture = filled
    return np.asarray(picture)


def _border_colour(pixels: np.ndarray) -> tuple[int, int, int]:
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    red, green, blue = np.median(border, axis=0).astype(int).tolist()
    return red, green, blue
