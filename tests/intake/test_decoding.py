"""Any product photo becomes upright, sRGB, 8 bit and opaque, or is refused with a sentence."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from app.intake import decoding, soundness
from app.intake.decoding import DecodedPicture, Unreadable, read_picture
from tests.intake.conftest import encoded, picture, png_of_claimed_size


def read(data: bytes) -> DecodedPicture:
    return read_picture(data, max_megapixels=100)


def shown(data: bytes) -> Pillow.Image:
    """An encoded picture, decoded."""
    return Pillow.open(io.BytesIO(data))


def render_of(data: bytes) -> Pillow.Image:
    found = read(data)
    assert found.render is not None
    return shown(found.render)


def exif(orientation: int) -> Pillow.Exif:
    block = Pillow.Exif()
    block[0x0112] = orientation
    return block


def wide_gamut_profile() -> bytes:
    """An RGB profile of other primaries than sRGB: sRGB's own with red and green tone curves swapped for its blue."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", profile, 128)[0]
    tags = {bytes(profile[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        profile[green + 4 : green + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_each_format_is_known_by_its_bytes(file_format: str) -> None:
    found = read(encoded(picture(), file_format))
    assert found.format == file_format
    assert (found.width_px, found.height_px) == (96, 64)
    assert not (found.had_alpha or found.had_profile or found.was_turned)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_plain_original_needs_no_render(mode: str) -> None:
    assert read(encoded(picture(mode=mode))).render is None


def test_thumb_and_view_have_their_sizes_and_formats_and_carry_nothing_along() -> None:
    found = read(encoded(picture(size=(2000, 1500)), exif=exif(1), quality=80))
    thumb, view = shown(found.thumb), shown(found.view)
    assert (thumb.format, thumb.size) == ("JPEG", (256, 192))
    assert (view.format, view.size) == ("JPEG", (1024, 768))
    assert not view.getexif() and "icc_profile" not in view.info


def test_the_view_has_the_pixels_and_nothing_else_of_its_file() -> None:
    """Whatever a small JPEG carries along, also where its EXIF block is malformed, stays in the original."""
    bare = encoded(picture(size=(400, 300)))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(picture(size=(400, 300)), exif=exif(1), icc_profile=profile, comment=b"By Ana")
    between = bare[:2] + b"\xff\xe1\x00\x14Exif\0\0short" + b"x" * 9 + b"51.5 N 0.1 W" + bare[2:]
    for changed in (data, data + b"Behind its end \xff\xd9", between):
        view = read(changed).view
        assert view == read(bare).view and b"By Ana" not in view and b"51.5" not in view


def test_equal_pixels_have_equal_views_in_any_format() -> None:
    """By its view a photo is known to have the same pixels as another."""
    small = encoded(picture(size=(400, 300)))
    with Pillow.open(io.BytesIO(small)) as opened:
        same = [encoded(opened, "PNG"), encoded(opened, "BMP"), encoded(opened, "WEBP", lossless=True)]
    # The same coefficients, written otherwise.
    adobe = small[:2] + b"\xff\xee\x00\x0eAdobe\x00\x64\0\0\0\0\x01" + small[2:]
    assert {read(data).view for data in (*same, adobe)} == {read(small).view}


def test_small_pictures_are_not_enlarged() -> None:
    found = read(encoded(picture(size=(40, 50))))
    assert shown(found.thumb).size == shown(found.view).size == (40, 50)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_orientation_is_applied_once(file_format: str, orientation: int) -> None:
    upright = picture(7, size=(96, 64))
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # the transposition that undoes it
    stored = upright.transpose(Pillow.Transpose(back))
    options = {"tiffinfo": {0x0112: orientation}} if file_format == "TIFF" else {"exif": exif(orientation)}
    found = read(encoded(stored, file_format, **options))
    assert found.was_turned
    assert (found.width_px, found.height_px) == (96, 64)
    assert found.render is not None
    difference = np.abs(np.asarray(shown(found.render)).astype(int) - np.asarray(upright).astype(int))
    assert difference.mean() < 6
    assert not shown(found.render).getexif()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("block", [b"garbage", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"])
def test_a_malformed_exif_block_is_ignored(block: bytes) -> None:
    found = read(encoded(picture(), exif=b"Exif\0\0" + block))
    assert not found.was_turned
    assert (found.width_px, found.height_px) == (96, 64)


def test_an_orientation_out_of_range_is_ignored() -> None:
    assert not read(encoded(picture(), exif=exif(99))).was_turned


def test_an_srgb_profile_needs_no_render() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = read(encoded(picture(), icc_profile=profile))
    assert found.had_profile and found.render is None and found.notes == ()


def test_another_profile_is_converted_to_srgb() -> None:
    red = Pillow.new("RGB", (64, 64), (200, 40, 60))
    found = read(encoded(red, "PNG", icc_profile=wide_gamut_profile()))
    assert found.had_profile and found.render is not None
    seen = shown(found.render)
    assert "icc_profile" not in seen.info
    r, g, _ = seen.getpixel((5, 5))
    assert g > r + 50  # the profile calls the first channel green


def test_a_broken_profile_is_told_and_taken_as_srgb() -> None:
    found = read(encoded(picture(), icc_profile=b"no profile at all"))
    assert found.render is None
    assert found.notes == ("broken-profile",)


def test_cmyk_becomes_rgb_and_says_that_its_colours_are_approximate() -> None:
    found = read(encoded(Pillow.new("CMYK", (64, 64), (0, 255, 255, 0))))
    assert found.notes == ("cmyk-without-profile",)
    assert found.render is not None
    r, g, b = shown(found.render).getpixel((5, 5))
    assert r > 240 and max(g, b) < 15


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_brightness(file_format: str) -> None:
    levels = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (48, 1))
    seen = np.asarray(render_of(encoded(Pillow.fromarray(levels), file_format)))
    assert seen[0].astype(int) == pytest.approx(np.linspace(0, 255, 64), abs=1)


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(Unreadable, match="floating-point"):
        read(encoded(Pillow.new("F", (64, 64)), "TIFF"))


def test_lab_pixels_become_srgb() -> None:
    grey = render_of(encoded(Pillow.new("LAB", (64, 64), (136, 128, 128)), "TIFF"))
    assert grey.getpixel((3, 3)) == pytest.approx((127, 127, 127), abs=3)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_on_white_and_remembered(mode: str) -> None:
    cut_out = Pillow.new("RGBA", (64, 64), (0, 0, 0, 0)).convert(mode)
    found = read(encoded(cut_out, "PNG"))
    assert found.had_alpha and found.render is not None
    seen = shown(found.render).convert("RGB")
    assert seen.getpixel((1, 1)) == (255, 255, 255)


def test_an_opaque_alpha_channel_is_no_transparency() -> None:
    found = read(encoded(picture(mode="RGBA"), "PNG"))
    assert not found.had_alpha and found.render is not None


def test_a_palette_with_a_transparent_colour_is_laid_on_white() -> None:
    pair = Pillow.new("P", (64, 64), 0)
    pair.putpalette([255, 0, 0, 0, 0, 255])
    pair.paste(1, (0, 0, 32, 64))
    found = read(encoded(pair, "GIF", transparency=0))
    assert found.had_alpha and found.render is not None
    seen = shown(found.render).convert("RGB")
    assert seen.getpixel((2, 2)) == (0, 0, 255) and seen.getpixel((60, 2)) == (255, 255, 255)


def test_black_and_white_scans_become_grey() -> None:
    assert render_of(encoded(picture(mode="1"), "TIFF")).mode == "L"


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Pillow.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    seen = render_of(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert seen.convert("RGB").getpixel((3, 3)) == (255, 0, 0)


def test_several_pictures_in_one_jpeg_are_a_jpeg() -> None:
    data = encoded(picture(1), "MPO", save_all=True, append_images=[picture(2)])
    assert read(data).format == "JPEG"


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "TIFF", "BMP"])
def test_a_truncated_file_is_refused(file_format: str) -> None:
    data = encoded(picture(3, size=(400, 300)), file_format)
    with pytest.raises(Unreadable, match=r"cut off before its end|is damaged"):
        read(data[: len(data) // 2])


def test_a_truncated_large_jpeg_is_refused_though_it_is_decoded_small() -> None:
    data = encoded(picture(3, size=(4200, 3000)), quality=60)
    with pytest.raises(Unreadable, match="cut off"):
        read(data[: len(data) * 3 // 4])


def test_a_bomb_is_refused_from_its_header() -> None:
    with pytest.raises(Unreadable, match=r"^The picture has 50,000 × 50,000 pixels; 100 megapixels are the limit\.$"):
        read(png_of_claimed_size(50_000, 50_000))


def test_the_limit_is_the_one_given() -> None:
    data = encoded(picture(size=(1200, 1000)))
    assert read_picture(data, max_megapixels=2).width_px == 1200
    with pytest.raises(Unreadable, match="1 megapixels are the limit"):
        read_picture(data, max_megapixels=1)


def test_pixels_for_tracking_are_no_product_photos() -> None:
    with pytest.raises(Unreadable, match="only 1 × 1 pixels"):
        read(encoded(Pillow.new("RGB", (1, 1)), "GIF"))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "The file is empty."),
        (b"<!DOCTYPE html><title>404</title>", "The file is a web page, not a picture."),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG drawings are not taken in"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "The file is cut off before its end"),
        (b"8BPS\0\x01", "Photoshop files are not taken in"),
        (b"just words", "The file is no picture that can be read"),
        (b"\xff\xd8\xff torn", "The file is damaged, so its picture cannot be read."),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, sentence: str) -> None:
    with pytest.raises(Unreadable, match=sentence.replace(".", r"\.").replace("(", r"\(")):
        read(data)


@pytest.mark.filterwarnings("ignore")
def test_no_damage_raises_anything_but_a_refusal() -> None:
    rng = np.random.default_rng(11)
    files = [
        encoded(picture(1, (60, 40)), "JPEG", exif=exif(6)),
        encoded(picture(2, (60, 40)), "PNG", exif=exif(3)),
        encoded(picture(3, (60, 40)), "WEBP"),
        encoded(picture(4, (60, 40)), "TIFF", compression="tiff_lzw"),
        encoded(picture(5, (60, 40)).quantize(), "GIF"),
        encoded(picture(6, (60, 40)), "BMP"),
    ]
    for round_number in range(300):
        data = bytearray(files[round_number % len(files)])
        for place in rng.integers(0, min(len(data), 400), rng.integers(1, 10)):
            data[place] = rng.integers(256)
        try:
            read_picture(bytes(data), max_megapixels=10)
        except Unreadable as refusal:
            assert refusal.sentence.endswith(".")


def test_a_profile_of_sixteen_bit_grey_is_used_or_noted() -> None:
    levels = Pillow.fromarray(np.full((64, 64), 128 * 257, np.uint16))
    broken = read(encoded(levels, "PNG", icc_profile=wide_gamut_profile()))
    assert broken.notes == ("broken-profile", "reduced-to-8-bit")
    linear = read(encoded(levels, "PNG", icc_profile=grey_profile(gamma=1.0)))
    assert linear.notes == ("reduced-to-8-bit",) and linear.render is not None
    assert 180 <= Pillow.open(io.BytesIO(linear.render)).convert("L").getpixel((9, 9)) <= 195


def grey_profile(gamma: float) -> bytes:
    """The shortest ICC profile of grey: a white point and a curve (ICC.1:2022, section 7)."""
    curve = struct.pack(">4sIIH2x", b"curv", 0, 1, round(gamma * 256))
    white = struct.pack(">4sI3i", b"XYZ ", 0, 63190, 65536, 54061)
    table = struct.pack(">I", 2) + struct.pack(">4sII4sII", b"wtpt", 156, 20, b"kTRC", 176, len(curve))
    head = struct.pack(">I4sI4s4s4s12x4s28x3i", 176 + len(curve), b"none", 2 << 24, b"mntr", b"GRAY", b"XYZ ", b"acsp",
                       63190, 65536, 54061)  # fmt: skip
    return head.ljust(128, b"\0") + table + white + curve


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "is a Git LFS pointer"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>", "is a web page"),
    ],
)
def test_what_came_instead_of_a_picture_is_named(data: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        read(data)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_is_decoded_once(orientation: int, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strictly, and at the size that is wanted: what its check has decoded is the picture."""
    data = encoded(picture(1, (1600, 1200)).convert(mode), "JPEG", quality=95, exif=exif(orientation))
    sizes: list[tuple[int, ...]] = []
    decode = soundness.simplejpeg.decode_jpeg

    def counted(*arguments: Any, **named: Any) -> Any:
        pixels = decode(*arguments, **named)
        sizes.append(pixels.shape[:2])
        return pixels

    def decoded_again(_: object) -> None:
        raise AssertionError("Pillow decodes it too")

    monkeypatch.setattr(soundness.simplejpeg, "decode_jpeg", counted)
    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load", decoded_again)
    found = read(data)
    assert sizes == [(1200, 1600)]
    assert (found.width_px, found.height_px) == ((1600, 1200) if orientation == 1 else (1200, 1600))
    monkeypatch.undo()
    plain = shown(data).convert("RGB")
    upright = plain if orientation == 1 else plain.transpose(Pillow.Transpose.ROTATE_270)
    view = shown(found.view).convert("RGB")
    expected = upright.resize(view.size, Pillow.Resampling.LANCZOS)
    assert np.abs(np.asarray(view, dtype=int) - np.asarray(expected)).mean() < 1.5


def test_a_large_jpeg_is_decoded_at_half_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(picture(2, (2600, 2100)), "JPEG")
    shapes: list[tuple[int, ...]] = []
    check = soundness.check_jpeg

    def watched(data: bytes, mode: str, least: tuple[int, int] = (1, 1)) -> soundness.Mended:
        checked = check(data, mode, least)
        assert checked.pixels is not None
        shapes.append(checked.pixels.shape)
        return checked

    monkeypatch.setattr(decoding.soundness, "check_jpeg", watched)
    assert (read(data).width_px, shapes) == (2600, [(1050, 1300, 3)])
