"""What an embedder saw in photos: asked for, kept, and asked about. The looking itself is `workers/embedding`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sqlalchemy import BigInteger, any_, cast, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from app import jobs
from app.catalog import look_codes, reading
from app.catalog.signals import Unmeasured
from app.catalog.tables import Catalog, EmbeddedPhrase, Embedding, EmbeddingSpace, Image
from app.database import utc_now
from app.errors import NotFound
from app.jobs import Job
from app.people import Person
from app.settings import Settings

KINDS: Final = ("photos.embed", "photos.encode")
PHRASE_MOST: Final = 300
_READ_AT_ONCE: Final = 2_000


@dataclass(frozen=True, slots=True)
class EmbedderFacts:
    """What tells the vectors of one embedder from those of another."""

    model: str
    revision: str
    preprocessing: str
    dimensions: int
    reads_words: bool


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of a catalog's photos were embedded in its current space, which is None while none was."""

    space: EmbeddingSpace | None
    embedded: int
    photos: int


def request(session: Session, catalog_id: int, settings: Settings, person: Person | None = None) -> Job:
    """Ask for the vectors of a catalog's photos that lack them: by the embedder of `settings`, or the built-in one.

    Asked again while the same waits, it is the same job. Raises NotFound.
    """
    if session.get(Catalog, catalog_id) is None:
        raise NotFound(f"There is no catalog {catalog_id}.")
    arguments: dict[str, Any] = {"catalog_id": catalog_id}
    if settings.embedder is None:
        return jobs.request_once(session, "photos.embed", arguments, person)
    return jobs.request_once(session, "photos.encode", arguments | {"model": settings.embedder}, person)


def request_codes(session: Session, settings: Settings) -> list[Job]:
    """Ask again where a space is large and has no codes, as after an update: the end of the job makes them."""
    counted = select(Embedding.space_id, Embedding.catalog_id, func.count().label("photos"))
    each = counted.group_by(Embedding.space_id, Embedding.catalog_id).subquery()
    largest = select(each.c.space_id, func.max(each.c.catalog_id), func.sum(each.c.photos)).group_by(each.c.space_id)
    uncoded = largest.join(EmbeddingSpace, EmbeddingSpace.id == each.c.space_id).where(EmbeddingSpace.coded_photos == 0)
    rows = session.execute(uncoded).all()
    return [request(session, row[1], settings) for row in rows if row[2] >= look_codes.CODED_FROM]


def space_of(session: Session, facts: EmbedderFacts) -> int:
    """The number of an embedder's space, a new one where it has not looked before."""
    values = {
        "model": facts.model,
        "revision": facts.revision,
        "preprocessing": hashlib.sha256(facts.preprocessing.encode()).hexdigest(),
    }
    known = select(EmbeddingSpace.id).filter_by(**values)
    number = session.scalar(known)
    if number is not None:
        return number
    new = values | {"dimensions": facts.dimensions, "reads_words": facts.reads_words, "coded_photos": 0}
    session.execute(insert(EmbeddingSpace).values(**new).on_conflict_do_nothing())
    return session.scalars(known).one()


def unembedded(
    session: Session, catalog_id: int, space_id: int, image_ids: Sequence[int] | None = None
) -> list[Unmeasured]:
    """Images of a catalog without a vector in this space, by id; of `image_ids` alone where given."""
    query = (
        select(Image.id, Image.file_name, Image.view_sha256)
        .outerjoin(Embedding, Embedding.image_id == Image.id)
        .where(Image.catalog_id == catalog_id, or_(Embedding.space_id.is_(None), Embedding.space_id != space_id))
        .order_by(Image.id)
    )
    if image_ids is not None:
        query = query.where(Image.id.in_(image_ids))
    return [Unmeasured(row.id, row.file_name, row.view_sha256) for row in session.execute(query)]


def record(
    session: Session,
    space_id: int,
    vectors: Mapping[int, Sequence[float]],
    views: Mapping[int, str] | None = None,
) -> None:
    """Keep the vectors of images by id; one of another space is replaced.

    Images that are gone, or no longer show what of `views` was looked at, are passed over.
    """
    axes = look_codes.held_axes(session, space_id)
    showing = reading.showing(session, vectors, views or {})
    known = select(Image.id, Image.catalog_id).where(Image.id.in_(showing)).order_by(Image.id)
    there = session.execute(known).all()
    rows = [
        {"image_id": row.id, "catalog_id": row.catalog_id, "space_id": space_id, "vector": vectors[row.id]}
        for row in there
    ]
    if not rows:
        return
    new = insert(Embedding).values([row | {"made_at": utc_now()} for row in rows])
    changed = {name: new.excluded[name] for name in ("space_id", "vector", "made_at")} | {"compared_at": None}
    session.execute(new.on_conflict_do_update(index_elements=["image_id"], set_=changed))
    look_codes.keep(session, space_id, axes, {row.id: (row.catalog_id, vectors[row.id]) for row in there})


def record_phrase(session: Session, space_id: int, phrase: str, vector: Sequence[float]) -> None:
    """Keep the vector of a phrase."""
    new = insert(EmbeddedPhrase).values(space_id=space_id, phrase=phrase, vector=vector, made_at=utc_now())
    session.execute(new.on_conflict_do_nothing())


def coverage(session: Session, catalog_id: int) -> Coverage:
    """How far the embedding of a catalog has come, in the space of its newest vectors."""
    photos = session.scalar(select(func.count()).select_from(Image).where(Image.catalog_id == catalog_id)) or 0
    of_catalog = select(Embedding.space_id, func.count()).where(Embedding.catalog_id == catalog_id)
    counts = session.execute(of_catalog.group_by(Embedding.space_id).order_by(Embedding.space_id.desc())).all()
    if not counts:
        return Coverage(None, 0, photos)
    return Coverage(session.get_one(EmbeddingSpace, counts[0][0]), counts[0][1], photos)


def is_embedded(session: Session, image_id: int) -> bool:
    """Whether an embedder has looked at the photo."""
    return session.get(Embedding, image_id) is not None


def vectors_of(session: Session, space_id: int, image_ids: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float16]]:
    """The vectors (n, d) of these images in the order of their numbers, but for those without one in this space."""
    pieces = []
    # As bytes: a vector written out in digits takes five times as long to read.
    packed = func.halfvec_send(Embedding.vector)
    for start in range(0, len(image_ids), _READ_AT_ONCE):
        some = any_(cast(list(image_ids[start : start + _READ_AT_ONCE]), ARRAY(BigInteger)))
        of_some = (Embedding.image_id == some, Embedding.space_id == space_id)
        rows = session.scalars(select(packed).where(*of_some).order_by(Embedding.image_id)).all()
        if rows:
            pieces.append(np.stack([np.frombuffer(row, dtype=">f2", offset=4) for row in rows]).astype(np.float16))
    return np.concatenate(pieces) if pieces else np.empty((0, 0), np.float16)


def has_phrase(session: Session, space_id: int, phrase: str) -> bool:
    """Whether the embedder of this space has read these words."""
    return session.get(EmbeddedPhrase, (space_id, phrase)) is not None
