"""Hashing passwords beside the requests: two at a time, a short queue, and then an honest no.

A hash takes 64 MiB and a core. Whoever waits for one holds neither a thread of the pool that all routes share nor a
connection to the database, so that a crowd at the door stops nobody who is inside.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

from app.errors import TooMany

AT_ONCE: Final = 2
MOST_WAITING: Final = 16

_slots: Final = CapacityLimiter(AT_ONCE)
# Whoever hashes or waits to.
_here: Final[set[object]] = set()
_Result = TypeVar("_Result")


async def in_slot(work: Callable[..., _Result], *arguments: object) -> _Result:
    """What `work(*arguments)` returns, done in a thread of its own. Raises TooMany when others wait already."""
    if len(_here) >= AT_ONCE + MOST_WAITING:
        raise TooMany("Too many people sign in at this moment. Try again in a few seconds.")
    # Counted before anything is waited for: a burst comes all at once.
    ticket = object()
    _here.add(ticket)
    try:
        return await anyio.to_thread.run_sync(partial(work, *arguments), limiter=_slots)
    finally:
        _here.discard(ticket)
