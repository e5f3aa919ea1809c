"""Small pictures of samples, for grids: made once, kept in the cache, and made again where they were deleted."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Final

from app.errors import DiskFull
from app.storage import Storage, atomic_file

SIDE_PX: Final = 256
"""The longest side: what a cell of a sheet with eight columns takes on a screen of double density, nearly."""
QUALITY: Final = 80
MEDIA_TYPE: Final = "image/webp"


def path_of(storage: Storage, sha256: str) -> Path:
    """Where the small picture of a sample's file lies, whether or not it was made."""
    return storage.cache_folder / "samples" / sha256[:2] / f"{sha256}-{SIDE_PX}.webp"


def keep(storage: Storage, sha256: str, png: bytes) -> bytes:
    """Make the small picture of a sample's bytes, keep it, and return it: a WebP within `SIDE_PX`, never enlarged.

    A full disk keeps nothing: it is made again when it is asked for. Raises OSError for bytes that are no picture.
    """
    # Loaded here, for the pages know this file and make few pictures: those of samples from before there were any.
    from PIL import Image as Pillow

    with Pillow.open(BytesIO(png)) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((SIDE_PX, SIDE_PX), Pillow.Resampling.LANCZOS, reducing_gap=3.0)
    file = BytesIO()
    picture.save(file, "WEBP", quality=QUALITY, method=2)
    small = file.getvalue()
    with suppress(DiskFull):
        storage.refuse_below_reserve(len(small))
        with atomic_file(path_of(storage, sha256)) as writer:
            writer.write(small)
    return small
