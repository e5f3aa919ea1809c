"""What the pages tell about versions."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from app.captions import writing
from app.datasets import card, freezing, reading
from app.errors import NotFound, Refused
from app.storage import Storage
from tests import cast
from tests.datasets.cast import frozen, kept, suggested


def test_contents_count_categories_products_and_people(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    photos = [
        kept(session, storage, pile, product=f"P{n // 2}", category="Shoes" if n < 4 else None) for n in range(12)
    ]
    writing.rewrite(
        session, photos[0].id, "Ana's words.", cast.person(session), writing.history(session, photos[0].id)[0].id
    )
    writing.propose(session, photos[1], "A model’s words.", "Qwen/Qwen2-VL", {})
    writing.give(session, photos[2].id, "Given words.", "metadata.csv", 3)
    version = frozen(session, storage, pile)

    found = reading.contents(session, version)

    assert [(one.category, one.train + one.validation) for one in found.categories] == [(None, 8), ("Shoes", 4)]
    assert sum(one.validation for one in found.categories) == version.validation_count > 0
    assert sum(found.products.values()) == 6
    assert (found.leaking, found.twin) == (0, None)
    assert [(one.written_by, one.name, one.count) for one in found.writers] == [
        ("person", "Ana", 1), ("captioner", "facts", 9), ("captioner", "Qwen/Qwen2-VL", 1), ("given", "", 1),
    ]  # fmt: skip
    told = card.card(session, version.id)
    assert "| Qwen/Qwen2-VL | 1 |" in told
    assert "1 were written by people, 10 by captioners, 1 came with the photos." in told and "Ana" not in told


def test_a_version_of_the_same_photos_knows_its_twin(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    kept(session, storage, pile)
    first = frozen(session, storage, pile)
    assert reading.contents(session, frozen(session, storage, pile)).twin is first


def test_members_come_page_by_page_in_order(
    session: Session, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 4)
    pile = cast.catalog(session)
    photos = [kept(session, storage, pile) for _ in range(10)]
    version = frozen(session, storage, pile)
    seen: list[int] = []
    while page := reading.members(session, version.id, after=seen[-1] if seen else 0):
        seen += [one.image_id for one in page]
    assert seen == [photo.id for photo in photos]
    held_out = reading.members(session, version.id, "validation")
    assert {one.split for one in held_out} == {"validation"}
    with pytest.raises(Refused, match="not in “test”"):
        reading.members(session, version.id, "test")


def test_versions_are_listed_newest_first_with_who_asked(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session, "Autumn")
    kept(session, storage, pile)
    first = frozen(session, storage, pile)
    ana = cast.person(session)
    second = freezing.request_freeze(session, pile.id, person=ana)
    listed = [one for one in reading.versions(session) if one.version.catalog_id == pile.id]
    assert [(one.version, one.catalog_name, one.by) for one in listed] == [
        (second, "Autumn", "Ana"),
        (first, "Autumn", None),
    ]
    job = reading.get(session, second.id).job
    assert job is not None
    assert job.state == "queued"
    with pytest.raises(NotFound):
        reading.get(session, second.id + 1_000_000)


def test_piles_tell_what_can_be_frozen(session: Session, storage: Storage) -> None:
    empty, pile = cast.catalog(session), cast.catalog(session, "Autumn")
    cast.red_kettle(session, empty)
    kept(session, storage, pile)
    kept(session, storage, pile, caption=None)
    suggested(session, storage, pile, caption=None)
    suggested(session, storage, pile)
    suggested(session, storage, pile)
    found = {one.catalog_id: one for one in reading.piles(session)}
    assert empty.id not in found
    assert found[pile.id] == reading.Pile(pile.id, "Autumn", 2, 1, suggested=3, suggested_captioned=2)
