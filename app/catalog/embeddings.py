"""What an embedder saw in photos: asked for, kept, and asked about. The looking itself is `workers/embedding`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sqlalchemy import BigInteger, Float, any_, cast, func, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from app import jobs
from app.catalog import reading
from app.catalog.near import nearest_photos
from app.catalog.signals import Unmeasured
from app.catalog.tables import Catalog, EmbeddedPhrase, Embedding, EmbeddingSpace, Image
from app.database import utc_now
from app.errors import NotFound
from app.jobs import Job
from app.people import Person
from app.settings import Settings

# Above this a search that looks at every photo takes longer than a page may (benchmarks/alike.py); then an index does.
EXACT_AT_MOST: Final = 100_000
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


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A photo near to another one, and how alike they are: the cosine of their vectors, at most 1."""

    image_id: int
    likeness: float


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
    new = values | {"dimensions": facts.dimensions, "reads_words": facts.reads_words, "is_indexed": False}
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


def record_phrase(session: Session, space_id: int, phrase: str, vector: Sequence[float]) -> None:
    """Keep the vector of a phrase."""
    new = insert(EmbeddedPhrase).values(space_id=space_id, phrase=phrase, vector=vector, made_at=utc_now())
    session.execute(new.on_conflict_do_nothing())


def index_large(session: Session, space_id: int) -> bool:
    """Make the index of a space whose vectors have become too many to look at each. Returns whether it was made now."""
    space = session.get_one(EmbeddingSpace, space_id, with_for_update=True)
    count = session.scalar(select(func.count()).select_from(Embedding).where(Embedding.space_id == space_id)) or 0
    if space.is_indexed or count <= EXACT_AT_MOST:
        return False
    # The graph is made in memory; half a gigabyte holds that of some 150,000 photos, and more go on more slowly.
    session.execute(text("set local maintenance_work_mem = '512MB'"))
    session.execute(
        text(
            f"create index if not exists ix_embedding_near_{space.id} on embedding "
            f"using hnsw ((vector::halfvec({space.dimensions})) halfvec_cosine_ops) where space_id = {space.id}"
        )
    )
    space.is_indexed = True
    session.flush()
    return True


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


def neighbours(session: Session, image: Image, at_most: int = 12) -> list[Neighbour]:
    """The photos of the same catalog that look most like this one, the nearest first; none while it is not embedded."""
    own = select(Embedding.vector).where(Embedding.image_id == image.id).scalar_subquery()
    near = nearest_photos(image.catalog_id, [image.id], at_most=at_most + 1)
    likeness = 1 - Embedding.vector.op("<=>", return_type=Float())(own)
    rows = session.execute(
        select(Embedding.image_id, likeness.label("likeness"))
        .join(near, near.c.image_id == Embedding.image_id)
        .where(Embedding.image_id != image.id)
        .order_by(likeness.desc(), Embedding.image_id)
        .limit(at_most)
    )
    return [Neighbour(row.image_id, float(row.likeness)) for row in rows]


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
