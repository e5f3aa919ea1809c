"""Which photos a trainer is shown more than once."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.datasets import freezing
from app.datasets.manifest import content_hash, read_manifest
from app.datasets.repeats import RULES_AT_MOST, TIMES_AT_MOST, Repeat, read
from app.datasets.tables import DatasetVersion, Member
from app.errors import Refused
from app.selection.kinds import NotUnderstood
from app.storage import Storage
from tests import cast
from tests.datasets.cast import kept


def test_photos_are_repeated_as_asked_and_held_out_ones_never(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    for number in range(20):
        kept(session, storage, pile, product=f"P{number}", category="Hats" if number < 10 else "Shoes")
    asked = [Repeat('category:"hats"', 3), Repeat("", 9), Repeat("category:shoes", 1)]
    version = freezing.request_freeze(session, pile.id, repeated=asked)
    freezing.freeze(session, storage, version)
    assert version.repeats == [{"query": "category:hats", "times": 3}]
    rows = read_manifest(storage.dataset_folder(version.id) / freezing.MANIFEST)
    repeated = {row.group for row in rows if row.repeats == 3}
    assert repeated == {f"p{number}" for number in range(10)} - {row.group for row in rows if row.split != "train"}
    assert {row.repeats for row in rows if row.group not in repeated} == {1}
    members = session.execute(select(Member.group, Member.repeats).where(Member.version_id == version.id))
    assert {row.group: row.repeats for row in rows} == {name: times for name, times in members}  # noqa: C416
    shown = {value: times for value, _, times in (version.summary or {})["category"]["values"]}
    assert shown == {"Hats": 10 + 2 * len(repeated), "Shoes": 10}


def test_repeats_are_part_of_the_content_and_once_is_as_if_never_said(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    kept(session, storage, pile, category="Hats")

    def hashed(repeated: list[Repeat]) -> str | None:
        version = freezing.request_freeze(session, pile.id, repeated=repeated)
        freezing.freeze(session, storage, version)
        rows = read_manifest(storage.dataset_folder(version.id) / freezing.MANIFEST)
        assert version.content_hash == content_hash(rows)
        return version.content_hash

    assert hashed([]) == hashed([Repeat("category:hats", 1)]) != hashed([Repeat("category:hats", 2)])


def test_the_most_of_several_rules_counts(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    photo = kept(session, storage, pile, category="Hats")
    asked = [Repeat("category:hats", 4), Repeat(f"id:{photo.id}", 2), Repeat(" category:hats", 3)]
    version = freezing.request_freeze(session, pile.id, repeated=asked)
    assert [each.repeats for each in freezing.gather(session, version).candidates] == [4]


@pytest.mark.parametrize("times", [0, -1, TIMES_AT_MOST + 1])
def test_what_cannot_be_repeated_is_refused(session: Session, storage: Storage, times: int) -> None:
    pile = cast.catalog(session)
    kept(session, storage, pile)
    with pytest.raises(Refused, match=f"shown 1 to {TIMES_AT_MOST} times"):
        freezing.request_freeze(session, pile.id, repeated=[Repeat("category:hats", times)])
    with pytest.raises(NotUnderstood):
        read([Repeat("catgory:hats", 2)], pile.id)
    with pytest.raises(Refused, match=f"at most {RULES_AT_MOST}"):
        read([Repeat(f"id:{number}", 2) for number in range(1, RULES_AT_MOST + 2)], pile.id)
    assert session.scalar(select(DatasetVersion.id).where(DatasetVersion.catalog_id == pile.id)) is None
