"""Photos inside ZIP and TAR archives, nested ones too: listed in the order of their bytes, read one by one.

Archives come from strangers: a member whose name leads out of the archive, a link and a device are refused, and so is
what a bomb is made of: more members, more bytes, more archives in archives than anybody's photos have, or a directory
that alone fills the memory. What is refused says why, and the rest is taken in.
"""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from app.errors import DiskFull, is_disk_full
from app.intake.sources.entry import Entry, Kind, Unopened, too_large
from app.intake.sources.member_names import ZIPS_OWN, encoding_of, unicode_path
from app.intake.sources.naming import (
    PICTURE_NAMES,
    TARS,
    UNREAD_ARCHIVE,
    UNREAD_ARCHIVES,
    ZIPS,
    is_passed_over,
    starts_like_picture,
    tidy,
)
from app.intake.sources.packed import unpack

# A text beside a photo inside an archive: read on the way, for going back would mean unpacking again.
SIDECARS: Final = frozenset({".txt", ".caption", ".json"})
MAX_SIDECAR_BYTES: Final = 64 * 1024
MAX_MEMBERS: Final = 500_000
MAX_DEPTH: Final = 3
# An archive of photos unpacks to little more than itself; one of flat drawings in BMP to some hundred times.
MAX_RATIO: Final = 200
FREE_BYTES: Final = 1024**3  # never too many, whatever the ratio
# A ZIP's directory is read whole, and takes ten times its bytes of memory.
MAX_DIRECTORY_BYTES: Final = 64 * 1024**2
# An archive inside another is unpacked to a nameless file, which no killed worker leaves behind.
MAX_INNER_BYTES: Final = 2 * 1024**3
_IN_MEMORY_BYTES: Final = 32 * 1024**2
_MAX_HEADER_BYTES: Final = 4 * 1024**2
_CHUNK_BYTES: Final = 1 << 20
_DAMAGE: Final = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError, LookupError, OverflowError, struct.error,
    zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError,
)  # fmt: skip
_DAMAGED: Final = "The archive is damaged here, so the file in it cannot be read."
_LOCKED: Final = "The file is encrypted; unpack the archive with its password first."
# Archives of over 2 GB that Windows makes are packed so, by a method that nobody else has (Deflate64).
_OTHERWISE_PACKED: Final = "The file is packed in a way that is not read, such as Deflate64; unpack the archive first."
_READ_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA})

Step = tuple[str | int, ...]
Beat = Callable[[], None]


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """What an archive's directory says of one member; `reason` refuses it."""

    name: str
    step: Step
    size_bytes: int
    reason: str | None = None


@dataclass(slots=True)
class UnpackAllowance:
    """How much more an archive may hold, those inside it counted: of small ones in each other a bomb is made too."""

    packed_bytes: int
    members: int = 0
    unpacked_bytes: int = 0

    def count(self) -> None:
        """One more file. Raises Unopened."""
        self.members += 1
        if self.members > MAX_MEMBERS:
            raise Unopened(
                f"The archive has more than {MAX_MEMBERS:,} files, archives in it counted; the rest was left out."
            )

    def unpack(self, size_bytes: int) -> None:
        """So many bytes more. Raises Unopened."""
        self.unpacked_bytes += size_bytes
        if self.unpacked_bytes > FREE_BYTES + MAX_RATIO * self.packed_bytes:
            raise Unopened(f"The archive unpacks to more than {MAX_RATIO} times its size, which photos never do.")


class Archive:
    """An open ZIP or TAR. Its members in their order; the bytes of any, cheapest in that order."""

    def __init__(self, file: IO[bytes], size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._file = file

    def members(self, allowed: UnpackAllowance) -> Iterator[ArchiveMember]:
        """The members, folders left out. Raises Unopened where the archive ends unlike one or looks like a bomb."""
        raise NotImplementedError

    def open(self, step: Step) -> IO[bytes]:
        """A member's bytes as a stream."""
        raise NotImplementedError

    def close(self) -> None:
        """Close it; what it was made of too."""
        self._file.close()


class _Zip(Archive):
    def __init__(self, file: IO[bytes], size_bytes: int) -> None:
        super().__init__(file, size_bytes)
        if _directory_bytes(file, size_bytes) > MAX_DIRECTORY_BYTES:
            raise Unopened(f"The archive has more than {MAX_MEMBERS:,} files; split it.")
        self._zip = zipfile.ZipFile(file)
        self._infos = self._zip.infolist()

    def members(self, allowed: UnpackAllowance) -> Iterator[ArchiveMember]:
        allowed.unpack(sum(info.file_size for info in self._infos))
        plain = {index: _plain_name(info) for index, info in enumerate(self._infos) if not info.flag_bits & _IS_UTF8}
        encoding = encoding_of(plain.values())
        for index, info in enumerate(self._infos):
            if info.is_dir():
                continue
            name = info.filename
            if index in plain:
                name = unicode_path(plain[index], info.extra) or plain[index].decode(encoding)
            # The upper half holds the mode that a Unix gave the file; 0xA is a link.
            is_link = info.external_attr >> 28 == 0xA
            reason = "A link; links inside archives are not followed." if is_link else _why_unread(info)
            yield ArchiveMember(name, ("zip", index), info.file_size, reason)

    def open(self, step: Step) -> IO[bytes]:
        info = self._infos[int(step[1])]
        if (reason := _why_unread(info)) is not None:
            raise Unopened(reason)
        return self._zip.open(info)

    def close(self) -> None:
        self._zip.close()
        super().close()


class _Tar(Archive):
    def __init__(self, file: IO[bytes], size_bytes: int) -> None:
        super().__init__(file, size_bytes)
        unpacked = unpack(file)
        self.is_packed = unpacked is not None
        self._bytes = file if unpacked is None else unpacked

    def members(self, allowed: UnpackAllowance) -> Iterator[ArchiveMember]:
        headers, seen_bytes = _Headers(self._bytes), 0
        with tarfile.open(fileobj=headers, mode="r:") as tar:  # type: ignore[call-overload]
            while info := tar.next():
                # Otherwise it keeps them all.
                tar.members = []
                if self.is_packed:
                    # Its headers and what lies before them was unpacked on the way.
                    allowed.unpack(info.offset_data - seen_bytes)
                    seen_bytes = info.offset_data
                if info.isdir():
                    continue
                reason = None
                if info.issym() or info.islnk():
                    reason = "A link; links inside archives are not followed."
                elif not info.isreg() or info.issparse():
                    reason = "No plain file: a pipe, a device or a file with holes."
                yield ArchiveMember(_tar_name(info.name), ("tar", info.offset_data, info.size), info.size, reason)
            end = tar.offset
        self._bytes.seek(end)
        # A header that is none ends the archive for tarfile, in silence.
        if self._bytes.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise Unopened("The archive is damaged: what follows the files before this cannot be read.")

    def open(self, step: Step) -> IO[bytes]:
        return io.BufferedReader(_Slice(self._bytes, int(step[1]), int(step[2])))

    def close(self) -> None:
        self._bytes.close()
        super().close()


# Bit 11 of a ZIP member's flags.
_IS_UTF8: Final = 0x800


def _plain_name(info: zipfile.ZipInfo) -> bytes:
    return info.filename.encode(ZIPS_OWN, "replace")


def _why_unread(info: zipfile.ZipInfo) -> str | None:
    """Why a member cannot be read however whole it is."""
    if info.flag_bits & 1:
        return _LOCKED
    return None if info.compress_type in _READ_METHODS else _OTHERWISE_PACKED


def _tar_name(name: str) -> str:
    """A name whose bytes are no UTF-8 as the language it seems to be of; what reads as none stays as it is."""
    plain = name.encode("utf-8", "surrogateescape")
    encoding = encoding_of([plain])
    return name if encoding in ("utf-8", ZIPS_OWN) else plain.decode(encoding)


class _Headers:
    """A stream from which nobody reads more at once than the header of a member has."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError("a header is too large")
        return self._file.read(size)


class _Slice(io.RawIOBase):
    """A part of a stream, as a file that can be read onward."""

    def __init__(self, file: IO[bytes], offset: int, size_bytes: int) -> None:
        self._file, self._left = file, size_bytes
        file.seek(offset)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(min(len(buffer), self._left))
        if not data and self._left:
            raise EOFError("the archive is cut off")
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)


class Unpacked:
    """An archive on this machine with all the archives in it that lead to a member. For one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: list[tuple[Step, Archive]] = []

    def read(self, steps: tuple[Step, ...], max_bytes: int) -> bytes:
        """The bytes of the member that the steps lead to. Raises Unopened, saying why there are none."""
        try:
            stream = self._archive(steps).open(steps[-1])
            with stream:
                data = bytearray()
                while chunk := stream.read(_CHUNK_BYTES):
                    data += chunk
                    if len(data) > max_bytes:
                        raise too_large(len(data), max_bytes)
        except FileNotFoundError:
            raise Unopened("The archive vanished while the folder was taken in.") from None
        except PermissionError:
            raise Unopened("The archive cannot be read: permission denied.") from None
        except _DAMAGE:
            raise Unopened(_DAMAGED) from None
        return bytes(data)

    def _archive(self, steps: tuple[Step, ...]) -> Archive:
        """The archive that holds the last step's member; those on the way to it stay open for the next."""
        leading = [("file",), *steps[:-1]]
        common = 0
        while common < min(len(self._open), len(leading)) and self._open[common][0] == leading[common]:
            common += 1
        # The same step from a TAR and a ZIP cannot be mistaken: each names its kind.
        while len(self._open) > common:
            self._open.pop()[1].close()
        for depth in range(common, len(leading)):
            source = self.path.open("rb") if depth == 0 else _aside(self._open[-1][1].open(leading[depth]))
            self._open.append((leading[depth], open_archive(source, is_zip=steps[depth][0] == "zip")))
        return self._open[-1][1]

    def close(self) -> None:
        """Close them all."""
        while self._open:
            self._open.pop()[1].close()


def open_archive(file: IO[bytes], is_zip: bool) -> Archive:
    """An open file as an archive. Raises Unopened, and what zipfile and tarfile do."""
    size_bytes = file.seek(0, io.SEEK_END)
    try:
        return (_Zip if is_zip else _Tar)(file, size_bytes)
    except BaseException:
        file.close()
        raise


def walk_archive(path: Path, name: str, beat: Beat = lambda: None) -> Iterator[Entry]:
    """What an archive holds, in the order of its bytes; `name` is its own. Never raises for what it is given."""
    try:
        file = path.open("rb")
    except OSError as error:
        yield Entry("refused", path, name, f"The file cannot be read: {error.strerror or 'input failed'}.")
        return
    yield from _walk(Entry("other", path, name), file, 1, beat, UnpackAllowance(file.seek(0, io.SEEK_END)))


def _walk(whole: Entry, file: IO[bytes], depth: int, beat: Beat, allowed: UnpackAllowance) -> Iterator[Entry]:
    is_zip = PurePosixPath(whole.name.lower()).suffix in ZIPS
    count = 0
    try:
        archive = open_archive(file, is_zip)
        try:
            for member in archive.members(allowed):
                beat()
                parts = PurePosixPath(member.name.replace("\\", "/")).parts
                if any(is_passed_over(part) for part in parts if part != ".."):
                    continue
                count += 1
                allowed.count()
                yield from _look(whole, archive, member, depth, beat, allowed)
            if count == 0:
                yield _refused(whole, "The archive holds no files.")
        finally:
            archive.close()
    except Unopened as refusal:
        yield _refused(whole, refusal.sentence)
    except _DAMAGE:
        is_single = not is_zip and not _says_tar(whole.name.lower())
        why = "no archive that can be read: ZIP and TAR are" if count == 0 and is_single else "damaged or cut off"
        yield _refused(whole, f"The archive is {why}; unpack it and take in the folder that comes out.")


def _says_tar(name: str) -> bool:
    """Whether a name says TAR, not only that something is packed."""
    return ".tar" in PurePosixPath(name).suffixes[-2:] or PurePosixPath(name).suffix in TARS - {
        ".gz",
        ".bz2",
        ".xz",
        ".zst",
        ".lz4",
    }


def _look(
    whole: Entry, archive: Archive, member: ArchiveMember, depth: int, beat: Beat, allowed: UnpackAllowance
) -> Iterator[Entry]:
    """One member as an entry; an archive in the archive as what it holds."""
    path = PurePosixPath(member.name.replace("\\", "/"))
    steps = (*whole.steps, member.step)
    suffix = path.suffix.lower()
    entry = Entry("other", whole.path, tidy(f"{whole.name}/{path}"), steps=steps)
    if ".." in path.parts or path.is_absolute() or path.parts[0][1:2] == ":":
        yield _refused(entry, "Its name leads out of the archive.")
    elif member.reason is not None:
        yield _refused(entry, member.reason)
    elif suffix in UNREAD_ARCHIVES:
        yield _refused(entry, UNREAD_ARCHIVE)
    elif suffix in ZIPS | TARS:
        if depth >= MAX_DEPTH:
            yield _refused(entry, f"An archive in {MAX_DEPTH} others; unpack the outer ones first.")
            return
        try:
            inner = _aside(archive.open(member.step))
        except Unopened as refusal:
            yield _refused(entry, refusal.sentence)
        except _DAMAGE:
            # What stands behind it may be whole.
            yield _refused(entry, _DAMAGED)
        else:
            yield from _walk(entry, inner, depth + 1, beat, allowed)
    elif suffix in PICTURE_NAMES:
        yield Entry("picture", whole.path, entry.name, steps=steps)
    else:
        is_sidecar = suffix in SIDECARS and member.size_bytes <= MAX_SIDECAR_BYTES
        try:
            with archive.open(member.step) as stream:
                head = stream.read(MAX_SIDECAR_BYTES if is_sidecar else 16)
        except _DAMAGE:
            yield _refused(entry, _DAMAGED)
            return
        kind: Kind = "picture" if starts_like_picture(head[:16]) else "other"
        yield Entry(kind, whole.path, entry.name, steps=steps, data=head if is_sidecar else None)


def _refused(entry: Entry, reason: str) -> Entry:
    return Entry("refused", entry.path, entry.name, reason, steps=entry.steps)


def _aside(stream: IO[bytes]) -> IO[bytes]:
    """An archive inside another, where it can be read in any order: in memory, or in a nameless file.

    Raises Unopened, DiskFull, and what zipfile and tarfile do.
    """
    aside = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115
    size_bytes = 0
    try:
        with stream:
            while chunk := stream.read(_CHUNK_BYTES):
                size_bytes += len(chunk)
                if size_bytes > MAX_INNER_BYTES:
                    limit = f"{MAX_INNER_BYTES >> 30} GB"
                    raise Unopened(f"An archive inside another of more than {limit}; unpack the outer one first.")
                with _room():
                    aside.write(chunk)
        with _room():
            aside.seek(0)
    except BaseException:
        aside.close()
        raise
    return aside


@contextmanager
def _room() -> Iterator[None]:
    """Raises DiskFull where the disk of temporary files is: that is no fault of an archive."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise DiskFull(
            f"The disk with {tempfile.gettempdir()} is full, where an archive inside another is unpacked. Nothing was "
            "lost; free some space and go on."
        ) from error


def _directory_bytes(file: IO[bytes], size_bytes: int) -> int:
    """How large a ZIP's directory is, told from its last record, before it is read. 0 where there is no such record."""
    start = max(0, size_bytes - 65_557)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        return 0
    directory_bytes: int = struct.unpack_from("<I", tail, at + 12)[0]
    if directory_bytes == 0xFFFFFFFF and at >= 20:
        # ZIP64: a locator in front of the record says where the long one is.
        file.seek(struct.unpack_from("<Q", tail, at - 20 + 8)[0])
        record = file.read(56)
        return int(struct.unpack_from("<Q", record, 40)[0]) if len(record) == 56 else MAX_DIRECTORY_BYTES + 1
    return directory_bytes
