"""Which photos have the same pixels: whose are to be compared, and what their pixels are known by.

Reading a photo at its full size takes as long as taking it in, and hardly any photo has a copy of its own size. So
pixels are hashed where photos are grouped, of those alone that may be the same, and once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Select, and_, func, select, union
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from app import jobs
from app.catalog import reading
from app.catalog.duplicate_tables import CopyPair, DuplicateGroup, DuplicateMember, PixelHash
from app.catalog.grouping import CUT_AT_LEAST
from app.catalog.tables import Image, Signals
from app.jobs import Job

IS_HASHED: Final = and_(PixelHash.image_id == Image.id, PixelHash.render_path == Image.render_path)
"""The condition on a photo and a hash that this is of the picture that the photo shows now."""


def unhashed(session: Session, catalog_id: int, signals_version: int) -> dict[int, str]:
    """The photos that may have the pixels of another one and have no hash: their numbers, and the files of their
    pictures, relative to the data folder.

    These are copies of one size that are neither turned nor cut, and pictures of one size in which this version of the
    signals saw too little for copies of them to be known.
    """
    first, second = aliased(Image), aliased(Image)
    pairs = (
        select(CopyPair.first_id, CopyPair.second_id)
        .join(first, first.id == CopyPair.first_id)
        .join(second, second.id == CopyPair.second_id)
        .where(CopyPair.catalog_id == catalog_id, CopyPair.is_variant.is_(False), CopyPair.pose == 0)
        .where(CopyPair.first_frame == CopyPair.second_frame, func.abs(CopyPair.cut) <= CUT_AT_LEAST)
        .where(first.width_px == second.width_px, first.height_px == second.height_px)
        .cte("pairs")
    )
    alike = func.count().over(partition_by=(Image.width_px, Image.height_px)).label("alike")
    flat = (
        select(Image.id, alike)
        .join(Signals, Signals.image_id == Image.id)
        .where(Image.catalog_id == catalog_id, Signals.version == signals_version)
        .where(Signals.frame_keys.is_(None))
        .subquery()
    )
    may_be = union(
        select(pairs.c.first_id.label("id")), select(pairs.c.second_id), select(flat.c.id).where(flat.c.alike > 1)
    ).subquery()
    rows = session.execute(
        select(Image.id, Image.render_path)
        .join(may_be, may_be.c.id == Image.id)
        .where(~select(PixelHash.image_id).where(IS_HASHED).exists())
        .order_by(Image.id)
    )
    return {row.id: row.render_path for row in rows}


def record(session: Session, hashed: Mapping[int, tuple[str, str]]) -> None:
    """Keep what was read of photos: file and SHA-256 by their numbers. One that was removed since is passed over."""
    there = reading.held(session, hashed)
    rows = [
        {"image_id": number, "render_path": path, "sha256": sha256}
        for number, (path, sha256) in sorted(hashed.items())
        if number in there
    ]
    if rows:
        new = insert(PixelHash).values(rows)
        changed = {name: new.excluded[name] for name in ("render_path", "sha256")}
        session.execute(new.on_conflict_do_update(index_elements=["image_id"], set_=changed))


def shared(catalog_id: int) -> Select[Any]:
    """The numbers of a catalog's photos that have the same pixels, a row for each picture."""
    of = select(func.array_agg(Image.id)).join(PixelHash, IS_HASHED).where(Image.catalog_id == catalog_id)
    return of.group_by(PixelHash.sha256).having(func.count() > 1)


def request_due(session: Session) -> list[Job]:
    """Ask for grouping where groups are said to be of the same pixels whose pixels nobody compared, as after an update:
    earlier versions compared what is shown on the screen."""
    unknown = (
        select(DuplicateGroup.catalog_id)
        .join(DuplicateMember, DuplicateMember.group_id == DuplicateGroup.id)
        .join(Image, Image.id == DuplicateMember.image_id)
        .outerjoin(PixelHash, IS_HASHED)
        .where(DuplicateGroup.grade == "pixels", DuplicateGroup.is_current, PixelHash.image_id.is_(None))
        .distinct()
    )
    return [jobs.request_once(session, "photos.group", {"catalog_id": number}) for number in session.scalars(unknown)]
