"""A gpu worker whose claims on runs are leased for seconds, so that a lost one is noticed in seconds.

Loaded by `celery … --include benchmarks.short_lease` in benchmarks/day.py. All else is as in workers.gpu.
"""

from __future__ import annotations

from typing import Final

from app.settings import Settings
from workers import gpu
from workers.celery_app import celery_app, do

LEASE_S: Final = 3.0

celery_app.tasks.unregister("run.train")


@celery_app.task(name="run.train")  # type: ignore[untyped-decorator]
def train(job_id: int) -> None:
    """`run.train` under a short lease."""
    do(job_id, gpu.train, Settings(), LEASE_S)


if __name__ == "__main__":
    print("This is a part of benchmarks/day.py.")
