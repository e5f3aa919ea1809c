"""The page that puts a comparison together, and two runs held against each other."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.evaluation import columns, sheets
from app.evaluation.tables import Sheet
from app.settings import Settings
from app.training import runs
from tests import cast
from tests.conftest import sign_in
from tests.evaluation.cast import finished_run, sheet_of


def test_without_a_suite_the_page_says_where_they_come_from(client: TestClient) -> None:
    assert "No suite yet." in client.get("/compare/new").text


def test_what_it_takes_is_told_before_it_is_asked_for(client: TestClient, session: Session) -> None:
    one, other = finished_run(session), finished_run(session)
    other.recipe = other.recipe | {"batch_size": 99}
    other.pace = {"sample_s": 30.0}
    sheet_of(session, one)
    ids = [runs.checkpoints(session, run.id)[1].id for run in (one, other)]
    page = client.get("/compare/new").text
    assert f'href="/runs/{one.id}"' in page and "Real photos" in page and "best" in page
    assert "Choose 2 columns or more." in page
    shown = client.post("/compare/new", data={"chosen": "1", "column": [str(n) for n in ids]}).text
    assert "To draw</dt><dd><b>24</b>" in shown
    assert "about 12 m" in shown
    assert f"Batch: {one.recipe['batch_size']} in run {one.id}; 99 in run {other.id}." in shown
    assert session.query(Sheet).count() == 1, "looking makes nothing"


def test_a_comparison_is_made_drawn_and_changed(client: TestClient, session: Session) -> None:
    one, other = finished_run(session), finished_run(session)
    suite = sheets.suite(session, sheet_of(session, one))
    base, first, _ = runs.checkpoints(session, one.id)
    best = runs.checkpoints(session, other.id)[1]
    sent = {"suite": str(suite.id), "name": "A, B", "column": [str(best.id), "photos", str(base.id)]}
    answer = client.post("/compare", data=sent, follow_redirects=False)
    sheet = session.query(Sheet).order_by(Sheet.id.desc()).first()
    assert sheet is not None
    assert (answer.status_code, answer.headers["location"]) == (303, f"/compare/{sheet.id}")
    assert (sheet.name, sheet.job_id is not None) == ("A, B", True)
    assert [place.checkpoint and place.checkpoint.id for place in columns.columns_of(session, sheet)] == [
        base.id, best.id, None,
    ]  # fmt: skip
    assert f'href="/compare/new?sheet={sheet.id}"' in client.get(f"/compare/{sheet.id}").text
    changing = client.get(f"/compare/new?sheet={sheet.id}").text
    assert changing.count(" checked") == 3 and "A comparison keeps its suite." in changing
    sent = {"chosen": "1", "sheet": str(sheet.id), "column": [str(base.id), str(first.id)], f"tier.{first.id}": "quick"}
    assert client.post("/compare", data=sent, follow_redirects=False).status_code == 303
    session.expire_all()
    places = columns.columns_of(session, sheet)
    assert [(place.checkpoint and place.checkpoint.id, place.tier) for place in places] == [
        (base.id, "full"), (first.id, "quick"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        ({"column": ["photos"]}, 422, "2 to 40 columns; 1 chosen"),
        ({}, 422, "2 to 40 columns; 0 chosen"),
        ({"column": ["x"]}, 400, "is not the number of a checkpoint"),
        ({"column": ["photos"], "tier.photos": "all"}, 400, "There is no tier"),
        ({"suite": "4711"}, 404, "no suite 4711"),
        ({"sheet": "4711"}, 404, "no sheet 4711"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(
    client: TestClient, session: Session, sent: dict[str, object], status: int, words: str
) -> None:
    sheet_of(session, finished_run(session))
    answer = client.post("/compare", data={"chosen": "1", **sent})
    assert (answer.status_code // 100, words in answer.text) == (4, True), answer.text[-600:]
    assert session.query(Sheet).count() == 1


def test_the_sheet_of_a_run_keeps_its_columns_and_begins_another(client: TestClient, session: Session) -> None:
    sheet = sheet_of(session, finished_run(session))
    assert "make a comparison" in client.get(f"/compare/new?sheet={sheet.id}").text
    assert client.get(f"/compare/new?from={sheet.id}").text.count(" checked") == 3


def test_only_leads_put_comparisons_together(
    web: FastAPI, session: Session, settings: Settings, client: TestClient
) -> None:
    sheet = sheet_of(session, finished_run(session))
    ben = sign_in(web, session, settings, cast.person(session, "Ben", "annotator"))
    assert ben.get("/compare/new").status_code == ben.post("/compare", data={}).status_code == 403
    for page in ("/compare", f"/compare/{sheet.id}"):
        assert "/compare/new" not in ben.get(page).text
        assert "/compare/new" in client.get(page).text


def test_two_runs_of_one_version_are_told_by_their_losses(client: TestClient, session: Session) -> None:
    one, other = finished_run(session), finished_run(session, losses=(0.5, 0.45))
    other.version_id = one.version_id
    other.recipe = other.recipe | {"steps": 300}
    one.actual_s, other.actual_s = 60.0, 7200.0
    session.flush()
    page = client.get(f"/runs/compare?a={one.id}&b={other.id}").text
    assert f"Run {one.id} has the lower validation loss beyond noise: 0.300 at step 50" in page
    assert "1 knob of" in page and "<del>300</del>" in page
    assert page.count("<polyline") >= 2
    best = runs.checkpoints(session, one.id)[1].id
    assert f"/compare/new?column={best}&amp;column=" in page
    swapped = client.get(f"/runs/compare?a={other.id}&b={one.id}").text
    assert f"Run {one.id} has the lower validation loss beyond noise" in swapped


def test_losses_of_other_held_out_photos_are_not_compared(client: TestClient, session: Session) -> None:
    one, other = finished_run(session), finished_run(session, losses=(0.9, 0.9))
    page = client.get(f"/runs/compare?a={one.id}&b={other.id}").text
    assert "they held out other photos" in page and "beyond noise" not in page
    assert "12 added and 12 removed" in page
    assert f"changes?since={other.version_id}" in page


def test_within_noise_nothing_is_concluded_of_the_losses(client: TestClient, session: Session) -> None:
    one, other = finished_run(session), finished_run(session)
    other.version_id = one.version_id
    session.flush()
    page = client.get(f"/runs/compare?a={one.id}&b={other.id}").text
    assert "within noise" in page and "Nothing yet: one of them has not ended." in page


def test_runs_that_are_not_there_cannot_be_compared(client: TestClient, session: Session) -> None:
    run = finished_run(session)
    assert client.get(f"/runs/compare?a={run.id}&b=4711").status_code == 404
    assert "cannot be compared with itself" in client.get(f"/runs/compare?a={run.id}&b={run.id}").text
