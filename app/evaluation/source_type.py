"""What every picture that leaves Packshot says of itself: that a trained model made it. Pure, Pillow only.

It is the IPTC property DigitalSourceType with the value trainedAlgorithmicMedia
(http://cv.iptc.org/newscodes/digitalsourcetype/), as XMP, where each kind of file keeps that: an iTXt chunk of a PNG,
an APP1 segment of a JPEG, a chunk of a WebP (XMP Specification Part 3, 1.1). Google Merchant asks for it to be there
and to be kept (https://support.google.com/merchants/answer/6324350).
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Final, Literal

from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

PictureFormat = Literal["png", "jpeg", "webp"]
MADE_BY_MODEL: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
CONTENT_TYPES: Final[dict[PictureFormat, str]] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
SUFFIXES: Final[dict[PictureFormat, str]] = {"png": "png", "jpeg": "jpg", "webp": "webp"}
QUALITY: Final = 95
_KEYWORD: Final = "XML:com.adobe.xmp"
# Without padding: nobody edits it in place. The mark of byte order and the id are the specification's.
PACKET: Final = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    f'Iptc4xmpExt:DigitalSourceType="{MADE_BY_MODEL}"/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_HEAD_BYTES: Final = 8 + 12 + 13  # the signature and the first chunk, IHDR
_LOOKED_AT_BYTES: Final = 4096
# Keyword, no compression, no language, no translated keyword (PNG, 11.3.3.4); length before it, checksum behind.
_BODY: Final = b"iTXt" + _KEYWORD.encode() + b"\0\0\0\0\0" + PACKET.encode()
_CHUNK: Final = struct.pack(">I", len(_BODY) - 4) + _BODY + struct.pack(">I", zlib.crc32(_BODY))


def encoded(picture: Pillow.Image, kind: PictureFormat = "png") -> bytes:
    """The picture, mode RGB or L, as a file that says so: what is encoded twice alike is the same file."""
    file = io.BytesIO()
    if kind == "png":
        said = PngInfo()
        said.add_itxt(_KEYWORD, PACKET)
        picture.save(file, "PNG", pnginfo=said)
    elif kind == "jpeg":
        picture.convert("RGB").save(file, "JPEG", quality=QUALITY, subsampling=0, xmp=PACKET.encode())
    else:
        picture.save(file, "WEBP", quality=QUALITY, method=4, xmp=PACKET.encode())
    return file.getvalue()


def is_marked(head: bytes) -> bool:
    """Whether a PNG says so, by its first `_LOOKED_AT_BYTES`: the chunk lies before the pixels."""
    return MADE_BY_MODEL.encode() in head[:_LOOKED_AT_BYTES]


def marked_png(data: bytes) -> bytes:
    """A PNG of before 1 December 2026 with the chunk put behind its first one: no pixel is touched.

    One that says so already stays as it is. Raises ValueError for what is no PNG.
    """
    if not data.startswith(_SIGNATURE) or data[12:16] != b"IHDR":
        raise ValueError("this is no PNG")
    if is_marked(data):
        return data
    return data[:_HEAD_BYTES] + _CHUNK + data[_HEAD_BYTES:]


def unmarked_png(data: bytes) -> bytes:
    """A PNG of ours without the chunk, for where nobody may tell a sample from a photo; any other stays as it is."""
    return data.replace(_CHUNK, b"", 1)
