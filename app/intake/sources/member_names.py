"""Names in archives that do not say in which encoding they are: told from all names of an archive together. Pure.

ZIP's own encoding is code page 437; what Windows and old programs write is the code page of their country, and Macs
write UTF-8 without saying so. A guess counts only where every name reads as a language that writes so, and the names of
European shops in 437 read as none of these.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterable
from typing import Final

ZIPS_OWN: Final = "cp437"
_UNICODE_PATH: Final = 0x7075  # Info-ZIP's extra field: version, CRC-32 of the plain name, the name in UTF-8
_JAPANESE: Final = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]{2,}")
_JAPANESE_ONLY: Final = re.compile(r"[\x00-\x7f\u3000-\u30ff\u4e00-\u9fff\uff01-\uff5e\u2010-\u203b\u2460-\u2473]*")
_CHINESE: Final = re.compile(r"[\u4e00-\u9fff]{2,}")
_CHINESE_ONLY: Final = re.compile(r"[\x00-\x7f\u3000-\u303f\u4e00-\u9fff\uff01-\uff5e\u2010-\u2026]*")
_CYRILLIC: Final = re.compile(r"(?<![A-Za-z])[\u0400-\u045f]{2,}(?![A-Za-z])")
_CYRILLIC_ONLY: Final = re.compile(r"(?:[\x00-\x7f]|\u2116|(?<![A-Za-z])[\u0400-\u045f]+(?![A-Za-z]))*")


def _reads_as(evidence: re.Pattern[str], allowed: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: evidence.search(text) is not None and allowed.fullmatch(text) is not None


# Shift-JIS before GBK: the second bytes of the one are no first bytes of the other's commonest signs.
_GUESSES: Final[tuple[tuple[str, Callable[[str], bool]], ...]] = (
    ("cp932", _reads_as(_JAPANESE, _JAPANESE_ONLY)),
    ("gb2312", _reads_as(_CHINESE, _CHINESE_ONLY)),
    ("cp866", _reads_as(_CYRILLIC, _CYRILLIC_ONLY)),
)


def encoding_of(names: Iterable[bytes], otherwise: str = ZIPS_OWN) -> str:
    """The encoding of names whose archive names none; `otherwise` where they read as nothing better."""
    odd = [name for name in names if not name.isascii()]
    if not odd or all(_decoded(name, "utf-8") is not None for name in odd):
        return "utf-8"
    for encoding, is_language in _GUESSES:
        texts = [_decoded(name, encoding) for name in odd]
        if all(text is not None and is_language(text) for text in texts):
            return encoding
    return otherwise


def _decoded(name: bytes, encoding: str) -> str | None:
    try:
        return name.decode(encoding)
    except UnicodeDecodeError:
        return None


def unicode_path(name: bytes, extra: bytes) -> str | None:
    """The name that a ZIP's extra field gives in UTF-8; None where there is none, or it is another name's."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        value, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == _UNICODE_PATH and len(value) > 5 and value[0] == 1:
            is_its = struct.unpack_from("<I", value, 1)[0] == zlib.crc32(name)
            return _decoded(value[5:], "utf-8") if is_its else None
    return None
