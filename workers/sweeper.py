"""The sweeper: every two seconds it puts back jobs whose worker is gone and sends those that were never sent.

A run whose job ended without it, because no worker came back for it, is ended here too, and notes of changed photos
that every reader has seen long ago are taken away.
"""

from __future__ import annotations

import logging
import signal
import threading
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from app import broker, jobs
from app.captions import token_counts
from app.catalog import embeddings, pixel_hashes
from app.database import engine_for, transaction
from app.selection import changes, counting
from app.settings import Settings
from app.training import runs
from workers.captions import tokenizers
from workers.celery_app import database_url, redis_url

log = logging.getLogger(__name__)

EVERY_S: Final = 2.0


def sweep(engine: Engine, redis: str) -> None:
    """One sweep. While the database or Redis is away, nothing is lost and nothing is done."""
    try:
        with transaction(engine) as session:
            requeued, ended = jobs.sweep(session)
            runs.settle_lost(session)
            changes.forget_old(session)
            counting.request_due(session)
        if requeued or ended:
            log.warning("Jobs that lost their worker: %s put back, %s ended.", requeued, ended)
        broker.send_due(engine, redis)
    except OperationalError as error:
        log.warning("The database does not answer: %s", str(error.orig).split("\n")[0])


def begin(engine: Engine, settings: Settings) -> None:
    """What an update may have left to do, asked for once."""
    try:
        with transaction(engine) as session:
            embeddings.request_codes(session, settings)
            pixel_hashes.request_due(session)
    except OperationalError as error:
        log.warning("The database does not answer: %s", str(error.orig).split("\n")[0])


def main() -> None:
    """Sweep until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = Settings()
    engine, redis = engine_for(database_url(settings)), redis_url(settings)
    begin(engine, settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with transaction(engine) as session:
        # A base that came or went brings other tokenizers.
        token_counts.forget_others(session, tokenizers.named(tokenizers.on_this_machine(settings)))
    while not stop.is_set():
        sweep(engine, redis)
        stop.wait(EVERY_S)


if __name__ == "__main__":
    main()
