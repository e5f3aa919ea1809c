"""AVIF, HEIC and JPEG XL: read as strictly as their readers allow, upright, in sRGB, and what was done is noted."""

from __future__ import annotations

import base64
import io
import random
from typing import Any

import numpy as np
import pillow_jxl  # noqa: F401  (lets Pillow write JPEG XL)
import pytest
from PIL import Image as Pillow

from app.intake import code_points, jpeg_xl
from app.intake.decoding import DecodedPicture, Unreadable, read_picture
from tests.intake.conftest import encoded, picture
from tests.intake.test_decoding import exif, wide_gamut_profile

FORMATS = ["AVIF", "HEIF", "JXL"]
# Written by imagecodecs 2026.3.6 of a slope of colours, 96 x 64: what Pillow's writers cannot write.
TEN_BITS = (
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUEAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAAAAAOcG"
    "l0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAA2gAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFDb2xvcgAAAABq"
    "aXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAAYAAAAEAAAAAQcGl4aQAAAAADCgoKAAAADGF2MUOBIEAAAAAAE2NvbHJuY2x4AAIAAgAGgAAAAB"
    "dpcG1hAAAAAAAAAAEAAQQBAoMEAAAA4m1kYXQSAAoJOBlv/t4EBA0gMsoBEQEhpUACCAeQAALA40AxbOBbnZ+eWbAKmvRNYWgLKac2dx2jT1wg"
    "OVfZ7PpvId3ud49+5b9+dvl4hPnj/pnF6t35/1KGaWWytFhpytINNNXsCL+bxguFLmWcPpEM0vboFMrRn3M/vCBoSD1cMVzbzZHa7nsb2EpqFu"
    "MRipACOBUVkCg5d2Uz0BGlpGPZW5Ikdjkj4CEWIQrXy6Mq4eckSRL5w9CF2lnk2Aix2bbaAM3VbQokDod04sPSdm4gXH+t7GGh/LXTVmGyIA=="
)
SIXTEEN_BITS = (
    "AAAADEpYTCANCocKAAAAFGZ0eXBqeGwgAAAAAGp4bCAAAAAJanhsbAoAAAHzanhsY/8KD/EDULQICAQBAHQHSzhA9UI/PrgOcvB9CQkFBSUnIG"
    "KEMCQuGzfGYOxCIANoIQb3hjHGMMYYrgQADAgBEBCETwAmwuUD6oBEQAsQBEEQBEEQBEEQBEFACxAEQRAEQRAEQRAEQUALEARBEARBEARBEARB"
    "QAsQBEEQBEEQBEEQBEFACxAEQRAEQRAEQRAEQUALEARBEARBEARBEARBQAsQBEEQBEEQBEEQBEFACxAEQRAEQRAEQRAEQQALEARBEARBEARBEA"
    "RBQAsQBEEQBEEQBEH+/6Gn0+n0/386nU6n0+n0/386nU6n0+n0/386nU6n0+n0/386nU6n0+n0/386nU6n0+n0/386nU6n0+l0ZH86nU6n0+l0"
    "Zmc6HSrVVSqVSqVSqVTVVSqVSqVSqVTVVSqVSqVSqVTVVSqVSqVSqVTVVSqVSqVSqVTVVSqVSqVSqVTVVSqVSqVSqVTVVSqVSqVSqVTVVSqVSq"
    "VSqVTVVSqVSqVSqVTXVCqVSqVSqdQGVCqVSqVSr05M6GLJAlJuA4wSoFifB8Ge/f/7/////////wfDd/CTp6QtsQ/KMGOVbhfONPb/7///////"
    "///f5V8EjbbEPmjT9JmiOho6Og/Oos1DIHKTaSQlwlJt+aSK5KTRgAORQAhy"
)
KEPT_JPEG = (
    "AAAADEpYTCANCocKAAAAFGZ0eXBqeGwgAAAAAGp4bCAAAAARanhscAAAAAD/Cg9BJAAAAeBqYnJkwG0DCIIgtAwIgFCjQMhVJQAAIOSobMFQnP"
    "8TRMYIZZxTCtqPkCHMUgcZZqB0hxqsDxlOPmbAIQcVFjlo2IHto4b+/ZFlDjvuQEPR/S/GOGOSSzb5ZJRTnpnmmm2+GeechR6a6KKNPhrppKWe"
    "muqqrb4a66zFHpvsss0+G+205Z6b7rrtvhvvvAUfnPDCDT8c8cQjl3xyyiu3/HLMMw9d9NFJL93001FPPXbZZ6e9dttvxz334IUfnvjijT8e+e"
    "Sjl3566qu3/nrsswc/fPHHJ798889HP33445d/fvrrt/9+/PP/VzBVVQIAIOSobMFQnP8XREIpo6xTisR4QMhm1CDDpDrQUD3YcO4hxwwoyAcN"
    "OeiwAxuLLHPU7/Zhxw2t6I88M/gkw/tfjHHGJZt8Msop01yzzTfjnLPQQxNdtNFHI5201FNTXbXVV2Odtdhjk1222Wejnbbcc9Ndt91345134I"
    "IPTnjhhh+OeOKRSz455ZVbfjnmmYcu+uikl2766ainHrvss9Neu+2345578MIPT3zxxh+PfPLRSz899dVbfz322Ycv/vjkl2/++einH7/889Nf"
    "v/3345//v8APAFQWAAsIgOAAEEpGSUYAAQEAAAEAAQAAAwAAAe1qeGxwgAAAAeBbAhAAaAcMZAxkDGT+/w4AABgACAABAAAAAACAgCWJRIi7uR"
    "4CUCZrcW+gUCglKSgosAKVREVGllSsW4dl1SjGyBgjceAxZszMmLiHDuuIiKjY6BjNaBJHDKylFL0ESfhnlSAKB0F/TlRIMEQo4SDxwwtR3ghJ"
    "W+2SaPMFLBuiR1/BGl+T72SK1tmCte1FIKmrQxJAbi8gRyqMYZCLIExiw2MvFgdOB9bVppu2X+E5/qvh5Z9Zf3vdHsa67VqnYDmMgtNkfAdfkk"
    "bFCSAmbOUDYM1e1CZmDVPXIEJjI5bkhACIGFEzACGQtwJcgIHVM1JAhSqxERYxnB+1AAR1FgAAAAAA4AAgR6XG2EYfHSjC1PEolLIIACiQIhAn"
    "mKfFeRzc8BmaBToQ9UJozk1CZSJrHQOJstVBbuf3AodyIAUFBQUFBQVFWTjEGEbFGBtDzBij0WOu2OIIVgHg94RVOCMJAIUQ1BkXah5xDbW164"
    "ZaQ5lAbaHVfDBQW2utGOittVZzvtZa6KVvLZkB1BqYG1oLLRuIhRaiy0KrtdZAhFtrrbXWFppnaA21RpaIVkMNe6Gh1b7RUNviS15ra621IiPW"
    "Wmgt9ye0vK0XWsvxB7UAgQWsiNpCi4e7tdZaa6211gA="
)
ANIMATED = (
    "/woPBU0AICYIBAEAqANLOEB1C/QTB9dBDtYSEqfvG7yuoKCg4IjGAqCgoKCAMCTi428FRiAD0bSMMYxhDGO9PLjFSgDAgBAAAUH4BGCibkvmpD"
    "SxjUPwg3SB2CA1MS+TbXMZCwqhcMquKDLo7toWC4kjPEq7+gkokLpxlwlM7P1EXX3Om/pWXtZofPNUUJOGhDikTQ4aT1CjORV9wAhINCcL+J/v"
    "L/4v/i/+L14nFsPTabxoLPbY/8QU5j1G4zBH1B++v/i/+K34bTRBNHfFxdmFCULzyTPNoopjfUpRPR1gWUUbrpZ5mq53ZTTnzTG8mBsOYghPzA"
    "EIBAEA7AJLKKK6Rfo5uA7ey0Eq3AzWNwoKEgqD3xVuT0JCQcEBRBgLgIKCggIoN8aNG3cxXERV0DLGMIYxjBWlqhgjYriIo5UAgAEhAAKC8AnA"
    "REChKoCKMKmL6gMXA/+3PAcbPpwrIjACpBf4ELBnHvq6dMAI7VfrGmdmSvg0ZrhvYjhncOb1AGY6gH2UNyZQ1cVaGN8uue3bfaJjyBdZSJBjyB"
    "dZSJBjyBeZT1BamOJUUvhrMjs0EOgeWZnCWyoDCAQFAMwCSyiiuuXUOahB3oOChMKlwmCtMPhdQcERjTUAkYiCggICAaHauBtj3MYGFVbQMsYw"
    "hjGMFWUVY4yOWAkAGBACICAInwBMnGSYBKgNAXLNTENT61YATNw7FJTcV8JfnUSlV8AdTb0m4zIqnJY3WP6GnEupDd9PahrTAJ4nMP4T+GK5AH"
    "2N9gR19JWoU8qlreL2+DwCgN2RxMZd45ZfZG91oVhAa/Pwnejw0ndUsQMKQT1hZwA="
)


def read(data: bytes, most: int = 100) -> DecodedPicture:
    return read_picture(data, max_megapixels=most)


def written(image: Pillow.Image, file_format: str, **options: Any) -> bytes:
    """A file of high quality."""
    return encoded(image, file_format, **{"quality": 95} | ({"speed": 10} if file_format == "AVIF" else {}) | options)


def seen(found: DecodedPicture) -> np.ndarray[Any, Any]:
    """The picture that people see."""
    return np.asarray(Pillow.open(io.BytesIO(found.render or found.view)).convert("RGB")).astype(int)


def with_code_points(data: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF or HEIC that names other colours."""
    place = data.index(b"colrnclx") + 8
    return data[:place] + primaries.to_bytes(2) + transfer.to_bytes(2) + data[place + 4 :]


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_each_is_read_by_its_bytes_whatever_its_name(file_format: str, mode: str) -> None:
    given = picture(3)
    found = read_picture(written(given.convert(mode), file_format), 100, "photo.jpg")
    assert (found.format, found.width_px, found.height_px) == (file_format, 96, 64)
    assert not (found.had_alpha or found.was_turned) and found.notes == ()
    assert np.abs(seen(found) - np.asarray(given.convert(mode).convert("RGB")).astype(int)).mean() < 6
    # HEIC and JPEG XL are shown by few browsers, and learned from as renders.
    assert (found.render is None) == (file_format == "AVIF")


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(file_format: str, orientation: int) -> None:
    upright = picture(7, size=(96, 64))
    back = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = upright if back is None else upright.transpose(Pillow.Transpose(back))
    # The writers turn the block's word into a box of the file's own, or leave it in the block alone.
    found = read(written(stored, file_format, exif=exif(orientation).tobytes()))
    if file_format == "JXL":
        # The codestream says how the picture is turned, and this one says it is not (18181-2, 9.3).
        assert not found.was_turned and (found.width_px, found.height_px) == stored.size
        return
    assert found.was_turned == (orientation > 1)
    assert (found.width_px, found.height_px) == (96, 64)
    assert np.abs(seen(found) - np.asarray(upright).astype(int)).mean() < 8


def test_an_orientation_that_the_boxes_and_the_exif_block_both_tell_is_applied_once() -> None:
    data = written(picture(7, size=(64, 96)), "HEIF", exif=exif(6).tobytes())
    assert b"irot" in data
    twice = data.replace(exif(1).tobytes()[6:], exif(6).tobytes()[6:])
    assert exif(6).tobytes()[6:] in twice
    assert (read(twice).width_px, read(twice).height_px) == (96, 64)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("block", [b"garbage", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"])
def test_a_malformed_exif_block_is_passed_over(file_format: str, block: bytes) -> None:
    data = written(picture(2), file_format, exif=exif(1).tobytes() + bytes(40))
    torn = data.replace(exif(1).tobytes()[6:], (block + bytes(40))[: len(exif(1).tobytes()) - 6])
    assert (read(torn).width_px, read(torn).height_px) == (96, 64)


@pytest.mark.parametrize("file_format", ["AVIF", "HEIF"])  # the writer of JPEG XL writes none
def test_a_profile_is_converted_to_srgb(file_format: str) -> None:
    found = read(written(Pillow.new("RGB", (64, 64), (200, 40, 60)), file_format, icc_profile=wide_gamut_profile()))
    assert found.had_profile and found.render is not None
    red, green, _ = seen(found)[5, 5]
    assert green > red + 50  # the profile calls the first channel green


@pytest.mark.parametrize("file_format", ["AVIF", "HEIF"])
def test_colours_told_by_code_points_are_brought_to_srgb(file_format: str) -> None:
    data = written(Pillow.new("RGB", (64, 64), (200, 60, 60)), file_format)
    if b"colrnclx" not in data:
        pytest.fail("the writer names no code points")
    plain, p3 = read(data), read(with_code_points(data, 12, 13))
    assert p3.render is not None and p3.notes == ()
    # The same levels in P3 are a stronger red: 200, 60, 60 is 217, 42, 52 in sRGB, by the matrices of CSS Color 4.
    assert np.abs(seen(p3)[30, 30] - [217, 42, 52]).max() <= 3, seen(p3)[30, 30]
    assert np.abs(seen(plain)[30, 30] - [200, 60, 60]).max() <= 4


def test_hdr_is_brought_down_and_noted() -> None:
    data = written(Pillow.new("RGB", (64, 64), (148, 148, 148)), "AVIF")
    found = read(with_code_points(data, 9, 16))
    assert found.notes == ("hdr-brought-down",)
    # 58 % of PQ is 203 cd/m2, a sheet of white (BT.2408), which is shown as nearly white.
    assert 225 <= seen(found)[30, 30].min() <= 255
    dark = read(with_code_points(written(Pillow.new("RGB", (64, 64), (20, 20, 20)), "AVIF"), 9, 18))
    assert seen(dark)[30, 30].max() < 60


def test_a_table_of_colours_agrees_with_itself() -> None:
    assert code_points.to_srgb(None) is code_points.to_srgb((2, 2)) is code_points.to_srgb((1, 13)) is None
    grey = Pillow.fromarray(np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2))
    table = code_points.to_srgb((12, 13))
    assert table is not None
    assert np.abs(np.asarray(grey.filter(table)).astype(int) - np.asarray(grey).astype(int)).max() <= 2


@pytest.mark.parametrize("file_format", FORMATS)
def test_transparency_is_laid_on_white(file_format: str) -> None:
    clear = Pillow.new("RGBA", (64, 64), (10, 20, 200, 0))
    found = read(written(clear, file_format))
    assert found.had_alpha and "laid-on-white" in found.notes
    assert seen(found)[30, 30].min() > 250


def test_the_first_of_several_is_taken_and_of_heic_the_one_named_as_main() -> None:
    frames = [Pillow.new("RGB", (64, 64), colour) for colour in ("red", "blue", "green")]
    moving = read(written(frames[0], "AVIF", save_all=True, append_images=frames[1:]))
    assert moving.notes == ("first-of-several",) and seen(moving)[9, 9][0] > 200
    several = written(frames[0], "HEIF", save_all=True, append_images=frames[1:], primary_index=1)
    found = read(several)
    assert found.notes == ("first-of-several",) and seen(found)[9, 9][2] > 200


def test_more_than_eight_bits_are_reduced_and_noted() -> None:
    levels = np.tile(np.linspace(0, 65535, 96).astype(np.uint16), (64, 1))
    found = read(written(Pillow.fromarray(levels), "JXL", lossless=True))
    assert found.notes == ("reduced-to-8-bit",)
    light = levels[0] / 65535  # the writer calls sixteen bits linear
    shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.power(light, 1 / 2.4) - 0.055)
    assert np.abs(seen(found)[0, 4:, 0] - 255 * shown[4:]).max() <= 4
    for data in (TEN_BITS, SIXTEEN_BITS):
        assert read(base64.b64decode(data)).notes == ("reduced-to-8-bit",)


def test_a_jpeg_kept_in_jpeg_xl_is_read_as_that_jpeg() -> None:
    found = read(base64.b64decode(KEPT_JPEG))
    assert (found.format, found.width_px, found.height_px) == ("JXL", 96, 64)
    assert found.render is not None


def test_an_animated_jpeg_xl_is_refused_in_words() -> None:
    with pytest.raises(Unreadable, match="Animated JPEG XL"):
        read(base64.b64decode(ANIMATED))


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (1000, 40), (33, 999), (160, 90), (4096, 32)])
def test_the_size_of_a_jpeg_xl_is_read_from_its_header(size: tuple[int, int]) -> None:
    assert jpeg_xl.read_header(written(Pillow.new("RGB", size), "JXL")).size == size


@pytest.mark.parametrize("file_format", FORMATS)
def test_too_large_is_told_from_the_header_before_anything_is_decoded(
    file_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = written(Pillow.new("RGB", (1200, 1000)), file_format)
    monkeypatch.setattr(jpeg_xl, "decode", lambda _: pytest.fail("decoded"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("decoded"))
    with pytest.raises(Unreadable, match=r"1,200 × 1,000 pixels"):
        read(data, most=1)


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_file_that_was_cut_anywhere_is_refused(file_format: str) -> None:
    noise = np.random.default_rng(4).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    data = written(Pillow.fromarray(noise), file_format)
    for place in np.linspace(1, len(data) - 1, 60).astype(int):
        with pytest.raises(Unreadable):
            read(data[:place])


def test_flips_are_found_wherever_the_format_can_tell() -> None:
    """JPEG XL nearly everywhere: its entropy coder ends in a known state. Of the others only the boxes can tell."""
    noise = Pillow.fromarray(np.random.default_rng(4).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    draw = random.Random(5)
    data, missed = written(noise, "JXL", lossless=True), 0
    for _ in range(40):
        torn = bytearray(data)
        torn[draw.randrange(len(torn))] ^= 1 << draw.randrange(8)
        try:
            read(bytes(torn))
        except Unreadable:
            continue
        missed += 1
    assert missed <= 5
    units = written(noise, "HEIF")
    place = units.index(b"mdat") + 4
    torn = bytearray(units)
    torn[place + 2] ^= 1  # the length of the first unit
    with pytest.raises(Unreadable):
        read(bytes(torn))
