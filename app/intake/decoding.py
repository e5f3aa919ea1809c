"""From the bytes of any product photo to pictures that look right everywhere: upright, sRGB, 8 bit, without alpha."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from PIL import Image as Pillow
from PIL import ImageCms, UnidentifiedImageError

from app.catalog.files import THUMB_FORMAT, THUMB_SIDE_PX, VIEW_FORMAT, VIEW_SIDE_PX
from app.errors import Refused
from app.intake.thumbnails import encode, shrink, within

SMALLEST_SIDE_PX: Final = 32
_ORIENTATION: Final = 0x0112
_TURNS: Final = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}
# What Pillow's readers raise on damaged files, besides its own OSError: parsers meet arbitrary bytes.
_DAMAGE: Final = (
    OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, SyntaxError, EOFError, RuntimeError,
    struct.error, zlib.error,
)  # fmt: skip
_FORMATS: Final = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")

# Pillow's own limit is a global that warns; `read_picture` checks each header against the limit it is given.
Pillow.MAX_IMAGE_PIXELS = None


class Unreadable(Refused):
    """This file cannot become an image; the sentence says why."""


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """A photo that was read. `render` is None where the original itself already looks right everywhere.

    `format` is one of JPEG, PNG, WEBP, TIFF, BMP, GIF; sizes are as a person sees the picture; `thumb` and `view` are
    encoded files of the formats in `catalog.files`, `render` a lossless PNG; `note` says what had to be assumed.
    """

    format: str
    width_px: int
    height_px: int
    had_alpha: bool
    had_profile: bool
    was_turned: bool
    render: bytes | None
    view: bytes
    thumb: bytes
    note: str | None


def read_picture(data: bytes, max_megapixels: int) -> DecodedPicture:
    """Read a photo from its bytes, whatever its name said; of several frames or pages, the first.

    Raises Unreadable for bytes that are no picture of a known format, damaged, cut off, larger than `max_megapixels`
    (told from the header, before anything is decoded) or smaller than 32 px.
    """
    if not data:
        raise Unreadable("The file is empty.")
    try:
        with Pillow.open(io.BytesIO(data), formats=_FORMATS) as opened:
            _check_size(opened.size, max_megapixels)
            return _read(opened)
    except UnidentifiedImageError:
        raise Unreadable(_what_else(data)) from None
    except Unreadable:
        raise
    except MemoryError:
        raise Unreadable("The picture needs more memory than there is.") from None
    except _DAMAGE as error:
        is_cut = "truncated" in str(error) or isinstance(error, EOFError)
        why = "is cut off before its end" if is_cut else "is damaged"
        raise Unreadable(f"The file {why}, so its picture cannot be read.") from None


def _read(opened: Pillow.Image) -> DecodedPicture:
    turn = _turn(opened)
    # JPEGs with several pictures inside (MPO) show the first.
    file_format = "JPEG" if opened.format == "MPO" else str(opened.format)
    profile = opened.info.get("icc_profile")
    # No browser shows TIFF, so it always gets a render.
    is_plain = opened.mode in ("RGB", "L") and turn is None and file_format != "TIFF"
    is_plain = is_plain and not opened.has_transparency_data
    transform, note = _transform(profile, opened.mode)
    width, height = opened.size
    if is_plain and transform is None:
        # Nothing but smaller pictures are wanted, and JPEG can be decoded at a half, a quarter or an eighth.
        opened.draft(opened.mode, within(opened.size, VIEW_SIDE_PX))
        view = shrink(opened, VIEW_SIDE_PX)
        return DecodedPicture(
            file_format, width, height, False, profile is not None, False, None, encode(view, VIEW_FORMAT),
            encode(shrink(view, THUMB_SIDE_PX), THUMB_FORMAT), note,
        )  # fmt: skip
    opened.load()
    flat, had_alpha, assumed = _flatten(opened, transform)
    # Pillow turns TIFF pages by itself.
    upright = flat if turn is None or file_format == "TIFF" else flat.transpose(turn)
    view = shrink(upright, VIEW_SIDE_PX)
    return DecodedPicture(
        file_format, upright.width, upright.height, had_alpha, profile is not None, turn is not None,
        encode(upright, "PNG"), encode(view, VIEW_FORMAT), encode(shrink(view, THUMB_SIDE_PX), THUMB_FORMAT),
        note or assumed,
    )  # fmt: skip


def _check_size(size: tuple[int, int], max_megapixels: int) -> None:
    width, height = size
    if width * height > max_megapixels * 1_000_000:
        raise Unreadable(f"The picture has {width:,} × {height:,} pixels; {max_megapixels:,} megapixels are the limit.")
    if min(size) < SMALLEST_SIDE_PX:
        raise Unreadable(f"The picture has only {width} × {height} pixels; {SMALLEST_SIDE_PX} a side are the least.")


def _turn(opened: Pillow.Image) -> Pillow.Transpose | None:
    """The transposition that the EXIF orientation asks for. A malformed EXIF block asks for none."""
    try:
        return _TURNS.get(opened.getexif().get(_ORIENTATION, 1))
    except _DAMAGE:
        return None


def _flatten(
    opened: Pillow.Image, transform: ImageCms.ImageCmsTransform | None
) -> tuple[Pillow.Image, bool, str | None]:
    """The picture as 8-bit RGB or L on white; whether any of it was transparent; what had to be assumed."""
    alpha = opened.convert("RGBA").getchannel("A") if opened.has_transparency_data else None
    had_alpha = alpha is not None and alpha.getextrema()[0] != 255
    colours, note = _eight_bit(opened)
    if transform is not None and colours.mode == transform.input_mode:
        colours, note = _apply(transform, colours), None
    if colours.mode not in ("RGB", "L"):
        colours = colours.convert("RGB")
    if had_alpha:
        paper = Pillow.new(colours.mode, colours.size, "white")
        paper.paste(colours, mask=alpha)
        colours = paper
    return colours, had_alpha, note


def _eight_bit(opened: Pillow.Image) -> tuple[Pillow.Image, str | None]:
    """The colours alone, 8 bit a channel, in mode L, RGB or CMYK; and what had to be assumed."""
    mode = opened.mode
    if mode in ("L", "RGB"):
        return opened, None
    if mode == "CMYK":
        return opened, "CMYK without a usable profile: its colours are approximate."
    if mode in ("1", "LA", "La"):
        return opened.convert("LA").getchannel("L") if mode != "1" else opened.convert("L"), None
    if mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        from_lab = ImageCms.buildTransform(lab, _srgb(), "LAB", "RGB")
        return _apply(from_lab, opened), None
    if mode == "I" or mode.startswith("I;16"):
        levels = np.asarray(opened).astype(np.int64)
        if levels.min() < 0 or levels.max() > 65535:
            raise Unreadable("The picture has 32-bit pixels, whose brightness cannot be told.")
        return Pillow.fromarray((levels // 257).astype(np.uint8)), None
    if mode == "F":
        raise Unreadable("The picture has floating-point pixels, whose brightness cannot be told.")
    return opened.convert("RGBA").convert("RGB") if mode in ("PA", "RGBa") else opened.convert("RGB"), None


def _transform(profile: bytes | None, mode: str) -> tuple[ImageCms.ImageCmsTransform | None, str | None]:
    """How to get from the embedded profile to sRGB, None where they agree; and a note where the profile is broken."""
    if not profile:
        return None, None
    base = {"RGBA": "RGB", "RGBX": "RGB", "P": "RGB", "PA": "RGB", "LA": "L"}.get(mode, mode)
    if base not in ("RGB", "L", "CMYK"):
        return None, None
    try:
        return _transform_of(profile, base), None
    except (ImageCms.PyCMSError, *_DAMAGE):
        return None, "The embedded colour profile cannot be used; the colours are taken as sRGB."


@lru_cache(maxsize=32)
def _transform_of(profile: bytes, mode: Literal["RGB", "L", "CMYK"]) -> ImageCms.ImageCmsTransform | None:
    """Transform from a profile to sRGB, None where it moves no colour by more than two levels of 255."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(
        source, _srgb(), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    )
    if mode == "CMYK":
        return transform
    levels = np.linspace(0, 255, 16 if mode == "RGB" else 256).round().astype(np.uint8)
    probe = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(64, 64, 3) if mode == "RGB" else levels[None]
    shown = np.asarray(_apply(transform, Pillow.fromarray(probe))).astype(int)
    moved = np.abs(shown - (probe if mode == "RGB" else probe[..., None]))
    return transform if moved.max() > 2 else None


def _apply(transform: ImageCms.ImageCmsTransform, picture: Pillow.Image) -> Pillow.Image:
    changed = ImageCms.applyTransform(picture, transform)
    return picture if changed is None else changed  # None stands for a change in place


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _what_else(data: bytes) -> str:
    """A sentence for bytes that no reader knows."""
    head = data[:512].lstrip().lower()
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis"):
        return "HEIC and AVIF photos are not taken in; export them as JPEG first."
    if data[:4] == b"8BPS":
        return "Photoshop files are not taken in; export them as PNG or TIFF first."
    if head.startswith((b"<!doctype html", b"<html")):
        return "The file is a web page, not a picture."
    if b"<svg" in head:
        return "SVG drawings are not taken in; export them as PNG first."
    if data.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*")):
        return "The file is damaged, so its picture cannot be read."
    return "The file is no picture that can be read: JPEG, PNG, WebP, TIFF, BMP or GIF."
