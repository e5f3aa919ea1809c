"""What pictures say of themselves, read back by Pillow and looked for as other tools do."""

from __future__ import annotations

import io
import re
import struct
import zlib

import pytest
from PIL import Image as Pillow

from app.evaluation import source_type
from app.evaluation.source_type import MADE_BY_MODEL, PictureFormat

PICTURE = Pillow.effect_noise((48, 32), 40).convert("RGB")


def xmp_of(data: bytes) -> str:
    with Pillow.open(io.BytesIO(data)) as opened:
        opened.load()
        said = opened.info.get("xmp") or opened.info.get("XML:com.adobe.xmp") or b""
    return said if isinstance(said, str) else said.decode()


def source_of(data: bytes) -> str:
    """The property's value, by its name and namespace."""
    packet = xmp_of(data)
    assert 'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"' in packet
    return (re.search(r'Iptc4xmpExt:DigitalSourceType="([^"]+)"', packet) or [packet, ""])[1]


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_each_kind_of_file_says_that_a_model_made_it(kind: PictureFormat) -> None:
    data = source_type.encoded(PICTURE, kind)
    assert source_of(data) == MADE_BY_MODEL
    assert data == source_type.encoded(PICTURE, kind), "the same picture is the same file"
    with Pillow.open(io.BytesIO(data)) as opened:
        assert (opened.format, opened.size) == (kind.upper(), PICTURE.size)
        if kind == "png":
            assert opened.tobytes() == PICTURE.tobytes()


def test_a_picture_of_before_gets_the_chunk_and_keeps_its_pixels() -> None:
    plain = io.BytesIO()
    PICTURE.save(plain, "PNG")
    assert not source_type.is_marked(plain.getvalue())
    data = source_type.marked_png(plain.getvalue())
    assert source_of(data) == MADE_BY_MODEL and source_type.is_marked(data[:4096])
    with Pillow.open(io.BytesIO(data)) as opened:
        opened.verify()  # the checksum of each chunk
    with Pillow.open(io.BytesIO(data)) as opened:
        assert opened.tobytes() == PICTURE.tobytes()
    assert source_type.marked_png(data) == data, "said once"
    with pytest.raises(ValueError, match="no PNG"):
        source_type.marked_png(b"GIF89a")


def test_the_chunk_lies_before_the_pixels_whole() -> None:
    data = source_type.encoded(PICTURE)
    at, names = 8, []
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        body = data[at + 4 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(body)
        names.append(body[:4])
        at += 12 + length
    assert names[:2] == [b"IHDR", b"iTXt"] and names[-1] == b"IEND"


def test_where_nobody_may_tell_the_mark_is_taken_off_without_a_trace() -> None:
    plain = io.BytesIO()
    PICTURE.save(plain, "PNG")
    for marked in (source_type.encoded(PICTURE), source_type.marked_png(plain.getvalue())):
        assert source_type.unmarked_png(marked) == plain.getvalue()
    assert source_type.unmarked_png(plain.getvalue()) == plain.getvalue()
