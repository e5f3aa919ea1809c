"""The gallery of a sheet: rows by filters, all cells in few bytes, what came since, small pictures, what is hidden."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image as Pillow
from sqlalchemy.orm import Session

from app import jobs
from app.evaluation import hold_out, sheets, suites, thumbs, usable, voting
from app.evaluation.columns import ColumnWish
from app.evaluation.suites import PromptText
from app.evaluation.tables import Sample, Sheet
from app.evaluation.usable import SinglePicture
from app.evaluation.voting import VotePair, Voter
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from app.training import runs
from tests import cast
from tests.conftest import sign_in
from tests.evaluation.cast import finished_run, sheet_of


def rows_of(page: str) -> list[str]:
    return re.findall(r'data-row="([^"]+)"', page)


def cells_of(page: str) -> dict[str, Any]:
    text = re.search(r"data-cells>(.*?)</script>", page, re.DOTALL)
    assert text is not None
    cells: dict[str, Any] = json.loads(text[1])
    return cells


def sample_at(session: Session, sheet: Sheet, prompt: int, column: int) -> Sample:
    """The sample of a prompt's first seed in a column of the sheet."""
    suite = sheets.suite(session, sheet)
    number = suites.prompts_of(session, suite)[prompt].id
    checkpoint = sheets.columns.drawn_columns(session, sheet)[column]
    return session.query(Sample).filter_by(prompt_id=number, seed=suite.seeds[0], checkpoint_id=checkpoint.id).one()


@pytest.fixture
def whole(session: Session) -> Sheet:
    """A sheet of 12 rows and 3 columns, all drawn."""
    return sheet_of(session, finished_run(session), drawn=36)


def test_every_cell_is_told_once_in_few_bytes(client: TestClient, session: Session, whole: Sheet) -> None:
    last = session.query(Sample).order_by(Sample.id.desc()).first()
    assert last is not None
    number = last.id
    session.delete(last)
    jobs.get(session, whole.job_id or 0).state = "failed"
    session.flush()
    cells = cells_of(client.get(f"/compare/{whole.id}").text)
    assert [column[:3] for column in cells["columns"]] == [
        ["0", "Base", "base"], ["50", "50", "step 50"], ["100", "100", "step 100"],
    ]  # fmt: skip
    flat = [number for row in cells["cells"] for number in row]
    assert len(flat) == 36 and flat.count(0) == 1 and number not in flat
    assert sum(count for waits in cells["waits"] for _, count in waits) == 1
    assert [why for waits in cells["waits"] for why, _ in waits] == ["not drawn: drawing failed"]
    assert cells["held"] == 35


def test_a_page_asks_for_what_changed_only(client: TestClient, session: Session) -> None:
    sheet = sheet_of(session, finished_run(session), drawn=12)
    cells = cells_of(client.get(f"/compare/{sheet.id}").text)
    address = f"/compare/{sheet.id}/changes"
    asked = {"since": cells["newest"], "held": cells["held"]}
    none = client.get(address, params=asked).json()
    assert (none["cells"], none["held"], none["isLive"]) == ([], 12, True)
    todo = sheets.missing(session, sheet)[:2]
    sheets.record(session, [sheets.DrawnCell(cell, "c" * 64, 64, 64) for cell in todo])
    news = client.get(address, params=asked).json()
    assert len(news["cells"]) == 2 and news["held"] == 14 and "whole" not in news
    assert "14 of 36" in news["progress"]
    assert sum(count for waits in news["waits"] for _, count in waits) == 22


def test_a_sample_that_was_committed_late_is_not_missed(client: TestClient, session: Session) -> None:
    """Numbers are given before commits: a lower one may come after a higher one was seen."""
    sheet = sheet_of(session, finished_run(session), drawn=12)
    cells = cells_of(client.get(f"/compare/{sheet.id}").text)
    news = client.get(f"/compare/{sheet.id}/changes", params={"since": cells["newest"] + 9, "held": 11}).json()
    assert news["whole"]["held"] == 12


def test_rows_are_filtered_by_what_was_said(client: TestClient, session: Session, whole: Sheet, me: Person) -> None:
    voter = Voter(person_id=me.id)
    good, bad = (SinglePicture(sample_at(session, whole, prompt, 1).id) for prompt in (2, 5))
    usable.answer(session, whole, voter, good, True, 1.0)
    usable.answer(session, whole, voter, bad, False, 1.0)
    usable.tag(session, whole, voter, bad, "bad_text", True)
    here = f"/compare/{whole.id}"
    assert rows_of(client.get(f"{here}?verdict=usable").text) == ["3.11"]
    assert rows_of(client.get(f"{here}?verdict=not_usable").text) == ["6.11"]
    assert rows_of(client.get(f"{here}?failure=bad_text").text) == ["6.11"]
    assert rows_of(client.get(f"{here}?failure=any&of=50").text) == ["6.11"]
    assert "No row has such a picture." in client.get(f"{here}?failure=any&of=100").text
    assert "No row has such a picture." in client.get(f"{here}?failure=crop").text
    page = client.get(f"{here}?failure=bad_text").text
    assert "bad text</span>" in page and 'class="cell hit"' in page
    assert rows_of(client.get(f"{here}?order=worst").text)[0] == "6.11"
    assert cells_of(page)["hits"] == [bad.sample_id]


def test_rows_are_filtered_by_votes(client: TestClient, session: Session, whole: Sheet, me: Person) -> None:
    left, right = sample_at(session, whole, 3, 0), sample_at(session, whole, 3, 2)
    pair = VotePair(left.prompt_id, left.seed, left.checkpoint_id, right.checkpoint_id)
    voting.vote(session, whole, Voter(person_id=me.id), pair, "right", 1.0, False)
    here = f"/compare/{whole.id}"
    assert rows_of(client.get(f"{here}?verdict=won&of=100").text) == ["4.11"]
    assert rows_of(client.get(f"{here}?verdict=lost&of=0").text) == ["4.11"]
    assert rows_of(client.get(f"{here}?verdict=won&of=0").text) == []
    assert rows_of(client.get(f"{here}?verdict=both_bad").text) == []


@pytest.mark.parametrize("query", ["verdict=splendid", "failure=smells"])
def test_words_that_no_filter_knows_are_refused(client: TestClient, whole: Sheet, query: str) -> None:
    answer = client.get(f"/compare/{whole.id}?{query}")
    assert answer.status_code == 422 and "is not one of the" in answer.text


def test_whoever_votes_sees_what_they_said_alone(
    web: FastAPI, settings: Settings, session: Session, whole: Sheet, me: Person
) -> None:
    picture = SinglePicture(sample_at(session, whole, 2, 1).id)
    usable.tag(session, whole, Voter(person_id=me.id), picture, "crop", True)
    for role, rows in (("annotator", 0), ("viewer", 1), ("lead", 1)):
        client = sign_in(web, session, settings, cast.person(session, role=role))
        assert len(rows_of(client.get(f"/compare/{whole.id}?failure=crop").text)) == rows, role


def test_a_large_sheet_starts_with_what_a_window_shows(client: TestClient, session: Session) -> None:
    run = finished_run(session)
    sampling = {"steps": 2, "guidance": 1.0, "width_px": 64, "height_px": 64}
    prompts = [PromptText(f"A cup, number {number}", "Cups") for number in range(1, 101)]
    suite = suites.keep(session, "Large", prompts, (11, 23), sampling)
    wishes = [ColumnWish(checkpoint.id) for checkpoint in runs.checkpoints(session, run.id)]
    sheet = sheets.make(session, suite, wishes)
    page = client.get(f"/compare/{sheet.id}").text
    assert rows_of(page) == [f"{number}.{seed}" for number in range(1, 5) for seed in (11, 23)]
    assert len(cells_of(page)["rows"]) == 200
    assert f'href="/compare/{sheet.id}?at=9"' in page
    last = client.get(f"/compare/{sheet.id}?at=199").text
    assert rows_of(last) == ["100.11", "100.23"] and "Next rows" not in last


def test_a_small_picture_is_made_once_and_kept(
    client: TestClient, session: Session, settings: Settings, whole: Sheet
) -> None:
    file = io.BytesIO()
    Pillow.new("RGB", (1024, 768), "teal").save(file, "PNG")
    files = Storage(settings.data_dir)
    sample = sample_at(session, whole, 0, 0)
    sample.sha256 = files.put("samples", file.getvalue(), ".png")
    session.flush()
    answer = client.get(f"/samples/{sample.id}/thumb")
    assert answer.headers["content-type"] == "image/webp" and "immutable" in answer.headers["cache-control"]
    with Pillow.open(io.BytesIO(answer.content)) as small:
        assert small.size == (256, 192)
    kept = thumbs.path_of(files, sample.sha256)
    assert kept.read_bytes() == answer.content
    files.path("samples", sample.sha256, ".png").unlink()
    assert client.get(f"/samples/{sample.id}/thumb").content == answer.content, "made once"
    kept.unlink()
    assert client.get(f"/samples/{sample.id}/thumb").status_code == 404


def test_a_file_that_is_no_picture_has_no_small_one(
    client: TestClient, session: Session, settings: Settings, whole: Sheet
) -> None:
    sample = sample_at(session, whole, 0, 0)
    sample.sha256 = Storage(settings.data_dir).put("samples", b"\x89PNG half", ".png")
    session.flush()
    assert client.get(f"/samples/{sample.id}/thumb").status_code == 404


def test_held_out_prompts_and_their_samples_are_hidden_until_they_are_opened(
    web: FastAPI, settings: Settings, client: TestClient, session: Session, me: Person
) -> None:
    run = finished_run(session)
    sampling = {"steps": 2, "guidance": 1.0, "width_px": 64, "height_px": 64}
    prompts = [PromptText("A cup", "Cups"), PromptText("The secret jug", "Jugs", tier="hold_out")]
    suite = suites.keep(session, "Held", prompts, (11,), sampling)
    sheet = sheets.make(session, suite, [ColumnWish(runs.checkpoints(session, run.id)[1].id, "hold_out")])
    file = io.BytesIO()
    Pillow.new("RGB", (64, 64), "teal").save(file, "PNG")
    sha256 = Storage(settings.data_dir).put("samples", file.getvalue(), ".png")
    sheets.record(session, [sheets.DrawnCell(cell, sha256, 64, 64) for cell in sheets.missing(session, sheet)])
    held = session.query(Sample).filter_by(prompt_id=suites.prompts_of(session, suite)[1].id).one()
    addresses = [f"/samples/{held.id}", f"/samples/{held.id}/thumb"]
    page = client.get(f"/compare/{sheet.id}").text
    assert "secret jug" not in page and "Jugs" not in page and len(rows_of(page)) == 1
    assert [client.get(address).status_code for address in addresses] == [404, 404]
    hold_out.open_for(session, suite, sheet, me)
    assert "secret jug" in client.get(f"/compare/{sheet.id}").text
    assert [client.get(address).status_code for address in addresses] == [200, 200]
    other = sign_in(web, session, settings, cast.person(session, role="annotator"))
    assert "secret jug" not in other.get(f"/compare/{sheet.id}").text
    assert [other.get(address).status_code for address in addresses] == [404, 404]
