"""Pictures as captioners look at them: RGB, and no larger than a caption needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

# Vision-language models spend tokens by the pixel.
LONGEST_SIDE_PX: Final = 1024


def shrink(image: Picture) -> Picture:
    """RGB, its longest side at most LONGEST_SIDE_PX, and its pixels read; the picture itself where it is so already."""
    if image.mode == "RGB" and max(image.size) <= LONGEST_SIDE_PX:
        image.load()
        return image
    rgb = image.convert("RGB")
    rgb.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX))
    return rgb
