"""Captions in and out on their page: taken out, shown, brought in and taken back."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.captions import writing
from app.catalog.tables import Catalog, Image
from app.people import Person
from tests import cast

JSON = {"Accept": "application/json"}


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session)


@pytest.fixture
def photo(session: Session, pile: Catalog) -> Image:
    return cast.red_kettle(session, pile)


def text_of(session: Session, photo: Image) -> str:
    session.expire_all()
    return writing.current(session, [photo.id])[photo.id].text


def test_captions_are_taken_out_in_three_forms(
    client: TestClient, session: Session, pile: Catalog, photo: Image, me: Person
) -> None:
    writing.rewrite(session, photo.id, "=kettle, red", me, None, "tags")
    there = f"/catalogs/{pile.id}/captions"
    table = client.get(f"{there}.csv?kind=tags").text.splitlines()
    assert table[0] == "\ufefffile,sha256,kind,text,written_by,by,captioner,settings,at,version,parent,until,taken_back"
    row = f'{photo.file_name},{photo.sha256},tags,"\'=kettle, red",person,{me.name},'
    assert table[1].startswith(row) and len(table) == 2
    lines = [json.loads(line) for line in client.get(f"{there}.jsonl?history=true").text.splitlines()]
    assert [(line["kind"], line["written_by"], line["version"]) for line in lines] == [
        ("long", "captioner", 1), ("tags", "person", 1),
    ]  # fmt: skip
    answer = client.get(f"{there}.zip?kind=tags")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.read(photo.file_name.replace(".jpg", ".txt")) == b"=kettle, red"
    assert client.get(f"{there}.csv?q=category:nothing").text.count("\n") == 1
    assert client.get(f"{there}.csv?q=oops:1").status_code == 422
    assert client.get(f"{there}.zip?kind=riddle").status_code == 422
    assert client.get("/catalogs/999999/captions.csv").status_code == 404
    page = client.get(there).text
    assert 'name="chosen"' in page and "captions.zip?kind=tags" in page


def test_a_file_is_shown_then_brought_in_and_taken_back(
    client: TestClient, session: Session, pile: Catalog, photo: Image, me: Person
) -> None:
    bob, own = cast.person(session, "Bob"), cast.image(session, pile)
    writing.rewrite(session, own.id, "<b>Bob’s.</b>", bob, None)
    table = f"file,text\n{photo.file_name},Brought in.\n{own.file_name},<i>Other.</i>\nghost.jpg,No.\n"
    there = f"/catalogs/{pile.id}/captions/imports"
    sent = client.post(there, files={"chosen": ("t<.csv", table.encode("cp1252"), "text/csv")})
    assert sent.status_code == 303
    shown = client.get(sent.headers["location"]).text
    assert "1 changed" in shown and "1 in conflict" in shown and "1 of no photo" in shown
    assert "&lt;b&gt;Bob’s.&lt;/b&gt;" in shown and "&lt;i&gt;Other.&lt;/i&gt;" in shown and "ghost.jpg" in shown
    assert text_of(session, photo) != "Brought in.", "nothing is changed by looking"
    assert client.post(sent.headers["location"], data={"takes_over": "true"}).status_code == 303
    assert (text_of(session, photo), text_of(session, own)) == ("Brought in.", "<i>Other.</i>")
    done = client.get(sent.headers["location"]).text
    assert "Brought in captions of 2 photos from “t&lt;.csv”" in done
    assert client.post(sent.headers["location"]).status_code == 422, "once"
    undone = client.post("/undo", headers=JSON).json()
    assert undone["sentence"].startswith("Took back on 2 photos: brought in captions")
    assert text_of(session, own) == "<b>Bob’s.</b>"


def test_a_script_is_told_in_json(client: TestClient, session: Session, pile: Catalog, photo: Image) -> None:
    there = f"/catalogs/{pile.id}/captions/imports"
    line = json.dumps({"photo": photo.id, "text": "Mine.", "kind": "short"})
    told = client.post(there, files={"chosen": ("t.jsonl", line)}, data={"writer": "person"}, headers=JSON).json()
    assert (told["counts"], told["refused"]) == ({"new": 1}, 0)
    done = client.post(f"{there}/{told['import_id']}", headers=JSON)
    assert (done.status_code, done.json()["changed"]) == (200, 1)
    again = client.post(there, files={"chosen": ("t.jsonl", line)}, data={"writer": "person"}, headers=JSON).json()
    assert again["counts"] == {"same": 1}
    assert "Bring in" not in client.get(f"{there}/{again['import_id']}").text.split("</header>", 3)[-1]
    broken = client.post(there, files={"chosen": ("t.csv", b"")}, headers=JSON)
    assert broken.status_code == 422
    other = cast.catalog(session)
    assert client.get(f"/catalogs/{other.id}/captions/imports/{again['import_id']}").status_code == 404
