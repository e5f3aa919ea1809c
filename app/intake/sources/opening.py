"""Opening entries: the bytes of each, from wherever it lies. What holds many is opened once for many in a row."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from app.intake import fetching
from app.intake.fetching import Fetched
from app.intake.sources.archives import Unpacked
from app.intake.sources.entry import MAX_FILE_BYTES, Entry, Unopened, too_large

if TYPE_CHECKING:
    from app.intake.sources.parquet import ParquetPictures

Fetch = Callable[[str, int], Fetched]


class Opener:
    """Opens entries, best in the order in which they were listed. Keeps one archive open; close it, or use `with`."""

    def __init__(self, fetch: Fetch = fetching.fetch, max_bytes: int = MAX_FILE_BYTES) -> None:
        self._fetch = fetch
        self._max_bytes = max_bytes
        self._many: Unpacked | ParquetPictures | None = None

    def __enter__(self) -> Opener:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open."""
        if self._many is not None:
            self._many.close()
            self._many = None

    def open_entry(self, entry: Entry) -> bytes:
        """The bytes of an entry. Raises Unopened, saying why there are none: gone, closed, damaged, too large."""
        if entry.url is not None:
            return self.fetch(entry).data
        if not entry.steps:
            return _read_file(entry, self._max_bytes)
        if self._many is None or self._many.path != entry.path:
            self.close()
            self._many = _rows_of(entry.path) if entry.steps[0][0] == "row" else Unpacked(entry.path)
        return self._many.read(entry.steps, self._max_bytes)

    def fetch(self, entry: Entry) -> Fetched:
        """The bytes of an entry on the web, and what its server says of them. For any thread. Raises Unopened."""
        return self._fetch(str(entry.url), self._max_bytes)


def _rows_of(path: Path) -> ParquetPictures:
    # The web process opens none, and is spared 50 MB.
    from app.intake.sources.parquet import ParquetPictures

    return ParquetPictures(path)


def _read_file(entry: Entry, max_bytes: int) -> bytes:
    try:
        # A pipe that was put in the place of a file is not waited for.
        with os.fdopen(os.open(entry.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Unopened("No plain file: a pipe, a socket or a device.")
            if status.st_size > max_bytes:
                raise too_large(status.st_size, max_bytes)
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise Unopened("The file vanished while the folder was taken in.") from None
    except PermissionError:
        raise Unopened("The file cannot be read: permission denied.") from None
    except OSError as error:
        raise Unopened(f"The file cannot be read: {error.strerror or 'input or output failed'}.") from None
    if len(data) > max_bytes:
        raise too_large(len(data), max_bytes)
    return data
