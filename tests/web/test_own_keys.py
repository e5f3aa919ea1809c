"""Setting one's own keys over HTTP: what a script gets, what a form is led to, what is refused, whose keys they are."""

from __future__ import annotations

import html
import json
import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.people import Person
from app.settings import Settings
from tests import cast
from tests.conftest import sign_in

SCRIPT = {"accept": "application/json"}


@pytest.fixture
def mei(web: FastAPI, session: Session, settings: Settings) -> TestClient:
    return sign_in(web, session, settings, cast.person(session, "Mei", "viewer"))


def meanings(browser: TestClient) -> dict[str, dict[str, str]]:
    """What pressed keys mean to this person, as every page of theirs tells its script; nothing while all are usual."""
    told = re.search(r'data-own-keys="([^"]*)"', browser.get("/people").text)
    said: dict[str, dict[str, str]] = json.loads(html.unescape(told[1])) if told else {}
    return said


def press(browser: TestClient, act: str, key: str, swap: str = "") -> tuple[int, str]:
    """The status, and the list as it is now or why it was refused."""
    answer = browser.post("/keys", data={"act": act, "key": key, "swap": swap}, headers=SCRIPT)
    return answer.status_code, answer.json().get("list") or answer.json()["error"]["sentence"]


def test_a_script_gets_the_list_as_it_is_now(client: TestClient) -> None:
    status, listed = press(client, "keep", ";")
    assert status == 200 and "usually A" in listed
    assert "&#34;;&#34;: &#34;a&#34;" in listed, "what the key means goes with it"
    assert meanings(client) == {page: {";": "a", "a": ""} for page in ("desk", "grid")}


def test_a_form_is_led_back_to_the_keys(client: TestClient) -> None:
    answer = client.post("/keys", data={"act": "keep", "key": "Shift+K"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/people#own-keys")
    assert meanings(client)["desk"] == {"Shift+k": "a", "a": ""}
    assert client.post("/keys/defaults").headers["location"] == "/people#own-keys"


def test_the_desk_and_the_grid_obey_them(client: TestClient, session: Session) -> None:
    pile = cast.catalog(session)
    photo = cast.image(session, pile, caption="A red kettle.")
    press(client, "keep", ";")
    for page in (f"/images/{photo.id}", f"/catalogs/{pile.id}"):
        assert "&#34;;&#34;: &#34;a&#34;" in client.get(page).text


def test_a_key_of_another_act_is_told_and_swapped_where_asked(client: TestClient) -> None:
    assert press(client, "keep", "x") == (409, "X is the key of “reject”. Swap the two, or press another one.")
    assert meanings(client) == {}, "nothing was changed"
    status, listed = press(client, "keep", "x", swap="1")
    assert status == 200 and "usually A" in listed and "usually X" in listed
    assert meanings(client)["grid"] == {"x": "a", "a": "x"}
    # B is taken from the box on the desk and from the jump in the grid, which both get E; back for one is too few.
    assert press(client, "jump", "b")[0] == press(client, "edit", "b", swap="1")[0] == 200
    status, said = press(client, "box", "b", swap="1")
    assert status == 409 and said.startswith("Swapped, E would be the key of")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("Ctrl+w", "the browser’s: it closes the tab"),
        ("Ctrl+s", "it saves the caption"),
        ("F11", "the browser’s"),
        ("Esc", "closes and leaves"),
        ("?", "shows the keys"),
        ("3", "Digits"),
        ("q", "label set"),
        ("Alt+j", "without Ctrl and Alt"),
        # What a keyboard tells while letters are composed: Japanese and Chinese input methods, dead accents.
        ("Process", "input method off"),
        ("Unidentified", "input method off"),
        ("Dead", "input method off"),
        ("Shift+Process", "input method off"),
        ("HiraganaKatakana", "no key"),
        ("KanjiMode", "no key"),
        ("\u200b", "no key"),
        ("", ""),
        ("x" * 5_000, "no key"),
    ],
)
def test_a_reserved_key_is_refused_with_the_reason(client: TestClient, key: str, said: str) -> None:
    answer = client.post("/keys", data={"act": "keep", "key": key}, headers=SCRIPT)
    assert answer.status_code == 422 and said in answer.json()["error"]["sentence"]
    assert meanings(client) == {}


@pytest.mark.parametrize("key", ["ä", "я", "あ", "ㅁ", ";", '"', "<", "Delete"])
def test_a_letter_of_any_script_is_kept_and_shown_as_it_is(client: TestClient, key: str) -> None:
    """A page must not read a key as its own markup, nor as anything but the one key."""
    status, listed = press(client, "keep", key)
    assert status == 200 and f">{html.escape(key.upper() if len(key) == 1 else key).replace('&quot;', '&#34;')}<" in (
        re.sub(r">\s+", ">", listed)
    )
    assert meanings(client)["desk"] == {key: "a", "a": ""}


def test_an_unknown_act(client: TestClient) -> None:
    assert press(client, "dance", ";")[0] == 404


def test_nobody_elses_keys_change(client: TestClient, mei: TestClient, me: Person, session: Session) -> None:
    press(client, "keep", ";")
    press(mei, "keep", "Insert")
    assert meanings(client)["desk"] == {";": "a", "a": ""} and meanings(mei)["desk"] == {"Insert": "a", "a": ""}
    assert press(mei, "reject", ";")[0] == 200, "what is taken is taken of one's own"
    assert mei.post("/keys/defaults", headers=SCRIPT).status_code == 200
    assert meanings(mei) == {} and meanings(client)["desk"] == {";": "a", "a": ""}
    session.refresh(me)
    assert me.own_keys == {"keep": ";"}


def test_all_are_set_back_at_once(client: TestClient) -> None:
    press(client, "keep", ";")
    press(client, "larger", "=")
    back = client.post("/keys/defaults", headers=SCRIPT)
    assert back.status_code == 200 and "usually" not in back.json()["list"] and meanings(client) == {}


def test_a_stranger_sets_none(stranger: TestClient) -> None:
    assert stranger.post("/keys", data={"act": "keep", "key": ";"}, headers=SCRIPT).status_code in (401, 403)
