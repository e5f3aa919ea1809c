"""Kept photos with captions and picture files, and versions frozen from them."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app import jobs
from app.catalog.tables import Catalog, Image
from app.datasets import freezing
from app.datasets.tables import DatasetVersion
from app.review.tables import Decision
from app.storage import Storage
from tests import cast

CAPTION = "Red kettle, centred on a pure white background."


def kept(session: Session, storage: Storage, pile: Catalog, **facts: str | None) -> Image:
    """A kept photo with a caption, whose picture file is there."""
    photo = cast.image(session, pile, **{"caption": CAPTION, **facts})  # type: ignore[arg-type]
    session.add(Decision(image_id=photo.id, verdict="kept", rule="clean"))
    session.flush()
    file = storage.root / photo.render_path
    file.parent.mkdir(parents=True, exist_ok=True)
    # The number that the photo is named after, whose hash the file's name is.
    file.write_bytes(photo.file_name.removesuffix(".jpg").encode())
    return photo


def frozen(session: Session, storage: Storage, pile: Catalog, query: str = freezing.KEPT) -> DatasetVersion:
    """A version of the catalog, asked for and frozen."""
    version = freezing.request_freeze(session, pile.id, query)
    jobs.get(session, version.job_id or 0).state = "done"
    freezing.freeze(session, storage, version)
    return version
