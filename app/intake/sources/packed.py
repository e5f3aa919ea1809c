"""Packed streams: told by their first bytes, and read as if they were not packed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from typing import IO, Any, Final

_CODECS: Final = {b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}
_CHUNK_BYTES: Final = 1 << 20


def unpack(file: IO[bytes]) -> IO[bytes] | None:
    """The stream that a packed one holds: gzip, bzip2, xz, Zstandard or LZ4. None where the file is not packed so."""
    file.seek(0)
    head = file.read(4)
    file.seek(0)
    unpacked: Any = None
    if head.startswith(b"\x1f\x8b"):
        unpacked = gzip.GzipFile(fileobj=file, mode="rb")
    elif head.startswith(b"BZ"):
        unpacked = bz2.BZ2File(file)
    elif head.startswith(b"\xfd7"):
        unpacked = lzma.LZMAFile(file)  # noqa: SIM115  (closed with the archive)
    elif head in _CODECS:
        unpacked = io.BufferedReader(_Onward(file, _CODECS[head]), _CHUNK_BYTES)
    return unpacked  # type: ignore[no-any-return]


class _Kept:
    """A file that stays open when a reader of it is closed."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell
        self.readable, self.seekable, self.writable = file.readable, file.seekable, lambda: False

    def close(self) -> None:
        """Nothing: whoever opened the file closes it."""


class _Onward(io.RawIOBase):
    """A stream that Arrow unpacks, for going back from its start again. Raises OSError where it is damaged."""

    def __init__(self, file: IO[bytes], codec: str) -> None:
        self._file, self._codec = file, codec
        self._rewind()

    def _rewind(self) -> None:
        # Only those need it who meet such a file; it takes 50 MB.
        import pyarrow as pa

        self._file.seek(0)
        self._stream = pa.CompressedInputStream(pa.PythonFile(_Kept(self._file), mode="r"), self._codec)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        self._at += len(data)
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        target = self._at + offset if whence == io.SEEK_CUR else offset
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the end of a packed stream is not known")
        if target < self._at:
            self._rewind()
        while self._at < target and (data := self._stream.read(min(_CHUNK_BYTES, target - self._at))):
            self._at += len(data)
        return self._at
