"""For tests of two connections at once: knowing that the second one waits, without guessing how long that takes."""

from __future__ import annotations

import threading

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session


def process_id(session: Session) -> int:
    """The server process behind this session's connection."""
    return int(session.scalar(text("select pg_backend_pid()")) or 0)


def wait_until_blocked(engine: Engine, pid: int) -> None:
    """Return once the server process waits for a lock that another one holds."""
    pause = threading.Event()
    for _ in range(1000):
        with engine.connect() as connection:
            if connection.scalar(text("select cardinality(pg_blocking_pids(:pid))"), {"pid": pid}):
                return
        pause.wait(0.01)
    raise AssertionError("the second connection never waited for the first")
