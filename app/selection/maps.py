"""The map of a catalog: kept, sent to the browser, drawn upon by people, and looked at set by set.

A lasso, a cluster and the photos far from everything are sets with a name that filters know (`in:lasso-3`), so that the
same acts are done with them as with any other selection.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from sqlalchemy import BigInteger, Float, LargeBinary, Select, any_, case, cast, delete, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from app import jobs
from app.captions.tables import Caption
from app.catalog import embeddings, reading
from app.catalog.tables import Embedding, Image, MapSet, PhotoMap
from app.database import utc_now
from app.errors import NotFound, Refused
from app.jobs import Job
from app.people import Person
from app.selection import map_words
from app.selection.map_words import WordShare
from app.selection.query import Selection
from app.selection.tables import PhotoIndex

CORNERS_AT_MOST: Final = 2_000
# Texts that are read for the words of a set; a share of more is no other share.
READ_AT_MOST: Final = 5_000
# What is shown at work beside the map: what it is made of, and acts on what is selected on it.
JOBS: Final = (*embeddings.KINDS, "photos.map", "photos.read_phrase", "operation.do", "operation.look")

Numbers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
Way = Literal["new", "add", "take"]


@dataclass(frozen=True, slots=True)
class LaidOut:
    """What is kept of a new map: `points` (n, 2) float32, 0 to 1, of `image_ids`; numbers as `PhotoMap` explains."""

    space_id: int
    image_ids: Sequence[int]
    points: Floats
    photos: int
    method: str
    seed: int
    neighbours: int
    neighbours_kept: float
    same_kind: float | None
    categorised: int
    took_s: float
    apart: Floats


@dataclass(frozen=True, slots=True)
class NewSet:
    """A cluster, or the photos far from everything, of a new map."""

    kind: Literal["cluster", "far"]
    image_ids: Sequence[int]
    words: str = ""
    centre_id: int | None = None


@dataclass(frozen=True, slots=True)
class SetCount:
    """A set of the map as it stands now: how many photos it has, and how many of them a person has decided on."""

    name: str
    kind: str
    words: str
    centre_id: int | None
    place: tuple[float, float] | None
    photos: int
    decided: int

    @property
    def share_decided(self) -> float:
        """0 to 1."""
        return self.decided / self.photos if self.photos else 0.0


@dataclass(frozen=True, slots=True)
class SetLooks:
    """A selection as the map's pane shows it: decisions, the photos in its middle, those least like the rest, those
    nearest outside, and its most telling words. Lists are numbers of photos; empty where none is embedded."""

    photos: int
    decisions: Mapping[str, int]
    middle: Sequence[int]
    odd: Sequence[int]
    outside: Sequence[int]
    words: Sequence[WordShare]


def request(session: Session, catalog_id: int, person: Person | None = None) -> Job:
    """Ask for a new map. Raises NotFound, and Refused where no photo is embedded."""
    reading.get(session, catalog_id)
    if session.scalar(select(Embedding.image_id).where(Embedding.catalog_id == catalog_id).limit(1)) is None:
        raise Refused("A map is made of what the embedder saw, and it has looked at none of these photos yet.")
    return jobs.request_once(session, "photos.map", {"catalog_id": catalog_id}, person)


def of(session: Session, catalog_id: int) -> PhotoMap | None:
    """The catalog's map, None while none was made."""
    return session.get(PhotoMap, catalog_id)


def apart_of(session: Session, image_id: int) -> float | None:
    """How far a photo is from those that look most like it (see `PhotoMap`); None where no map tells."""
    return session.scalar(select(PhotoIndex.apart).where(PhotoIndex.image_id == image_id))


def record(session: Session, catalog_id: int, placed: LaidOut, sets: Sequence[NewSet]) -> None:
    """Keep a new map in place of the one before, with what was found on it. Lassos stay."""
    values = {
        "space_id": placed.space_id, "image_ids": list(placed.image_ids), "photos": placed.photos,
        "points": placed.points.astype("<f4").tobytes(), "method": placed.method, "seed": placed.seed,
        "neighbours": placed.neighbours, "neighbours_kept": placed.neighbours_kept, "same_kind": placed.same_kind,
        "categorised": placed.categorised, "took_s": placed.took_s, "made_at": utc_now(),
        "apart": [None if math.isnan(far) else far for far in placed.apart.tolist()],
    }  # fmt: skip
    new = insert(PhotoMap).values(catalog_id=catalog_id, **values)
    session.execute(new.on_conflict_do_update(index_elements=["catalog_id"], set_=values))
    first = {kind: _next_number(session, catalog_id, kind) for kind in ("cluster", "far")}
    of_before = (MapSet.catalog_id == catalog_id, MapSet.kind != "lasso")
    session.execute(delete(MapSet).where(*of_before))
    for new_set in sets:
        name = f"{new_set.kind}-{first[new_set.kind]}"
        first[new_set.kind] += 1
        session.add(
            MapSet(
                catalog_id=catalog_id, name=name, kind=new_set.kind, words=new_set.words,
                image_ids=list(new_set.image_ids), centre_id=new_set.centre_id,
            )
        )  # fmt: skip
    session.flush()


def _next_number(session: Session, catalog_id: int, kind: str) -> int:
    """The number behind the highest one of this kind; the catalog's row keeps two people apart."""
    session.execute(select(func.pg_advisory_xact_lock(0x6D617073, catalog_id)))
    number = func.max(func.split_part(MapSet.name, "-", 2).cast(BigInteger))
    return (session.scalar(select(number).where(MapSet.catalog_id == catalog_id, MapSet.kind == kind)) or 0) + 1


def texts_of(session: Session, image_ids: Sequence[int]) -> dict[int, set[str]]:
    """The telling words of each photo: of its current caption, title and category."""
    words: dict[int, set[str]] = {}
    for start in range(0, len(image_ids), READ_AT_MOST):
        some = image_ids[start : start + READ_AT_MOST]
        rows = session.execute(
            select(Image.id, Image.title, Image.category, Caption.text)
            .outerjoin(Caption, (Caption.image_id == Image.id) & Caption.superseded_at.is_(None))
            .where(Image.id == any_(cast(list(some), ARRAY(BigInteger))))
        )
        words |= {row.id: map_words.words_of((row.title, row.category, row.text)) for row in rows}
    return words


def draw_lasso(
    session: Session, chosen: Selection, corners: Sequence[tuple[float, float]], person: Person, way: Way = "new"
) -> MapSet:
    """The photos inside of a polygon on the map, as a set with a name of its own: of the selection, or with `add` also
    those of the selection outside, with `take` the selection's without those inside.

    Corners are in the map's own 0 to 1. Raises NotFound without a map, Refused when nothing is inside.
    """
    made = of(session, chosen.catalog_id)
    if made is None:
        raise NotFound("This catalog has no map yet.")
    if not 3 <= len(corners) <= CORNERS_AT_MOST or not np.isfinite(np.array(corners)).all():
        raise Refused(f"A lasso has 3 to {CORNERS_AT_MOST:,} corners.")
    ids = np.array(made.image_ids, dtype=np.int64)
    within = set(ids[inside(np.frombuffer(made.points, dtype="<f4").reshape(-1, 2), corners)].tolist())
    before = set(session.scalars(chosen.select(PhotoIndex.image_id)))
    if way == "add":
        there = set(session.scalars(Selection(chosen.catalog_id).select(PhotoIndex.image_id)))
        members = before | (within & there)
    else:
        members = before - within if way == "take" else before & within
    if not members:
        raise Refused("No photo of this filter is inside; the selection stays as it was.")
    name = f"lasso-{_next_number(session, chosen.catalog_id, 'lasso')}"
    lasso = MapSet(
        catalog_id=chosen.catalog_id, name=name, kind="lasso", image_ids=sorted(members), person_id=person.id
    )
    session.add(lasso)
    session.flush()
    return lasso


def inside(points: Floats, corners: Sequence[tuple[float, float]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which of (n, 2) points lie inside of a polygon, by the even-odd rule: how often a ray to the right crosses it."""
    x, y = points[:, 0], points[:, 1]
    within = np.zeros(len(points), dtype=bool)
    x1, y1 = corners[-1]
    for x2, y2 in corners:
        if y1 != y2:
            crosses = (y1 > y) != (y2 > y)
            within ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
        x1, y1 = x2, y2
    return within


def sets(session: Session, catalog_id: int) -> list[SetCount]:
    """What was found on the map: clusters, those least decided on first, and those far from everything."""
    made = of(session, catalog_id)
    found_on = (MapSet.catalog_id == catalog_id, MapSet.kind != "lasso")
    rows = session.scalars(select(MapSet).where(*found_on)).all()
    if not rows:
        return []
    places = _places(made, [row.centre_id for row in rows]) if made is not None else {}
    there, decided = _decided(session, catalog_id)
    counts = [
        SetCount(
            row.name, row.kind, row.words, row.centre_id, places.get(row.centre_id), _count_in(there, row.image_ids),
            _count_in(decided, row.image_ids),
        )
        for row in rows
    ]  # fmt: skip
    return sorted(counts, key=lambda count: (count.share_decided, -count.photos, count.name))


def _decided(session: Session, catalog_id: int) -> tuple[Numbers, Numbers]:
    """The catalog's photos, and those of them that a person has decided on: ids in order. Packed by the database:
    joining a hundred thousand members of sets takes it several times as long."""
    is_decided = case((PhotoIndex.decided_by == "person", 1), else_=0)
    packed = func.string_agg(func.int8send(PhotoIndex.image_id * 2 + is_decided, type_=LargeBinary), literal(b""))
    values = session.scalar(select(packed).where(PhotoIndex.catalog_id == catalog_id)) or b""
    numbers = np.sort(np.frombuffer(values, dtype=">i8").astype(np.int64))
    return numbers >> 1, numbers[numbers % 2 == 1] >> 1


def _count_in(ids: Numbers, members: Sequence[int]) -> int:
    """How many members are among ids in order."""
    asked = np.array(members, dtype=np.int64)
    at = np.searchsorted(ids, asked)
    is_within = at < len(ids)
    return int((ids[at[is_within]] == asked[is_within]).sum())


def _places(made: PhotoMap, image_ids: Sequence[int | None]) -> dict[int | None, tuple[float, float]]:
    """Where some photos lie."""
    points = np.frombuffer(made.points, dtype="<f4").reshape(-1, 2)
    ids = np.array(made.image_ids, dtype=np.int64)
    asked = [image_id for image_id in image_ids if image_id is not None]
    at = np.flatnonzero(np.isin(ids, asked))
    return dict(zip(ids[at].tolist(), map(tuple, points[at].tolist()), strict=True))


def looks(session: Session, chosen: Selection, middle: int = 12, odd: int = 8, outside: int = 4) -> SetLooks:
    """What the pane beside the map shows of a selection."""
    ids = list(session.scalars(chosen.select(PhotoIndex.image_id)))
    counted = chosen.select(PhotoIndex.verdict, func.count()).group_by(PhotoIndex.verdict)
    decisions = {row[0]: int(row[1]) for row in session.execute(counted)}
    inside_of = Embedding.image_id == any_(cast(ids, ARRAY(BigInteger)))
    space = select(func.max(Embedding.space_id)).where(inside_of).scalar_subquery()
    middle_of = select(func.avg(Embedding.vector, type_=Embedding.vector.type))
    aim = session.scalar(middle_of.where(inside_of, Embedding.space_id == space))
    if aim is None:
        return SetLooks(len(ids), decisions, (), (), (), _words(session, ids))
    apart = Embedding.vector.op("<=>", return_type=Float())(aim)
    ours = select(Embedding.image_id).where(inside_of, Embedding.space_id == space)
    others = select(Embedding.image_id).where(
        Embedding.catalog_id == chosen.catalog_id, Embedding.space_id == space, ~inside_of
    )

    def first(statement: Select[Any], order: Any, count: int) -> list[int]:
        return list(session.scalars(statement.order_by(order, Embedding.image_id).limit(count)))

    return SetLooks(
        len(ids), decisions, first(ours, apart, middle), first(ours, apart.desc(), odd) if len(ids) > middle else (),
        first(others, apart, outside), _words(session, ids),
    )  # fmt: skip


def _words(session: Session, ids: Sequence[int]) -> Sequence[WordShare]:
    """The commonest telling words of some photos, of a sample where they are many."""
    some = ids if len(ids) <= READ_AT_MOST else ids[:: -(-len(ids) // READ_AT_MOST)]
    words = texts_of(session, some)
    counts = map_words.counted(words.values())
    return [WordShare(word, count / len(words)) for word, count in counts.most_common(4)]


def unknown_sets(session: Session, catalog_id: int, names: Sequence[str]) -> list[str]:
    """Those of the names that no set of the catalog has."""
    if not names:
        return []
    known = set(session.scalars(select(MapSet.name).where(MapSet.catalog_id == catalog_id, MapSet.name.in_(names))))
    return [name for name in names if name not in known]


def under_way(session: Session, catalog_id: int) -> Job | None:
    """The job that embeds, maps or captions the catalog's photos now; else the newest of them, where that failed."""
    newest = session.scalars(
        select(Job)
        .where(Job.kind.in_(JOBS), Job.whole_id.is_(None), Job.arguments["catalog_id"].as_integer() == catalog_id)
        .order_by(Job.state.in_(("queued", "running")).desc(), Job.id.desc())
        .limit(1)
    ).first()
    return newest if newest is not None and newest.state in ("queued", "running", "failed") else None
