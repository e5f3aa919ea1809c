"""A task that a test can hold in the middle, for real workers: `celery … --include tests.slow_work`.

Each doing of a job leaves a file `<job>.<attempt>` in the data folder, and waits until the file `go` is there.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from app.settings import Settings
from workers.celery_app import Work, celery_app, do

KIND = "signals.measure"
LEASE_S = 2.0


def body(work: Work) -> dict[str, Any]:
    folder = work.settings.data_dir
    (folder / f"{work.claim.job_id}.{work.claim.attempt}").write_text(str(os.getpid()))
    pause = threading.Event()
    while not (folder / "go").exists():
        pause.wait(0.05)
        work.tell()
    return {"attempt": work.claim.attempt}


@celery_app.task(name=KIND)
def measure(job_id: int) -> None:
    do(job_id, body, Settings(), LEASE_S)
