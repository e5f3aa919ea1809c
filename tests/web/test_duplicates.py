"""The page of duplicates: groups by grade, what is said of each, side by side, and that it all comes back."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.duplicate_tables import CopyPair, DuplicateMember
from app.catalog.tables import Catalog, Image, Signals
from app.jobs import Job
from app.people import Person
from app.review import best_order, duplicates, group_reading
from app.review.tables import BestOrder
from tests import cast


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session, "Autumn 2026")


@pytest.fixture
def photos(session: Session, pile: Catalog) -> list[Image]:
    return [cast.image(session, pile, f"Jacket {number}", caption="A jacket.") for number in range(3)]


@pytest.fixture
def group_id(session: Session, pile: Catalog, photos: list[Image]) -> int:
    return cast.alike(session, pile, photos)


def page(client: TestClient, pile: Catalog, **asked: str) -> str:
    answer = client.get(f"/catalogs/{pile.id}/duplicates", params=asked)
    assert answer.status_code == 200
    return " ".join(answer.text.split())


def test_a_catalog_without_photos_or_groups_says_so(client: TestClient, session: Session, pile: Catalog) -> None:
    assert "No photos yet" in page(client, pile)
    cast.red_kettle(session, pile)
    shown = page(client, pile)
    assert "No open group" in shown and "1 photo has not been compared" in shown
    assert "No group is settled yet" in page(client, pile, state="settled")
    assert "% settled" not in page(client, pile), "a share of no groups"
    assert client.get(f"/catalogs/{pile.id}/duplicates?grade=like").status_code == 404


def test_looking_for_duplicates_is_asked_for_once(client: TestClient, session: Session, pile: Catalog) -> None:
    cast.red_kettle(session, pile)
    for _ in range(2):
        assert client.post(f"/catalogs/{pile.id}/duplicates").status_code == 303
    assert session.scalars(select(Job.kind)).all() == ["signals.measure"]
    assert "Photos are being compared" in page(client, pile)


def test_a_group_is_shown_with_its_best_and_why(
    client: TestClient, pile: Catalog, photos: list[Image], group_id: int
) -> None:
    shown = page(client, pile, grade="photo")
    assert "1 group holds 3 of 3 photos" in shown and "Same photo" in shown and "most real pixels" in shown
    assert "smaller, recompressed" in shown and f"group-{group_id}" in shown
    assert "Keep best in the one sure group" in shown and "Links 2 photos" in shown
    assert f"group-{group_id}" not in page(client, pile, grade="product")


def test_the_best_is_kept_the_rest_linked_and_one_undo_takes_it_back(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image], group_id: int, me: Person
) -> None:
    address = f"/catalogs/{pile.id}/duplicates/{group_id}"
    assert client.post(address, data={"kind": "linked", "seen_id": "0"}).status_code == 303
    assert f"best kept, 2 linked by {me.name}" in page(client, pile, state="settled")
    grid = client.get(f"/catalogs/{pile.id}?q=linked:yes").text
    assert "2 photos" in grid and "linked to another" in grid
    assert "+2" in client.get(f"/catalogs/{pile.id}?q=best:yes").text
    assert client.post("/undo", data={"next": f"/catalogs/{pile.id}/duplicates"}).status_code == 303
    assert f"group-{group_id}" in page(client, pile)
    assert session.scalar(select(Image.id).where(Image.is_linked).limit(1)) is None


def test_all_sure_groups_at_once(client: TestClient, pile: Catalog, group_id: int) -> None:
    address = f"/catalogs/{pile.id}/duplicates/sure"
    refused = client.post(address, data={"expected_count": "9"})
    assert refused.status_code == 409 and "nothing was linked" in refused.text
    assert client.post(address, data={"expected_count": "1"}).status_code == 303
    assert "best kept, 2 linked" in page(client, pile, state="settled")


def test_variants_are_shown_apart_and_never_linked(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image], group_id: int, me: Person
) -> None:
    session.get_one(DuplicateMember, (group_id, photos[2].id)).is_variant = True
    session.flush()
    assert "variant, kept apart" in page(client, pile)
    assert duplicates.rule(session, group_id, me, "linked").linked == 1
    session.expire_all()
    assert [photo.is_linked for photo in photos] == [False, True, False]


def test_two_photos_stand_side_by_side(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image], group_id: int
) -> None:
    photos[2].width_px = 400
    session.flush()
    address = f"/catalogs/{pile.id}/duplicates/{group_id}"
    shown = client.get(address, params={"other": photos[2].id}).text
    assert "400 × 600" in shown and 'class="differs"' in shown and f"/images/{photos[0].id}/view" in shown
    assert client.get(address, params={"other": 999_999}).status_code == 404
    assert client.get(f"/catalogs/{pile.id}/duplicates/999999").status_code == 404
    other = cast.catalog(session)
    assert client.get(f"/catalogs/{other.id}/duplicates/{group_id}").status_code == 404


def test_what_cannot_be_said_is_refused(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image], group_id: int, me: Person
) -> None:
    address = f"/catalogs/{pile.id}/duplicates/{group_id}"
    assert client.post(address, data={"kind": "delete"}).status_code == 422
    ben = cast.person(session, "Ben")
    duplicates.rule(session, group_id, ben, "kept")
    answer = client.post(address, data={"kind": "linked", "seen_id": "0"})
    assert answer.status_code == 409 and "Ben has settled this group otherwise" in answer.text


def test_another_order_shows_what_it_would_change_before_it_is_chosen(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image], group_id: int, me: Person
) -> None:
    for at, photo in enumerate(photos):
        signals = session.get_one(Signals, photo.id)
        signals.sharpness, photo.width_px = 0.3 + 0.2 * at, 1000 - 100 * at
    session.flush()
    usual = "whole,unmarked,not enlarged,largest,least compressed,sharpest"
    moved = "sharpest,whole,unmarked,not enlarged,largest,least compressed"
    shown = page(client, pile)
    assert "would have another best" not in shown
    up = "whole,unmarked,not enlarged,largest,sharpest,least compressed"
    assert f"order={up}" in shown and "order=whole" in shown
    assert "0 of 1 open group would have another best" in page(client, pile, order=up)
    proposed = page(client, pile, order=moved)
    assert "1 of 1 open group would have another best" in proposed
    assert client.get(f"/catalogs/{pile.id}/duplicates", params={"order": "largest"}).status_code == 422
    address = f"/catalogs/{pile.id}/duplicates/order"
    assert client.post(address, data={"order": moved}).status_code == 303
    assert session.scalars(select(Job.kind)).all() == ["photos.group"]
    assert best_order.order_of(session, pile.id)[0] == "sharpest"
    duplicates.regroup(session, pile.id)
    assert "would have another best" not in page(client, pile, order=moved)
    assert client.post(address, data={"order": usual}).status_code == 303
    history = session.execute(select(BestOrder.superseded_at.is_(None), BestOrder.person_id)).all()
    assert sorted(history) == [(False, me.id), (True, me.id)]


def test_how_much_copies_differ_is_shown_with_the_line_behind_which_people_look(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image]
) -> None:
    assert "How much copies differ" not in page(client, pile)
    for other, rest in ((1, 0.0), (2, 0.12)):
        session.add(
            CopyPair(
                first_id=photos[0].id, second_id=photos[other].id, catalog_id=pile.id, rest=rest, pose=0, cut=0.0,
                first_frame=0, second_frame=0, is_variant=False,
            )
        )  # fmt: skip
    session.flush()
    assert group_reading.distances(session, pile.id).bins == (1, *[0] * 17, 1, 0, 0, 0)
    shown = page(client, pile)
    assert "How much copies differ" in shown and "Past the line: 1 pair shown to a person" in shown
