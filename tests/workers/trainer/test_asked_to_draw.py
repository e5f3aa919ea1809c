"""What a page asks for reaches the trainer once: a follower tells it of each asking, and not again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine

from app import jobs
from app.database import transaction
from app.settings import Settings
from app.storage import Storage
from app.training import drawing, runs
from tests.training.cast import one_run
from workers.trainer.follow import Follower

pytestmark = pytest.mark.usefixtures("committed")


def test_an_asking_is_told_to_the_trainer_once(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    with transaction(engine) as session:
        run = one_run(session)
        run_id, claim = run.id, jobs.claim(session, run.job_id or 0, "worker")
        runs.begin(session, run)
        drawing.ask(session, run)
    storage = Storage(settings.data_dir)
    work: Any = SimpleNamespace(claim=claim, transaction=lambda: transaction(engine), lease_s=60.0, storage=storage)
    asked: list[str] = []
    follower: Any = Follower.__new__(Follower)
    vars(follower).update(
        _work=work, _run_id=run_id, _beat_at=-1e9, _has_progressed=False, _drawing_asked=0,
        _trainer=SimpleNamespace(ask_to_draw=lambda: asked.append("asked"), out=tmp_path),
    )  # fmt: skip
    for _ in range(2):
        vars(follower)["_beat_at"] = -1e9
        follower._record([], [])
    assert asked == ["asked"]
