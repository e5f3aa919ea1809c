"""The pages of sheets: the list, the grid with its reasons, and samples as files."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app import jobs
from app.evaluation import sheets, suites
from app.evaluation.tables import Sample
from app.settings import Settings
from app.storage import Storage
from tests.evaluation.cast import finished_run, sheet_of


def test_an_empty_list_says_where_sheets_come_from(client: TestClient) -> None:
    assert "No sheet yet." in client.get("/compare").text


def test_the_list_counts_what_is_drawn(client: TestClient, session: Session) -> None:
    sheet_of(session, finished_run(session), drawn=5)
    page = client.get("/compare").text
    assert "5 of 36" in page
    assert "waiting" in page


def test_the_grid_has_a_column_for_each_checkpoint_and_a_row_for_each_prompt_and_seed(
    client: TestClient, session: Session
) -> None:
    sheet = sheet_of(session, finished_run(session), drawn=36)
    page = client.get(f"/compare/{sheet.id}")
    assert page.text.count('role="columnheader"') == 1 + 3
    assert page.text.count("data-row=") == 12
    rows = page.text[: page.text.index("<template data-blank")]
    assert rows.count('loading="lazy"') == rows.count('width="64" height="64"') == rows.count("/thumb") == 36
    assert "loss 0.300, best" in page.text
    assert "64 px, enlarged" in page.text
    assert "data-why" not in rows


def test_a_missing_cell_gives_its_reason(client: TestClient, session: Session) -> None:
    sheet = sheet_of(session, finished_run(session), drawn=12)
    jobs.get(session, sheet.job_id or 0).state = "failed"
    session.flush()
    page = client.get(f"/compare/{sheet.id}").text
    assert page.count('data-why="not drawn: drawing failed"') == 24
    assert "Draw the missing 24" in page


def test_drawing_the_missing_asks_once(client: TestClient, session: Session) -> None:
    sheet = sheet_of(session, finished_run(session), drawn=12)
    jobs.get(session, sheet.job_id or 0).state = "cancelled"
    session.flush()
    before = sheet.job_id
    client.post(f"/compare/{sheet.id}/drawing")
    session.expire_all()
    asked = sheet.job_id
    client.post(f"/compare/{sheet.id}/drawing")
    session.expire_all()
    assert before != asked == sheet.job_id


def test_what_ended_the_drawing_is_told(client: TestClient, session: Session) -> None:
    sheet = sheet_of(session, finished_run(session), drawn=12)
    job = jobs.get(session, sheet.job_id or 0)
    job.state, job.result = "done", {"sentence": "12 of 36 pictures were drawn; the run’s money limit ended it."}
    session.flush()
    page = client.get(f"/compare/{sheet.id}").text
    assert "12 of 36 pictures were drawn; the run’s money limit ended it. What is there stays." in page
    assert "Draw the missing 24" in page


@pytest.mark.parametrize("state", ["done", "cancelled"])
def test_where_nothing_was_told_the_page_only_counts(client: TestClient, session: Session, state: str) -> None:
    sheet = sheet_of(session, finished_run(session), drawn=12)
    jobs.get(session, sheet.job_id or 0).state = state
    session.flush()
    page = client.get(f"/compare/{sheet.id}")
    assert "12 of 36 pictures are drawn. What is there stays." in page.text


def test_categories_are_chips_with_counts_and_filter_by_the_address(client: TestClient, session: Session) -> None:
    sheet = sheet_of(session, finished_run(session))
    page = client.get(f"/compare/{sheet.id}?category=Shoes")
    assert page.text.count("data-row=") == 4
    assert f'href="/compare/{sheet.id}?category=Vases"' in page.text
    assert "4 rows of 12" in page.text
    none = client.get(f"/compare/{sheet.id}?category=Boats")
    assert "No row in this category." in none.text


def test_a_sample_is_an_immutable_png(client: TestClient, session: Session, settings: Settings) -> None:
    sheet = sheet_of(session, finished_run(session))
    cell = sheets.missing(session, sheet)[0]
    sha256 = Storage(settings.data_dir).put("samples", b"\x89PNG picture", ".png")
    sheets.record(session, [sheets.DrawnCell(cell, sha256, 64, 64)])
    sample = session.query(Sample).one()
    answer = client.get(f"/samples/{sample.id}")
    assert answer.content == b"\x89PNG picture"
    assert answer.headers["content-type"] == "image/png"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_sample_that_is_not_there_is_not_here(client: TestClient, session: Session) -> None:
    sheet_of(session, finished_run(session), drawn=1)
    lost = session.query(Sample).one()
    assert client.get(f"/samples/{lost.id}").status_code == 404
    assert client.get("/samples/4711").status_code == 404
    assert client.get("/compare/4711").status_code == 404


def test_strangers_see_no_sample(stranger: TestClient) -> None:
    assert stranger.get("/samples/1", headers={"Accept": "image/*"}).status_code == 401


def test_texts_are_shown_not_run(client: TestClient, session: Session) -> None:
    sheet = sheet_of(session, finished_run(session))
    prompt = suites.prompts_of(session, sheets.suite(session, sheet))[0]
    prompt.text = '"><script>alert(1)</script>'
    session.flush()
    assert "<script>alert" not in client.get(f"/compare/{sheet.id}").text
