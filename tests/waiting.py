"""Waiting for something to become so, with a limit, where another process makes it so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PATIENCE_S = 60.0


def until(is_so: Callable[[], object], what: str, within_s: float = PATIENCE_S) -> None:
    """Return once it is so. Raises AssertionError that names what never came."""
    pause, deadline = threading.Event(), time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"after {within_s:g} s, still not: {what}"
        pause.wait(0.05)
