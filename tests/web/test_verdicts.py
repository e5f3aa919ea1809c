"""The verdict over the web: the page in each outcome, its gate set by plain forms, the pictures behind each number."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.evaluation import gate_setting
from app.evaluation.columns import drawn_columns
from app.evaluation.tables import Sheet
from app.settings import Settings
from tests import cast
from tests.conftest import sign_in
from tests.evaluation.cast import finished_run, sheet_of
from tests.evaluation.test_deciding import answer_all, vote_all

LIMITS = {"usable": "70", "best_of": "90", "category": "60", "hold_out": "70", "hard_fails": "5", "copies": "5",
          "margin": "10", "most_votes": "400"}  # fmt: skip


@pytest.fixture
def sheet(session: Session) -> Sheet:
    return sheet_of(session, finished_run(session), 36)


@pytest.fixture
def lead(web: FastAPI, session: Session, settings: Settings) -> TestClient:
    return sign_in(web, session, settings, cast.person(session, "Ana Lind", "lead"))


@pytest.fixture
def viewer(web: FastAPI, session: Session, settings: Settings) -> TestClient:
    return sign_in(web, session, settings, cast.person(session, "Otto", "viewer"))


def outcomes(page: str) -> list[tuple[bool, str]]:
    """The three outcomes of a page: whether it is the true one, and its title."""
    found = re.findall(r'<div class="vc (\w+)( now)?">\s*<h2>.*?</svg>(.*?)</h2>', page, re.DOTALL)
    return [(bool(now), title.strip()) for _, now, title in found]


def test_the_sheet_leads_to_a_verdict_that_says_what_is_missing(sheet: Sheet, viewer: TestClient) -> None:
    here = f"/compare/{sheet.id}"
    assert f'href="{here}/verdict"' in viewer.get(here).text
    page = viewer.get(f"{here}/verdict").text
    titles = outcomes(page)
    assert [is_so for is_so, _ in titles] == [False, True, False]
    assert titles[1][1].startswith("Need ") and "more answers" in titles[1][1]
    assert "not set yet" in page and "A lead sets it" in page and f'action="{here}/gate"' not in page
    assert "Not given. With a few hundred pictures" in page, "no FID, with the reason"
    assert "not configured: PACKSHOT_EMBEDDER" in page and "not configured: PACKSHOT_CAPTION_MODEL" in page


def test_a_lead_sets_the_gate_by_a_plain_form_and_bad_input_loses_nothing(
    session: Session, sheet: Sheet, lead: TestClient
) -> None:
    here, base = f"/compare/{sheet.id}", drawn_columns(session, sheet)[0]
    form = {**LIMITS, "baseline": str(base.id), "expected_id": "0"}
    refused = lead.post(f"{here}/gate", data={**form, "usable": "120", "best_of": "88"})
    assert refused.status_code == 422 and "has to be above 0 and below 100 %" in refused.text
    assert 'value="120"' in refused.text and 'value="88"' in refused.text
    for bad, said in (({"usable": "many"}, "number of percent"), ({"margin": "60"}, "below 50 %"),
                      ({"most_votes": "3"}, "20 to 100,000"), ({"most_votes": "-"}, "whole number"),
                      ({"usable": "nan"}, "has to be")):  # fmt: skip
        answer = lead.post(f"{here}/gate", data={**form, **bad})
        assert answer.status_code == 422 and said in answer.text, bad
    assert gate_setting.current(session, sheet) is None
    assert lead.post(f"{here}/gate", data={**form, "hold_out": "", "usable": "72,5"}).status_code == 303
    kept = gate_setting.current(session, sheet)
    assert kept is not None and kept.limits.usable == 0.725 and kept.limits.hold_out is None
    assert "before any vote by Ana Lind" in lead.get(f"{here}/verdict").text


def test_with_votes_in_a_change_asks_for_a_note(session: Session, sheet: Sheet, lead: TestClient) -> None:
    here, (base, first, _) = f"/compare/{sheet.id}", drawn_columns(session, sheet)
    lead.post(f"{here}/gate", data={**LIMITS, "baseline": str(base.id), "expected_id": "0"})
    kept = gate_setting.current(session, sheet)
    assert kept is not None
    vote_all(session, sheet, first.id, base.id)
    form = {**LIMITS, "usable": "50", "baseline": str(base.id), "expected_id": str(kept.id)}
    refused = lead.post(f"{here}/gate", data=form)
    assert refused.status_code == 422 and "say why the gate is changed" in refused.text
    assert lead.post(f"{here}/gate", data={**form, "note": "Agreed <with> the buyer."}).status_code == 303
    page = lead.get(f"{here}/verdict").text
    assert "Agreed &lt;with&gt; the buyer." in page and "after 12 answers" in page
    stale = lead.post(f"{here}/gate", data={**form, "usable": "40", "note": "Late."})
    assert stale.status_code == 409


def test_only_leads_set_a_gate(sheet: Sheet, viewer: TestClient) -> None:
    assert viewer.post(f"/compare/{sheet.id}/gate", data=LIMITS).status_code == 403


def test_each_number_opens_exactly_its_pictures(session: Session, sheet: Sheet, viewer: TestClient) -> None:
    here, (base, _, last) = f"/compare/{sheet.id}", drawn_columns(session, sheet)
    vote_all(session, sheet, last.id, base.id)
    answer_all(session, sheet, last.id, 3)
    page = viewer.get(f"{here}/verdict?candidate=100").text
    assert (True, "Train more") in outcomes(page)
    links = [link.replace("&amp;", "&") for link in re.findall(r'href="([^"]*verdict/pictures[^"]*)"', page)]
    assert f"{here}/verdict/pictures?column=100&of=usable" in links
    for link in set(links):
        assert viewer.get(link).status_code == 200, link
    behind = viewer.get(f"{here}/verdict/pictures?column=100&of=usable").text
    assert "9 not usable" in behind and "3 usable" in behind
    assert behind.count('loading="lazy"') == 12 and f"{here}#row=" in behind
    votes = viewer.get(f"{here}/verdict/pictures?column=100&of=not_worse").text
    assert "12 won" in votes and votes.count('loading="lazy"') == 24
    assert viewer.get(f"{here}/verdict/pictures?column=100&of=nothing").status_code == 404
    assert viewer.get(f"{here}/verdict/pictures?column=999&of=usable").status_code == 404
    assert viewer.get(f"{here}/verdict/pictures?column=100&of=hold_out").status_code == 403


def test_all_columns_are_ranked_and_what_cannot_be_told_is_said(
    session: Session, sheet: Sheet, viewer: TestClient
) -> None:
    base, _, last = drawn_columns(session, sheet)
    vote_all(session, sheet, last.id, base.id, most=4)
    assert "not distinguishable yet" in viewer.get(f"/compare/{sheet.id}/verdict").text, "four votes are few"
    for name in ("Cid", "Dan"):
        vote_all(session, sheet, last.id, base.id, name)
    page = viewer.get(f"/compare/{sheet.id}/verdict").text
    table = page[page.index("ranking-title") : page.index("track-title")]
    assert table.index(">100</a>") < table.index(">50</a>"), "the likeliest best first"
    assert "better" in table and "baseline" in table and "no votes yet" in table
    assert "Gate for step 100" in page and "won after 28 votes" in page
