"""Captions by a template: what people wrote stays, photos without one get theirs, and one undo takes all back."""

from __future__ import annotations

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.bulk import operations, undoing
from app.captions import writing
from app.captions.tables import Kind
from app.catalog.tables import Catalog, Image
from app.people import Person
from tests import cast
from tests.bulk.acting import act

VALUE = {"template": "{colour} {category}, lettered “{text}”.", "kind": "long", "keeps_people": True}


def text_of(session: Session, image: Image, kind: Kind = "long") -> str | None:
    session.expire_all()
    now = writing.current_kinds(session, image.id)
    return now[kind].text if kind in now else None


def test_a_template_writes_what_is_known_and_is_taken_back(
    session: Session, pile: Catalog, ana: Person, mei: Person
) -> None:
    old, none, hers = (cast.image(session, pile, caption=text) for text in ("By a machine.", None, "By a machine."))
    writing.rewrite(session, hers.id, "By Mei.", mei, writing.current(session, [hers.id])[hers.id].id)
    operation = act(session, pile, ana, "fill", VALUE)
    assert (operation.changed, operation.already, operation.passed_over) == (2, 0, 1)
    assert [text_of(session, photo) for photo in (old, none, hers)] == ["Red kettle.", "Red kettle.", "By Mei."]
    assert undoing.said(operation).startswith("Wrote 2 captions by the template")
    again = act(session, pile, ana, "fill", VALUE)
    assert (again.changed, again.already) == (0, 2)
    short = act(session, pile, ana, "fill", VALUE | {"kind": "short"})
    assert short.changed == 3 and text_of(session, hers, "short") == "Red kettle."
    operations.undo(session, operation.id, mei)
    assert [text_of(session, photo) for photo in (old, none, hers)] == ["By a machine.", None, "By Mei."]


def test_the_page_shows_it_first_and_writes_when_it_is_told(
    client: TestClient, session: Session, pile: Catalog
) -> None:
    photo = cast.image(session, pile, caption="By a machine.")
    here = f"/catalogs/{pile.id}/template"
    page = client.get(here, params={"template": "{colour} {category}"})
    assert "<del>By a machine.</del> <ins>Red kettle</ins>" in page.text
    assert "is no field" in client.get(here, params={"template": "{size}"}).text
    data = {"template": "{colour} {category}", "kind": "long"}
    assert client.post(here, data=data | {"expected_count": "2"}).status_code == 409
    assert client.post(here, data=data | {"expected_count": "1"}).status_code == 303
    assert text_of(session, photo) == "Red kettle"
