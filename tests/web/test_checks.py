"""The pages of checks and profiles."""

from __future__ import annotations

from html import unescape

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import jobs
from app.evaluation import measuring, profile_editing, sheets
from app.evaluation.measure_tables import SampleMeasure
from app.evaluation.measuring import MeasuredSample
from app.evaluation.sample_rules import NearestPhoto
from app.evaluation.tables import Prompt, Sample, Sheet
from app.settings import Settings
from app.storage import Storage
from benchmarks.drawn_samples import on_grey
from tests import cast
from tests.conftest import sign_in
from tests.evaluation.cast import finished_run, sheet_of
from tests.pictures import saved

WHITE = {
    "background": "white", "background_colour": "pure white", "confidence": 1.0, "whiteness": 1.0,
    "background_delta_e": 0.2, "fill": 0.9, "offset_x": 0.0, "offset_y": 0.0, "box": [0.05, 0.1, 0.95, 0.9], "parts": 1,
    "is_cropped": False, "cropped_edges": [], "sharpness": 0.9, "detail": 0.9, "border": 0.0, "seam": 0.0,
    "subject_colour": "red", "subject_lab": [40, 60, 40], "size_bytes": 90_000,
}  # fmt: skip
OUTLINE = "M50 100L950 100L950 900L50 900Z"


@pytest.fixture
def sheet(session: Session) -> Sheet:
    """A sheet of which three samples are drawn and two are measured: one good, one on grey and a copy."""
    sheet = sheet_of(session, finished_run(session), drawn=3)
    good, grey, _ = samples_of(session, sheet)
    prompt_text(session, good, "Red kettle on a pure white background.")
    prompt_text(session, grey, "Red kettle on a pure white background.")
    measuring.record(session, 9, [
        MeasuredSample(good.id, WHITE, {"outline": OUTLINE, "border_lines": [], "seam_lines": []}),
        MeasuredSample(grey.id, {**WHITE, "whiteness": 0.1, "background_delta_e": 3.4}, {"outline": OUTLINE}),
    ])  # fmt: skip
    measuring.record_words(session, {good.id: [], grey.id: []})
    photo = cast.red_kettle(session, cast.catalog(session))
    measuring.record_nearest(session, {
        good.id: NearestPhoto(photo.id, 0.5, 0.96, 12), grey.id: NearestPhoto(photo.id, 0.99, 0.96, 12, rest=0.04),
    })  # fmt: skip
    return sheet


def samples_of(session: Session, sheet: Sheet) -> list[Sample]:
    ids = sorted(sheets.drawn_cells(session, sheet).values())
    return list(session.scalars(select(Sample).where(Sample.id.in_(ids)).order_by(Sample.id)))


def prompt_text(session: Session, sample: Sample, text: str) -> None:
    prompt = session.get_one(Prompt, sample.prompt_id)
    prompt.text, prompt.atoms = text, {"background": "white", "count": 1}
    session.flush()


def test_a_sheet_counts_pass_fail_and_cannot_tell(client: TestClient, session: Session, sheet: Sheet) -> None:
    page = unescape(client.get(f"/compare/{sheet.id}/checks").text)
    assert "1 fail: White background" in page
    assert "1 pass: White background" in page
    assert "1 fail: No copy of a training photo" in page
    assert "1 of 3 pictures\n    is not measured yet" in page
    assert "1 cannot tell: Measured" in page


def test_the_profile_decides(client: TestClient, sheet: Sheet) -> None:
    assert "Shorter side" not in client.get(f"/compare/{sheet.id}/checks").text
    walmart = unescape(client.get(f"/compare/{sheet.id}/checks?profile=walmart").text)
    assert "2 fail: Shorter side" in walmart
    assert client.get(f"/compare/{sheet.id}/checks?profile=etsy").status_code == 404


def test_a_count_opens_its_pictures_with_their_reasons(client: TestClient, session: Session, sheet: Sheet) -> None:
    grey = samples_of(session, sheet)[1]
    address = f"/compare/{sheet.id}/checks?profile=house&check=whiteness&column={grey.checkpoint_id}&answer=failed"
    page = unescape(client.get(address).text)
    assert f"/samples/{grey.id}/checks?profile=house&show=whiteness" in page
    assert "It is 0.1, and has to be at least 0.95." in page


def test_measuring_is_asked_for_once(client: TestClient, session: Session, sheet: Sheet) -> None:
    for _ in range(2):
        assert client.post(f"/compare/{sheet.id}/measuring").status_code == 303
    assert session.query(jobs.Job).filter_by(kind=measuring.KIND).count() == 1
    assert "Checking the pictures" in client.get(f"/compare/{sheet.id}/checks").text


def test_a_sample_shows_why_and_the_photo_that_it_copies(client: TestClient, session: Session, sheet: Sheet) -> None:
    good, grey, fresh = samples_of(session, sheet)
    page = unescape(client.get(f"/samples/{grey.id}/checks").text)
    row = session.get_one(SampleMeasure, grey.id)
    assert "It is a copy of this training photo." in page
    assert f"/images/{row.nearest_id}/view" in page
    off_white = unescape(client.get(f"/samples/{grey.id}/checks?show=whiteness").text)
    assert f"/samples/{grey.id}/evidence?of=offwhite" in off_white
    margins = client.get(f"/samples/{good.id}/checks?show=fill_least").text
    assert '<rect class="outline over"' in margins
    assert "It is a copy" not in margins
    assert "It was not measured yet." in client.get(f"/samples/{fresh.id}/checks").text
    assert client.get("/samples/999999/checks").status_code == 404


def test_the_pixels_that_are_off_white_are_marked(
    client: TestClient, session: Session, sheet: Sheet, settings: Settings
) -> None:
    grey = samples_of(session, sheet)[1]
    assert client.get(f"/samples/{grey.id}/evidence?of=offwhite").status_code == 404, "the file is gone"
    grey.sha256 = Storage(settings.data_dir).put("samples", saved(on_grey(235)(96), "PNG"), ".png")
    session.flush()
    answer = client.get(f"/samples/{grey.id}/evidence?of=offwhite")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert client.get(f"/samples/{grey.id}/evidence?of=magic").status_code == 404


def test_held_out_prompts_stay_hidden(client: TestClient, session: Session, sheet: Sheet) -> None:
    grey = samples_of(session, sheet)[1]
    session.get_one(Prompt, grey.prompt_id).tier = "hold_out"
    session.flush()
    answer = client.get(f"/samples/{grey.id}/checks")
    assert answer.status_code == 422 and "held out" in answer.text
    address = f"/compare/{sheet.id}/checks?check=whiteness&column={grey.checkpoint_id}&answer=failed"
    assert f"/samples/{grey.id}/checks" not in client.get(address).text


def test_profiles_are_listed_with_their_sources(client: TestClient) -> None:
    assert "Walmart main image" in client.get("/profiles").text
    page = client.get("/profiles/google").text
    assert 'href="https://support.google.com/merchants/answer/6324350"' in page
    assert 'value="2026-11-23"' in page
    assert client.get("/profiles/etsy").status_code == 404


def form(**changed: str) -> dict[str, str]:
    fields = {
        "name": "Amazon main image", "expected": "0", "on-fill_least": "on", "limit-fill_least": "0.8",
        "level-fill_least": "required", "source-fill_least": "https://example.org",
        "checked_on-fill_least": "2026-12-01",
    }  # fmt: skip
    return fields | changed


def test_a_lead_edits_a_profile(client: TestClient, session: Session) -> None:
    assert client.post("/profiles/amazon", data=form()).status_code == 303
    kept = profile_editing.get(session, "amazon")
    assert kept.profile.rules["fill_least"].limit == 0.8
    assert list(kept.profile.rules) == ["fill_least"]
    assert kept.profile.checked_on.isoformat() == "2026-12-01"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"limit-fill_least": "wide"}, "is a number"),
        ({"limit-fill_least": "7"}, "from 0 to 1"),
        ({"checked_on-fill_least": "yesterday"}, "needs the day"),
        ({"source-fill_least": ""}, "needs its source"),
        ({"name": ""}, "name of a profile"),
    ],
)
def test_what_cannot_be_kept_is_shown_as_typed(client: TestClient, changed: dict[str, str], sentence: str) -> None:
    answer = client.post("/profiles/amazon", data=form(**changed))
    assert answer.status_code == 422
    page = unescape(answer.text)
    assert sentence in page
    assert f'value="{next(iter(changed.values()))}"' in page


def test_an_edit_of_an_older_page_loses_nothing(client: TestClient) -> None:
    client.post("/profiles/amazon", data=form())
    answer = client.post("/profiles/amazon", data=form(**{"limit-fill_least": "0.7"}))
    assert answer.status_code == 409
    page = unescape(answer.text)
    assert "has edited this profile meanwhile" in page and 'value="0.7"' in page


def test_a_viewer_reads_and_edits_nothing(web: FastAPI, session: Session, settings: Settings, sheet: Sheet) -> None:
    viewer = sign_in(web, session, settings, cast.person(session, "Vi", "viewer"))
    page = viewer.get("/profiles/amazon").text
    assert "A lead edits profiles." in page and '<input type="checkbox"' not in page
    assert "At least 0.85" in page
    assert viewer.post("/profiles/amazon", data=form()).status_code == 403
    assert "measuring" not in viewer.get(f"/compare/{sheet.id}/checks").text
