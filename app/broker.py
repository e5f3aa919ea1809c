"""Sends queued jobs to Celery by name, after the commit. The only file in `app` that imports Celery.

A lost message costs at most `RESEND_AFTER_S`: the sweeper sends what is still queued again, and `jobs.claim`
lets only one delivery through.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import cache, lru_cache
from typing import Any, Final

from celery import Celery
from kombu.exceptions import OperationalError
from sqlalchemy import Engine, Integer, Select, bindparam, or_, select, true
from sqlalchemy.orm import Session, aliased

from app.database import transaction, utc_now
from app.jobs import Job

log = logging.getLogger(__name__)

RESEND_AFTER_S: Final = 30.0
# So many parts of a whole are sent ahead: enough for workers never to wait, few enough for other work to come between.
PARTS_AHEAD: Final = 8


@lru_cache(maxsize=4)
def client(redis_url: str) -> Celery:
    """A Celery client that only sends. It tries once and waits a second: a web request may be waiting for it."""
    celery = Celery("packshot", broker=redis_url)
    once = {"socket_connect_timeout": 1, "socket_timeout": 1, "max_retries": 0}
    celery.conf.update(celery_settings() | {"broker_transport_options": once})
    return celery


def celery_settings() -> dict[str, Any]:
    """Settings that senders and workers share. Early acknowledgement: the job row, not the message, is the truth."""
    return {
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_acks_late": False,
        # A message that a busy worker holds ready would be done before more urgent ones that come meanwhile.
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "task_default_queue": "cpu",
        "broker_connection_retry_on_startup": True,
        "broker_transport_options": {"socket_connect_timeout": 3, "socket_timeout": 30, "max_retries": 2},
        "worker_hijack_root_logger": False,
    }


def send_due(engine: Engine, redis_url: str) -> int:
    """Send every job that is queued and not sent, and mark it sent. Returns how many.

    When Redis is away this takes about a second and nothing is lost: the rows stay unsent, and the sweeper tries again.
    """
    try:
        with transaction(engine) as session:
            due = unsent(session)
            for job in due:
                # kombu's Redis transport keeps a list for each of the priorities 0, 3, 6 and 9; it reads 0 first.
                order = {"queue": job.queue, "priority": job.urgency}
                client(redis_url).send_task(job.kind, args=[job.id], retry=False, **order)
                job.sent_at = utc_now()
            return len(due)
    except (OperationalError, ConnectionError, OSError) as error:
        log.warning("Redis does not answer (%s); jobs wait in the database until it does.", type(error).__name__)
        return 0


def unsent(session: Session, limit: int = 100) -> list[Job]:
    """Queued jobs whose message was never sent, or was sent so long ago that it may be lost. The most urgent first.

    Of the parts of one whole only the next `PARTS_AHEAD`. Rows another sender is just sending are passed over.
    """
    overdue = utc_now() - timedelta(seconds=RESEND_AFTER_S)
    return list(session.scalars(_unsent(), {"overdue": overdue, "most": limit}))


@cache
def _unsent() -> Select[Job]:
    """Built once: workers ask it at each part, and building it takes longer than asking it."""
    whole, part = aliased(Job), aliased(Job)
    ahead = (
        select(part.id)
        .where(part.whole_id == whole.id, part.state == "queued")
        .order_by(part.id)
        .limit(PARTS_AHEAD)
        .lateral()
    )
    next_parts = (
        select(ahead.c.id).select_from(whole).join(ahead, true()).where(whole.state == "running", whole.parts > 0)
    )
    return (
        select(Job)
        .where(Job.state == "queued", (Job.sent_at.is_(None)) | (Job.sent_at < bindparam("overdue")))
        .where(or_(Job.whole_id.is_(None), Job.id.in_(next_parts)))
        .order_by(Job.urgency, Job.id)
        .limit(bindparam("most", type_=Integer()))
        .with_for_update(skip_locked=True)
    )
