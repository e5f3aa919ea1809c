"""Labels on the pages: sets defined, given on the grid and the desk, counted in the facets, taken back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, Image
from app.jobs import Job
from app.labels import giving, sets
from app.labels.tables import LabelSet
from app.people import Person
from app.settings import PROJECT
from tests import cast

JSON = {"Accept": "application/json"}


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session, "Autumn 2026")


@pytest.fixture
def photos(session: Session, pile: Catalog) -> list[Image]:
    return [cast.red_kettle(session, pile) for _ in range(3)]


@pytest.fixture
def view(session: Session, pile: Catalog, me: Person) -> LabelSet:
    return sets.define(session, pile.id, me, "View", "one", ["front", "back"], "v")


def value(view: LabelSet, place: int = 0) -> str:
    return f"{view.id}:{view.values[place].id}"


def test_a_set_is_defined_and_changed_on_its_page(client: TestClient, session: Session, pile: Catalog) -> None:
    there = f"/catalogs/{pile.id}/label-sets"
    made = client.post(there, data={"name": "View", "kind": "one", "labels": "front\nback\n", "key": "v"})
    assert made.status_code == 303
    view = sets.of(session, pile.id)[0]
    client.post(f"{there}/{view.id}", data={"act": "add", "name": "<side>"})
    client.post(f"{there}/{view.id}", data={"act": "up-label", "label": view.values[1].id})
    client.post(f"{there}/{view.id}", data={"act": "rename", "name": "Angle", "key": "t"})
    page = client.get(f"/catalogs/{pile.id}/labels").text
    assert [value.name for value in sets.of(session, pile.id)[0].values] == ["back", "front", "<side>"]
    assert "Angle" in page and "&lt;side&gt;" in page and "<kbd>T</kbd>" in page
    taken = client.post(there, data={"name": "Angle 2", "kind": "one", "key": "s"})
    assert taken.status_code == 422 and "Free are: C, D" in taken.text
    client.post(f"{there}/{view.id}", data={"act": "retire"})
    assert "Bring back" in client.get(f"/catalogs/{pile.id}/labels").text
    assert client.post(f"{there}/{view.id}", data={"act": "explode"}).status_code == 422
    elsewhere = f"/catalogs/{cast.catalog(session).id}/label-sets/{view.id}"
    assert client.post(elsewhere, data={"act": "retire"}).status_code == 404


def test_the_desk_gives_takes_and_shows_who_said_so(
    client: TestClient, session: Session, me: Person, photos: list[Image], view: LabelSet
) -> None:
    there = f"/images/{photos[0].id}/labels"
    said = client.post(there, data={"label": value(view), "expected_id": 0}, headers=JSON).json()
    assert said["sentence"] == "Gave View “front” to Red kettle"
    page = client.get(f"/images/{photos[0].id}").text
    assert 'aria-pressed="true"' in page and f"by {me.name}" in page
    bob = cast.person(session, "Bob")
    now = giving.current(session, photos[0].id, view.id)
    giving.give(session, photos[0], bob, giving.LabelAct(view, view.values[1]))
    late = client.post(there, data={"label": value(view), "expected_id": now.id if now else 0}, headers=JSON)
    assert late.status_code == 409 and "Bob said back in “View” meanwhile." in late.text
    client.post(there, data={"label": f"{view.id}:"}, headers=JSON)
    assert client.get(f"/catalogs/{photos[0].catalog_id}?q=label:view").text.count("data-tile=") == 0
    assert client.post(there, data={"label": "x:1"}, headers=JSON).status_code == 404


def test_the_grid_labels_what_is_selected_counts_it_and_takes_it_back(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image], view: LabelSet
) -> None:
    there = f"/catalogs/{pile.id}/labels"
    asked = {"label": value(view), "q": f"id:{photos[0].id},{photos[1].id}", "expected_count": 2}
    assert client.post(there, data=asked, headers=JSON).json()["sentence"] == "Gave View “front” to 2 photos"
    page = client.get(f"/catalogs/{pile.id}")
    facet = next(each for each in page.context["facets"] if each.name == "View")  # type: ignore[attr-defined]
    assert [(choice.label, choice.count) for choice in facet.choices] == [("front", 2), ("back", 0)]
    href = facet.choices[0].href
    chosen = client.get(href)
    assert chosen.text.count("data-tile=") == 2 and "labelled View “front”" in chosen.text
    other = next(each for each in chosen.context["facets"] if each.name == "View")  # type: ignore[attr-defined]
    assert [(choice.count, choice.is_on) for choice in other.choices] == [(2, True), (0, False)]
    note = sets.define(session, pile.id, cast.person(session), "Note", "text")
    written = {"label": f"{note.id}:text", f"text-{note.id}": "second choice"}
    assert "second choice" in client.post(there, data=written, headers=JSON).json()["sentence"]
    assert client.post("/undo", headers=JSON).json()["count"] == 3
    assert (
        client.post("/undo", headers=JSON).json()["sentence"] == "Took back on 2 photos: gave View “front” to 2 photos."
    )
    assert client.post("/undo", headers=JSON).json()["image_id"] is None


def test_a_tag_is_typed_given_filtered_and_taken_away(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image]
) -> None:
    there = f"/catalogs/{pile.id}/tags"
    asked = {"tag": "summer sale", "q": f"id:{photos[0].id},{photos[1].id}", "expected_count": 2}
    assert client.post(there, data=asked, headers=JSON).json()["sentence"] == "Gave Tags “summer sale” to 2 photos"
    chosen = client.get(f"/catalogs/{pile.id}", params={"q": 'label:"tags=summer sale"'})
    assert chosen.text.count("data-tile=") == 2 and ">summer sale" in chosen.text
    taken = client.post(there, data=asked | {"q": "", "expected_count": 3, "takes": "1"}, headers=JSON).json()
    assert taken["sentence"] == "Took Tags “summer sale” from 2 photos; 1 was so already"
    assert client.post(f"/operations/{taken['operation_id']}/undo", headers=JSON).json()["count"] == 2
    assert client.post(there, data=asked | {"tag": " "}, headers=JSON).status_code == 422
    moved = client.post(there, data=asked | {"expected_count": 3}, headers=JSON)
    assert moved.status_code == 409
    assert "Gave Tags" in client.get(f"/catalogs/{pile.id}/operations").text


def test_an_undo_takes_back_what_was_done_last_a_label_or_a_decision(
    client: TestClient, photos: list[Image], view: LabelSet
) -> None:
    client.post(f"/images/{photos[0].id}/labels", data={"label": value(view)})
    client.post(f"/images/{photos[0].id}/decisions", data={"verdict": "kept"})
    assert "not decided any more" in client.post("/undo", headers=JSON).json()["sentence"]
    assert "earlier labels of “View”" in client.post("/undo", headers=JSON).json()["sentence"]


def test_a_correction_on_the_desk_is_seen_in_its_history_and_asks_for_what_follows(
    client: TestClient, session: Session, photos: list[Image]
) -> None:
    photo = photos[0]
    there = f"/images/{photo.id}/corrections"
    client.post(there, data={"fact": "title", "value": "Blue <kettle>", "expected_id": 0})
    client.post(there, data={"fact": "product", "value": "K-9", "expected_id": 0}, headers=JSON)
    page = client.get(f"/images/{photo.id}").text
    assert "corrected title: Red kettle → Blue &lt;kettle&gt;" in page and 'value="K-9"' in page
    kinds = session.scalars(select(Job.kind).order_by(Job.id)).all()
    assert kinds == ["captions.propose", "photos.group"], "asked once each, while it waits"
    assert client.post("/undo", headers=JSON).json()["sentence"] == "There is no product again."


def test_labels_are_taken_away_and_brought_back_as_files(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image], view: LabelSet, me: Person
) -> None:
    giving.give(session, photos[0], me, giving.LabelAct(view, view.values[0]))
    there = f"/catalogs/{pile.id}/labels"
    table = client.get(f"{there}.csv")
    lines = client.get(f"{there}.jsonl")
    assert "labels-of-catalog" in table.headers["content-disposition"] and lines.text.count("\n") == 4
    giving.give(session, photos[0], me, giving.LabelAct(view, None, is_taken=True))
    for name, content in (
        ("l.csv", table.content),
        ("l.jsonl", lines.content + b'{"file": "ghost.jpg", "set": "View"}'),
    ):
        sent = client.post(f"{there}/imports", files={"chosen": (name, content)})
        page = client.get(sent.headers["location"]).text
        assert ("1 new" if name == "l.csv" else "1 the same") in page and "nothing is changed yet" in page
        if name == "l.csv":
            assert not giving.current(session, photos[0].id, view.id).value_ids  # type: ignore[union-attr]
            assert client.post(sent.headers["location"]).status_code == 303
    assert "Row 5: no photo is called “ghost.jpg”." in page and "Bring in" not in page.split("What it would do")[1]
    now = giving.current(session, photos[0].id, view.id)
    assert now is not None and now.value_ids == [view.values[0].id]
    undone = client.post("/undo", headers=JSON).json()["sentence"]
    assert undone == "Took back on 1 photo: brought in labels of 1 photo from “l.csv”."
    assert not giving.current(session, photos[0].id, view.id).value_ids  # type: ignore[union-attr]
    assert client.post(f"{there}/imports", files={"chosen": ("l.csv", b"a,b\n")}).status_code == 422


def test_a_script_looks_at_labels_then_brings_them_in(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image], view: LabelSet
) -> None:
    there = f"/catalogs/{pile.id}/labels/imports"
    table = f"photo,set,label\n{photos[0].id},Era,'90s\n{photos[1].id},View,oops=\n"
    seen = client.post(there, files={"chosen": ("l.csv", table)}, headers=JSON).json()
    assert (seen["counts"], seen["refused"]) == ({"new": 1, "named": 2}, 1)
    assert client.get(f"/catalogs/{pile.id}/captions/imports/{seen['import_id']}").status_code == 404
    done = client.post(f"{there}/{seen['import_id']}", headers=JSON)
    assert (done.status_code, done.json()["sentence"]) == (200, "Brought in labels of 1 photo from “l.csv”")
    assert client.post(f"{there}/{seen['import_id']}", headers=JSON).status_code == 422, "once"
    alone = client.post(there, files={"chosen": ("l.csv", "set,label\nMood,calm\n")}, headers=JSON).json()
    said = client.post(f"{there}/{alone['import_id']}", headers=JSON).json()["sentence"]
    assert said == "Made the sets and labels that the file names; it says nothing of photos."


def test_no_key_of_a_set_is_needed_by_the_grid_or_the_desk() -> None:
    templates = Path(PROJECT) / "templates"
    texts = [
        file.read_text() for folder in ("catalog", "desk", "labels") for file in (templates / folder).glob("*.html")
    ]
    texts += [(templates / name).read_text() for name in ("components.html", "base.html", "shell.html")]
    keys = {key for text in texts for keys in re.findall(r'key="([^"]+)"', text) for key in keys.split()}
    assert not keys & set(sets.KEYS)
