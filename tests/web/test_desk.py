"""The desk: the queue, neighbours in a selection, decisions by form and by script, conflicts, and its end."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.captions.writing import give
from app.catalog.tables import Catalog, Image
from app.desk.queue import upcoming
from app.people import Person
from app.review.decisions import apply_rules, current, decide
from tests import cast

JSON = {"Accept": "application/json"}


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session, "Autumn 2026")


@pytest.fixture
def photos(session: Session, pile: Catalog) -> list[Image]:
    found = [cast.image(session, pile, f"Kettle {number}", caption=f"Red kettle {number}.") for number in range(5)]
    session.flush()
    return found


def test_the_desk_starts_at_the_head_of_the_queue(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image], me: Person
) -> None:
    wrong = cast.image(session, pile, caption="Green kettle.")
    apply_rules(session, [wrong.id])
    assert client.get("/desk").headers["location"] == f"/images/{wrong.id}"
    answer = client.get(f"/images/{wrong.id}")
    assert answer.status_code == 200
    row = answer.context["row"]  # type: ignore[attr-defined]
    assert [tile.id for tile in row.after] == upcoming(session, pile.id, me, after=wrong.id)
    assert "Contradictions first" in answer.text
    assert "says <b>green</b>, measured <b>red</b>" in answer.text


def test_the_desk_follows_a_selection_in_its_order(client: TestClient, photos: list[Image]) -> None:
    answer = client.get(f"/images/{photos[2].id}", params={"q": "kettle", "sort": "oldest"})
    row = answer.context["row"]  # type: ignore[attr-defined]
    assert [tile.id for tile in row.before] == [photos[0].id, photos[1].id]
    assert row.next_href == f"/images/{photos[3].id}?q=kettle&sort=oldest"
    assert "Photo 3 of 5" in answer.text
    assert "mentioning “kettle”" in answer.text
    last = client.get(f"/images/{photos[4].id}", params={"q": "kettle", "sort": "oldest"})
    assert last.context["row"].next_href.startswith("/catalogs/")  # type: ignore[attr-defined]


def test_a_form_decides_and_leads_on(client: TestClient, session: Session, photos: list[Image]) -> None:
    answer = client.post(
        f"/images/{photos[0].id}/decisions",
        data={"verdict": "rejected:blurred", "expected_id": "0", "next": f"/images/{photos[1].id}"},
    )
    assert (answer.status_code, answer.headers["location"]) == (303, f"/images/{photos[1].id}")
    session.expire_all()
    decision = current(session, photos[0].id)
    assert decision is not None and (decision.verdict, decision.reason) == ("rejected", "blurred")
    back = client.get(f"/images/{photos[1].id}").context["row"]  # type: ignore[attr-defined]
    assert [tile.id for tile in back.before] == [photos[0].id]


def test_a_photo_has_one_place_in_the_row(
    client: TestClient, session: Session, photos: list[Image], pile: Catalog, me: Person
) -> None:
    for photo in photos[:3]:
        decide(session, photo, me, "needs_work")
    for photo in photos:
        row = client.get(f"/images/{photo.id}").context["row"]  # type: ignore[attr-defined]
        places = [tile.id for tile in (*row.before, row.here, *row.after)]
        assert len(set(places)) == len(places)
        assert row.after or upcoming(session, pile.id, me, after=photo.id) == []


def test_the_way_on_stays_in_this_house(client: TestClient, photos: list[Image]) -> None:
    answer = client.post(f"/images/{photos[0].id}/decisions", data={"verdict": "kept", "next": "//evil.example"})
    assert answer.headers["location"] == "/"


def test_a_script_gets_what_happened(client: TestClient, photos: list[Image]) -> None:
    sent = {"verdict": "kept", "expected_id": "0"}
    answer = client.post(f"/images/{photos[0].id}/decisions", data=sent, headers=JSON)
    assert answer.json()["sentence"] == "Kept Kettle 0"
    assert answer.json()["waiting"] == {
        "contradicted": 0,
        "doubted": 0,
        "unseen": 4,
        "needs_work": 0,
        "photos": 5,
        "total": 4,
    }
    undone = client.post("/undo", headers=JSON).json()
    assert undone == {
        "sentence": "Kettle 0 is not decided any more.", "image_id": photos[0].id, "count": 1,
        "mark": "", "decision_id": 0,
    }  # fmt: skip


def test_the_second_of_two_people_sees_what_the_first_did(
    client: TestClient, session: Session, photos: list[Image]
) -> None:
    decide(session, photos[0], cast.person(session, "Mei"), "kept")
    answer = client.post(
        f"/images/{photos[0].id}/decisions", data={"verdict": "rejected", "expected_id": "0"}, headers=JSON
    )
    assert answer.status_code == 409
    assert answer.json()["error"] == {
        "title": "Changed by someone else", "sentence": "Mei kept this photo a moment ago.", "other": "kept",
    }  # fmt: skip


def test_the_end_of_the_queue(client: TestClient, session: Session, photos: list[Image], me: Person) -> None:
    for photo in photos:
        decide(session, photo, me, "kept")
    answer = client.get("/desk")
    assert answer.status_code == 200
    assert "Nothing is left to review: every one of the 5 photos" in answer.text


def test_the_desk_without_photos(client: TestClient) -> None:
    assert "No photos yet." in client.get("/desk").text


def test_an_unknown_photo_and_an_unknown_verdict(client: TestClient, photos: list[Image]) -> None:
    assert client.get("/images/999999999").status_code == 404
    assert client.post("/images/999999999/decisions", data={"verdict": "kept"}).status_code == 404
    answer = client.post(f"/images/{photos[0].id}/decisions", data={"verdict": "maybe"}, headers=JSON)
    assert answer.status_code == 422
    assert client.get(f"/images/{photos[0].id}", params={"q": "shiny:yes"}).status_code == 422


def test_a_photo_without_signals_or_caption_has_its_page(client: TestClient, session: Session, pile: Catalog) -> None:
    from app.catalog.tables import Signals

    bare = cast.image(session, pile, title=None)
    session.delete(session.get_one(Signals, bare.id))
    session.flush()
    text = client.get(f"/images/{bare.id}").text
    assert "Not measured yet." in text and bare.file_name in text


def test_history_shows_who_and_what(client: TestClient, session: Session, photos: list[Image], me: Person) -> None:
    decide(session, photos[0], me, "kept")
    decide(session, photos[0], me, "rejected", "blurred")
    text = client.get(f"/images/{photos[0].id}").text
    assert "2 decisions," in text
    assert "by Ana: blurred" in text


def test_a_caption_far_too_long_gets_one_sentence(client: TestClient, photos: list[Image]) -> None:
    answer = client.post(f"/images/{photos[0].id}/captions", data={"text": "x" * 100_000}, headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["error"]["sentence"] == "This caption has 100,000 characters; 4,000 is the most."


def test_fixing_a_caption_lets_the_rules_decide_again(client: TestClient, session: Session, pile: Catalog) -> None:
    wrong = cast.image(session, pile, caption="Green kettle.")
    apply_rules(session, [wrong.id])
    seen = client.get(f"/images/{wrong.id}").context["photo"].caption.id  # type: ignore[attr-defined]
    client.post(f"/images/{wrong.id}/captions", data={"text": "Red kettle.", "expected_id": seen})
    session.expire_all()
    decision = current(session, wrong.id)
    assert decision is not None and (decision.verdict, decision.rule) == ("kept", "clean")


@pytest.mark.parametrize(
    ("caption", "said"),
    [
        ("Red kettle.", "Cannot tell about background and framing"),
        ("Blauer Kessel", "says <b>blauer (blue)</b>, measured <b>red</b>"),
        ("כוס כחולה", "Cannot tell about colour, background and framing"),
    ],
)
def test_what_nobody_can_compare_is_said_and_no_agreement(
    client: TestClient, session: Session, pile: Catalog, caption: str, said: str
) -> None:
    photo = cast.image(session, pile, caption=caption)
    text = " ".join(client.get(f"/images/{photo.id}").text.split())
    assert said in text and "nothing disagrees" not in text
    assert "It writes English" in text


def test_a_given_caption_is_named_after_its_file_and_found(client: TestClient, session: Session, pile: Catalog) -> None:
    photo = cast.image(session, pile)
    give(session, photo.id, "a red kettle", "train/metadata.csv", 3)
    text = client.get(f"/images/{photo.id}").text
    assert "train/metadata.csv" in text
    assert "with a caption given in a file" in client.get(f"/catalogs/{pile.id}?q=caption:given").text
