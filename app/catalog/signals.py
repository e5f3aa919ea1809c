"""Recording and reading what was measured on images. The measuring itself is `workers/signals/measure.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import jobs
from app.catalog import reading
from app.catalog.tables import Image, Signals
from app.database import recordset, utc_now
from app.jobs import Job


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """An image whose signals are missing or of an older version, and the SHA-256 of the view to measure."""

    image_id: int
    file_name: str
    view_sha256: str


def unmeasured(
    session: Session, catalog_id: int, version: int, image_ids: Sequence[int] | None = None
) -> list[Unmeasured]:
    """Images of a catalog without signals of this version, by id; of `image_ids` alone where given."""
    query = (
        select(Image.id, Image.file_name, Image.view_sha256)
        .outerjoin(Signals, Signals.image_id == Image.id)
        .where(Image.catalog_id == catalog_id, or_(Signals.version.is_(None), Signals.version < version))
        .order_by(Image.id)
    )
    if image_ids is not None:
        query = query.where(Image.id.in_(image_ids))
    return [Unmeasured(row.id, row.file_name, row.view_sha256) for row in session.execute(query)]


def request_again(session: Session, version: int) -> list[Job]:
    """Ask for measuring where an earlier version measured, as after an update: values of two versions would stand
    side by side. Photos on their way come first."""
    older = select(Image.catalog_id).join(Signals, Signals.image_id == Image.id).where(Signals.version < version)
    catalogs = session.scalars(older.distinct())
    return [
        jobs.request_once(session, "signals.measure", {"catalog_id": number, "again": True}, is_running_enough=True)
        for number in catalogs
    ]


def record(
    session: Session, version: int, measured: Mapping[int, Mapping[str, Any]], views: Mapping[int, str] | None = None
) -> None:
    """Keep the values of images by id; the keys of each are the columns of `Signals`. Older values are replaced.

    An image that was removed meanwhile, or no longer shows what of `views` was measured, is passed over; the others can
    be neither until this is kept.
    """
    there = reading.showing(session, measured, views or {})
    now = utc_now()
    rows = [
        {"image_id": image_id, "version": version, "measured_at": now, **measured[image_id]}
        for image_id in sorted(there)
    ]
    if not rows:
        return
    new = insert(Signals).from_select(list(rows[0]), select(recordset(Signals, rows)))
    changed = {column: new.excluded[column] for column in rows[0] if column != "image_id"}
    session.execute(new.on_conflict_do_update(index_elements=["image_id"], set_=changed))


def of(session: Session, image_id: int) -> Signals | None:
    """The signals of one image, None while it is unmeasured."""
    return session.get(Signals, image_id)
