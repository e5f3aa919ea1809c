"""The bodies of `operation.do` and `operation.undo`: an act on many photos, done or taken back batch by batch.

One worker has it: whoever decides for many photos holds the catalog's decisions alone, so that parts would wait for
each other. What a killed worker did is noted with each batch, and the next one goes on behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from app.bulk import operations
from workers.celery_app import Work


def do(work: Work) -> dict[str, Any]:
    """Do what is left of an act. Raises Cancelled between batches; what was done stays, and can be taken back."""
    return _go_on(work, operations.do_next, "open")


def undo(work: Work) -> dict[str, Any]:
    """Take back what is left of an act. Raises Cancelled between batches; what was given back stays so."""
    return _go_on(work, operations.undo_next, "done")


def _go_on(work: Work, step: Callable[[Session, int], int], state: str) -> dict[str, Any]:
    operation_id = int(work.arguments["operation_id"])
    with work.transaction() as session:
        done = (work.claim.total or 0) - operations.left(session, operation_id, state)
    while True:
        with work.transaction() as session:
            count = step(session, operation_id)
            done += count
            # Under the job's token: a worker whose lease is lost keeps nothing.
            work.keep(session, done)
        if not count:
            return {}
        work.go_on()
