"""A frozen version to train from, a run of it, and news as a trainer tells it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from app.captions.tables import Caption
from app.catalog.tables import Image
from app.database import utc_now
from app.datasets.tables import DatasetVersion, Member
from app.training import runs
from app.training.tables import TrainingRun
from tests import cast

BEGAN = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
CATEGORIES = ("Kettles", "Shoes", "Vases")


def frozen_version(session: Session, photos: int = 12, validation: int = 6) -> DatasetVersion:
    """A version of captioned photos in three categories; the last `validation` of them are held out."""
    pile = cast.catalog(session)
    version = DatasetVersion(
        catalog_id=pile.id, number=1, selection="decision:kept", sentence=f"The {photos} kept photos.",
        content_hash="5e" * 32, train_count=photos - validation, validation_count=validation, frozen_at=utc_now(),
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
            Member(version_id=version.id, image_id=photo.id, caption_id=caption.id, split=split, product=str(number))
        )
    session.flush()
    return version


def one_run(session: Session, steps: int = 100) -> TrainingRun:
    """A run that was just asked for."""
    version = frozen_version(session)
    return runs.request_run(session, version, "models/nano", runs.plan("models/nano", steps), cast.person(session))


def news(seq: int, kind: str, **facts: Any) -> dict[str, Any]:
    """One event, told `seq` seconds after the run began."""
    return {"seq": seq, "at": (BEGAN + timedelta(seconds=seq)).isoformat(), "kind": kind, **facts}
