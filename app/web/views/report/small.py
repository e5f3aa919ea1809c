"""Pictures made small for a report: a few kilobytes each, however large they were drawn."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

SIZES: Final = ((320, 78), (256, 74), (192, 66), (128, 56), (96, 40), (64, 20))
"""Longest side in px and WebP quality, from good to hardly: the first that fits into the bytes there are is taken."""
PICTURES_BYTES: Final = 3_300_000
"""Of all pictures of one file, before base64 makes a third more of them."""
LARGEST_BYTES: Final = 40_000
"""Of one picture: more would not be seen at the size at which a report shows it."""


def webp(path: Path, most_bytes: int = LARGEST_BYTES) -> bytes:
    """The picture as WebP of at most so many bytes, or the smallest that is made. Raises OSError for what is none."""
    from PIL import Image as Pillow

    data = b""
    with Pillow.open(path) as opened:
        opened.draft("RGB", (SIZES[0][0] * 2, SIZES[0][0] * 2))
        picture = opened.convert("RGB")
    for longest_px, quality in SIZES:
        # From the size before: a quarter of the work, and no difference that an eye would see.
        picture.thumbnail((longest_px, longest_px), Pillow.Resampling.LANCZOS, reducing_gap=3.0)
        file = BytesIO()
        picture.save(file, "WEBP", quality=quality, method=4)
        data = file.getvalue()
        if len(data) <= most_bytes:
            break
    return data


def inlined(paths: Sequence[Path]) -> dict[Path, str]:
    """Each picture as the address of itself, `data:image/webp;base64,...`: together at most `PICTURES_BYTES` of WebP,
    shared evenly. What cannot be read is left out."""
    there = list(dict.fromkeys(paths))
    share = min(LARGEST_BYTES, PICTURES_BYTES // max(1, len(there)))
    addresses = {}
    for path in there:
        try:
            addresses[path] = f"data:image/webp;base64,{base64.b64encode(webp(path, share)).decode()}"
        except OSError:
            continue
    return addresses
