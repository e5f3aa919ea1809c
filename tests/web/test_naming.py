"""Names from files on their page, and on the page of an intake that is done."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app import jobs
from app.captions import naming_history, proposing
from app.catalog.tables import Catalog, Image, Intake
from tests import cast


@pytest.fixture
def pile(session: Session) -> Catalog:
    """A catalog whose files are called after what they show."""
    pile = cast.catalog(session)
    job = jobs.request(session, "intake.take_in", {})
    job.state, job.result = "done", {"metadata_rows_without_picture": 0, "other_files": 0}
    intake = Intake(catalog_id=pile.id, folder="/photos", job_id=job.id)
    session.add(intake)
    session.flush()
    for number, name in enumerate(("Mango", "Lemon", "Peach", "Kettle", "Teapot", "<b>Vase")):
        image = cast.image(session, pile, title=None, category=None)
        image.file_name, image.intake_id = f"{name}_Iconic{number}.jpg", intake.id
    session.flush()
    return pile


def test_an_intake_that_is_done_offers_names_until_somebody_decides(
    client: TestClient, session: Session, pile: Catalog
) -> None:
    intake_id = session.query(Intake.id).filter_by(catalog_id=pile.id).order_by(Intake.id).first()
    assert intake_id is not None
    page = f"/intakes/{intake_id[0]}"
    text = client.get(page).text
    assert "Names 6 of 6 photos" in text and "What do the photos show?" in text
    assert "&lt;b&gt;Vase" in text and "<b>Vase" not in text
    offer = client.get(page).context["naming"].offers[0]
    fields = {"rule": offer.rule.key, "seen": [photo.image_id for photo, _ in offer.examples], "expected_id": 0}
    answer = client.post(f"/catalogs/{pile.id}/naming", data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/catalogs/{pile.id}/naming")
    assert "What do the photos show?" not in client.get(page).text
    text = client.get(f"/catalogs/{pile.id}/naming").text
    assert "In use" in text and "Decided so far" in text and "Mango_Iconic0.jpg → mango" in text
    row = naming_history.current(session, pile.id)
    assert row is not None
    named = session.query(Image.id).filter_by(catalog_id=pile.id).order_by(Image.id).first()
    assert named is not None
    proposing.propose_facts(session, named)
    text = client.get(f"/images/{named[0]}").text
    assert "Named from its file’s name, by a rule that" in text and f'href="/catalogs/{pile.id}/naming"' in text
    client.post(f"/catalogs/{pile.id}/naming/withdrawal", data={"expected_id": row.id})
    assert "Taken back" in client.get(f"/catalogs/{pile.id}/naming").text
    proposing.propose_facts(session, named)
    assert "Named from its file" not in client.get(f"/images/{named[0]}").text


def test_a_catalog_that_has_nothing_to_name_says_so(client: TestClient, session: Session) -> None:
    empty = cast.catalog(session)
    assert "No photo here waits for a name" in client.get(f"/catalogs/{empty.id}/naming").text
    cast.image(session, empty, title=None, category=None).file_name = "DSC_0001.jpg"
    session.flush()
    assert "say nothing that could be taken" in client.get(f"/catalogs/{empty.id}/naming").text
