"""Queues over the web: handed out, decided in, skipped, taken back, and seen on the board."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import event, select, update
from sqlalchemy.orm import Session

from app import people
from app.catalog.tables import Catalog, Image
from app.database import utc_now
from app.desk import holding, queues
from app.desk.tables import QueueAnswer, QueuePhoto
from app.people import Person
from app.review import decisions
from app.selection.query import parse
from app.settings import Settings
from tests import cast
from tests.conftest import sign_in


@pytest.fixture
def pile(session: Session) -> Catalog:
    pile = cast.catalog(session)
    for n in range(4):
        cast.image(session, pile, f"Kettle {n}", caption="A red kettle.")
    return pile


@pytest.fixture
def mei(web: FastAPI, session: Session, settings: Settings) -> TestClient:
    return sign_in(web, session, settings, cast.person(session, "Mei", "annotator"))


def opened(browser: TestClient, queue_id: int) -> int:
    """The photo that the queue hands out first."""
    answer = browser.get(f"/desk?queue_id={queue_id}")
    assert answer.status_code == 303, answer.text
    return int(re.findall(r"/images/(\d+)", answer.headers["location"])[0])


def decide(browser: TestClient, queue_id: int, image_id: int, verdict: str = "kept") -> dict[str, object]:
    answer = browser.post(
        f"/images/{image_id}/decisions", data={"verdict": verdict, "queue_id": queue_id, "expected_id": "0"},
        headers={"Accept": "application/json"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    said: dict[str, object] = answer.json()
    return said


def test_a_lead_makes_a_queue_and_hands_it_out(
    session: Session, client: TestClient, mei: TestClient, pile: Catalog
) -> None:
    form = {"name": "Kettles", "q": "", "first": "chance", "overlap": "1"}
    assert client.post(f"/catalogs/{pile.id}/queues", data=form).status_code == 303
    assert mei.post(f"/catalogs/{pile.id}/queues", data=form).status_code == 403
    queue = queues.states(session, pile.id)[0].queue
    board = mei.get(f"/catalogs/{pile.id}/queues").text
    assert "Kettles" in board and "everybody" in board and "Make queue" not in board
    assert client.post(f"/queues/{queue.id}/people", data={"person_id": "999999"}).status_code == 422
    assert client.post(f"/queues/{queue.id}/closing").status_code == 303
    assert "closed" in mei.get(f"/desk?queue_id={queue.id}").text


def test_two_annotators_review_a_queue(
    session: Session, client: TestClient, mei: TestClient, pile: Catalog, me: Person
) -> None:
    queue = queues.make(session, me, parse("", pile.id), "Kettles")
    first = opened(mei, queue.id)
    page = mei.get(f"/images/{first}?queue_id={queue.id}").text
    assert "everybody’s queue" in page and "held for you until" in page and "0</b> of 4" in page
    assert "free: 4 photos left" in client.get(f"/desk?queue_id={queue.id}").text, "all four are in Mei's hands"
    said = decide(mei, queue.id, first)
    assert (said["verdict"], said["queue"]) == ("kept", {"id": queue.id, "left": 3}) and "waiting" not in said
    mei.post("/desk/departure")
    assert opened(client, queue.id) != first
    assert f"{me.name}</b> holds 3 photos" in re.sub(r"\s+", " ", client.get(f"/catalogs/{pile.id}/queues").text)


def test_the_second_pass_does_not_see_the_first(
    session: Session, client: TestClient, mei: TestClient, pile: Catalog, me: Person
) -> None:
    queue = queues.make(session, me, parse("", pile.id), "Twice", overlap=2)
    first = opened(mei, queue.id)
    decide(mei, queue.id, first, "rejected:blurred")
    blind = client.get(f"/images/{first}?queue_id={queue.id}").text
    assert "Blind" in blind and "blurred:" not in blind and "Rejected by Mei" not in blind
    assert decide(client, queue.id, first, "kept")["decision_id"] == 0
    current = decisions.current(session, first)
    assert current is not None and current.verdict == "rejected"
    undone = client.post("/undo", headers={"Accept": "application/json"}).json()
    assert "Your answer on" in undone["sentence"] and undone["image_id"] == first
    assert mei.post("/undo", headers={"Accept": "application/json"}).json()["image_id"] == first
    assert decisions.current(session, first) is None
    assert queues.state(session, queue).left == 4


def test_what_is_skipped_is_put_down(session: Session, mei: TestClient, pile: Catalog, me: Person) -> None:
    queue = queues.make(session, me, parse("", pile.id), "Kettles")
    first = opened(mei, queue.id)
    skipped = mei.post(f"/queues/{queue.id}/skips", data={"image_id": first})
    assert skipped.headers["location"] == f"/desk?queue_id={queue.id}", "on in the same queue"
    assert opened(mei, queue.id) != first
    assert mei.post("/desk/holds").json()["until"]


def test_the_catalogs_own_desk_gives_nobody_what_another_has_in_hand(
    session: Session, client: TestClient, mei: TestClient, pile: Catalog
) -> None:
    assert pile
    first = int(re.findall(r"/images/(\d+)", client.get("/desk").headers["location"])[0])
    client.get(f"/images/{first}")
    assert "has this photo in hand" in mei.get(f"/images/{first}").text
    assert str(first) not in mei.get("/desk").headers.get("location", "")


def test_the_desk_of_a_queue_asks_the_database_little(
    session: Session, mei: TestClient, pile: Catalog, me: Person
) -> None:
    queue = queues.make(session, me, parse("", pile.id), "Kettles")
    asked: list[str] = []
    connection = session.connection()

    def note(*given: Any) -> None:
        if not given[2].startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
            asked.append(given[2])

    event.listen(connection, "before_cursor_execute", note)
    person = next(each for each in people.everybody(session) if each.name == "Mei")
    asked.clear()
    holding.ahead(session, queue, person)
    assert len(asked) <= 3, "a claim: " + "\n".join(asked)
    first = opened(mei, queue.id)
    asked.clear()
    page = mei.get(f"/images/{first}?queue_id={queue.id}", headers={"X-Fragment": "1"})
    assert page.status_code == 200 and len(asked) <= 33, "a page: " + "\n".join(asked)
    asked.clear()
    decide(mei, queue.id, first)
    assert len(asked) <= 6, "a decision: " + "\n".join(asked)
    event.remove(connection, "before_cursor_execute", note)


def test_the_board_draws_the_day_and_tells_the_end_as_an_interval(
    session: Session, client: TestClient, mei: TestClient, pile: Catalog, me: Person
) -> None:
    for _ in range(40):
        cast.image(session, pile)
    queue = queues.make(session, me, parse("", pile.id), "Kettles")
    photos = session.scalars(select(QueuePhoto).where(QueuePhoto.queue_id == queue.id)).all()
    address = f"/catalogs/{pile.id}/queues"
    assert "Nobody has decided on a photo" in client.get(address).text and "cannot tell" in client.get(address).text
    for place, row in enumerate(photos[:30]):
        holding.decide(session, queue, session.get_one(Image, row.image_id), me, "kept")
        at = utc_now() - timedelta(seconds=30 * place + 5)
        session.execute(update(QueueAnswer).where(QueueAnswer.image_id == row.image_id).values(created_at=at))
    board = re.sub(r"\s+", " ", client.get(address).text)
    assert "in 8 of 10 cases between <time" in board and "2.0 a minute" in board
    assert 'class="quarters"' in board and 'class="span"' in board and f">{me.name}</th>" in board, "and as numbers"
    theirs = mei.get(address).text
    assert f">{me.name}</th>" not in theirs and ">All others</th>" in theirs


@pytest.mark.parametrize("how", ["overlap", "known"])
def test_a_blind_page_and_its_strip_tell_nothing_of_what_was_decided(
    session: Session, client: TestClient, mei: TestClient, pile: Catalog, me: Person, how: str
) -> None:
    """Without the queue the same photo tells it: so the words looked for are the words of the page."""
    photos = [cast.image(session, pile, f"Cup {n}") for n in range(2)]
    for photo in photos:
        decisions.decide(session, photo, me, "rejected", "blurred")
    if how == "known":
        queue = queues.make(session, me, parse("decision:unseen", pile.id), "Known", known=2)
    else:
        queue = queues.make(session, me, parse("cup", pile.id), "Twice", overlap=2)
        decide(client, queue.id, photos[0].id, "rejected:blurred")
    plain = mei.get(f"/images/{photos[0].id}").text
    blind = mei.get(f"/images/{photos[0].id}?queue_id={queue.id}").text
    given_away = re.compile(rf"by {me.name}|mark-rejected|rejected</")
    assert given_away.search(plain)
    assert "Blind" in blind and not given_away.search(blind.split('class="decide"')[0])


def test_a_filter_that_is_not_understood_stays_in_its_form(client: TestClient, mei: TestClient, pile: Catalog) -> None:
    for page in ("queues", "captioners"):
        answer = client.get(f"/catalogs/{pile.id}/{page}?q=colour:")
        assert answer.status_code == 422 and f"{page.capitalize()} of" in answer.text
        assert 'value="colour:"' in answer.text and "“colour:” needs a value." in answer.text
        assert re.search(r"disabled[^<]*>\s*(<svg.*?</svg>)?\s*(Make queue|Compare on)", answer.text, re.S)
    assert mei.get(f"/catalogs/{pile.id}/queues?q=colour:").status_code == 422
    assert "A lead makes a queue" in mei.get(f"/catalogs/{pile.id}/agreement").text
