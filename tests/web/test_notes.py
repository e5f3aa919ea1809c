"""Notes over the web: asked on the desk, answered, and on the board of whom they wait for."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.settings import Settings
from tests import cast
from tests.conftest import sign_in


def test_an_annotator_asks_and_a_lead_answers(
    web: FastAPI, session: Session, settings: Settings, client: TestClient
) -> None:
    pile = cast.catalog(session)
    photo = cast.image(session, pile, caption="A red kettle.")
    ben = sign_in(web, session, settings, cast.person(session, "Ben", "annotator"))
    fragment = {"X-Fragment": "1"}
    said = ben.post(f"/images/{photo.id}/notes", data={"text": "Is <b>green</b> the lamp?"}, headers=fragment)
    assert said.status_code == 200 and "Ben to all leads" in said.text and "&lt;b&gt;green" in said.text
    board = client.get(f"/catalogs/{pile.id}/queues").text
    assert "Ben to all leads" in board and f"/images/{photo.id}" in board
    assert "Ben to all leads" in client.get(f"/images/{photo.id}").text, "on the desk"
    number = said.text.split("/notes/")[1].split("/")[0]
    assert client.post(f"/notes/{number}/answers", data={"text": "The lamp."}).status_code == 303
    assert "The lamp." in ben.get(f"/images/{photo.id}").text
    assert client.post(f"/notes/{number}/closing").status_code == 303
    assert "Nobody waits" in client.get(f"/catalogs/{pile.id}/queues").text
    assert ben.post(f"/images/{photo.id}/notes", data={"text": " "}).status_code == 422
    viewer = sign_in(web, session, settings, cast.person(session, "Vi", "viewer"))
    assert viewer.post(f"/images/{photo.id}/notes", data={"text": "?"}).status_code == 403
