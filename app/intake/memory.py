"""One byte budget over all that a process decodes at once, so that a few small files cannot exhaust its memory.

A picture of some hundred kB may decode to gigabytes, and several threads decode at once: what limits one picture does
not limit a process. Whoever decodes says beforehand how many bytes that takes, and waits until they are free.
"""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_MIB: Final = 1024**2
# mallopt(3): its parameters, and what they are set to.
_M_ARENA_MAX, _M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -8, -3, -1
_HEAP: Final = ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, 8 * _MIB), (_M_TRIM_THRESHOLD, 32 * _MIB))


def share_one_heap() -> None:
    """Let threads that start from now on share one heap, so that what one frees the next one uses.

    glibc gives each thread a heap of its own, and keeps what is freed there: four threads that decoded in turn, under
    a budget of 915 MiB, held 1,641 MiB at most and 1,036 MiB ever after. With one heap it was 942 and 84, and an intake
    some 2 % slower. Arrays of 8 MiB and more go back to the system at once, and up to 32 MiB of smaller ones are kept
    for the next photo: fetched anew for each, their pages took 7 % of the time that its signals take. Other C
    libraries have no such settings, and are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in _HEAP:
            mallopt(parameter, value)


class ByteBudget:
    """Bytes that several threads share. Who asks for more than all of them gets them alone; nobody is overtaken."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.most_bytes = 0
        """The most that was held at once, ever."""
        self._held_bytes = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, size_bytes: int) -> Iterator[None]:
        """Hold so many bytes, once they are free."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is ticket and self._fits(size_bytes))
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
            self._held_bytes += size_bytes
            self.most_bytes = max(self.most_bytes, self._held_bytes)
        try:
            yield
        finally:
            with self._changed:
                self._held_bytes -= size_bytes
                self._changed.notify_all()

    def _fits(self, size_bytes: int) -> bool:
        return self._held_bytes == 0 or self._held_bytes + size_bytes <= self.limit_bytes


# Two, for a file's bytes are read before its header tells what decoding takes; always asked for in this order, so that
# no two threads wait for each other. 768 MiB hold one picture of the largest size that is taken in unless a team says
# otherwise (60 megapixels at 12 bytes), or many usual ones.
FILES: Final = ByteBudget(512 * _MIB)
PICTURES: Final = ByteBudget(768 * _MIB)
