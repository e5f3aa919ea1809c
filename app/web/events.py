"""Server-sent events: replay from the last number seen, then events as they are committed, until it is over."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import anyio
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session
from starlette.types import Receive, Scope, Send

from app import people
from app.errors import TooMany
from app.web import errors

POLL_S: Final = 0.5
MAX_DIGITS: Final = 18  # what the database's numbers hold
HEARTBEAT_S: Final = 15.0
MOST_STREAMS: Final = 12

# How many streams each person has open in this process.
_open: Final[Counter[int]] = Counter()


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
    thread, and looks whether the person still has access: the stream ends when not. A person who has
    `MOST_STREAMS` open is refused another.
    """
    asked = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
    after = int(asked) if asked.isascii() and asked.isdigit() and len(asked) <= MAX_DIGITS else 0
    return _EventStream(
        _lines(request, poll, after),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


class _EventStream(StreamingResponse):
    """A stream that counts as its person's while it is sent, and is refused to one who has too many."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        person_id = request.state.person.id
        if _open[person_id] >= MOST_STREAMS:
            refusal = TooMany(f"{MOST_STREAMS} pages of yours are live already. Close some, then reload this one.")
            await errors.answer(request, refusal)(scope, receive, send)
            return
        _open[person_id] += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            _open[person_id] -= 1
            if not _open[person_id]:
                del _open[person_id]


async def _lines(request: Request, poll: Poll, after: int) -> AsyncIterator[str]:
    idle = timedelta(hours=request.app.state.settings.sign_in_idle_hours)

    def look() -> EventBatch | None:
        with request.app.state.sessions() as session:
            return poll(session, after) if people.signed_in(session, request.state.token, idle) else None

    yield "retry: 2000\n\n"
    spoke_at = time.monotonic()
    while not await request.is_disconnected():
        batch = await run_in_threadpool(look)
        if batch is None:
            return
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
