"""A worker that takes data sets in with the hub's real client, which reads its address from the environment.

`python -m tests.workers.hub_worker FOLDER DATABASE` does every take-in that waits, and ends.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sqlalchemy import select

from app.database import engine_for, transaction
from app.intake import hauls
from app.jobs import Job
from app.settings import Settings
from workers import celery_app, cpu, intake_job


def main(root: Path, database_url: str) -> None:
    """Do what waits, one file a haul; nothing is measured, and nothing is sent to a Redis."""
    celery_app.broker.send_due = lambda *_: 0
    intake_job.MEASURING = None  # type: ignore[misc, assignment]
    hauls.HAUL_BYTES = 1  # type: ignore[misc]
    settings = Settings(data_dir=root, database_url=database_url, redis_url="redis://127.0.0.1:1/0")
    waits = select(Job.id).where(Job.kind == "intake.take_in", Job.state == "queued").order_by(Job.id)
    while True:
        with transaction(engine_for(database_url)) as session:
            job_id = session.scalars(waits).first()
        if job_id is None:
            return
        celery_app.do(job_id, cpu.take_in, settings)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
