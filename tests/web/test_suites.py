"""The pages of suites: list, version, editor, product suite, files, what is held out."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.evaluation import hold_out, suites
from app.evaluation.tables import Suite
from app.people import Person
from app.settings import Settings
from tests import cast
from tests.conftest import sign_in
from tests.evaluation.test_suites import SAMPLING, sheet_from, small, stocked

Fields = dict[str, list[str]]
FIELDS = (
    r'<input[^>]* name="(\w+)" value="([^"]*)"', r'<textarea[^>]* name="(\w+)"[^>]*>\n?([^<]*)<',
    r'<select name="(\w+)"(.*?)</select>',
)  # fmt: skip


def form_of(page: str) -> Fields:
    """The fields of the editor as a browser without a script would send them."""
    form = page.partition("data-suite-edit")[2].partition("</form>")[0]
    fields: Fields = {}
    for match in re.finditer("|".join(FIELDS), form, re.DOTALL):
        one, value, area, text, choice, options = match.groups()
        if choice:
            value = (re.search(r'value="([^"]*)" selected', options) or re.search(r'value="([^"]*)"', options))[1]  # type: ignore[index]
        fields.setdefault(one or area or choice, []).append(unescape(value if text is None else text))
    return fields


def sent(client: TestClient, path: str, fields: Fields | dict[str, object]) -> str:
    """The page that a form leads to."""
    answer = client.post(path, data=fields)  # type: ignore[arg-type]
    assert answer.status_code == 303, answer.text
    return unescape(client.get(answer.headers["location"]).text)


def newest(session: Session) -> Suite:
    return session.scalars(select(Suite).order_by(Suite.id.desc())).first() or pytest.fail("no suite")


def test_an_empty_list_offers_the_product_suite(client: TestClient) -> None:
    assert "No suite yet." in client.get("/suites").text


def test_the_list_has_versions_with_their_tiers_and_sheets(client: TestClient, session: Session) -> None:
    suite = small(session)
    sheet_from(session, suite)
    page = client.get("/suites").text
    assert f'href="/suites/{suite.id}">Version 1</a>' in page
    assert re.findall(r'<td class="num">(\d+)</td>', page) == ["3", "1", "1", "1", "2", "1"]


def test_a_version_shows_its_prompts_but_not_what_is_held_out(client: TestClient, session: Session) -> None:
    suite = small(session)
    page = client.get(f"/suites/{suite.id}").text
    assert "A red kettle." in page
    assert "object: kettle; colour: red" in page
    assert "secret" not in page
    assert "1 prompt, never opened." in page
    lines = client.get(f"/suites/{suite.id}/suite.jsonl").text
    assert "secret" not in lines
    assert json.loads(lines.splitlines()[0])["held_back"] == 1


def test_opening_is_counted_told_and_shows_them_to_leads_alone(
    client: TestClient, web: FastAPI, session: Session, settings: Settings
) -> None:
    suite = small(session)
    sheet = sheet_from(session, suite)
    for _ in range(2):
        page = sent(client, f"/suites/{suite.id}/hold-out", {"sheet_id": sheet.id})
    assert "1 prompt, opened 1 time, last by" in re.sub(r"\s+", " ", page)
    assert "A secret kettle." in page
    assert "secret" in client.get(f"/suites/{suite.id}/suite.jsonl").text
    with sign_in(web, session, settings, cast.person(session, "Vi", role="viewer")) as viewer:
        assert "secret" not in viewer.get(f"/suites/{suite.id}").text
        assert "secret" not in viewer.get(f"/suites/{suite.id}/suite.jsonl").text


def test_saved_as_it_is_the_editor_makes_no_version(client: TestClient, session: Session) -> None:
    suite = small(session)
    fields = form_of(client.get(f"/suites/{suite.id}/edit").text)
    assert len(fields["text"]) == 2 + 3
    page = sent(client, f"/suites/{suite.id}", fields)
    assert "Nothing differs, so no version was made" in page
    assert session.query(Suite).count() == 1


def test_the_editor_makes_a_version_and_its_page_tells_what_changed(client: TestClient, session: Session) -> None:
    suite = small(session)
    fields = form_of(client.get(f"/suites/{suite.id}/edit").text)
    fields["text"][0], fields["tier"][0] = "A red kettle, once more.", "quick"
    fields["text"][2], fields["category"][2], fields["order"][2] = "A new shoe.", "Shoes", "0.5"
    page = sent(client, f"/suites/{suite.id}", fields)
    saved = newest(session)
    texts = [prompt.text for prompt in suites.prompts_of(session, saved)]
    assert texts == ["A new shoe.", "A secret kettle.", "A red kettle, once more.", "Two\nshoes."]
    assert "Since version 1" in page
    assert "<ins>A red kettle, once more.</ins>" in page
    assert "tier: preview became quick" in page


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("seeds", "1 x", "Seeds are whole numbers"), ("steps", "0", "The steps of a suite"),
        ("width_px", "65", "can be divided by 8"), ("weight", "heavy", "Prompt 1: “heavy” is no weight"),
        ("atoms", "kettle", "Prompt 1: Write atoms as name: value"), ("category", "", "Prompt 1: A category"),
    ],
)  # fmt: skip
def test_what_is_refused_stands_there_as_it_was_typed(
    client: TestClient, session: Session, name: str, value: str, sentence: str
) -> None:
    suite = small(session)
    fields = form_of(client.get(f"/suites/{suite.id}/edit").text)
    fields["text"][1] = "Typed for long."
    fields[name][0] = value
    answer = client.post(f"/suites/{suite.id}", data=fields)
    assert answer.status_code == 422
    assert sentence in unescape(answer.text)
    again = form_of(answer.text)
    assert "Typed for long." in again["text"]
    assert again[name][0] == value
    assert session.query(Suite).count() == 1


def test_two_editors_lose_nothing(client: TestClient, session: Session) -> None:
    suite = small(session)
    mine, theirs = (form_of(client.get(f"/suites/{suite.id}/edit").text) for _ in range(2))
    theirs["seeds"] = ["5"]
    client.post(f"/suites/{suite.id}", data=theirs)
    mine["seeds"] = ["6"]
    answer = client.post(f"/suites/{suite.id}", data=mine)
    assert answer.status_code == 409
    assert "Version 2 of this suite was made meanwhile" in answer.text
    client.post(f"/suites/{suite.id}", data=form_of(answer.text))
    assert (newest(session).version, newest(session).seeds) == (3, [6])


def test_a_form_of_many_prompts_arrives_whole(client: TestClient, session: Session, me: Person) -> None:
    pile, _ = stocked(session, me)
    client.post("/suites", data={"catalog_id": pile.id, "name": "Products", **SAMPLING})
    suite = newest(session)
    hold_out.open_for(session, suite, sheet_from(session, suite), me)
    fields = form_of(client.get(f"/suites/{suite.id}/edit").text)
    assert sum(map(len, fields.values())) > 1_000
    assert client.post(f"/suites/{suite.id}", data=fields).status_code == 303
    fields["seeds"] = ["3"]
    del client.headers["X-CSRF-Token"]  # as from a page without scripts, whose token is a field
    sent(client, f"/suites/{suite.id}", fields)
    assert len(suites.prompts_of(session, newest(session))) == 144
    assert newest(session).version == 2


def test_the_product_suite_is_shown_before_it_is_made(client: TestClient, session: Session, me: Person) -> None:
    pile, _ = stocked(session, me)
    assert f'href="/suites/new?catalog_id={pile.id}"' in client.get("/suites/new").text
    page = client.get(f"/suites/new?catalog_id={pile.id}").text
    assert "red kettle" in page
    assert page.count('class="n"') == 120
    made = sent(client, "/suites", {"catalog_id": pile.id, "name": "Products", **SAMPLING})
    assert "hold-out 24" in made
    assert "480 pictures for a column in full" in made
    assert '/thumb" width="44"' in made
    empty = cast.catalog(session)
    assert "No photo says what it shows" in client.get(f"/suites/new?catalog_id={empty.id}").text
    refused = client.post("/suites", data={"catalog_id": pile.id, "name": " ", **SAMPLING})
    assert (refused.status_code, "1 to 120 characters" in refused.text) == (422, True)


def test_a_file_comes_in_as_it_went_out_and_bad_lines_are_told(client: TestClient, session: Session) -> None:
    suite = small(session)
    lines = client.get(f"/suites/{suite.id}/suite.jsonl").content
    client.post("/suites/imports", files={"chosen": ("suite.jsonl", lines)})
    assert session.query(Suite).count() == 1
    changed = lines.replace(b"A red kettle.", "A red kettle – größer.".encode())
    client.post("/suites/imports", files={"chosen": ("suite.jsonl", changed)})
    assert (newest(session).version, suites.prompts_of(session, newest(session))[0].text) == (
        2,
        "A red kettle – größer.",
    )
    answer = client.post("/suites/imports", files={"chosen": ("suite.jsonl", lines + b"oops\n")})
    assert answer.status_code == 422
    assert "Line 4: It is not JSON. Nothing was taken." in answer.text
    assert newest(session).version == 2


def test_lists_lead_here(client: TestClient, session: Session) -> None:
    pile = cast.catalog(session)
    cast.image(session, pile)
    assert 'href="/suites"' in client.get("/compare").text
    assert f'href="/suites?catalog_id={pile.id}"' in client.get(f"/catalogs/{pile.id}").text
    assert pile.name in client.get(f"/suites?catalog_id={pile.id}").text
