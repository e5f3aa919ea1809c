"""Why something that was asked for does not go on yet, with a kind for pages to tell calm from alarm."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from app.training import runs
from app.web.formats import job_name

Kind = Literal["queued", "no_worker", "lost", "stopping", "silent"]
"""It waits its turn; no GPU worker is running; its worker stopped answering; it is ending; the trainer may hang."""


@dataclass(frozen=True)
class Wait:
    """Why nothing happens, in a sentence and as a kind."""

    kind: Kind
    sentence: str

    @property
    def is_alarming(self) -> bool:
        """Whether somebody should look after it."""
        return self.kind in ("no_worker", "lost", "silent")


def for_worker(session: Session, now: datetime) -> Wait:
    """What a queued job of the gpu queue waits for."""
    busy = runs.device_job(session, now)
    if busy is None:
        return Wait("no_worker", "No GPU worker is running. Start one with `packshot up`.")
    return Wait("queued", f"The GPU worker is busy: {job_name(busy).lower()}, job {busy.id}.")
