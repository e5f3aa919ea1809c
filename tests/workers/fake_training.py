"""The gpu worker's tasks, with the fake trainer in place of the engine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from app.settings import Settings
from workers import gpu
from workers.celery_app import Work, celery_app, do
from workers.devices import lease
from workers.trainer import run_job

FAKE = (sys.executable, str(Path(__file__).with_name("fake_trainer.py")), "--after", "3", "wait")
__all__ = ["gpu"]

celery_app.tasks.unregister("run.train")


@celery_app.task(name="run.train")
def train(job_id: int) -> None:
    """`run.train`, its steps costing nothing."""

    def body(work: Work) -> dict[str, Any]:
        with lease.devices_for(work) as hold:
            hold.take()
            return run_job.train(work, FAKE, hold=hold.take)

    do(job_id, body, Settings())
