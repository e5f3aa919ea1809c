"""A plain form leads on, and the page there says what was done, once, and how it is taken back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy.orm import Session

from app.bulk import operations
from app.catalog.grouping import CRITERIA
from app.catalog.tables import Catalog
from app.people import Person
from app.selection import saved_views
from app.settings import Settings
from tests import cast
from tests.conftest import sign_in
from tests.web.test_maps import mapped


@dataclass(frozen=True)
class Place:
    """A catalog with a map, a group of two copies and a saved view."""

    pile: Catalog
    group_id: int
    view_id: int

    @property
    def here(self) -> str:
        return f"/catalogs/{self.pile.id}"


@pytest.fixture
def place(session: Session, me: Person) -> Place:
    pile, _ = mapped(session)
    photos = [cast.red_kettle(session, pile), cast.red_kettle(session, pile)]
    group_id = cast.alike(session, pile, photos)
    view = saved_views.save(session, pile.id, me, "Red ones", "colour:red", "newest", False)
    session.flush()
    return Place(pile, group_id, view.id)


Act = tuple[Callable[[Place], str], dict[str, str], str]
LOOKED_AT = {"next": "map"}
ACTS: dict[str, Act] = {
    "keep on the map": (lambda at: f"{at.here}/decisions", {"verdict": "kept"} | LOOKED_AT, "Kept 8 photos"),
    "reject on the map": (
        lambda at: f"{at.here}/decisions",
        {"verdict": "rejected:blurred"} | LOOKED_AT,
        "Rejected 8 photos: blurred",
    ),
    "recaption on the map": (lambda at: f"{at.here}/recaption", LOOKED_AT, "Captioned 8 photos anew"),
    "assign without scripts": (
        lambda at: f"{at.here}/assignments",
        {"person_id": "0"},
        "Nothing was changed; 8 were so already",
    ),
    "tag without scripts": (lambda at: f"{at.here}/tags", {"tag": "hero"}, "Gave Tags “hero” to 8 photos"),
    "a group of copies": (
        lambda at: f"{at.here}/duplicates/{at.group_id}",
        {"kind": "linked"},
        "Kept the best and linked 1 photo",
    ),
    "no copies": (lambda at: f"{at.here}/duplicates/{at.group_id}", {"kind": "apart"}, "Set apart"),
    "all sure groups": (lambda at: f"{at.here}/duplicates/sure", {}, "Kept the best and linked 1 photo"),
    "the order of the best": (
        lambda at: f"{at.here}/duplicates/order",
        {"order": ",".join(CRITERIA)},
        "The best photo of each open group is chosen in this order now",
    ),
    "a view is saved": (lambda at: f"{at.here}/views", {"name": "Sharp"}, "Saved the view “Sharp”"),
    "a view is changed": (lambda at: f"/views/{at.view_id}", {"name": "Reds"}, "The view is “Reds”; only you see it"),
    "a view is deleted": (lambda at: f"/views/{at.view_id}/deletion", {}, "Deleted the view; its photos stay"),
    "an undo": (lambda _: "/undo", LOOKED_AT, "There is nothing of yours to undo."),
    "rules": (lambda at: f"{at.here}/rules", {}, "Saved; the rules suggest by this from now on"),
}


def said(answer: Response) -> str:
    """What the toast of a page says; empty where it has none."""
    toast = re.search(r'<div class="toast">\s*<span>(.*?)</span>', answer.text, re.DOTALL)
    return toast[1] if toast else ""


@pytest.mark.parametrize("name", ACTS)
def test_what_a_form_did_is_said_once_where_it_leads(client: TestClient, place: Place, name: str) -> None:
    address_of, fields, sentence = ACTS[name]
    fields = fields | ({"next": f"{place.here}/map"} if fields.get("next") else {})
    answer = client.post(address_of(place), data=fields)
    assert answer.status_code == 303, answer.text
    assert said(client.get(answer.headers["location"])).startswith(sentence)
    assert said(client.get(answer.headers["location"])) == ""


def test_what_was_said_is_taken_back_from_there(client: TestClient, place: Place) -> None:
    here = f"{place.here}/map"
    page = client.get(
        client.post(f"{place.here}/decisions", data={"verdict": "kept", "next": here}).headers["location"]
    )
    undo = re.search(r'action="(/operations/\d+/undo)".*?name="next" value="([^"]+)"', page.text, re.DOTALL)
    assert undo and undo[2] == here
    back = client.post(undo[1], data={"next": undo[2]})
    assert back.headers["location"] == here
    assert said(client.get(here)) == "Took back on 8 photos: kept 8 photos."


def test_of_what_a_worker_does_the_page_leads_to_the_operations(
    client: TestClient, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "AT_ONCE", 3)
    here = f"{place.here}/map"
    client.post(f"{place.here}/recaption", data={"next": here})
    page = client.get(here)
    assert said(page) == "8 photos are being changed. It can be stopped, and taken back"
    assert f'<a class="btn small" href="{place.here}/operations">Operations</a>' in page.text


def test_nobody_else_is_told_and_what_somebody_made_up_is_not_said(
    web: FastAPI, session: Session, settings: Settings, client: TestClient, place: Place
) -> None:
    sent = client.post(f"{place.here}/views", data={"name": "<b>Sharp</b>", "q": ""})
    (cookie,) = (name for name in client.cookies if name.endswith("-said"))
    other = sign_in(web, session, settings, cast.person(session, "Mei"))
    for value in (client.cookies[cookie], "e30.0", "x", "."):
        other.cookies.set(cookie, value)
        answer = other.get(place.here)
        assert (answer.status_code, said(answer)) == (200, ""), value
    assert said(client.get(sent.headers["location"])) == "Saved the view “&lt;b&gt;Sharp&lt;/b&gt;”"


def test_a_fragment_leaves_it_for_the_page(client: TestClient, place: Place) -> None:
    where = client.post(f"{place.here}/views", data={"name": "Sharp", "q": ""}).headers["location"]
    client.get(where, headers={"X-Fragment": "1"})
    assert said(client.get(where)) == "Saved the view “Sharp”"
