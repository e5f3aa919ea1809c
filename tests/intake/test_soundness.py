"""A damaged file is refused as far as its format can tell; what a browser shows whole is taken in and noted."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from app.intake import decoding, soundness
from app.intake.decoding import DecodedPicture, Unreadable, read_picture
from tests.intake.conftest import encoded, picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def read(data: bytes) -> DecodedPicture:
    return read_picture(data, max_megapixels=10)


def is_refused(data: bytes) -> bool:
    try:
        read(data)
    except Unreadable as refusal:
        assert refusal.sentence.endswith("so its picture cannot be read.")
        return True
    return False


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kinds and bodies of a PNG's chunks."""
    found, position = [], 8
    while position < len(data):
        size = struct.unpack_from(">I", data, position)[0]
        found.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + size]))
        position += 12 + size
    return found


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    return soundness.PNG_MARK + b"".join(parts)


def flipped(data: bytes, place: int, bit: int = 3) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def textured(seed: int, size: tuple[int, int] = (160, 120)) -> Pillow.Image:
    """A picture whose every part has detail, so that damage shows."""
    noise = np.random.default_rng(seed).integers(-40, 40, (size[1], size[0], 3))
    return Pillow.fromarray(np.clip(np.asarray(picture(seed, size)).astype(int) + noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "make",
    [
        lambda image: encoded(image, "PNG"),
        lambda image: encoded(image.convert("L"), "PNG", icc_profile=SRGB),
        lambda image: encoded(image.convert("RGBA"), "PNG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"),
        lambda image: encoded(Pillow.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257), "PNG"),
        lambda image: encoded(image.quantize(32), "PNG"),
    ],
    ids=["rgb", "grey with profile", "alpha and exif", "sixteen bit", "palette"],
)  # fmt: skip
def test_every_flipped_bit_of_a_png_is_found(make: Callable[[Pillow.Image], bytes]) -> None:
    data = make(textured(1))
    assert not is_refused(data)
    rng = np.random.default_rng(2)
    places = rng.integers(8, len(data), 60)
    # The length of a chunk, its kind, its body and its checksum, of pixels and of everything else.
    assert [int(place) for place in places if not is_refused(flipped(data, int(place), int(place) % 8))] == []


def test_a_flip_in_any_chunk_of_a_png_is_found() -> None:
    """Few bits of a file lie in its small chunks: transparency, profile, gamma and orientation get a flip each."""
    exif = Pillow.Exif()
    exif[0x0112] = 6
    image = textured(3).quantize(32)
    plain = encoded(image, "PNG", icc_profile=SRGB, exif=exif.tobytes(), transparency=bytes(range(0, 256, 8)))
    first, *others = chunks_of(plain)
    data = png_of(first, (b"gAMA", struct.pack(">I", 45455)), (b"pHYs", bytes(9)), *others)
    assert not is_refused(data)
    place, passed = 8, []
    for kind, body in chunks_of(data):
        if body and not is_refused(flipped(data, place + 8 + len(body) // 2)):
            passed.append(kind)
        place += 12 + len(body)
    assert {b"PLTE", b"tRNS", b"eXIf", b"gAMA", b"IDAT"} <= {kind for kind, _ in chunks_of(data)}
    assert passed == []


@pytest.mark.parametrize("compression", ["tiff_adobe_deflate", "lzma"])
def test_every_flipped_bit_of_a_tiff_with_checksums_is_found_where_its_pixels_lie(compression: str) -> None:
    data = encoded(textured(1), "TIFF", compression=compression)
    assert not is_refused(data)
    rng = np.random.default_rng(3)
    places = rng.integers(200, len(data) - 1000, 30)
    assert [int(place) for place in places if not is_refused(flipped(data, int(place)))] == []


@pytest.mark.parametrize(
    ("make", "least"),
    [
        (lambda image: encoded(image, "JPEG", quality=90), 0.4),
        (lambda image: encoded(image, "JPEG", quality=90, progressive=True), 0.6),
        (lambda image: encoded(image, "TIFF", compression="jpeg"), 0.4),
        (lambda image: encoded(image, "TIFF", compression="tiff_lzw"), 0.95),
        (lambda image: encoded(image.convert("1"), "TIFF", compression="group4"), 0.9),
        (lambda image: encoded(image.quantize(64), "GIF"), 0.9),
    ],
    ids=["jpeg", "progressive jpeg", "jpeg in tiff", "lzw in tiff", "fax in tiff", "gif"],
)
def test_of_formats_without_a_checksum_much_of_the_damage_that_shows_is_found(
    make: Callable[[Pillow.Image], bytes], least: float
) -> None:
    """No reader finds all of it: a flip may leave a valid file of other colours. Pillow alone finds next to none."""
    rng = np.random.default_rng(4)
    shows = found = 0
    for seed in range(20):
        data = make(textured(seed))
        assert not is_refused(data)
        for place in rng.integers(len(data) // 4, len(data) - 8, 4):
            torn = flipped(data, int(place), seed % 8)
            if _shows(data, torn):
                shows += 1
                found += is_refused(torn)
    assert shows >= 10
    assert found / shows >= least


def _shows(data: bytes, torn: bytes) -> bool:
    """Whether over 0.5 % of the pixels that Pillow gives are off by more than 24 of 255 levels."""
    try:
        first, second = (np.asarray(Pillow.open(io.BytesIO(one)).convert("RGB")).astype(int) for one in (data, torn))
    except (OSError, SyntaxError, ValueError):
        return False
    return first.shape == second.shape and bool((np.abs(first - second).max(axis=2) > 24).mean() > 0.005)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_a_file_that_was_cut_anywhere_is_refused(file_format: str) -> None:
    data = encoded(textured(5), file_format)
    for share in (0.3, 0.6, 0.9):
        assert is_refused(data[: int(len(data) * share)]), share


def test_pixels_whose_checksum_alone_is_wrong_are_refused() -> None:
    chunks = chunks_of(encoded(textured(6), "PNG"))
    packed = b"".join(body for kind, body in chunks if kind == b"IDAT")
    broken = packed[:-4] + bytes(4)
    assert is_refused(png_of(chunks[0], (b"IDAT", broken), (b"IEND", b"")))
    assert not is_refused(png_of(chunks[0], (b"IDAT", packed), (b"IEND", b"")))


def test_a_png_that_inflates_to_more_than_its_header_says_is_refused() -> None:
    header = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    bomb = zlib.compress(bytes(64 * 1024**2))
    assert is_refused(png_of((b"IHDR", header), (b"IDAT", bomb), (b"IEND", b"")))


@pytest.mark.parametrize("kind", ["jpeg", "half a mark", "png", "png with half an end", "gif"])
def test_a_file_that_lacks_only_its_end_mark_is_taken_in_and_noted(kind: str) -> None:
    jpeg, png, gif = encoded(textured(7)), encoded(textured(7), "PNG"), encoded(textured(7).quantize(16), "GIF")
    data = {
        "jpeg": jpeg[:-2], "half a mark": jpeg[:-1], "png": png[:-12], "png with half an end": png[:-5],
        "gif": gif[:-1],
    }[kind]  # fmt: skip
    assert read(data).notes == ("missing-end-mark",)


def test_a_jpeg_that_lacks_pixels_too_is_cut_off() -> None:
    with pytest.raises(Unreadable, match="is cut off before its end"):
        read(encoded(textured(7))[:-12])


@pytest.mark.parametrize("tail", [b"\0" * 5000, b"\r\n", b"a maker's own block", b"\xff" * 9])
def test_what_follows_the_end_of_a_jpeg_is_nobodys_business(tail: bytes) -> None:
    assert read(encoded(textured(8)) + tail).notes == ()


def test_zeros_that_a_camera_writes_before_the_end_of_a_jpeg_are_no_damage() -> None:
    data = encoded(textured(8))
    assert read(data[:-2] + bytes(16) + data[-2:]).notes == ()


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
@pytest.mark.parametrize("is_after", [False, True])
def test_large_texts_of_a_png_are_passed_over_and_noted(kind: bytes, is_after: bool) -> None:
    words = b"workflow " * 200_000
    body = {b"tEXt": b"workflow\0" + words, b"zTXt": b"workflow\0\0" + zlib.compress(words),
            b"iTXt": b"workflow\0\1\0\0\0" + zlib.compress(words)}[kind]  # fmt: skip
    head, *pixels, end = chunks_of(encoded(textured(9), "PNG"))
    chunks = [head, *pixels, (kind, body), end] if is_after else [head, (kind, body), *pixels, end]
    assert read(png_of(*chunks)).notes == ("large-text",)


def test_a_large_profile_is_used_and_noted_and_one_too_large_is_not_used() -> None:
    head, *rest = chunks_of(encoded(textured(9), "PNG"))

    def with_profile(size: int) -> bytes:
        profile = struct.pack(">I", size) + SRGB[4:] + bytes(size - len(SRGB))
        return png_of(head, (b"iCCP", b"p\0\0" + zlib.compress(profile)), *rest)

    assert read(with_profile(len(SRGB))).notes == ()
    assert read(with_profile(2_000_000)).notes == ("large-profile",)
    assert read(with_profile(9_000_000)).notes == ("broken-profile",)


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "TIFF"])
def test_a_large_profile_is_noted_in_every_format_and_not_kept(file_format: str) -> None:
    def with_profile(size: int) -> DecodedPicture:
        profile = struct.pack(">I", size) + SRGB[4:] + bytes(size - len(SRGB))
        return read(encoded(textured(9), file_format, icc_profile=profile))

    kept = decoding._transform_of.cache_info().currsize
    assert with_profile(2_000_000).notes == ("large-profile",)
    assert with_profile(9_000_000).notes == ("broken-profile",)
    assert decoding._transform_of.cache_info().currsize == kept


def test_several_frames_and_sixteen_bits_and_transparency_are_noted() -> None:
    frames = [textured(10).quantize(16), textured(11).quantize(16)]
    for file_format in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:])
        assert read(data).notes == ("first-of-several",), file_format
    pages = encoded(textured(10), "TIFF", save_all=True, append_images=[textured(11)])
    assert read(pages).notes == ("first-of-several",)
    deep = Pillow.fromarray(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16)
    assert read(encoded(deep, "PNG")).notes == read(encoded(deep, "TIFF")).notes == ("reduced-to-8-bit",)
    cut_out = textured(12).convert("RGBA")
    cut_out.putalpha(Pillow.new("L", cut_out.size, 90))
    assert read(encoded(cut_out, "PNG")).notes == ("laid-on-white",)


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each scan of a progressive JPEG costs a walk over the whole picture, and no bytes."""
    data = encoded(textured(13), progressive=True)
    last = data.rindex(b"\xff\xda")
    endless = data[:last] + data[last:-2] * 500 + data[-2:]
    decoded: list[bytes] = []
    monkeypatch.setattr(soundness, "_decoded", lambda picture, *_: decoded.append(picture) or np.zeros((1, 1)))
    with pytest.raises(soundness.Damaged):
        soundness.check_jpeg(endless, "RGB")
    assert decoded == []
    assert soundness.check_jpeg(data + b"\xff\xda\0\2" * 500, "RGB").notes == []  # a film behind the picture


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "1", "CMYK", "I;16", "P", "LAB"])
@pytest.mark.parametrize("compression", ["tiff_lzw", "lzma"])
def test_whole_tiffs_of_every_kind_of_pixels_pass(mode: str, compression: str) -> None:
    grey = textured(14, (333, 257)).convert("L")
    image = Pillow.fromarray(np.asarray(grey).astype(np.uint16) * 257) if mode == "I;16" else textured(14, (333, 257))
    if mode == "LAB":
        image = Pillow.merge("LAB", image.split())
    image = image.convert(mode) if image.mode != mode else image
    for options in ({}, {"strip_size": 4096}, {"tiffinfo": {317: 2} if mode not in ("1", "LAB") else {}}):
        read(encoded(image, "TIFF", compression=compression, **options))


def test_what_libtiff_complains_of_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    data = encoded(textured(15).convert("1"), "TIFF", compression="group4")
    assert is_refused(flipped(data, len(data) // 3))
    assert capfd.readouterr().err == ""
    assert not is_refused(data)
