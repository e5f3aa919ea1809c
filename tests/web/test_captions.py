"""Captions over HTTP: a rewrite, a conflict, an older one brought back, a captioner asked again."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app.captions import token_counts, writing
from app.captions.tables import Caption, CaptionCheck, Kind
from app.catalog import lettering
from app.catalog.tables import Catalog, Image
from app.catalog.text_lines import TextLine
from app.jobs import Job
from app.people import Person
from app.review import decisions
from app.review.tables import Operation
from app.settings import Settings
from app.web.main import create_app
from tests import cast
from tests.blocking import process_id, wait_until_blocked
from tests.conftest import sign_in

JSON = {"Accept": "application/json"}


@pytest.fixture
def photo(session: Session) -> Image:
    return cast.image(session, cast.catalog(session), caption="Red kettle.")


def current(session: Session, photo: Image) -> Caption:
    session.expire_all()
    return writing.current(session, [photo.id])[photo.id]


@pytest.mark.parametrize(
    ("counts", "on_desk", "on_card"),
    [
        (None, "Tokens not counted yet", "Tokens not counted yet"),
        ({}, "cannot tell: no tokenizer is here", "Tokens: cannot tell, no tokenizer is on this machine"),
        ({"clip": 84, "t5": 90}, "84 / 77", "Tokens: 84 CLIP, 90 T5"),
    ],
)
def test_the_page_says_how_long_a_caption_is_to_each_encoder(
    counts: dict[str, int] | None, on_desk: str, on_card: str, client: TestClient, session: Session, photo: Image
) -> None:
    if counts is not None:
        token_counts.record(session, {current(session, photo).id: counts}, "clip@1")
    page = client.get(f"/images/{photo.id}").text
    assert on_desk in page and on_card in client.get(f"/images/{photo.id}/card").text
    assert ("7 cut off" in page, "90 / 256" in page) == (counts is not None and "clip" in counts,) * 2


def test_each_kind_is_written_shown_brought_back_and_undone(
    client: TestClient, session: Session, photo: Image, me: Person
) -> None:
    long = current(session, photo)
    address = f"/images/{photo.id}/captions"

    def write(kind: str, text: str, expected: int | str = "") -> dict[str, Any]:
        told = client.post(address, data={"text": text, "kind": kind, "expected_id": expected}, headers=JSON)
        assert told.status_code == 200, told.text
        return dict(told.json())

    first = write("short", "Kettle")
    second = write("short", "Red kettle", first["caption_id"])
    assert write("tags", "red, kettle,, Red ,steel; kitchen")["text"] == "red, kettle, steel, kitchen"
    write("facts", "Kettle, steel, 1.7 l")
    card = client.get(f"/images/{photo.id}/card").text
    assert all(words in card for words in ("Red kettle", "red, kettle, steel, kitchen", "Kettle, steel, 1.7 l"))
    page = client.get(f"/images/{photo.id}?kind=short").text
    shown = page.split("<template")[0]
    assert "2 versions" in shown and "Version 2</b> by Ana" in shown and "from version 1" in shown
    assert client.get(f"/images/{photo.id}?kind=verse").status_code == 422
    assert client.post(address, data={"text": "x", "kind": "verse"}, headers=JSON).status_code == 422
    again = client.post(f"{address}/{first['caption_id']}/restoration", headers=JSON).json()
    assert again["text"] == "Kettle"
    said = [client.post("/undo", headers=JSON).json()["sentence"] for _ in range(4)]
    assert said == [
        "Red kettle has its earlier short caption again.", "Red kettle has no facts caption any more.",
        "Red kettle has no tags any more.", "Red kettle has its earlier short caption again.",
    ]  # fmt: skip
    session.expire_all()
    assert {kind: row.text for kind, row in writing.current_kinds(session, photo.id).items()} == {
        "long": long.text, "short": "Kettle",
    }  # fmt: skip
    assert second["caption_id"] in [row.id for row in writing.history(session, photo.id, "short")], "nothing is gone"
    assert "taken back" in client.get(f"/images/{photo.id}?kind=short").text


@pytest.mark.parametrize("kind", ["long", "short", "tags", "facts"])
def test_a_conflict_of_any_kind_carries_both_texts_and_what_they_came_from(
    kind: Kind, client: TestClient, session: Session, photo: Image
) -> None:
    mei = cast.person(session, "Mei")
    seen = writing.current_kinds(session, photo.id).get(kind) or writing.propose(session, photo, "Pot", "m", {}, kind)
    assert seen is not None
    base = seen.text
    writing.rewrite(session, photo.id, "Mei's", mei, seen.id, kind)
    sent = {"text": "Mine", "kind": kind, "expected_id": seen.id}
    error = client.post(f"/images/{photo.id}/captions", data=sent, headers=JSON).json()["error"]
    assert (error["other"], error["base"]) == ("Mei's", base)
    plain = client.post(f"/images/{photo.id}/captions", data=sent)
    assert plain.status_code == 409 and "Mei&#39;s" in plain.text and base in plain.text
    assert "stands in the form still" in plain.text


def test_history_says_model_prompt_and_file(client: TestClient, session: Session, photo: Image) -> None:
    writing.propose(session, photo, "A red kettle.", "org/model", {"prompt": "Describe <it>."})
    writing.give(session, photo.id, "A kettle, red.", "shop/metadata.csv", 7)
    shown = client.get(f"/images/{photo.id}").text.split("<template")[0]
    assert "by org/model" in shown and "Prompt: Describe &lt;it&gt;." in shown
    assert "by shop/metadata.csv" in shown and "line 7" in shown and "from version 2" in shown


def test_a_rewrite_answers_with_the_caption_that_is_current_now(
    client: TestClient, session: Session, photo: Image, me: Person
) -> None:
    seen = current(session, photo)
    answer = client.post(
        f"/images/{photo.id}/captions", data={"text": " Maroon  kettle. ", "expected_id": seen.id}, headers=JSON
    )
    now = current(session, photo)
    assert answer.status_code == 200
    assert answer.json() == {"caption_id": now.id, "text": "Maroon kettle.", "author": me.name, "changed": 1}
    assert now.person_id == me.id


def test_a_plain_form_is_led_back_to_the_desk(client: TestClient, session: Session, photo: Image) -> None:
    seen = current(session, photo)
    answer = client.post(
        f"/images/{photo.id}/captions",
        data={"text": "Maroon kettle.", "expected_id": seen.id},
        follow_redirects=False,
    )
    assert (answer.status_code, answer.headers["location"]) == (303, f"/images/{photo.id}")


def test_a_conflict_carries_the_other_text(client: TestClient, session: Session, photo: Image) -> None:
    seen = current(session, photo)
    writing.rewrite(session, photo.id, "Mei's words.", cast.person(session, "Mei"), seen.id)
    answer = client.post(
        f"/images/{photo.id}/captions", data={"text": "My words.", "expected_id": seen.id}, headers=JSON
    )
    assert answer.status_code == 409
    assert answer.json()["error"]["sentence"] == "Mei wrote another caption meanwhile."
    assert answer.json()["error"]["other"] == "Mei's words."
    assert current(session, photo).text == "Mei's words."


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("", "A caption cannot be empty."), ("x" * 5000, "This caption has 5,000 characters; 4,000 is the most.")],
)
def test_a_text_that_cannot_be_kept_is_refused(
    client: TestClient, session: Session, photo: Image, text: str, sentence: str
) -> None:
    seen = current(session, photo)
    answer = client.post(f"/images/{photo.id}/captions", data={"text": text, "expected_id": seen.id}, headers=JSON)
    assert (answer.status_code, answer.json()["error"]["sentence"]) == (422, sentence)
    assert current(session, photo).id == seen.id


def test_the_first_caption_of_a_photo_expects_none(client: TestClient, session: Session) -> None:
    bare = cast.image(session, cast.catalog(session))
    answer = client.post(f"/images/{bare.id}/captions", data={"text": "Kettle.", "expected_id": ""}, headers=JSON)
    assert answer.json()["text"] == "Kettle."


def test_an_older_caption_is_brought_back_only_to_its_own_photo(
    client: TestClient, session: Session, photo: Image
) -> None:
    old = current(session, photo)
    writing.rewrite(session, photo.id, "Mei's words.", cast.person(session, "Mei"), old.id)
    other = cast.image(session, cast.catalog(session))
    missed = client.post(f"/images/{other.id}/captions/{old.id}/restoration", headers=JSON)
    assert missed.status_code == 404
    answer = client.post(f"/images/{photo.id}/captions/{old.id}/restoration", headers=JSON)
    assert answer.json()["text"] == "Red kettle."
    assert current(session, photo).written_by == "person"


def test_a_captioner_is_asked_of_one_photo_whoever_wrote_what_stands(
    client: TestClient, session: Session, photo: Image, me: Person
) -> None:
    answer = client.post(f"/images/{photo.id}/recaption", headers=JSON)
    job = session.scalars(select(Job).where(Job.id == answer.json()["job_id"])).one()
    assert answer.status_code == 202
    assert (job.kind, job.arguments["image_ids"], job.requested_by_id) == ("captions.propose", [photo.id], me.id)

    writing.rewrite(session, photo.id, "My words.", me, current(session, photo).id)
    assert client.post(f"/images/{photo.id}/recaption", headers=JSON).status_code == 202
    assert current(session, photo).text == "My words.", "it is kept beside them"


def test_a_selection_is_captioned_anew_but_for_what_people_wrote_and_taken_back(
    client: TestClient, session: Session, photo: Image, me: Person
) -> None:
    pile = session.get_one(Catalog, photo.catalog_id)
    mine = cast.image(session, pile, title="Mine", caption="By a machine.")
    writing.rewrite(session, mine.id, "My words.", me, current(session, mine).id)
    before = current(session, photo).id
    address = f"/catalogs/{pile.id}/recaption"
    asked = client.post(address, data={"q": "", "expected_count": "2"}, headers=JSON)
    assert asked.status_code == 200, asked.text
    assert asked.json()["sentence"].startswith("Captioned 1 photo anew; 1 keeps its caption, by a person, from a file")
    assert current(session, photo).captioner == "facts" and current(session, mine).text == "My words."
    page = client.get(f"/catalogs/{pile.id}/operations").text
    assert "Captioned 1 photo anew" in page
    assert client.post(f"/operations/{asked.json()['operation_id']}/undo", headers=JSON).json()["count"] == 1
    assert current(session, photo).id == before
    told = client.post(address, data={"q": f"id:{mine.id}", "replaces_people": "1"}, headers=JSON)
    assert told.json()["changed"] == 1 and current(session, mine).captioner == "facts"
    assert client.post("/undo", headers=JSON).json()["count"] == 1
    assert current(session, mine).text == "My words."
    plain = client.post(address, data={"q": "", "next": f"/catalogs/{pile.id}/map"})
    assert (plain.status_code, plain.headers["location"]) == (303, f"/catalogs/{pile.id}/map")
    moved = client.post(address, data={"q": "", "expected_count": "3"}, headers=JSON)
    assert (moved.status_code, "2 photos now, not 3" in moved.text) == (409, True)
    for query, why in ((f"id:{mine.id}", "each of these photos has one"), ("id:0", "gives no photo")):
        refused = client.post(address, data={"q": query}, headers=JSON)
        assert (refused.status_code, why in refused.json()["error"]["sentence"]) == (422, True)
    assert client.post("/catalogs/999999/recaption", headers=JSON).status_code == 404


@pytest.fixture
def committed(engine: Engine, emptied: None) -> Iterator[Session]:
    """A session whose rows other connections see; they are gone after the test."""
    with Session(engine, expire_on_commit=False) as session:
        yield session


@pytest.mark.parametrize("act", ["rewrite", "restore", "undo"])
def test_a_caption_and_a_decision_at_the_same_moment_both_go_through(
    engine: Engine, settings: Settings, committed: Session, act: str
) -> None:
    """Ana's caption waits for Mei, who is deciding in the catalog, and holds nothing that Mei needs meanwhile."""
    ana, mei = cast.person(committed, "Ana"), cast.person(committed, "Mei")
    pile = cast.catalog(committed)
    photo, other = (cast.red_kettle(committed, pile).id for _ in range(2))
    machine = writing.current(committed, [photo])[photo]
    hers = writing.rewrite(committed, photo, "Red kettle.", ana, machine.id)
    address, fields, caption = {
        "rewrite": (f"/images/{photo}/captions", {"text": "Maroon.", "expected_id": str(hers.id)}, "Maroon."),
        "restore": (f"/images/{photo}/captions/{machine.id}/restoration", {}, machine.text),
        "undo": ("/undo", {}, machine.text),
    }[act]
    decisions.apply_rules(committed, [photo])
    web = create_app(settings)
    browser = sign_in(web, committed, settings, ana)
    committed.commit()
    with engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        web.state.sessions = lambda: Session(connection, expire_on_commit=False)
        with Session(connection) as session:
            pid = process_id(session)
        decisions.decide(committed, committed.get_one(Image, other), mei, "kept")
        answer = pool.submit(browser.post, address, data=fields, headers=JSON)
        wait_until_blocked(engine, pid)
        decisions.decide(committed, committed.get_one(Image, photo), mei, "rejected")
        committed.commit()
        assert answer.result(timeout=30).status_code == 200
    assert writing.current(committed, [photo])[photo].text == caption
    decision = decisions.current(committed, photo)
    assert decision is not None and (decision.verdict, decision.person_id) == ("rejected", mei.id)


def test_a_text_is_held_against_the_picture_before_it_is_kept(
    client: TestClient, session: Session, photo: Image, stranger: TestClient
) -> None:
    told = client.post(f"/images/{photo.id}/contradictions", data={"text": "Blue kettle."})
    assert told.status_code == 200 and "says <b>blue</b>, measured <b>red</b>" in told.text
    assert "colour agrees" in client.post(f"/images/{photo.id}/contradictions", data={"text": "Red kettle."}).text
    assert "nothing to compare" in client.post(f"/images/{photo.id}/contradictions", data={"text": " "}).text
    assert client.post("/images/999999/contradictions", data={"text": "Blue."}).status_code == 404
    assert stranger.post(f"/images/{photo.id}/contradictions", data={"text": "Blue."}).status_code in (303, 401, 403)
    assert current(session, photo).text == "Red kettle."


def test_a_plain_form_stays_in_its_row_and_in_this_house(client: TestClient, session: Session, photo: Image) -> None:
    row, seen = f"/images/{photo.id}?q=kettle&sort=oldest", current(session, photo).id
    answer = client.post(f"/images/{photo.id}/captions", data={"text": "One.", "expected_id": seen, "next": row})
    assert answer.headers["location"] == row
    for next, leads in ((row, row), ("//evil.example", "/")):
        answer = client.post(f"/images/{photo.id}/captions/{seen}/restoration", data={"next": next})
        assert answer.headers["location"] == leads


def test_a_selection_is_asked_about_as_the_form_says(
    web: FastAPI, settings: Settings, client: TestClient, session: Session, photo: Image
) -> None:
    address = f"/catalogs/{photo.catalog_id}/recaption"
    assert "data-bulk" in client.get(f"/catalogs/{photo.catalog_id}").text
    web.state.settings = settings.model_copy(
        update={"caption_model": "org/tiny", "caption_server": "http://127.0.0.1:9/v1"}
    )
    assert "Ask org/tiny" in client.get(f"/catalogs/{photo.catalog_id}").text
    form = {"length": "long", "style": "photo", "facts": "1", "also": ["tags", "short"], "prompt": " What is it? "}
    asked = client.post(address, data={"q": "", **form}, headers=JSON)
    assert asked.status_code in (200, 202), asked.text
    operation = session.get_one(Operation, asked.json()["operation_id"])
    assert operation.value["asking"] == {
        "prompt": "What is it?", "length": "long", "style": "photo", "facts": True, "kinds": ["long", "short", "tags"],
    }  # fmt: skip
    job = session.get_one(Job, operation.job_id)
    assert (operation.value["place"], job.kind, job.queue) == ("server", "operation.ask", "cpu")
    plain = client.post(address, data={"q": "", "from_facts": "1"}, headers=JSON)
    assert session.get_one(Operation, plain.json()["operation_id"]).value["model"] is None
    for wrong in ({"length": "endless"}, {"prompt": "x" * 2001}, {"also": ["poem"]}):
        refused = client.post(address, data={"q": "", **wrong}, headers=JSON)
        assert (refused.status_code, "cannot be read" in refused.text) == (422, True)


def test_words_in_the_picture_and_the_brand_are_held_against_the_caption(client: TestClient, session: Session) -> None:
    pile = cast.catalog(session)
    photo = cast.image(session, pile, caption="Jar labelled “Acme”.")
    there = f"/images/{photo.id}/contradictions"
    told = client.post(there, data={"text": "Jar labelled “Acme”."}).text
    assert "Cannot tell about" in told and " and text:" in " ".join(told.split()), "nobody has read it yet"
    line = TextLine("BOLT", 0.99, (0.3, 0.3, 0.6, 0.4), is_beside=False)
    lettering.record(session, 1, {photo.id: [line]})
    told = client.post(there, data={"text": "Jar labelled “Acme”."}).text
    assert "says <b>“Acme”</b>, measured <b>“BOLT”</b>" in told and 'data-why-here="lettering"' in told
    # The rules find it as well, the check of before is not believed, and another brand in the catalogue is seen.
    decisions.apply_rules(session, [photo.id])
    assert session.get_one(CaptionCheck, photo.id).contradiction is not None
    photo.extra = {"brand": "Acme"}
    caption = writing.current(session, [photo.id])[photo.id]
    caption.text = "Acme jar, two-tone."
    session.flush()
    decisions.apply_rules(session, [photo.id])
    assert session.get_one(CaptionCheck, photo.id, populate_existing=True).brand == "Acme"
    assert "“Acme” is written there, “BOLT” was read" in (session.get_one(CaptionCheck, photo.id).contradiction or "")
