"""Codes of how photos look: made where photos are many, kept with their vectors, and good enough to find by."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.catalog import embeddings, look_codes
from app.catalog.embeddings import EmbedderFacts
from app.catalog.look_code_tables import LookCode
from app.catalog.tables import Catalog, EmbeddingSpace
from app.settings import Settings
from tests import cast
from tests.catalog.test_embeddings import FACTS, at, nearest, shelf


@pytest.fixture(autouse=True)
def _few_are_coded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_codes, "CODED_FROM", 10)


def codes(session: Session) -> dict[int, str | None]:
    session.expire_all()
    rows = session.execute(select(LookCode.image_id, LookCode.code)).all()
    return {row[0]: row[1] for row in rows}


def test_many_vectors_get_codes_that_find_the_same(session: Session) -> None:
    few = shelf(session, *range(9))
    space = embeddings.space_of(session, FACTS)
    assert not look_codes.lay(session, space)
    photos = shelf(session, *range(0, 120, 3))
    exact = nearest(session, photos[7], 6)
    assert look_codes.lay(session, space)
    assert not look_codes.lay(session, space), "nothing new"
    assert session.get_one(EmbeddingSpace, space).coded_photos == 49
    assert codes(session).keys() == {photo.id for photo in few + photos}
    assert nearest(session, photos[7], 6) == exact
    assert len(nearest(session, few[0], 20)) == 8, "those of its own catalog"


def test_codes_follow_their_vectors(session: Session) -> None:
    photos = shelf(session, *range(0, 120, 3))
    space = embeddings.space_of(session, FACTS)
    look_codes.lay(session, space)
    pile = session.get_one(Catalog, photos[0].catalog_id)
    late, other = cast.image(session, pile), cast.image(session, pile)
    embeddings.record(session, space, {late.id: at(7), other.id: at(7)})
    assert codes(session)[late.id] == codes(session)[other.id] is not None
    embeddings.record(session, space, {other.id: at(100)})
    assert codes(session)[late.id] != codes(session)[other.id]
    assert nearest(session, late, 1) == [photos[2].id]
    another = embeddings.space_of(session, EmbedderFacts("another", "1", "whole", 2, False))
    embeddings.record(session, another, {late.id: [1.0, 0.0]})
    assert codes(session)[late.id] is None, "its new space has no axes"
    assert late.id not in nearest(session, other)
    session.execute(text("delete from embedding where image_id = :id"), {"id": other.id})
    assert codes(session)[other.id] is None, "as when it is mended"
    session.delete(photos[0])
    session.flush()
    assert photos[0].id not in codes(session)


def test_what_has_grown_much_is_coded_anew(session: Session) -> None:
    shelf(session, *range(10))
    space = embeddings.space_of(session, FACTS)
    assert look_codes.lay(session, space)
    before = codes(session)
    photos = shelf(session, *range(90, 119))
    assert not look_codes.lay(session, space)
    photos += shelf(session, 120)
    assert look_codes.lay(session, space)
    after = codes(session)
    assert len(after) == 40
    assert any(after[number] != code for number, code in before.items()), "by axes of all"


def test_codes_written_by_rows_and_by_the_pile_are_the_same(session: Session) -> None:
    photos = shelf(session, *range(0, 180, 9))
    space = embeddings.space_of(session, FACTS)
    look_codes.lay(session, space)
    made = codes(session)
    embeddings.record(session, space, {photo.id: at(9 * place) for place, photo in enumerate(photos)})
    assert codes(session) == made
    words = look_codes.codes_of(session, space, [photo.id for photo in photos])
    first = "".join(str(bit) for bit in np.unpackbits(words[:, :1].T.copy().view(np.uint8)))
    assert first == made[photos[0].id]


def test_after_an_update_large_catalogs_are_asked_for_their_codes(session: Session) -> None:
    shelf(session, *range(9))
    assert embeddings.request_codes(session, Settings()) == []
    photos = shelf(session, 9)
    (job,) = embeddings.request_codes(session, Settings())
    assert (job.kind, job.arguments["catalog_id"]) == ("photos.embed", photos[0].catalog_id)
    look_codes.lay(session, embeddings.space_of(session, FACTS))
    assert embeddings.request_codes(session, Settings()) == []


@pytest.mark.parametrize("dimensions", [3, 64, 512, 700])
def test_few_by_codes_hold_the_nearest(dimensions: int) -> None:
    draw = np.random.default_rng(4)
    vectors = draw.normal(size=(40, dimensions))[draw.integers(0, 40, 4_000)] + draw.normal(size=(4_000, dimensions))
    vectors += 3  # far from the origin, as what a network sees of photos is
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    words = np.ascontiguousarray(look_codes.laid(vectors[::4].astype(np.float32)).codes(vectors).view(np.uint64).T)
    missed = 0
    for place in range(20):
        likeness = vectors.astype(np.float32) @ vectors[place].astype(np.float32)
        likeness[place] = -2
        missed += len(set(np.argsort(-likeness)[:10].tolist()) - set(look_codes.nearest(words, place, 200).tolist()))
    assert missed <= 10, "of 200"


def test_of_equal_ones_the_first_are_taken() -> None:
    values = np.array([5, 1, 3, 3, 0, 3], np.uint16)
    assert look_codes.least(values, 3).tolist() == [1, 2, 4]
    assert look_codes.least(values, 5).tolist() == [1, 2, 3, 4, 5]
    assert look_codes.least(values, 9).tolist() == list(range(6))
    assert look_codes.least(values, 0).tolist() == []


def test_bits_that_differ_are_counted_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    words = np.random.default_rng(1).integers(0, 2**63, (8, 50), np.uint64)
    right = [
        sum(bin(int(one) ^ int(other)).count("1") for one, other in zip(words[:, 3], column, strict=True))
        for column in words.T
    ]
    monkeypatch.setattr(look_codes, "_COMPARED_AT_ONCE", 7)
    assert look_codes.differing(words, words[:, 3]).tolist() == right
    assert look_codes.differing(words, words[:, 3], np.array([49, 3])).tolist() == [right[49], 0]
    many = np.arange(0, 50, 2)
    assert look_codes.differing(words, words[:, 3], many).tolist() == right[::2]
