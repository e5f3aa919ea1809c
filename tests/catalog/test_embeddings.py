from __future__ import annotations

import math

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.catalog import embeddings
from app.catalog.embeddings import EmbedderFacts
from app.catalog.near import nearest_photos
from app.catalog.tables import Embedding, Image
from app.errors import NotFound
from app.jobs import Job
from app.selection import browse
from app.settings import Settings
from tests import cast

FACTS = EmbedderFacts("drawn", "1", "middle square", 3, False)


def at(degrees: float) -> list[float]:
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), 0.0]


def shelf(session: Session, *degrees: float) -> list[Image]:
    pile = cast.catalog(session)
    photos = [cast.image(session, pile) for _ in degrees]
    space = embeddings.space_of(session, FACTS)
    embeddings.record(session, space, {photo.id: at(d) for photo, d in zip(photos, degrees, strict=True)})
    return photos


def test_a_space_is_known_again_and_another_preprocessing_is_another_one(session: Session) -> None:
    one = embeddings.space_of(session, FACTS)
    assert embeddings.space_of(session, FACTS) == one
    assert embeddings.space_of(session, EmbedderFacts("drawn", "1", "whole", 3, False)) != one
    assert embeddings.space_of(session, EmbedderFacts("drawn", "2", "middle square", 3, False)) != one


def nearest(session: Session, photo: Image, at_most: int = 12) -> list[int]:
    asked = nearest_photos(photo.catalog_id, [photo.id], at_most=at_most + 1)
    return [number for number in session.scalars(select(asked.c.image_id)) if number != photo.id]


def test_the_nearest_photos_come_first_and_the_photo_itself_does_not(session: Session) -> None:
    photos = shelf(session, 0, 50, 10, 30)
    assert nearest(session, photos[0]) == [photos[2].id, photos[3].id, photos[1].id]
    assert nearest(session, photos[0], at_most=1) == [photos[2].id]
    assert browse.alike(session, photos[0].catalog_id, photos[0].id, 2) == [photos[2].id, photos[3].id]
    assert nearest(session, cast.image(session, cast.catalog(session))) == []


def test_another_embedder_takes_the_place_of_the_first_photo_by_photo(session: Session) -> None:
    photos = shelf(session, 0, 10, 20)
    catalog_id = photos[0].catalog_id
    other = embeddings.space_of(session, EmbedderFacts("other", "1", "whole", 2, True))
    assert len(embeddings.unembedded(session, catalog_id, other)) == 3
    embeddings.record(session, other, {photos[0].id: [1.0, 0.0], photos[1].id: [0.0, 1.0]})
    assert [row.image_id for row in embeddings.unembedded(session, catalog_id, other)] == [photos[2].id]
    cover = embeddings.coverage(session, catalog_id)
    assert cover.space is not None
    assert (cover.space.id, cover.embedded, cover.photos) == (other, 2, 3)
    # Vectors of two lengths are never compared.
    assert nearest(session, photos[0]) == [photos[1].id]


def test_vectors_of_photos_that_are_gone_are_passed_over(session: Session) -> None:
    photos = shelf(session, 0, 10)
    space = embeddings.space_of(session, FACTS)
    embeddings.record(session, space, {photos[0].id: at(5), 10**12: at(6)})
    session.delete(photos[1])
    session.flush()
    assert session.scalar(select(func.count()).select_from(Embedding)) == 1


def test_the_embedder_of_the_settings_is_asked_once(session: Session) -> None:
    pile = cast.catalog(session)
    first = embeddings.request(session, pile.id, Settings())
    assert (first.kind, first.queue) == ("photos.embed", "cpu")
    assert embeddings.request(session, pile.id, Settings()).id == first.id
    other: Job = embeddings.request(session, pile.id, Settings(embedder="google/siglip2-base-patch16-224"))
    assert (other.kind, other.queue) == ("photos.encode", "gpu")
    with pytest.raises(NotFound):
        embeddings.request(session, 0, Settings())
