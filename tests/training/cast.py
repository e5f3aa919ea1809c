"""A frozen version to train from, a run of it, and news as a trainer tells it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app import jobs
from app.captions.tables import Caption
from app.catalog.tables import Image
from app.database import utc_now
from app.datasets.manifest import content_hash, facts_hash, read_manifest
from app.datasets.tables import DatasetVersion, Member
from app.training import run_events, runs
from app.training.tables import TrainingRun
from tests import cast

BEGAN = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
CATEGORIES = ("Kettles", "Shoes", "Vases")


def frozen_version(
    session: Session, photos: int = 12, validation: int = 6, manifest: Path | None = None
) -> DatasetVersion:
    """A version of captioned photos in three categories; the last `validation` of them are held out. It is frozen with
    the hashes of `manifest`, which takes the place of its own."""
    rows = read_manifest(manifest) if manifest is not None else None
    pile = cast.catalog(session)
    version = DatasetVersion(
        catalog_id=pile.id, number=1, selection="decision:kept", sentence=f"The {photos} kept photos.",
        content_hash=content_hash(rows) if rows else "5e" * 32, facts_hash=facts_hash(rows) if rows else None,
        train_count=photos - validation, validation_count=validation, frozen_at=utc_now(),
    )  # fmt: skip
    session.add(version)
    session.flush()
    for number in range(photos):
        category = CATEGORIES[number % len(CATEGORIES)]
        words = f"{category[:-1]} number {number}, centred on a pure white background."
        photo: Image = cast.image(session, pile, category=category, caption=words)
        caption = session.query(Caption).filter_by(image_id=photo.id).one()
        split = "validation" if number >= photos - validation else "train"
        session.add(
            Member(version_id=version.id, image_id=photo.id, caption_id=caption.id, split=split, group=str(number))
        )
    session.flush()
    return version


def one_run(session: Session, steps: int = 100) -> TrainingRun:
    """A run that was just asked for."""
    version = frozen_version(session)
    return runs.request_run(session, version, "models/nano", runs.plan("models/nano", steps), cast.person(session))


def take(session: Session, run: TrainingRun, at: datetime = BEGAN) -> None:
    """A worker took the run's job at this moment and begins it."""
    assert jobs.claim(session, run.job_id or 0, "worker")
    jobs.get(session, run.job_id or 0).started_at = at
    runs.begin(session, run)


def news(seq: int, kind: str, **facts: Any) -> dict[str, Any]:
    """One event, told `seq` seconds after the run began."""
    return {"seq": seq, "at": (BEGAN + timedelta(seconds=seq)).isoformat(), "kind": kind, **facts}


def step_told(seq: int, number: int) -> dict[str, object]:
    """A `step` event with everything that a trainer tells; no picture fell into the third band."""
    return news(
        seq, "step", step=number, loss=0.5, loss_by_band=[0.4, 0.3, None, 0.2], images_per_s=9.4, lr=1e-3,
        grad_norm=1.0, data_wait_s=0.136, step_s=3.4, memory_bytes=71_000_000_000, memory_total_bytes=85_899_345_920,
    )  # fmt: skip


def training(session: Session, silent_s: float = 0.0) -> TrainingRun:
    """A run that a worker trains, twenty steps in; its newest news is `silent_s` old."""
    run = one_run(session, steps=100)
    shift = utc_now() - BEGAN - timedelta(seconds=9 + silent_s)
    take(session, run, BEGAN + shift)
    told = [
        news(1, "started", step=0, device="cpu", parameters=2_400_000),
        news(2, "validation", step=0, loss=0.9, loss_by_band=[1, 1, 1, 1]),
        *(step_told(3 + i, 4 * (i + 1)) for i in range(5)),
        news(8, "validation", step=20, loss=0.4, loss_by_band=[1, 1, 1, 1]),
        news(9, "checkpoint", step=20, folder="checkpoints/step-000020", size_bytes=29_100_000, seconds=0.2),
    ]
    run_events.record(
        session, run, [one | {"at": (datetime.fromisoformat(str(one["at"])) + shift).isoformat()} for one in told]
    )
    return run
