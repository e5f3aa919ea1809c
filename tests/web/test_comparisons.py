"""Captioners compared over the web: begun by a lead, judged blind, names open at the end."""

from __future__ import annotations

import re

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog
from app.desk import judging
from app.people import Person
from app.selection.query import parse
from app.settings import Settings
from tests import cast
from tests.conftest import sign_in
from tests.desk.test_judging import compared


def a_pile(session: Session) -> Catalog:
    pile = cast.catalog(session)
    for n in range(3):
        cast.image(session, pile, f"Kettle {n}", caption="A kettle.")
    return pile


def test_a_sample_is_judged_and_names_open_at_the_end(
    web: FastAPI, session: Session, settings: Settings, client: TestClient, me: Person
) -> None:
    comparison = compared(session, me, a_pile(session), 2)
    ben = sign_in(web, session, settings, cast.person(session, "Ben", "annotator"))
    here = f"/comparisons/{comparison.id}"
    page = ben.get(here).text
    assert "Which caption is better?" in page and "It stands on wood." in page
    assert "tiny" not in page and "Adopt" not in page, "whose they are stays hidden"
    for _ in range(2):
        image_id = re.findall(r'name="image_id" value="(\d+)"', ben.get(here).text)[0]
        answer = ben.post(f"{here}/votes", data={"image_id": image_id, "choice": "left"})
        assert answer.status_code == 303
    page = ben.get(here).text
    assert "That is all of the sample" in page and "tiny (long, plain)" in page
    assert "tiny" not in client.get(here).text, "not to one who has still to judge"
    judging.runs_of(session, comparison)[1].captioner = "small"
    session.flush()
    listed = f"/catalogs/{comparison.catalog_id}/captioners"
    assert "Found better" in ben.get(listed).text and "Found better" not in client.get(listed).text
    assert ben.post(f"{here}/adoption", data={"which": "a"}).status_code == 403
    assert "Adopt A for 3 photos" in client.get(here).text
    assert ben.post(f"{here}/votes/undo").headers["location"].endswith(f"?image_id={image_id}")
    assert ben.post(f"{here}/votes", data={"image_id": image_id, "choice": "best"}).status_code == 422


def test_a_lead_compares_what_is_configured(
    web: FastAPI, session: Session, settings: Settings, client: TestClient, me: Person
) -> None:
    pile = a_pile(session)
    page = client.get(f"/catalogs/{pile.id}/captioners").text
    assert "No caption model is configured" in page and "No captioners were compared yet" in page
    form = {"a": "some/model", "b": "facts"}
    assert client.post(f"/catalogs/{pile.id}/comparisons", data=form).status_code == 422
    web.state.settings = settings.model_copy(update={"caption_model": "some/model"})
    answer = client.post(f"/catalogs/{pile.id}/comparisons", data=form | {"q": "kettle", "a_length": "long"})
    assert answer.status_code == 303
    comparison = judging.of_catalog(session, pile.id)[0]
    assert (comparison.photos, comparison.query) == (3, parse("kettle", pile.id).query)
    assert [run.captioner for run in judging.runs_of(session, comparison)] == ["some/model", "facts"]
    assert "being captioned" in client.get(answer.headers["location"]).text
    ben = sign_in(web, session, settings, cast.person(session, "Ben", "annotator"))
    assert ben.post(f"/catalogs/{pile.id}/comparisons", data=form).status_code == 403


def test_who_looks_only_is_offered_no_key_of_the_vote(
    web: FastAPI, session: Session, settings: Settings, client: TestClient, me: Person
) -> None:
    here = f"/comparisons/{compared(session, me, a_pile(session), 2).id}"
    vera = sign_in(web, session, settings, cast.person(session, "Vera", "viewer"))
    seen, judged = vera.get(here).text, client.get(here).text
    for key in ("data-sentence=", "left is better", 'data-key="Left"', "take a sentence"):
        assert key in judged and key not in seen
    assert "It stands on wood." in seen and "annotators vote" in seen
