"""A run's events as they lie in its folder: OUT/events.jsonl, one JSON object a line. The one reader of such lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

FILE: Final = "events.jsonl"


def whole(written: bytes) -> tuple[list[dict[str, Any]], int]:
    """The events in the file up to the first line that is none, and the bytes they take.

    What a full disk or a power loss leaves behind them is half a line, or zeros.
    """
    events: list[dict[str, Any]] = []
    size_bytes = 0
    for line in written.splitlines(keepends=True):
        event = _event(line) if line.endswith(b"\n") else None
        if event is None:
            break
        events.append(event)
        size_bytes += len(line)
    return events, size_bytes


def cut(out: Path) -> int:
    """Cut off what a crash left of an event, as the next trainer would; the bytes that stay. Nobody may write."""
    file = out / FILE
    if not file.exists():
        return 0
    with file.open("r+b") as opened:
        _, size_bytes = whole(opened.read())
        opened.truncate(size_bytes)
    return size_bytes


class EventReader:
    """Reads the events that were not read yet, from the byte `after` on."""

    def __init__(self, out: Path, after: int = 0) -> None:
        self._file = out / FILE
        self._offset = after

    def read(self) -> list[dict[str, Any]]:
        """The new events, oldest first. A line that is still being written waits for its end; a torn one is none."""
        try:
            with self._file.open("rb") as opened:
                opened.seek(self._offset)
                text = opened.read()
        except FileNotFoundError:
            return []
        lines = text[: text.rfind(b"\n") + 1]
        self._offset += len(lines)
        return [event for line in lines.splitlines() if (event := _event(line)) is not None]


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or "seq" not in event:
        return None
    # A run of an earlier version may go on; what this one calls an attempt was a sitting.
    return {**event, "kind": "attempt"} if event.get("kind") == "sitting" else event
