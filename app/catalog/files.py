"""Where an image's files lie, and what they are: the original as it came, a thumbnail, and a view for the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from app.catalog.tables import Image
from app.storage import Storage

Shape = Literal["thumb", "view", "original"]

SUFFIXES: Final = {
    "JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif", "BMP": ".bmp", "GIF": ".gif", "AVIF": ".avif",
    "HEIF": ".heic", "JXL": ".jxl",
}  # fmt: skip
CONTENT_TYPES: Final = {
    "JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "TIFF": "image/tiff", "BMP": "image/bmp",
    "GIF": "image/gif", "AVIF": "image/avif", "HEIF": "image/heic", "JXL": "image/jxl",
}  # fmt: skip
# Formats that browsers do not show, or few of them: their pictures are shown, and learned from, as lossless renders.
UNSHOWN: Final = ("TIFF", "HEIF", "JXL")

# Thumbnails are many and small, views few and looked at closely. A JPEG view costs a tenth of the time of a WebP one
# and, unlike WebP, keeps colour at full resolution.
THUMB_SIDE_PX: Final = 256
THUMB_FORMAT: Final = "WEBP"
VIEW_SIDE_PX: Final = 1024
VIEW_FORMAT: Final = "JPEG"


def file_of(storage: Storage, image: Image, shape: Shape) -> tuple[Path, str]:
    """The file of one shape of an image and its content type, whether or not the file is there.

    Of a format that browsers do not show, the original is its lossless render.
    """
    if shape == "thumb":
        return thumb_path(storage, image.thumb_sha256), CONTENT_TYPES[THUMB_FORMAT]
    if shape == "view":
        return view_path(storage, image.view_sha256), CONTENT_TYPES[VIEW_FORMAT]
    if image.format in UNSHOWN:
        return storage.root / image.render_path, CONTENT_TYPES["PNG"]
    return original_of(storage, image), CONTENT_TYPES[image.format]


def original_of(storage: Storage, image: Image) -> Path:
    """Where the bytes that were taken in lie."""
    return storage.path("originals", image.sha256, SUFFIXES[image.format])


def thumb_path(storage: Storage, thumb_sha256: str) -> Path:
    """Where the thumbnail with these bytes lies."""
    return storage.path("thumbs", thumb_sha256, SUFFIXES[THUMB_FORMAT])


def view_path(storage: Storage, view_sha256: str) -> Path:
    """Where the view with these bytes lies."""
    return storage.path("views", view_sha256, SUFFIXES[VIEW_FORMAT])
