"""Server-sent events: replay from the last number seen, then events as they are committed, until it is over."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import anyio
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

POLL_S: Final = 0.5
MAX_DIGITS: Final = 18  # what the database's numbers hold
HEARTBEAT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event: its number, its kind and what it says."""

    number: int
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events behind a number, oldest first; `is_over` when nothing more will come behind them."""

    events: Sequence[StreamEvent]
    is_over: bool


Poll = Callable[[Session, int], EventBatch]


def stream(request: Request, poll: Poll) -> StreamingResponse:
    """Answer with a stream of what `poll(session, after)` finds, from behind the header Last-Event-ID, or `?after=`.

    The last event is of kind "over"; a page closes its EventSource then. Each poll has its own short session in a
    thread.
    """
    asked = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
    after = int(asked) if asked.isascii() and asked.isdigit() and len(asked) <= MAX_DIGITS else 0
    return StreamingResponse(
        _lines(request, poll, after),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _lines(request: Request, poll: Poll, after: int) -> AsyncIterator[str]:
    def look() -> EventBatch:
        with request.app.state.sessions() as session:
            return poll(session, after)

    yield "retry: 2000\n\n"
    spoke_at = time.monotonic()
    while not await request.is_disconnected():
        batch = await run_in_threadpool(look)
        for event in batch.events:
            after = event.number
            yield f"id: {event.number}\nevent: {event.kind}\ndata: {json.dumps(event.data, ensure_ascii=False)}\n\n"
            spoke_at = time.monotonic()
        if batch.is_over and not batch.events:
            yield "event: over\ndata: {}\n\n"
            return
        if time.monotonic() - spoke_at >= HEARTBEAT_S:
            yield ": still here\n\n"
            spoke_at = time.monotonic()
        if not batch.events:
            await anyio.sleep(POLL_S)
