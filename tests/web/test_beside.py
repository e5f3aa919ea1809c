"""One photo, captioned anew from the desk: asked with settings, shown beside what stands, taken by a person."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.captions import beside, runs, writing
from app.captions.run_tables import CaptionRun
from app.captions.runs import Answered, Spent
from app.catalog.tables import Image
from app.jobs import Job
from app.people import Person
from app.settings import Settings
from tests import cast
from tests.conftest import sign_in

JSON = {"accept": "application/json"}
FORM = {"length": "long", "style": "photo", "facts": "1", "also": ["short"], "prompt": ""}


@pytest.fixture
def photo(session: Session, me: Person) -> Image:
    """With a person's caption, which no machine may touch."""
    photo = cast.image(session, cast.catalog(session), caption="Red kettle.")
    old = writing.current(session, [photo.id])[photo.id]
    writing.rewrite(session, photo.id, "My own words.", me, old.id)
    return photo


@pytest.fixture
def modelled(web: FastAPI, settings: Settings) -> None:
    web.state.settings = settings.model_copy(
        update={"caption_model": "org/tiny", "caption_server": "http://127.0.0.1:9/v1"}
    )


def ask(client: TestClient, photo: Image, **form: object) -> int:
    answer = client.post(f"/images/{photo.id}/recaption", data=form, headers=JSON)
    assert answer.status_code == 202, answer.text
    return int(answer.json()["job_id"])


def answered(session: Session, photo: Image, texts: dict[str, str], failure: str = "") -> CaptionRun:
    """As a worker leaves it."""
    asked = beside.newest(session, photo.id)
    assert asked is not None
    runs.keep(session, asked.run.id, [Answered(photo.id, texts, failure, {})], Spent())  # type: ignore[arg-type]
    session.get_one(Job, asked.run.job_id).state = "done"
    session.flush()
    return asked.run


def words(client: TestClient, photo: Image, asked: str = "") -> str:
    return " ".join(client.get(f"/images/{photo.id}{asked}").text.split())


def test_the_form_asks_as_it_says(client: TestClient, session: Session, photo: Image, modelled: None) -> None:
    page = words(client, photo)
    assert "Ask org/tiny" in page and 'name="length"' in page and 'name="prompt"' in page
    job = session.get_one(Job, ask(client, photo, **FORM))
    assert (job.kind, job.arguments["image_ids"], job.total) == ("captions.ask", [photo.id], 1)
    asked = beside.newest(session, photo.id)
    assert asked is not None and asked.run.is_apart and asked.run.captioner == "org/tiny"
    assert asked.run.asking == {
        "prompt": "",
        "style": "photo",
        "length": "long",
        "facts": True,
        "kinds": ["long", "short"],
    }
    assert f'data-job="/jobs/{job.id}" data-stays' in words(client, photo), "its progress"
    facts = session.get_one(Job, ask(client, photo, from_facts="1"))
    assert facts.kind == "captions.propose"
    for wrong in ({"length": "endless"}, {"prompt": "x" * 2001}, {"also": ["poem"]}):
        refused = client.post(f"/images/{photo.id}/recaption", data=wrong, headers=JSON)
        assert (refused.status_code, "cannot be read" in refused.text) == (422, True)
    assert client.post("/images/999999/recaption", headers=JSON).status_code == 404


def test_a_plain_form_leads_back_to_where_it_is_shown(client: TestClient, photo: Image) -> None:
    answer = client.post(f"/images/{photo.id}/recaption", data={"next": f"/images/{photo.id}?q=kettle"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/images/{photo.id}?q=kettle")
    assert "The facts captioner, asked by" in words(client, photo, "?q=kettle")


def test_what_it_wrote_stands_beside_and_a_person_takes_it(
    client: TestClient, session: Session, photo: Image, modelled: None
) -> None:
    ask(client, photo, **FORM)
    answered(session, photo, {"long": "What <b>it</b> saw.", "short": "A kettle."})
    now = writing.current(session, [photo.id])[photo.id]
    assert now.text == "My own words."
    page = words(client, photo)
    assert "org/tiny, long, photo, asked by" in page and "What &lt;b&gt;it&lt;/b&gt; saw." in page
    assert 'data-from="My own words."' in page and "A kettle." in page and "Save it as the caption" in page
    taken = client.post(
        f"/images/{photo.id}/captions",
        data={"kind": "long", "text": "What <b>it</b> saw.", "expected_id": now.id}, headers=JSON,
    )  # fmt: skip
    assert taken.json()["text"] == "What <b>it</b> saw."
    assert "The caption says the same" in words(client, photo)
    late = client.post(
        f"/images/{photo.id}/captions", data={"text": "A kettle.", "expected_id": now.id}, headers=JSON
    )  # fmt: skip
    assert late.status_code == 409, "what was seen beside another caption replaces that one alone"


def test_why_it_wrote_nothing_is_told(client: TestClient, session: Session, photo: Image) -> None:
    ask(client, photo)
    answered(session, photo, {}, "The picture cannot be read.")
    assert "The picture cannot be read." in words(client, photo)


def test_the_same_asked_twice_is_one_run_and_another_way_is_another(
    client: TestClient, session: Session, photo: Image, modelled: None
) -> None:
    first = ask(client, photo, length="long")
    assert ask(client, photo, length="long") == first
    assert ask(client, photo, length="short") != first
    answered(session, photo, {"long": "Short."})
    assert ask(client, photo, length="short") != first


def test_an_annotator_sees_it_and_asks_for_none(
    web: FastAPI, session: Session, settings: Settings, client: TestClient, photo: Image
) -> None:
    ask(client, photo)
    answered(session, photo, {"long": "A red kettle, seen anew."})
    ben = sign_in(web, session, settings, cast.person(session, "Ben", "annotator"))
    page = words(ben, photo)
    assert "A red kettle, seen anew." in page and "for another one" not in page
    assert ben.post(f"/images/{photo.id}/recaption", headers=JSON).status_code == 403
