"""Kept photos with captions and picture files, and versions frozen from them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import jobs
from app.catalog.tables import Catalog, Image
from app.datasets import freezing
from app.datasets.tables import DatasetVersion
from app.people import Person
from app.review import decisions
from app.review.tables import Decision
from app.storage import Storage
from tests import cast

CAPTION = "Red kettle, centred on a pure white background."


def kept(session: Session, storage: Storage, pile: Catalog, **facts: str | None) -> Image:
    """A photo that a person kept, with a caption, whose picture file is there."""
    photo = suggested(session, storage, pile, **facts)
    by = session.scalars(select(Person).limit(1)).first() or cast.person(session)
    decisions.decide(session, photo, by, "kept")
    return photo


def suggested(session: Session, storage: Storage, pile: Catalog, **facts: str | None) -> Image:
    """A photo that no person has seen and a rule suggests to keep, with a caption, whose picture file is there."""
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
