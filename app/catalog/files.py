"""Where an image's files lie, and what they are: the original as it came, a thumbnail, and a view for the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from app.catalog.tables import Image
from app.storage import Keeper, Storage

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

# Thumbnails and views are JPEG: a WebP costs some ten times the time of one.
THUMB_SIDE_PX: Final = 256
VIEW_SIDE_PX: Final = 1024
# Thumbnails that earlier versions made.
_WEBP_THUMB: Final = ".webp"


def file_of(storage: Storage, image: Image, shape: Shape) -> tuple[Path, str]:
    """The file of one shape of an image and its content type, whether or not the file is there.

    Of a format that browsers do not show, the original is its lossless render.
    """
    if shape == "original":
        if image.format in UNSHOWN:
            return storage.root / image.render_path, CONTENT_TYPES["PNG"]
        return original_of(storage, image), CONTENT_TYPES[image.format]
    path = thumb_path(storage, image.thumb_sha256) if shape == "thumb" else view_path(storage, image.view_sha256)
    return path, content_type_of(path)


def original_of(storage: Storage, image: Image) -> Path:
    """Where the bytes that were taken in lie."""
    return storage.path("originals", image.sha256, SUFFIXES[image.format])


def put_thumb(storage: Keeper, thumb: bytes) -> str:
    """Keep a thumbnail; its SHA-256."""
    return storage.put("thumbs", thumb, ".jpg")


def put_view(storage: Keeper, view: bytes) -> str:
    """Keep a view; its SHA-256."""
    return storage.put("views", view, ".jpg")


def thumb_path(storage: Storage, thumb_sha256: str) -> Path:
    """Where the thumbnail with these bytes lies."""
    path = storage.path("thumbs", thumb_sha256, ".jpg")
    earlier = path.with_suffix(_WEBP_THUMB)
    return earlier if not path.exists() and earlier.exists() else path


def view_path(storage: Storage, view_sha256: str) -> Path:
    """Where the view with these bytes lies."""
    return storage.path("views", view_sha256, ".jpg")


def content_type_of(path: Path) -> str:
    """The content type of a thumbnail or a view."""
    return CONTENT_TYPES["WEBP" if path.suffix == _WEBP_THUMB else "JPEG"]
