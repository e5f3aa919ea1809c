"""What libtiff complains of while it decodes: Pillow passes on none of it, and takes what came out for the picture.

Fax codes have no checksum, but most damage leads to a code that cannot be; libtiff says so, goes on with the next row,
and reports success. Its handler of errors is the only place to hear of that. Heard, they are not printed either: a
hostile file can have one for each of a million rows.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

# The module or file, a format, and its arguments, which nobody reads.
_HANDLER: Final = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
_MAPS: Final = Path("/proc/self/maps")


class _Heard(threading.local):
    errors = 0


_HEARD: Final = _Heard()


@contextmanager
def errors_heard() -> Iterator[list[int]]:
    """Hears libtiff's errors in this thread; the list holds how many there were, once the block is left."""
    _listen()
    before, counted = _HEARD.errors, list[int]()
    try:
        yield counted
    finally:
        counted.append(_HEARD.errors - before)


def _hear(module: bytes | None, words: bytes | None, arguments: int | None) -> None:
    # Of directories Pillow knows itself.
    if not (module or b"").startswith(b"TIFF"):
        _HEARD.errors += 1


_HANDLED: Final = _HANDLER(_hear)


@lru_cache(maxsize=1)
def _listen() -> None:
    """Set the handler in the libtiff that Pillow brought into this process; without one there is nothing to hear."""
    paths = {line.split(maxsplit=5)[5] for line in _MAPS.read_text().splitlines() if "/libtiff" in line}
    for path in paths:
        library = ctypes.CDLL(path)
        library.TIFFSetErrorHandler.argtypes = [_HANDLER]
        library.TIFFSetErrorHandler.restype = ctypes.c_void_p
        library.TIFFSetErrorHandler(_HANDLED)
