"""From the bytes of any product photo to pictures that look right everywhere: upright, sRGB, 8 bit, without alpha.

A picture is read strictly (see `soundness`), within a byte budget that all threads share (see `memory`), and flattened
in strips, so that one never takes more than twice its own pixels.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    ImageCms,
    ImageFilter,
    ImageOps,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
)
from PIL import Image as Pillow

from app.catalog.files import UNSHOWN, VIEW_SIDE_PX
from app.catalog.notes import Note
from app.errors import Refused
from app.intake import camera_raw, code_points, heif, jpeg_xl, libtiff, memory, soundness, tiff
from app.intake.soundness import Damaged, Mended
from app.intake.thumbnails import as_png, shrink_pixels, thumbnail, view_file, within

SMALLEST_SIDE_PX: Final = 32
_ORIENTATION: Final = 0x0112
_BITS: Final = 258  # BitsPerSample of a TIFF
_PHOTOMETRIC: Final = 262
_TURNS: Final = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}
# The modes that a profile is for, by Pillow's modes of pictures that are brought to them first.
_BASES: Final = {
    "RGBA": "RGB", "RGBa": "RGB", "RGBX": "RGB", "P": "RGB", "PA": "RGB", "LA": "L", "La": "L", "1": "L",
}  # fmt: skip
# What Pillow's readers raise on damaged files, besides its own OSError: parsers meet arbitrary bytes.
_DAMAGE: Final = (
    OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, SyntaxError, EOFError, RuntimeError,
    struct.error, zlib.error,
)  # fmt: skip
_FORMATS: Final = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF")
# Those whose reader, or box, says how the picture is turned and turns it: what their EXIF block says does not count.
_TURNED_BY_READER: Final = ("TIFF", "HEIF")

# Pillow's own limits are globals that warn or refuse; `read_picture` checks each header against the limit it is given,
# and `soundness` each profile.
Pillow.MAX_IMAGE_PIXELS = None
PngImagePlugin.MAX_TEXT_CHUNK = soundness.MAX_PROFILE_BYTES
# Several photos are read at once as it is; small pictures that lie in a photo's file are not what it shows.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
_RAW: Final = "Camera raw files are not taken in; develop them and export JPEG or TIFF first."
_STRIP_PIXELS: Final = 1 << 20


class Unreadable(Refused):
    """This file cannot become an image; the sentence says why."""


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """A photo that was read. `render` is None where the original itself already looks right everywhere.

    `format` is one of JPEG, PNG, WEBP, TIFF, BMP, GIF, AVIF, HEIF, JXL; sizes are as a person sees the picture; `thumb`
    and `view` are encoded files of the formats in `catalog.files`, `render` a lossless PNG; `notes` say what had to be
    assumed; `view_pixels` is the view before it was encoded, uint8 (h, w, 3) or, grey, (h, w), for measuring without
    decoding again. The view of a small JPEG is its own bytes, less what is not picture.
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
    notes: tuple[Note, ...]
    view_pixels: NDArray[np.uint8]


def read_picture(data: bytes, max_megapixels: int, name: str = "") -> DecodedPicture:
    """Read a photo from its bytes; of several frames the first, of several pages of a TIFF the largest.

    `name` is the file's: some camera raw is told from TIFF by its suffix alone. Waits while other threads decode as
    much as the budget allows. Raises Unreadable for bytes that are no picture of a known format, damaged, cut off,
    larger than `max_megapixels` (told from the header, before anything is decoded) or smaller than 32 px.
    """
    if not data:
        raise Unreadable("The file is empty.")
    if camera_raw.is_raw(data, name):
        raise Unreadable(_RAW)
    try:
        return _read_strictly(data, max_megapixels)
    except UnidentifiedImageError:
        raise Unreadable(_what_else(data, name)) from None
    except Unreadable:
        raise
    except MemoryError:
        raise Unreadable("The picture needs more memory than there is.") from None
    except _DAMAGE as error:
        is_cut = (
            error.is_cut if isinstance(error, Damaged) else "truncated" in str(error) or isinstance(error, EOFError)
        )
        why = "is cut off before its end" if is_cut else "is damaged"
        raise Unreadable(f"The file {why}, so its picture cannot be read.") from None


def _read_strictly(data: bytes, max_megapixels: int) -> DecodedPicture:
    if jpeg_xl.is_jpeg_xl(data):
        return _read_jpeg_xl(data, max_megapixels)
    notes: list[Note] = []
    still = heif.Still()
    if heif.is_heif(data):
        still = heif.look(data)
        data = heif.without_exif(data)
    if data.startswith(soundness.PNG_MARK):
        mended = soundness.check_png(data)
        data, notes = mended.data, mended.notes
    page = None
    if tiff.is_tiff(data):
        page, page_notes = _main_page(data)
        data, notes = tiff.starting_with(data, page), page_notes
    formats = (("AVIF",) if heif.is_avif(data) else ("HEIF",)) if heif.is_heif(data) else _FORMATS
    with Pillow.open(io.BytesIO(data), formats=formats) as opened:
        _check_size(opened.size, max_megapixels)
        tile_bytes = 8 * page.tile_pixels if page is not None else 0
        with memory.PICTURES.hold(cost_bytes(opened) + tile_bytes):
            checked = Mended(data)
            if opened.format in ("JPEG", "MPO"):
                checked = soundness.check_jpeg(data, opened.mode, _enough(opened))
                if checked.data is not data:
                    opened = Pillow.open(io.BytesIO(checked.data), formats=("JPEG", "MPO"))
                notes += checked.notes
            elif opened.format == "PNG":
                soundness.check_png_pixels(data)
            elif opened.format == "WEBP":
                soundness.check_webp(data)
            elif opened.format == "GIF":
                notes += soundness.check_gif(data).notes
            elif page is not None:
                soundness.check_tiff(data, page)
            if page is None and getattr(opened, "is_animated", False):
                if opened.format != "HEIF":  # which opens at the picture that it names as its main one
                    opened.seek(0)
                notes.append("first-of-several")
            if still.bits > 8 or _is_deep(opened, data):
                notes.append("reduced-to-8-bit")
            with libtiff.errors_heard() as errors:
                picture = _read(opened, notes, still, checked)
            if any(errors):
                raise Damaged
            return picture


def _read_jpeg_xl(data: bytes, max_megapixels: int) -> DecodedPicture:
    header = jpeg_xl.read_header(data)
    _check_size(header.size, max_megapixels)
    if header.is_animated:
        # Its reader gives the last frame only, and draws all others first.
        raise Unreadable("Animated JPEG XL is not taken in; export the frame you want as PNG or JPEG first.")
    width, height = header.size
    with memory.PICTURES.hold(width * height * jpeg_xl.PIXEL_BYTES):
        decoded = jpeg_xl.decode(data)
        notes: list[Note] = ["reduced-to-8-bit"] if header.bits > 8 else []
        still, checked = heif.Still(is_turned=header.is_turned), Mended(data)
        if isinstance(decoded, bytes):
            checked = soundness.check_jpeg(decoded, "RGB", header.size)
            decoded, still = Pillow.open(io.BytesIO(checked.data), formats=("JPEG",)), heif.Still()
            decoded.format = "JXL"
            notes += checked.notes
        with decoded as opened:
            _check_size(opened.size, max_megapixels)
            profile = opened.info.get("icc_profile", b"")
            if profile[16:20] == b"CMYK" and opened.mode != "CMYK":
                raise Unreadable("CMYK pictures in JPEG XL are not taken in; export them as JPEG or TIFF first.")
            return _read(opened, notes, still, checked)


def _is_deep(opened: Pillow.Image, data: bytes) -> bool:
    """Whether a channel has 16 bits: Pillow itself reduces colours to 8."""
    if opened.format == "PNG":
        return data[24] == 16
    return isinstance(opened, TiffImagePlugin.TiffImageFile) and max(opened.tag_v2.get(_BITS, (1,))) == 16


def _main_page(data: bytes) -> tuple[tiff.Page, list[Note]]:
    """The page of a TIFF that is its picture: the largest, and of several as large the first."""
    pages = [page for page in tiff.pages_of(data) if not page.is_mask]
    if not pages:
        raise Damaged
    largest = max(pages, key=lambda page: page.pixels)
    notes: list[Note] = ["largest-page"] if largest is not pages[0] else ["first-of-several"] if len(pages) > 1 else []
    return largest, notes


def cost_bytes(opened: Pillow.Image) -> int:
    """The most bytes that reading a picture takes at once, beside its file: told from its header."""
    width, height = opened.size
    held = {"1": 1, "L": 1, "P": 1}.get(opened.mode, 2 if opened.mode.startswith("I;16") else 4)
    flat = 1 if opened.mode in ("1", "L") or opened.mode.startswith("I") else 4
    # What is read and what is made of it; then that, turned or as a file, beside itself.
    each = max(held, flat) + flat
    if opened.format in ("JPEG", "MPO") and opened.info.get("progressive"):
        each += 6  # a progressive JPEG's coefficients, 16 bits each, are all held
    if opened.format in ("WEBP", "TIFF", "AVIF", "HEIF"):
        each += 8  # their libraries hold pictures, or strips of any height, of their own
    if opened.format in ("AVIF", "HEIF"):
        each += 8  # planes of up to 16 bits a channel
    return width * height * each


def _enough(opened: Pillow.Image) -> tuple[int, int]:
    """The width and height in px that a picture has to be decoded at: its own, unless only smaller ones are wanted."""
    is_as_it_looks = _turn(opened) is None and _transform(opened.info.get("icc_profile"), opened.mode)[0] is None
    return within(opened.size, VIEW_SIDE_PX) if is_as_it_looks else opened.size


def _read(opened: Pillow.Image, notes: list[Note], still: heif.Still, checked: Mended) -> DecodedPicture:
    """What becomes of a picture. What checking it has decoded already is taken, not decoded again (see `_enough`)."""
    # JPEGs with several pictures inside (MPO) show the first.
    file_format = "JPEG" if opened.format == "MPO" else str(opened.format)
    if file_format == "PNG":
        # Asked for its EXIF block, Pillow decodes a PNG, and what is wrong with it would be swallowed there.
        opened.load()
    turn = _turn(opened)
    profile = opened.info.get("icc_profile")
    # What no browser shows always gets a render.
    is_plain = opened.mode in ("RGB", "L") and turn is None and file_format not in UNSHOWN
    is_plain = is_plain and not opened.has_transparency_data
    transform, is_broken = _transform(profile, opened.mode)
    table = code_points.to_srgb(still.code_points) if transform is None else None
    if table is not None and code_points.is_hdr(still.code_points):
        notes = [*notes, "hdr-brought-down"]
    if is_broken:
        notes = ["broken-profile", *notes]
    elif profile and len(profile) > soundness.LARGE_BYTES:
        notes = ["large-profile", *notes]
    width, height = opened.size
    if is_plain and transform is None and table is None:
        pixels = np.asarray(opened) if checked.pixels is None else checked.pixels
        small = shrink_pixels(pixels, VIEW_SIDE_PX)
        return DecodedPicture(
            file_format, width, height, False, profile is not None, False, None,
            view_file(small), thumbnail(small), tuple(dict.fromkeys(notes)), small,
        )  # fmt: skip
    if checked.pixels is not None and opened.mode != "CMYK":
        opened, checked.pixels = Pillow.fromarray(checked.pixels), None
    opened.load()
    flat, had_alpha, assumed = _flatten(opened, transform, table)
    if flat is not opened:
        opened.close()  # its pixels go before more are made
    upright = flat if turn is None or file_format in _TURNED_BY_READER else flat.transpose(turn)
    del flat
    small = shrink_pixels(np.asarray(upright), VIEW_SIDE_PX)
    return DecodedPicture(
        file_format, upright.width, upright.height, had_alpha, profile is not None, turn is not None or still.is_turned,
        as_png(upright), view_file(small), thumbnail(small),
        tuple(dict.fromkeys([*notes, *assumed])), small,
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
    opened: Pillow.Image, transform: ImageCms.ImageCmsTransform | None, table: ImageFilter.Color3DLUT | None
) -> tuple[Pillow.Image, bool, list[Note]]:
    """The picture as 8-bit RGB or L on white, made strip by strip; whether any of it was transparent; assumptions."""
    is_srgb = transform is None and table is None
    if opened.mode in ("L", "RGB") and is_srgb and not opened.has_transparency_data:
        return opened, False, []
    is_grey = is_srgb and (opened.mode in ("1", "L", "LA", "La") or opened.mode.startswith("I"))
    flat = Pillow.new("L" if is_grey else "RGB", opened.size)
    had_alpha = False
    notes: list[Note] = []
    for top, strip in _strips(opened):
        piece, is_clear, notes = _flatten_strip(strip, transform, table)
        had_alpha |= is_clear
        flat.paste(piece, (0, top))
    if _is_negative(opened):
        flat = ImageOps.invert(flat)
    return flat, had_alpha, [*notes, "laid-on-white"] if had_alpha else notes


def _is_negative(opened: Pillow.Image) -> bool:
    """Whether 0 is white: Pillow sees to that in a TIFF of 8 bits, not in one of 16."""
    if not isinstance(opened, TiffImagePlugin.TiffImageFile) or not opened.mode.startswith("I;16"):
        return False
    return bool(opened.tag_v2.get(_PHOTOMETRIC) == 0)


def _strips(opened: Pillow.Image) -> Iterator[tuple[int, Pillow.Image]]:
    """A picture in strips of about a million pixels, each with its top row."""
    rows = max(1, _STRIP_PIXELS // opened.width)
    for top in range(0, opened.height, rows):
        yield top, opened.crop((0, top, opened.width, min(top + rows, opened.height)))


def _flatten_strip(
    strip: Pillow.Image, transform: ImageCms.ImageCmsTransform | None, table: ImageFilter.Color3DLUT | None
) -> tuple[Pillow.Image, bool, list[Note]]:
    alpha = strip.convert("RGBA").getchannel("A") if strip.has_transparency_data else None
    is_clear = alpha is not None and alpha.getextrema()[0] != 255
    colours, notes = _eight_bit(strip)
    if transform is not None and colours.mode == transform.input_mode:
        colours, notes = _apply(transform, colours), []
    if colours.mode not in ("RGB", "L"):
        colours = colours.convert("RGB")
    if table is not None:
        colours = colours.convert("RGB").filter(table)
    if is_clear:
        paper = Pillow.new(colours.mode, colours.size, "white")
        paper.paste(colours, mask=alpha)
        colours = paper
    return colours, is_clear, notes


def _eight_bit(strip: Pillow.Image) -> tuple[Pillow.Image, list[Note]]:
    """The colours alone, 8 bit a channel, in mode L, RGB or CMYK; and what had to be assumed."""
    mode = strip.mode
    if mode in ("L", "RGB"):
        return strip, []
    if mode == "CMYK":
        return strip, ["cmyk-without-profile"]
    if mode in ("1", "LA", "La"):
        return strip.convert("LA").getchannel("L") if mode != "1" else strip.convert("L"), []
    if mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        from_lab = ImageCms.buildTransform(lab, _srgb(), "LAB", "RGB")
        return _apply(from_lab, strip), []
    if mode == "I" or mode.startswith("I;16"):
        levels = np.asarray(strip)
        if levels.min() < 0 or levels.max() > 65535:
            raise Unreadable("The picture has 32-bit pixels, whose brightness cannot be told.")
        return Pillow.fromarray((levels // 257).astype(np.uint8)), []
    if mode == "F":
        raise Unreadable("The picture has floating-point pixels, whose brightness cannot be told.")
    return strip.convert("RGBA").convert("RGB") if mode in ("P", "PA", "RGBa") else strip.convert("RGB"), []


def _transform(profile: bytes | None, mode: str) -> tuple[ImageCms.ImageCmsTransform | None, bool]:
    """How to get from the embedded profile to sRGB, None where they agree; and whether the profile is broken."""
    if not profile:
        return None, False
    base = "L" if mode == "I" or mode.startswith("I;16") else _BASES.get(mode, mode)
    if base not in ("RGB", "L", "CMYK"):
        return None, False
    if len(profile) > soundness.MAX_PROFILE_BYTES:
        return None, True
    # What is kept for the next photo is kept with its profile.
    build = _transform_of if len(profile) <= soundness.LARGE_BYTES else _transform_of.__wrapped__
    try:
        return build(profile, base), False
    except (ImageCms.PyCMSError, *_DAMAGE):
        return None, True


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


def _what_else(data: bytes, name: str) -> str:
    """A sentence for bytes that no reader knows."""
    head = data[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if heif.is_heif(data):
        return "The file is damaged, or coded as no HEIC or AVIF reader here knows; export it as JPEG first."
    if data.startswith((b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")):
        return "JPEG 2000 photos are not taken in; export them as JPEG first."
    if data[:4] == b"8BPS":
        return "Photoshop files are not taken in; export them as PNG or TIFF first."
    if head.startswith((b"<!doctype html", b"<html")):
        return "The file is a web page, not a picture."
    if b"<svg" in head:
        return "SVG drawings are not taken in; export them as PNG first."
    if data.startswith(b"version https://git-lfs"):
        return "The file is a Git LFS pointer, not a picture; run git lfs pull first."
    if camera_raw.is_named_so(name):
        return _RAW
    if data.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*")):
        return "The file is damaged, so its picture cannot be read."
    return "The file is no picture that can be read: JPEG, PNG, WebP, AVIF, HEIC, JPEG XL, TIFF, BMP or GIF."
