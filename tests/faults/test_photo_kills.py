"""Work on photos whose workers are killed at random moments ends as if nobody had killed them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from sqlalchemy import Engine, func, select, text

from app import jobs
from app.catalog.tables import Image, Signals
from app.database import transaction
from app.demo.drawing import draw
from app.demo.worlds import base_world
from app.intake import ingest
from app.jobs import Job
from app.settings import Settings
from tests import cast
from tests.faults.lost_workers import lost_workers

PHOTOS = 160
KILLS = 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Drawn packshots, no two alike."""
    place = tmp_path / "photos"
    place.mkdir()
    rng = np.random.default_rng(3)
    for number, (scene, _) in enumerate(base_world(PHOTOS, 21)):
        noisy = np.clip(draw(scene, 256) + rng.integers(-2, 3, (256, 256, 1)), 0, 255).astype(np.uint8)
        Pillow.fromarray(noisy).save(place / f"{number}.png")
    return place


def test_photos_are_taken_in_and_measured_once_each_whoever_is_killed(
    engine: Engine, settings: Settings, folder: Path
) -> None:
    with transaction(engine) as session:
        asked = ingest.request_intake(session, cast.catalog(session), folder, cast.person(session, role="owner"))
        taking_in = asked.job_id
    assert taking_in is not None
    with lost_workers(engine, settings) as workers:
        job = workers.do(taking_in, KILLS)
        assert (job.state, job.result["accepted"], job.result["refused"]) == ("done", PHOTOS, 0), job.failure
        with transaction(engine) as session:
            measuring = session.scalars(
                select(Job.id).where(Job.kind == "signals.measure", Job.whole_id.is_(None))
            ).one()
        job = workers.do(measuring, KILLS)
        print(f"kills: {workers.kills}")
        assert (job.state, job.done, job.total) == ("done", PHOTOS, PHOTOS), job.failure
    with transaction(engine) as session:
        assert session.scalar(select(func.count()).select_from(Image)) == PHOTOS
        assert session.scalar(select(func.count()).select_from(Signals)) == PHOTOS
        parts = session.scalars(select(Job).where(Job.whole_id == measuring)).all()
        assert all(part.state == "done" and part.attempts <= jobs.MAX_ATTEMPTS for part in parts)
        session.execute(text("truncate person, catalog, job cascade"))
