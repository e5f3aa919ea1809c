"""Codes of how photos look: 512 bits each, by which the nearest of very many are found without looking at each vector.

Each bit tells on which side of the catalog's middle a vector lies along one direction. Vectors that lie near to each
other differ in few bits, so the photos whose codes differ least are few that hold nearly all nearest ones, and those
are then put in order by their vectors. A space has codes from `CODED_FROM` photos on; below, each vector is looked at.
What is found by codes is nearly what looking at each would find: `python -m benchmarks.similar` measures how nearly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, any_, cast, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from app.catalog.look_code_tables import LookAxis, LookCode
from app.catalog.tables import Embedding, EmbeddingSpace

BITS: Final = 512
CODED_FROM: Final = 20_000
# Grown by this, a catalog may show other things than those whose middle was taken.
_LAID_ANEW_FROM: Final = 4
SAMPLE: Final = 20_000
"""By how many vectors axes are laid."""
_AT_ONCE: Final = 2_000
_SEED: Final = 12
_COMPARED_AT_ONCE: Final = 1 << 15
_READ_AT_ONCE: Final = 50_000

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Axes:
    """Directions (512, d) float16, and the bound along each (512,) float64, beyond which a bit is set."""

    directions: Array
    bounds: Array

    def codes(self, vectors: Array) -> Array:
        """The codes (n, 64) uint8 of vectors (n, d), the first bit the highest of the first byte."""
        along = vectors.astype(np.float32) @ self.directions.astype(np.float32).T
        return np.packbits(along > self.bounds, axis=1)


def laid(sample: Array) -> Axes:
    """Axes for vectors like those of `sample` (n, d), n above 0: at right angles, turned at random, and through its
    middle, as all photos lie to one side of the origin.

    Turned, each bit tells as much as another (random hyperplanes, Charikar 2002). Signs of the numbers as they are, of
    the main directions (PCA), and whole numbers for these all found fewer of the nearest in as many bytes
    (docs/decisions/alike-by-codes.md).
    """
    middle = sample.mean(axis=0, dtype=np.float64)
    draw, size = np.random.default_rng(_SEED), sample.shape[1]
    # Of fewer numbers than bits several sets, each at right angles.
    turned = [np.linalg.qr(draw.normal(size=(size, size)))[0] for _ in range(-(-BITS // size))]
    directions = np.concatenate(turned)[:BITS].astype(np.float16)
    return Axes(directions, directions.astype(np.float64) @ middle)


def differing(words: Array, code: Array, places: Array | None = None) -> Array:
    """In how many bits codes, words (8, n) uint64, differ from one (8,) (Hamming): uint16, of those at `places`, or of
    all."""
    if places is not None and len(places) * 4 > words.shape[1]:
        # Picked out, codes cost four times as much each.
        return differing(words, code)[places]
    count = words.shape[1] if places is None else len(places)
    bits = np.zeros(count, np.uint16)
    for start in range(0, count, _COMPARED_AT_ONCE):
        # A part at a time, which stays in the processor's cache.
        end = min(start + _COMPARED_AT_ONCE, count)
        part = slice(start, end) if places is None else places[start:end]
        for word in range(len(words)):
            bits[start:end] += np.bitwise_count(words[word, part] ^ code[word])
    return bits


def least(values: Array, count: int) -> Array:
    """Places of the `count` least of small whole numbers, ascending; of equal ones the first."""
    if len(values) <= count:
        return np.arange(len(values))
    most = int(np.searchsorted(np.cumsum(np.bincount(values)), count))
    below = np.flatnonzero(values < most)
    return np.sort(np.concatenate([below, np.flatnonzero(values == most)[: count - len(below)]]))


def nearest(words: Array, place: int, count: int) -> Array:
    """Places of up to `count` others whose codes differ least from the one at `place`."""
    bits = differing(words, words[:, place])
    bits[place] = np.iinfo(np.uint16).max
    return least(bits, min(count, len(bits) - 1))


def codes_of(session: Session, space_id: int, image_ids: Sequence[int]) -> Array:
    """The codes of these images, which all have one, in the order of their numbers: words (8, n) uint64."""
    words = np.empty((BITS // 64, len(image_ids)), np.uint64)
    for start in range(0, len(image_ids), _READ_AT_ONCE):
        some = any_(cast(list(image_ids[start : start + _READ_AT_ONCE]), ARRAY(BigInteger)))
        of_some = (LookCode.image_id == some, LookCode.space_id == space_id, LookCode.code.is_not(None))
        rows = session.scalars(select(func.bit_send(LookCode.code)).where(*of_some).order_by(LookCode.image_id)).all()
        packed = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)[:, 4:]
        words[:, start : start + len(rows)] = np.ascontiguousarray(packed).view(np.uint64).T
    return words


def held_axes(session: Session, space_id: int) -> Axes | None:
    """The axes of a space, which stay as they are until this transaction ends; None where it has none.

    To be asked for before vectors are written: who lays axes anew waits for who writes, or the other way round.
    """
    space = select(EmbeddingSpace.coded_photos).where(EmbeddingSpace.id == space_id).with_for_update(read=True)
    if not session.scalar(space):
        return None
    packed = func.halfvec_send(LookAxis.axis)
    asked = select(packed, LookAxis.bound).where(LookAxis.space_id == space_id).order_by(LookAxis.number)
    rows = session.execute(asked).all()
    return Axes(_unpacked([row[0] for row in rows]), np.array([row[1] for row in rows]))


def keep(
    session: Session, space_id: int, axes: Axes | None, vectors: Mapping[int, tuple[int, Sequence[float]]]
) -> None:
    """Keep the codes of vectors that were just written: by images' ids, the catalog and the vector of each."""
    if axes is None:
        # What was coded in another space before is known to be no more.
        named = any_(cast(list(vectors), ARRAY(BigInteger)))
        xact = text("pg_current_xact_id()::text::bigint")
        none_now = update(LookCode).where(LookCode.image_id == named)
        session.execute(none_now.values(space_id=space_id, code=None, xact=xact))
        return
    codes = axes.codes(np.array([vector for _, vector in vectors.values()], np.float16))
    bits = ["".join(map(str, row)) for row in np.unpackbits(codes, axis=1).tolist()]
    rows = [
        {"image_id": image_id, "catalog_id": catalog_id, "space_id": space_id, "code": code}
        for (image_id, (catalog_id, _)), code in zip(vectors.items(), bits, strict=True)
    ]
    new = insert(LookCode).values(rows)
    changed = {name: new.excluded[name] for name in ("space_id", "code", "xact")}
    session.execute(new.on_conflict_do_update(index_elements=["image_id"], set_=changed))


def lay(session: Session, space_id: int) -> bool:
    """Lay the axes of a space that has become large, or has grown much since, and make all codes. Whether it was done.

    Of a million photos it takes minutes; whoever writes vectors of this space waits meanwhile.
    """
    counted = select(func.count()).select_from(Embedding).where(Embedding.space_id == space_id)
    if not _is_due(session.get_one(EmbeddingSpace, space_id), session.scalar(counted) or 0):
        return False
    space = session.get_one(EmbeddingSpace, space_id, with_for_update=True, populate_existing=True)
    count = session.scalar(counted) or 0
    if not _is_due(space, count):
        return False
    axes = laid(_sample(session, space_id, count))
    session.execute(delete(LookAxis).where(LookAxis.space_id == space_id))
    rows = [
        {"space_id": space_id, "number": number, "axis": axis.tolist(), "bound": bound}
        for number, (axis, bound) in enumerate(zip(axes.directions, axes.bounds.tolist(), strict=True))
    ]
    session.execute(insert(LookAxis), rows)
    session.execute(delete(LookCode).where(LookCode.space_id == space_id))
    for numbers, vectors in _batches(session, space_id):
        _copy(session, space_id, numbers, axes.codes(vectors))
    space.coded_photos = count
    session.flush()
    return True


def _is_due(space: EmbeddingSpace, count: int) -> bool:
    return count >= CODED_FROM and count >= _LAID_ANEW_FROM * space.coded_photos


def _sample(session: Session, space_id: int, count: int) -> Array:
    """Up to `SAMPLE` vectors, spread evenly over the photos' numbers, so that it is the same whenever it is drawn."""
    ranked = select(func.halfvec_send(Embedding.vector), func.row_number().over(order_by=Embedding.image_id).label("n"))
    of_space = ranked.where(Embedding.space_id == space_id).subquery()
    chosen = select(of_space.c[0]).where(of_space.c.n % max(1, count // SAMPLE) == 0)
    return _unpacked(session.scalars(chosen.limit(SAMPLE)).all())


def _batches(session: Session, space_id: int) -> Iterator[tuple[Array, Array]]:
    """Numbers of images and of their catalogs (n, 2) int64, and their vectors (n, d) float16."""
    last = 0
    asked = select(Embedding.image_id, Embedding.catalog_id, func.halfvec_send(Embedding.vector))
    of_space = asked.where(Embedding.space_id == space_id).order_by(Embedding.image_id).limit(_AT_ONCE)
    while rows := session.execute(of_space.where(Embedding.image_id > last)).all():
        yield np.array([row[:2] for row in rows], np.int64), _unpacked([row[2] for row in rows])
        last = rows[-1][0]


def _unpacked(vectors: Sequence[bytes]) -> Array:
    """Vectors in PostgreSQL's binary format, a head of 4 bytes each, as (n, d) float16."""
    packed = np.frombuffer(b"".join(vectors), np.uint8).reshape(len(vectors), -1)[:, 4:]
    return np.ascontiguousarray(packed).view(">f2").astype(np.float16)


def _copy(session: Session, space_id: int, numbers: Array, codes: Array) -> None:
    """Write codes in PostgreSQL's binary format: each row the count of its fields, each field behind its length."""
    fields: list[Any] = [("fields", ">i2")]
    for name in ("image", "catalog", "space"):
        fields += [(f"{name}_length", ">i4"), (name, ">i8")]
    fields += [("code_length", ">i4"), ("bits", ">i4"), ("code", "u1", BITS // 8)]
    rows = np.zeros(len(codes), fields)
    rows["fields"], rows["bits"], rows["code_length"] = 4, BITS, 4 + BITS // 8
    for name, values in (("image", numbers[:, 0]), ("catalog", numbers[:, 1]), ("space", space_id)):
        rows[f"{name}_length"], rows[name] = 8, values
    rows["code"] = codes
    driver: Any = session.connection().connection.driver_connection
    with (
        driver.cursor() as cursor,
        cursor.copy("copy look_code (image_id, catalog_id, space_id, code) from stdin (format binary)") as copy,
    ):
        copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff")
