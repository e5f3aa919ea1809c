"""Reading small files beside photos: plain ones only, so that nobody's secrets are read through a link in a folder."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


class Unread(Exception):
    """A file that was not read, and why, in a sentence that quotes nothing of it."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def read_plain(path: Path, limit: int) -> bytes:
    """The bytes of a regular file of at most `limit` bytes.

    Raises Unread for a link wherever it leads, a pipe, a socket, a device, a folder, a file over the limit, and one
    that cannot be read. Looked at after it was opened, so that a link put in its place meanwhile is refused too.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Unread("A link; only plain files are read beside photos.") from error
        # A socket, or a device without a driver.
        if error.errno in (errno.ENXIO, errno.ENODEV):
            raise Unread("No plain file; only such are read beside photos.") from error
        reason = "permission denied" if isinstance(error, PermissionError) else error.strerror or "input failed"
        raise Unread(f"The file cannot be read: {reason}.") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unread("No plain file; only such are read beside photos.")
        try:
            data = file.read(limit + 1)
        except OSError as error:
            raise Unread(f"The file cannot be read: {error.strerror or 'input failed'}.") from error
    if len(data) > limit:
        raise Unread(f"The file is larger than {_size(limit)}.")
    return data


def _size(limit: int) -> str:
    return f"{limit // 1024**2} MB" if limit >= 1024**2 else f"{limit // 1024} kB"
