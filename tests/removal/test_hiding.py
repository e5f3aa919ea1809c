"""What an owner removed is shown and found nowhere, and what removes it is neither stopped nor forgotten."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import jobs
from app.catalog import lettering, reading
from app.catalog.duplicate_tables import CopyPair, DuplicateGroup, DuplicateMember
from app.catalog.tables import Image, Lettering
from app.catalog.text_lines import TextLine
from app.datasets.tables import Member
from app.errors import Refused
from app.jobs import Job
from app.people import Person
from app.removal import catalogs, photos
from app.review.duplicates import regroup, rule
from app.storage import Storage
from tests import cast
from tests.datasets import cast as datasets
from tests.training.cast import one_run


@pytest.fixture
def owner(session: Session) -> Person:
    return cast.person(session, role="owner")


def pair(session: Session, one: Image, other: Image) -> None:
    """Two photos that were found to be copies."""
    session.add(CopyPair(
        first_id=one.id, second_id=other.id, catalog_id=one.catalog_id, rest=0.01, pose=0, cut=0.0, first_frame=0,
        second_frame=0,
    ))  # fmt: skip
    session.flush()


def test_a_removed_photo_that_a_version_holds_is_neither_shown_nor_found(
    session: Session, storage: Storage, owner: Person, client: TestClient
) -> None:
    pile = cast.catalog(session)
    held, twin = (datasets.kept(session, storage, pile, caption="A red kettle.") for _ in range(2))
    version = datasets.frozen(session, storage, pile)
    lettering.record(session, 1, {held.id: [TextLine("ORGANIC", 0.99, (0.1, 0.1, 0.2, 0.2))]})
    pair(session, held, twin)
    regroup(session, pile.id)
    assert session.scalars(select(DuplicateGroup)).all()
    held_id, catalog_id = held.id, pile.id
    assert photos.remove(session, storage, held_id, owner, "asked for").kept == 1
    assert session.get(Lettering, held_id) is None
    assert not session.scalars(select(DuplicateMember).where(DuplicateMember.image_id == held_id)).all()
    assert not session.scalars(select(CopyPair)).all()
    for address in ("thumb", "view", "original", "evidence", "card", ""):
        answer = client.get(f"/images/{held_id}/{address}".rstrip("/"))
        assert (answer.status_code, "was removed" in answer.text) == (404, True), address
    page = client.get(f"/datasets/{version.id}").text
    assert f"/images/{held_id}/thumb" not in page and f"/images/{twin.id}/thumb" in page
    assert "kept for this version" in page
    regroup(session, catalog_id)
    assert not session.scalars(select(DuplicateGroup)).all()


def test_a_photo_that_was_once_said_to_be_the_best_of_its_group_goes(
    session: Session, storage: Storage, owner: Person
) -> None:
    pile = cast.catalog(session)
    first, second, third = (cast.image(session, pile) for _ in range(3))
    for one, other in ((first, second), (first, third), (second, third)):
        pair(session, one, other)
    regroup(session, pile.id)
    group = session.scalars(select(DuplicateGroup)).one()
    for best in (third, second, first):
        rule(session, group.id, owner, "best", best.id)
    photos.remove(session, storage, second.id, owner, "")
    asked = session.scalars(select(Job).where(Job.kind == "photos.group", Job.state == "queued")).one()
    assert asked.arguments == {"catalog_id": pile.id}


def test_what_learned_from_a_photo_is_listed_before_it_goes(session: Session) -> None:
    run = one_run(session)
    member = session.scalars(select(Member).where(Member.version_id == run.version_id)).first()
    assert member is not None
    told = photos.consequences(session, reading.photo(session, member.image_id))
    assert told.stays[-1] == "what 1 run learned from it: checkpoints, models and samples"


def test_removing_a_catalog_ends_what_nothing_waits_for_and_is_itself_not_stopped(
    session: Session, owner: Person
) -> None:
    pile = cast.catalog(session)
    asked = [jobs.request(session, kind, {"catalog_id": pile.id}) for kind in ("photos.read_text", "photos.group")]
    claim = jobs.claim(session, asked[1].id, "here:1")
    removing = catalogs.remove(session, pile.id, owner)
    session.expire_all()
    assert (asked[0].state, asked[1].state, asked[1].is_cancel_asked) == ("cancelled", "running", True)
    assert claim is not None and jobs.beat(session, claim)
    with pytest.raises(Refused, match="half-way"):
        jobs.cancel(session, removing.id, owner)
    assert catalogs.go_on_removing(session) == [], "nothing is left of an empty one"


def test_a_catalog_whose_removal_broke_off_is_deleted_after_the_next_start(session: Session, owner: Person) -> None:
    pile = cast.catalog(session)
    cast.image(session, pile)
    removing = catalogs.remove(session, pile.id, owner)
    assert [job.id for job in catalogs.go_on_removing(session)] == [removing.id], "it is under way"
    removing.state = "failed"
    session.flush()
    (again,) = catalogs.go_on_removing(session)
    assert (again.kind, again.arguments, again.state) == (catalogs.KIND, {"catalog_id": pile.id}, "queued")
