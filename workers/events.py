"""A run's news as it lies in its file: one event a line, as JSON."""

from __future__ import annotations

import json
from typing import Any


def whole(written: bytes) -> tuple[list[dict[str, Any]], int]:
    """The events in the file up to the first line that is none, and the bytes they take.

    What a full disk or a power loss leaves behind them is half a line, or zeros.
    """
    told: list[dict[str, Any]] = []
    size_bytes = 0
    for line in written.splitlines(keepends=True):
        try:
            event = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            event = None
        if not isinstance(event, dict):
            break
        told.append(event)
        size_bytes += len(line)
    return told, size_bytes
