"""Captions over HTTP: a rewrite, a conflict, an older one brought back, a captioner asked again."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.captions import writing
from app.captions.tables import Caption
from app.catalog.tables import Image
from app.jobs import Job
from app.people import Person
from tests import cast

JSON = {"Accept": "application/json"}


@pytest.fixture
def photo(session: Session) -> Image:
    return cast.image(session, cast.catalog(session), caption="Red kettle.")


def current(session: Session, photo: Image) -> Caption:
    session.expire_all()
    return writing.current(session, [photo.id])[photo.id]


def test_a_rewrite_answers_with_the_caption_that_is_current_now(
    client: TestClient, session: Session, photo: Image, me: Person
) -> None:
    seen = current(session, photo)
    answer = client.post(
        f"/images/{photo.id}/captions", data={"text": " Maroon  kettle. ", "expected_id": seen.id}, headers=JSON
    )
    now = current(session, photo)
    assert answer.status_code == 200
    assert answer.json() == {"caption_id": now.id, "text": "Maroon kettle.", "author": me.name}
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


def test_a_captioner_is_asked_for_a_photo_that_no_person_wrote(
    client: TestClient, session: Session, photo: Image, me: Person
) -> None:
    answer = client.post(f"/images/{photo.id}/recaption", headers=JSON)
    job = session.scalars(select(Job).where(Job.id == answer.json()["job_id"])).one()
    assert answer.status_code == 202
    assert (job.kind, job.arguments["image_ids"], job.requested_by_id) == ("captions.propose", [photo.id], me.id)

    writing.rewrite(session, photo.id, "My words.", me, current(session, photo).id)
    refused = client.post(f"/images/{photo.id}/recaption", headers=JSON)
    assert refused.status_code == 422
    assert "A captioner never replaces a person's caption" in refused.json()["error"]["sentence"]
