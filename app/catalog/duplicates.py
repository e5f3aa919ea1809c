"""The tables of duplicates: which photos were compared, which are copies, which groups that makes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Boolean, Integer, Text, any_, cast, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on, insert
from sqlalchemy.orm import Session

from app.catalog import grouping, look_pairs, reading
from app.catalog.copies import Match
from app.catalog.duplicate_tables import CopyPair, DuplicateGroup, DuplicateMember, PixelHash
from app.catalog.grouping import CRITERIA, PRODUCT_AT_MOST, Contender, Criterion, Edge, KnownPair, PhotoGroup
from app.catalog.pixel_hashes import IS_HASHED, shared
from app.catalog.tables import Image, Lettering, Signals
from app.database import Base

_AT_ONCE: Final = 5_000
_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Keyed:
    """Photos with the keys of their frames, and whether each was compared with the others since it was measured."""

    image_ids: list[int]
    keys: list[bytes | None]
    is_new: NDArray[np.bool_]


def keyed(session: Session, catalog_id: int) -> Keyed:
    """All measured photos of a catalog, the oldest first. Rows are taken a few thousand at a time."""
    is_new = or_(Signals.compared_at.is_(None), Signals.compared_at < Signals.measured_at)
    rows = session.execute(
        select(Signals.image_id, Signals.frame_keys, is_new)
        .join(Image, Image.id == Signals.image_id)
        .where(Image.catalog_id == catalog_id)
        .order_by(Signals.image_id)
        .execution_options(yield_per=_AT_ONCE)
    )
    image_ids: list[int] = []
    keys: list[bytes | None] = []
    flags = bytearray()
    for number, key, new in rows:
        image_ids.append(number)
        keys.append(key)
        flags.append(new)
    return Keyed(image_ids, keys, np.frombuffer(flags, np.bool_))


def thumbs(session: Session, image_ids: Sequence[int]) -> dict[int, bytes]:
    """The thumbs of these photos, by their numbers."""
    chosen = any_(cast(list(image_ids), ARRAY(BigInteger)))
    rows = session.execute(select(Signals.image_id, Signals.frame_thumbs).where(Signals.image_id == chosen))
    return {image_id: kept for image_id, kept in rows if kept}


def record(
    session: Session,
    catalog_id: int,
    new_ids: Sequence[int],
    matches: Sequence[Match],
    ids: Sequence[int],
    at: datetime,
) -> None:
    """Keep what comparing the new photos with all others led to; `ids` are the numbers of the matches' places.

    What was known of the new photos from before is replaced. `at` is when their keys were read; a photo that was
    removed since is passed over.
    """
    there = reading.held(session, {ids[place] for match in matches for place in (match.first, match.second)})
    matches = [match for match in matches if {ids[match.first], ids[match.second]} <= there]
    for some in _batches(new_ids):
        chosen = any_(cast(list(some), ARRAY(BigInteger)))
        session.execute(delete(CopyPair).where(or_(CopyPair.first_id == chosen, CopyPair.second_id == chosen)))
        session.execute(update(Signals).where(Signals.image_id == chosen).values(compared_at=at))
    for matched in _batches(matches):
        rows = [_row(catalog_id, match, ids) for match in matched]
        pairs = _unnested(CopyPair, rows)
        # One that was removed meanwhile and that a version holds is in another catalog by now.
        stays = select(func.count()).where(Image.id.in_([pairs.c.first_id, pairs.c.second_id]))
        are_there = stays.where(Image.catalog_id == catalog_id).scalar_subquery() == 2
        new = insert(CopyPair).from_select(list(rows[0]), select(pairs).where(are_there))
        changed = {name: new.excluded[name] for name in rows[0] if name not in ("first_id", "second_id")}
        session.execute(new.on_conflict_do_update(index_elements=["first_id", "second_id"], set_=changed))


def _row(catalog_id: int, match: Match, ids: Sequence[int]) -> dict[str, Any]:
    first, second, cut, frames, pose = ids[match.first], ids[match.second], match.cut, match.frames, match.pose
    if first > second:
        # A quarter turn the other way round is one the other way; mirrored and half turned stay what they are.
        first, second, cut, frames, pose = second, first, -cut, frames[::-1], {5: 6, 6: 5}.get(pose, pose)
    return {
        "first_id": first, "second_id": second, "catalog_id": catalog_id, "rest": match.rest, "pose": pose, "cut": cut,
        "first_frame": frames[0], "second_frame": frames[1], "is_variant": match.is_variant,
    }  # fmt: skip


def photos_of(session: Session, image_ids: Collection[int]) -> list[Contender]:
    """What grouping needs to know of these photos."""
    chosen = any_(cast(sorted(image_ids), ARRAY(BigInteger)))
    rows = session.execute(
        select(
            Image.id, PixelHash.sha256, Image.width_px, Image.height_px, Image.size_bytes, Image.product_key,
            Signals.is_cropped, Signals.sharpness, Signals.fill, Signals.subject_lab, Signals.detail,
            Signals.blockiness, Signals.border, func.coalesce(Lettering.place == "beside", False),
            Image.format.in_(("PNG", "TIFF", "BMP")),
        )
        .outerjoin(Signals, Signals.image_id == Image.id)
        .outerjoin(Lettering, Lettering.image_id == Image.id)
        .outerjoin(PixelHash, IS_HASHED)
        .where(Image.id == chosen)
        .order_by(Image.id)
    )  # fmt: skip
    return [Contender(*row) for row in rows]


def pairs_of(session: Session, catalog_id: int, image_ids: Collection[int] | None = None) -> list[KnownPair]:
    """The pairs of a catalog, or those among some photos."""
    query = select(
        CopyPair.first_id, CopyPair.second_id, CopyPair.rest, CopyPair.pose, CopyPair.cut, CopyPair.first_frame,
        CopyPair.second_frame, CopyPair.is_variant,
    ).where(CopyPair.catalog_id == catalog_id)  # fmt: skip
    if image_ids is not None:
        chosen = any_(cast(sorted(image_ids), ARRAY(BigInteger)))
        query = query.where(CopyPair.first_id == chosen, CopyPair.second_id == chosen)
    return [KnownPair(*row) for row in session.execute(query)]


def current_groups(
    session: Session, catalog_id: int, apart: Collection[Edge], criteria: Sequence[Criterion] = CRITERIA
) -> list[PhotoGroup]:
    """The groups that a catalog has by its pairs, pixels, products and looks."""
    pairs, looks = pairs_of(session, catalog_id), look_pairs.pairs_of(session, catalog_id)
    wanted = {number for pair in pairs for number in (pair.first_id, pair.second_id)}
    wanted.update(number for look in looks for number in (look.first_id, look.second_id))
    # Copies among the photos of a product stand for one; what then still is too many is no product.
    of_product = (
        select(func.array_agg(Image.id))
        .where(Image.catalog_id == catalog_id, Image.product_key.is_not(None))
        .group_by(Image.product_key)
        .having(func.count() > 1, func.count() <= 3 * PRODUCT_AT_MOST)
    )
    for together in (of_product, shared(catalog_id)):
        wanted.update(number for numbers in session.scalars(together) for number in numbers)
    wanted = reading.held(session, wanted)
    photos = [photo for some in _batches(sorted(wanted)) for photo in photos_of(session, some)]
    return grouping.groups(photos, pairs, apart, looks, criteria)


def keep(session: Session, catalog_id: int, groups: Sequence[PhotoGroup], ruled_ids: Collection[int]) -> None:
    """Make the catalog's groups these. A group that is there already stays; one that is gone, too, where a person
    ruled on it (`ruled_ids`), but is no longer current. One whose photos are now known to be of the same pixels, or
    not to be, stays too: what was said of it is said of these photos."""
    there = {
        (group.grade, group.members_hash): group
        for group in session.scalars(select(DuplicateGroup).where(DuplicateGroup.catalog_id == catalog_id))
    }
    wanted = {(group.grade, group.members_hash): group for group in groups}
    for grade, before in (("pixels", "photo"), ("photo", "pixels")):
        for key in [key for key in wanted if key[0] == grade and key not in there]:
            if (old := there.pop((before, key[1]), None)) is not None:
                old.grade, there[key] = grade, old
    gone = [old for key, old in there.items() if key not in wanted]
    for old in gone:
        old.is_current = False
    lost = [old.id for old in gone if old.id not in ruled_ids]
    session.flush()
    session.execute(delete(DuplicateGroup).where(DuplicateGroup.id == any_(cast(lost, ARRAY(BigInteger)))))
    made: list[dict[str, Any]] = []
    for key, group in wanted.items():
        distances = [member.distance for member in group.members if member.distance is not None]
        spread, best_id = max(distances, default=0.0), group.members[0].image_id
        if (same := there.get(key)) is None:
            made.append(
                {
                    "catalog_id": catalog_id, "grade": group.grade, "members_hash": group.members_hash,
                    "size": len(group.members), "best_id": best_id, "reason": group.reason, "spread": spread,
                }
            )  # fmt: skip
        else:
            same.is_current = True
            if same.id not in ruled_ids:
                same.best_id, same.reason, same.spread = best_id, group.reason, spread
    session.flush()
    numbers = {key: old.id for key, old in there.items()}
    for rows in _batches(made):
        answer = insert(DuplicateGroup).values(list(rows))
        named = answer.returning(DuplicateGroup.grade, DuplicateGroup.members_hash, DuplicateGroup.id)
        numbers.update({(grade, known): number for grade, known, number in session.execute(named)})
    write_members(session, {numbers[key]: group for key, group in wanted.items() if numbers[key] not in ruled_ids})


def write_members(session: Session, groups: Mapping[int, PhotoGroup]) -> None:
    """The members of groups by their numbers, in place of those that were there."""
    numbers = list(groups)
    for some in _batches(numbers):
        chosen = any_(cast(list(some), ARRAY(BigInteger)))
        session.execute(delete(DuplicateMember).where(DuplicateMember.group_id == chosen))
    rows = (
        {
            "group_id": number, "image_id": member.image_id, "differs": list(member.differs),
            "distance": member.distance, "is_variant": member.is_variant,
        }
        for number, group in groups.items()
        for member in group.members
    )  # fmt: skip
    for made in _batches(rows):
        session.execute(insert(DuplicateMember).values(list(made)))


def mark(session: Session, catalog_id: int, image_ids: Collection[int] | None = None) -> None:
    """Write on each photo of a catalog, or on some, what its groups make of it, where that has changed."""
    is_asked = [] if image_ids is None else [Image.id == any_(cast(sorted(image_ids), ARRAY(BigInteger)))]
    closest = (
        select(
            DuplicateMember.image_id, DuplicateGroup.grade, DuplicateGroup.size - 1,
            DuplicateGroup.best_id == DuplicateMember.image_id,
        )
        .join(DuplicateGroup, DuplicateGroup.id == DuplicateMember.group_id)
        .join(Image, Image.id == DuplicateMember.image_id)
        .where(DuplicateGroup.catalog_id == catalog_id, DuplicateGroup.is_current, *is_asked)
        .ext(distinct_on(DuplicateMember.image_id))
        .order_by(DuplicateMember.image_id, DuplicateGroup.grade == "product", DuplicateGroup.id)
    )  # fmt: skip
    marks = {number: (grade, count, is_best) for number, grade, count, is_best in session.execute(closest)}
    before = session.execute(
        select(Image.id, Image.copies, Image.copy_count, Image.is_best).where(
            Image.catalog_id == catalog_id, Image.copies != "none", *is_asked
        )
    )
    old = {number: (grade, count, is_best) for number, grade, count, is_best in before}
    now = dict.fromkeys(old, ("none", 0, False)) | marks
    changed = [(number, *values) for number, values in now.items() if old.get(number) != values]
    kinds: tuple[Any, ...] = (BigInteger, Text, Integer, Boolean)
    for some in _batches(sorted(changed)):
        columns = [cast([row[place] for row in some], ARRAY(kind)) for place, kind in enumerate(kinds)]
        rows = func.unnest(*columns).table_valued("id", "copies", "count", "best").render_derived()
        session.execute(
            update(Image)
            .where(Image.id == rows.c.id)
            .values(copies=rows.c.copies, copy_count=rows.c.count, is_best=rows.c.best)
            .execution_options(synchronize_session=False)
        )


def _unnested(table: type[Base], rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows of a table as a list of columns, each one value of the statement however many rows there are."""
    columns = table.__table__.columns
    arrays = [cast([row[name] for row in rows], ARRAY(columns[name].type)) for name in rows[0]]
    return func.unnest(*arrays).table_valued(*rows[0]).render_derived()


def _batches(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    """The same in lists of a few thousand, for a statement each."""
    waiting = iter(rows)
    while some := list(islice(waiting, _AT_ONCE)):
        yield some
