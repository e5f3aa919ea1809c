"""Sends queued jobs to Celery by name, after the commit. The only file in `app` that imports Celery.

A lost message costs at most `jobs.RESEND_AFTER_S`: the sweeper sends what is still queued again, and `jobs.claim`
lets only one delivery through.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from sqlalchemy import Engine

from app import jobs
from app.database import transaction, utc_now

log = logging.getLogger(__name__)


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
        "worker_prefetch_multiplier": 1,
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
            due = jobs.unsent(session)
            for job in due:
                client(redis_url).send_task(job.kind, args=[job.id], queue=job.queue, retry=False)
                job.sent_at = utc_now()
            return len(due)
    except (OperationalError, ConnectionError, OSError) as error:
        log.warning("Redis does not answer (%s); jobs wait in the database until it does.", type(error).__name__)
        return 0
