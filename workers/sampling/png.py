"""A sample as a file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


def png(picture: Image) -> bytes:
    """The picture's PNG: what is drawn twice alike is the same file."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
