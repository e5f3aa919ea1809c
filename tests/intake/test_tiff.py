"""The largest page of a TIFF is its picture, and camera raw is refused whatever its name says."""

from __future__ import annotations

import io
import lzma
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from app.intake import soundness, tiff
from app.intake.decoding import Unreadable, read_picture
from tests.intake.conftest import encoded, picture

Tags = dict[int, tuple[int, tuple[int, ...]]]


def tiff_of(*pages: Tags, order: str = "<", after: bytes = b"", below: Tags | None = None) -> bytes:
    """A TIFF of directories alone, one after the other; `below` hangs under the first as tag 330. `after` follows."""

    def size(tags: Tags) -> int:
        return 2 + 12 * len(tags) + 4

    pages = ({**pages[0], 330: (4, (0,))}, *pages[1:]) if below else pages
    directories = [*pages, *([below] if below else [])]
    starts = [8 + sum(size(tags) for tags in directories[:place]) for place in range(len(directories) + 1)]
    if below:
        pages[0][330] = (4, (starts[-2],))
    data = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    for place, tags in enumerate(directories):
        data += struct.pack(order + "H", len(tags))
        for tag, (kind, values) in sorted(tags.items()):
            if tag == 273:
                values = tuple(value + starts[-1] for value in values)
            packed = struct.pack(f"{order}{len(values)}{'B' if kind == 1 else 'H' if kind == 3 else 'I'}", *values)
            data += struct.pack(order + "HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
        is_last = place >= len(pages) - 1
        data += struct.pack(order + "I", 0 if is_last else starts[place + 1])
    return data + after


def page(width: int, height: int, at: int = 0, **more: int) -> Tags:
    """An 8-bit grey page whose pixels lie `at` behind the directories."""
    tags: Tags = {
        256: (4, (width,)), 257: (4, (height,)), 258: (3, (8,)), 259: (3, (1,)), 262: (3, (1,)), 273: (4, (at,)),
        277: (3, (1,)), 278: (4, (height,)), 279: (4, (width * height,)),
    }  # fmt: skip
    return tags | {int(name[1:]): (3, (value,)) for name, value in more.items()}


PIXELS = bytes(range(256)) * 75  # 160 x 120


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_picture_below_a_preview_is_the_picture(order: str) -> None:
    data = tiff_of(page(40, 40, t254=1), below=page(160, 120), order=order, after=PIXELS)
    found = read_picture(data, 10)
    assert (found.width_px, found.height_px, found.notes) == (160, 120, ("largest-page",))


@pytest.mark.parametrize("sizes", [[(64, 64), (160, 120)], [(64, 64), (160, 120), (100, 100)]])
def test_of_several_pages_the_largest_is_the_picture(sizes: list[tuple[int, int]]) -> None:
    first, *others = [picture(number, size) for number, size in enumerate(sizes)]
    data = encoded(first, "TIFF", save_all=True, append_images=others)
    found = read_picture(data, 10)
    assert (found.width_px, found.height_px, found.notes) == (160, 120, ("largest-page",))
    assert found.render is not None
    assert Pillow.open(io.BytesIO(found.render)).tobytes() == others[0].tobytes()


def test_the_largest_page_is_turned_by_its_own_orientation() -> None:
    data = tiff_of(page(40, 40, t254=1), page(160, 120, t274=6), after=PIXELS)
    found = read_picture(data, 10)
    assert (found.width_px, found.height_px, found.was_turned) == (120, 160, True)


def test_a_mask_is_no_picture_however_large() -> None:
    data = tiff_of(page(160, 120), page(640, 480, t254=4), after=PIXELS)
    assert read_picture(data, 10).notes == ()


def test_directories_in_a_circle_end() -> None:
    data = bytearray(tiff_of(page(160, 120), after=PIXELS))
    struct.pack_into("<I", data, 8 + 2 + 12 * 9, 8)
    assert len(tiff.pages_of(bytes(data))) == 1


RAW = {
    "dng": tiff_of({**page(40, 40, t254=1), 50706: (1, (1, 4, 0, 0))}, after=PIXELS),
    "mosaic": tiff_of(page(40, 40, t254=1), below=page(160, 120, t262=32803), after=PIXELS),
    "linear": tiff_of(page(160, 120, t262=34892), after=PIXELS),
    "nikon": tiff_of(page(40, 40), below=page(160, 120, t259=34713), after=PIXELS),
    "sony": tiff_of(page(40, 40), page(160, 120, t259=32767), after=PIXELS, order=">"),
    "pentax": tiff_of(page(40, 40), page(160, 120, t259=65535), after=PIXELS, order=">"),
    "samsung": tiff_of(page(40, 40), below=page(160, 120, t259=32770), after=PIXELS),
    "canon": b"II*\0\x10\0\0\0CR\x02\0" + bytes(400),
    "canon 3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(400),
    "canon before": b"II\x1a\0\0\0HEAPCCDR" + bytes(400),
    "olympus": b"IIRO\x08\0\0\0" + bytes(400),
    "olympus s": b"IIRS\x08\0\0\0" + bytes(400),
    "panasonic": b"IIU\0\x18\0\0\0" + bytes(400),
    "fujifilm": b"FUJIFILMCCD-RAW 0201FF389501" + bytes(400),
    "sigma": b"FOVb\0\0\2\0" + bytes(400),
    "minolta": b"\0MRM\0\0\1\0" + bytes(400),
}


@pytest.mark.parametrize("kind", RAW)
def test_camera_raw_is_refused_by_its_content(kind: str) -> None:
    with pytest.raises(
        Unreadable, match="Camera raw files are not taken in; develop them and export JPEG or TIFF first"
    ):
        read_picture(RAW[kind], 10, "renamed.tif")


@pytest.mark.parametrize("name", ["shot.NEF", "sub/shot.arw", "shot.orf", "shot.srw", "shot.raw"])
def test_a_tiff_that_is_named_like_camera_raw_is_refused(name: str) -> None:
    data = tiff_of(page(160, 120), after=PIXELS)
    with pytest.raises(Unreadable, match="Camera raw"):
        read_picture(data, 10, name)


def test_a_jpeg_that_is_named_like_camera_raw_is_a_jpeg() -> None:
    assert read_picture(encoded(picture()), 10, "shot.nef").format == "JPEG"


def test_sixteen_bits_of_which_none_is_white_are_no_negative() -> None:
    levels = struct.pack("<19200H", *(value * 3 for value in range(19200)))
    tags = page(160, 120, t258=16) | {262: (3, (0,)), 279: (4, (len(levels),))}
    found = read_picture(tiff_of(tags, after=levels), 10)
    assert found.render is not None
    seen = Pillow.open(io.BytesIO(found.render))
    assert (seen.getpixel((0, 0)), seen.getpixel((159, 119))) == (255, 31)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("cut", range(9, 130, 11))
def test_a_tiff_whose_directory_is_cut_is_refused(cut: int) -> None:
    with pytest.raises(Unreadable):
        read_picture(tiff_of(page(160, 120), after=PIXELS)[:cut], 10)


@pytest.mark.filterwarnings("ignore:Tag data larger")
def test_bytes_that_many_directories_tell_of_are_held_once() -> None:
    """A small file whose every directory says that its strips are listed in the whole of it."""
    size, pages = 200_000, 60
    many = struct.pack("<HHII", 273, 1, size, 0) + struct.pack("<HHII", 279, 1, size, 0)
    sides = struct.pack("<HHII", 256, 4, 1, 64) + struct.pack("<HHII", 257, 4, 1, 64)
    step = 2 + 12 * 4 + 4
    data = struct.pack("<2sHI", b"II", 42, 8) + b"".join(
        struct.pack("<H", 4) + sides + many + struct.pack("<I", 8 + step * (number + 1)) for number in range(pages)
    )
    data = data[:-4] + bytes(4 + size)
    tracemalloc.start()
    found = tiff.pages_of(data)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == pages
    assert held < size
    with pytest.raises(Unreadable):
        read_picture(data, 10)


def test_a_directory_longer_than_any_reader_believes_is_refused() -> None:
    entries = struct.pack("<HHII", 256, 4, 1, 64) * 5000
    with pytest.raises(ValueError, match="more entries"):
        tiff.pages_of(struct.pack("<2sHIH", b"II", 42, 8, 5000) + entries + bytes(4))


def test_a_tile_much_larger_than_its_picture_is_refused() -> None:
    side = 6000
    packed = lzma.compress(bytes(side * side), format=lzma.FORMAT_XZ)
    tiles: Tags = {322: (4, (side,)), 323: (4, (side,)), 324: (4, (0,)), 325: (4, (len(packed),))}
    tags = {tag: value for tag, value in page(64, 64, t259=34925).items() if tag not in (273, 278, 279)} | tiles
    data = tiff_of(tags)
    tags[324] = (4, (len(data),))
    with pytest.raises(Unreadable, match="is damaged"):
        read_picture(tiff_of(tags) + packed, 10)


def test_strips_that_lie_on_one_another_inflate_to_no_more_than_a_picture() -> None:
    packed = zlib.compress(bytes(32 << 20), 1)
    places, sizes = np.zeros(8, np.uint32), np.full(8, len(packed), np.uint32)
    one_page = tiff.Page(8, 64, 64, 0, 0, 0, 0, 8, False, False, places, sizes, np.empty(0, np.uint8))
    with pytest.raises(soundness.Damaged):
        soundness.check_tiff(packed, one_page)


@pytest.mark.parametrize("name", ["a.NEF", "a.3fr", "a.raw", "a.gpr", "a.eip"])
def test_what_no_reader_knows_is_camera_raw_where_its_name_says_so(name: str) -> None:
    with pytest.raises(Unreadable, match="Camera raw files are not taken in"):
        read_picture(bytes(range(1, 200)), 10, name)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "lzma"])
def test_tiles_that_stick_out_of_the_picture_are_whole(compression: str) -> None:
    tile = encoded(picture(3, (256, 256)).convert("L"), "TIFF", compression=compression, strip_size=1 << 20)
    (lies,) = tiff.pages_of(tile)
    ((at, size),) = lies.pieces
    tags = {tag: value for tag, value in page(200, 180).items() if tag not in (273, 278, 279)}
    tags |= {259: (3, (lies.compression,)), 322: (4, (256,)), 323: (4, (256,)), 324: (4, (0,)), 325: (4, (size,))}
    tags[324] = (4, (len(tiff_of(tags)),))
    found = read_picture(tiff_of(tags) + tile[at : at + size], 10)
    assert (found.width_px, found.height_px, found.notes) == (200, 180, ())
