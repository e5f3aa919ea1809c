"""Photos by their looks, from codes in memory: as SQL finds them, following commits, in any order and on any page."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from app.catalog import embeddings, look_codes
from app.catalog.embeddings import EmbedderFacts
from app.catalog.tables import Catalog, Embedding, EmbeddingSpace, Image
from app.database import transaction
from app.errors import Refused
from app.selection import browse, near
from app.selection.columns import looks
from app.selection.columns.memory import kept_catalogs
from app.selection.ordering import order_named, wished
from app.selection.query import Selection, parse
from tests import cast
from tests.selection.test_columns import write_unseen

FACTS = EmbedderFacts("drawn", "1", "middle", 8, True)
PHOTOS = 60


@pytest.fixture
def catalog_id(engine: Engine, emptied: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Sixty photos, all but six embedded and coded, every third white."""
    monkeypatch.setattr(look_codes, "CODED_FROM", 10)
    monkeypatch.setattr(near, "NEAREST", 12)
    with transaction(engine) as session:
        pile = cast.catalog(session)
        ids = [cast.image(session, pile, background="white" if number % 3 else "scene").id for number in range(PHOTOS)]
        space = embeddings.space_of(session, FACTS)
        draw = np.random.default_rng(3)
        vectors = draw.normal(size=(PHOTOS, 8))
        embeddings.record(session, space, {ids[n]: unit(vectors[n]) for n in range(PHOTOS) if n % 10})
        embeddings.record_phrase(session, space, "red mug", unit(draw.normal(size=8)))
        assert look_codes.lay(session, space)
        pile_id = pile.id
    yield pile_id


def unit(vector: np.ndarray) -> list[float]:
    return [float(value) for value in vector / np.linalg.norm(vector)]


def ids_of(session: Session, catalog_id: int) -> list[int]:
    return list(session.scalars(select(Image.id).where(Image.catalog_id == catalog_id).order_by(Image.id)))


def kept_codes(engine: Engine, catalog_id: int) -> dict[int, looks.SpaceCodes]:
    with kept_catalogs(engine).reading(catalog_id) as read:
        assert read is not None
        return dict(read[0].looks._spaces)


def agree(engine: Engine, catalog_id: int, query: str, sort: str) -> list[int]:
    """Every question is answered alike from memory and in SQL; what is shown."""
    chosen = parse(query, catalog_id)
    with Session(engine) as session, Session(engine) as plain:
        write_unseen(plain)
        shown = [tile.id for tile in browse.page(session, chosen, sort, size=200)]
        assert shown == [tile.id for tile in browse.page(plain, chosen, sort, size=200)], (query, sort)
        assert len(shown) == browse.count(session, chosen) == browse.count(plain, chosen)
        for photo in ids_of(session, catalog_id)[5::25]:
            here = browse.neighbours(session, chosen, sort, photo, 4, 4)
            assert here == browse.neighbours(plain, chosen, sort, photo, 4, 4), (query, sort, photo)
            place = browse.position(session, chosen, sort, photo)
            assert place == browse.position(plain, chosen, sort, photo), (query, sort, photo)
            assert browse.at(session, chosen, sort, place) == browse.at(plain, chosen, sort, place)
        assert browse.at(session, chosen, sort, 500) == browse.at(plain, chosen, sort, 500) is None
    return shown


def test_filters_and_orders_by_looks_answer_as_sql(engine: Engine, catalog_id: int) -> None:
    with Session(engine) as session:
        ids = ids_of(session, catalog_id)
    a, b, c, unseen = ids[5], ids[17], ids[33], ids[10]
    queries = (
        "", "background:white", f"similar:{a}", f"similar:{a},{b} background:white", f"-similar:{a}",
        f"like:{a},{b} unlike:{c}", f"unlike:{c}", f"-unlike:{c}", f"similar:{unseen}", f"similar:{a} or unlike:{b}",
        'looks:"red mug"', f'looks:"red mug",never similar:{a}', f"id:{a},{b},{c},{unseen}",
    )  # fmt: skip
    sorts = (
        "newest", "alike", f"alike:similar:{b}", f"alike:like:{a},{b} unlike:{c}", 'alike:looks:"red mug"',
        f"alike:similar:{unseen}", f'alike:similar:{a},{b} looks:"red mug"',
    )  # fmt: skip
    for place, query in enumerate(queries):
        agree(engine, catalog_id, query, sorts[place % len(sorts)])
    for sort in sorts:
        agree(engine, catalog_id, "background:white", sort)
    assert kept_codes(engine, catalog_id), "codes were asked"


def test_all_of_a_selection_is_gone_through_from_the_most_alike_to_the_least(engine: Engine, catalog_id: int) -> None:
    with Session(engine) as session:
        ids = ids_of(session, catalog_id)
        vectors = {row.image_id: np.array(row.vector) for row in session.scalars(select(Embedding))}
    shown = agree(engine, catalog_id, "background:white", f"alike:similar:{ids[5]}")
    white = [number for place, number in enumerate(ids) if place % 3]
    apart = {number: 1 - float(vector @ vectors[ids[5]]) for number, vector in vectors.items()}
    seen = [number for number in shown if number in vectors]
    assert sorted(shown) == white and shown[0] == ids[5]
    assert [apart[number] for number in seen] == pytest.approx(sorted(apart[number] for number in seen), abs=1e-3)
    assert shown[len(seen) :] == [number for number in white if number not in vectors], "not embedded: last, by number"


def test_only_the_nearest_by_codes_are_put_in_order_by_their_vectors(
    engine: Engine, catalog_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Session(engine) as session:
        ids = ids_of(session, catalog_id)
    sort = f"alike:similar:{ids[5]}"
    exact = agree(engine, catalog_id, "background:white", sort)
    kept_catalogs(engine).forget()
    monkeypatch.setattr(looks, "LOOKED_AT", 10)
    with Session(engine) as session:
        chosen = parse("background:white", catalog_id)
        shown = [tile.id for tile in browse.page(session, chosen, sort, size=7)]
        while behind := browse.page(session, chosen, sort, after=shown[-1], size=7):
            shown += [tile.id for tile in behind]
        assert sorted(shown) == sorted(exact), "each once, however far one goes"
        assert shown[0] == ids[5]
        assert shown[:10] == [number for number in exact if number in shown[:10]], "exact among the nearest by codes"
        assert shown[-4:] == exact[-4:], "not embedded"
        for place, number in enumerate(shown, 1):
            assert browse.position(session, chosen, sort, number) == place
            assert browse.at(session, chosen, sort, place + 1) == number
        outside = ids[3]
        before, after = browse.neighbours(session, chosen, sort, outside, 40, 40)
        assert before + after == shown, "one that the filter does not hold has a place among them"


def test_codes_follow_commits(engine: Engine, catalog_id: int) -> None:
    with Session(engine) as session:
        ids, space = ids_of(session, catalog_id), session.scalars(select(EmbeddingSpace.id)).one()
        aim = session.get_one(Embedding, ids[5]).vector
    query = f"similar:{ids[5]}"

    def first() -> list[int]:
        for sort in (f"alike:similar:{ids[5]}", "newest"):
            agree(engine, catalog_id, "background:white", sort)
        return agree(engine, catalog_id, query, "alike")[:2]

    first()
    read = kept_codes(engine, catalog_id)[space]
    with transaction(engine) as session:
        new = cast.image(session, session.get_one(Catalog, catalog_id), background="white").id
        embeddings.record(session, space, {new: aim})
    assert first() == [ids[5], new], "a new photo"
    with transaction(engine) as session:
        embeddings.record(session, space, {ids[10]: aim, new: unit(-np.array(aim))})
    words = read._words
    assert first() == [ids[5], ids[10]], "one that waited, and one that looks otherwise now"
    with Session(engine) as early:
        embeddings.record(early, space, {ids[20]: aim})
        with transaction(engine) as later:
            embeddings.record(later, space, {ids[30]: aim})
        assert first() == [ids[5], ids[10]]
        assert agree(engine, catalog_id, query, "alike")[2] == ids[30]
        early.commit()
    assert agree(engine, catalog_id, query, "alike")[:4] == [ids[5], ids[10], ids[20], ids[30]], "committed late"
    with transaction(engine) as session:
        session.execute(text("delete from embedding where image_id = :id"), {"id": ids[10]})
        session.execute(text("delete from image where id = :id"), {"id": ids[20]})
    assert first() == [ids[5], ids[30]], "one without a vector any more, and one that is gone"
    with transaction(engine) as session:
        other = embeddings.space_of(session, EmbedderFacts("another", "1", "middle", 4, False))
        embeddings.record(session, other, {ids[30]: [1.0, 0.0, 0.0, 0.0], ids[31]: [0.0, 1.0, 0.0, 0.0]})
    assert ids[30] not in first(), "seen by another embedder now"
    assert agree(engine, catalog_id, f"similar:{ids[31]}", "alike") == [ids[31], ids[30]]
    assert kept_codes(engine, catalog_id)[space] is read, "all this without reading them anew"
    assert read._words is words, "nor copying them all, which would take as much again"
    with transaction(engine) as session:
        session.execute(text("update embedding_space set coded_photos = 1"))
        assert look_codes.lay(session, space)
    first()


def test_codes_of_a_large_catalog_are_read_beside_the_request_and_let_go(
    engine: Engine, catalog_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "WITHIN_REQUEST", 10)
    with Session(engine) as session:
        ids = ids_of(session, catalog_id)
        kept = kept_catalogs(engine)
        order = [tile.id for tile in browse.page(session, Selection(catalog_id), f"alike:similar:{ids[5]}", size=20)]
        kept.settle()
        assert kept_codes(engine, catalog_id)
        assert [n.id for n in browse.page(session, Selection(catalog_id), f"alike:similar:{ids[5]}", size=20)] == order
    with kept.reading(catalog_id) as read:
        assert read is not None
        assert read[0].looks.memory_bytes > PHOTOS * 64
        (codes,) = read[0].looks._spaces.values()
        read[0].looks.let_go(codes.asked_at + looks.LET_GO_AFTER_S + 1)
        assert read[0].looks.memory_bytes == 0
    assert agree(engine, catalog_id, "", f"alike:similar:{ids[5]}")[:20] == order


def test_what_was_worked_out_before_codes_were_read_anew_is_not_shown(
    engine: Engine, catalog_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Session(engine) as session:
        ids, space = ids_of(session, catalog_id), session.scalars(select(EmbeddingSpace.id)).one()
        aim = session.get_one(Embedding, ids[5]).vector
    query, sort = f"similar:{ids[5]}", f"alike:similar:{ids[5]}"
    agree(engine, catalog_id, query, sort)
    read = kept_codes(engine, catalog_id)[space]
    with transaction(engine) as session:
        embeddings.record(session, space, dict.fromkeys(ids[40:45], aim))
    with kept_catalogs(engine).reading(catalog_id) as held:
        assert held is not None
        held[0].looks.let_go(read.asked_at + looks.LET_GO_AFTER_S + 1)
    assert agree(engine, catalog_id, query, sort)[:6] == [ids[5], *ids[40:45]]
    monkeypatch.setattr(looks, "_FEW", 2)
    with transaction(engine) as session:
        embeddings.record(session, space, dict.fromkeys(ids[20:38], aim))
    assert agree(engine, catalog_id, query, sort)[:4] == [ids[5], *ids[20:23]]
    assert kept_codes(engine, catalog_id)[space] is not read


def test_photos_without_codes_are_each_looked_at(
    engine: Engine, catalog_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction(engine) as session:
        session.execute(text("delete from look_code"))
        session.execute(text("delete from look_axis"))
        session.execute(text("update embedding_space set coded_photos = 0"))
        ids = ids_of(session, catalog_id)
    order = agree(engine, catalog_id, "", f"alike:similar:{ids[5]}")
    monkeypatch.setattr(looks, "LOOKED_AT_ALL", 3)
    assert agree(engine, catalog_id, "", f"alike:similar:{ids[5]}") == order, "SQL looks at many"
    assert not kept_codes(engine, catalog_id)


@pytest.mark.parametrize(
    ("sort", "sentence"),
    [
        ("loudest", "is not a sort order"),
        ("alike:", "is not a sort order"),
        ("newest:similar:1", "is not a sort order"),
        ("alike:category:lamps", "similar, like, unlike and looks alone"),
        ("alike:similar:1 or similar:2 lamp", "similar, like, unlike and looks alone"),
        ("alike:-similar:1", "similar, like, unlike and looks alone"),
        ("alike:unlike:1", "shall look like"),
        ("alike:similar:x", "not the number of a photo"),
    ],
)
def test_an_order_that_is_none_is_refused(sort: str, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        order_named(sort)


def test_an_order_by_looks_says_what_it_goes_by() -> None:
    label = order_named("alike:like:12,15 unlike:18").label
    assert label == "Most alike first: more like photos 12 or 15, not like photo 18"
    assert wished(Selection(1), "alike:like:12,15 unlike:18") == ((near.Aim((12, 15), (18,)),),)
    assert wished(Selection(1), "newest") == () == wished(Selection(1), "alike")


def test_an_order_is_of_the_photos_that_are_there_now(engine: Engine, catalog_id: int) -> None:
    """One without a code goes and another comes: as many rows as before, which are other photos."""
    with Session(engine) as session:
        ids = ids_of(session, catalog_id)
    sort = f"alike:similar:{ids[5]}"
    agree(engine, catalog_id, "", sort)
    with transaction(engine) as session:
        session.delete(session.get_one(Image, ids[10]))
        cast.image(session, session.get_one(Catalog, catalog_id), background="white")
    agree(engine, catalog_id, "", sort)
