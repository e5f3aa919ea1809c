"""The page of find and replace: what it tells is what it does, and what is not so any more does nothing."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.captions import writing
from app.catalog.tables import Catalog, Image, Lettering
from app.people import Person
from tests import cast

ASKED = {"asked": "1", "find": "pink", "with": "rose", "words": "1", "kind": "long", "people": "1", "locked": "1"}


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session, "Autumn 2026")


@pytest.fixture
def photos(session: Session, pile: Catalog) -> list[Image]:
    return [
        cast.image(session, pile, caption=text) for text in ("Pink vest.", "A pink cap.", "Hot pink bag.", "Blue cap.")
    ]


def texts(session: Session, photos: list[Image]) -> list[str]:
    session.expire_all()
    now = writing.current(session, [photo.id for photo in photos])
    return [now[photo.id].text for photo in photos]


def test_the_page_tells_what_would_change_and_does_that_with_one_undo(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image]
) -> None:
    here = f"/catalogs/{pile.id}/replace"
    assert "Type what is to be found" in client.get(here).text
    page = client.get(here, params=ASKED)
    assert "<del>Pink</del><ins>Rose</ins> vest." in page.text and "in 3 places" in page.text
    view = page.context  # type: ignore[attr-defined]
    assert (view["fates"]["changes"], view["searched"], view["group_count"]) == (3, 4, 1)
    lines = [shown.line for shown in view["groups"][0].shown]
    picks = {"shown": [str(line.caption_id) for line in lines], "on": [str(line.caption_id) for line in lines[1:]]}
    keys = {"gshown": view["groups"][0].key, "gon": view["groups"][0].key}
    done = client.post(here, data=ASKED | picks | keys | {"expected": "2"}, follow_redirects=False)
    assert done.status_code == 303 and done.headers["location"].endswith("#before")
    assert texts(session, photos) == ["Pink vest.", "A rose cap.", "Hot rose bag.", "Blue cap."]
    after = client.get(here).text
    assert "Undo in 2" in after
    operation = re.search(r"/operations/(\d+)/undo", after)
    assert operation
    client.post(f"/operations/{operation[1]}/undo")
    assert texts(session, photos)[:3] == ["Pink vest.", "A pink cap.", "Hot pink bag."]


def test_what_is_not_so_any_more_or_not_understood_changes_nothing(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image], me: Person
) -> None:
    here = f"/catalogs/{pile.id}/replace"
    before = writing.current(session, [photos[0].id])[photos[0].id]
    writing.rewrite(session, photos[0].id, "Red vest.", me, before.id)
    late = client.post(here, data=ASKED | {"expected": "3"})
    assert late.status_code == 409 and "2 captions would change now, not 3" in late.text
    broken = client.get(here, params=ASKED | {"find": "(pink", "expression": "1"})
    assert "This expression is not understood: missing )" in broken.text and 'value="(pink"' in broken.text
    assert client.post(here, data=ASKED | {"find": "(pink", "expression": "1", "expected": "1"}).status_code == 422
    nothing = client.post(here, data=ASKED | {"find": "mauve", "expected": "0"})
    assert nothing.status_code == 422 and "No caption would change" in nothing.text
    assert texts(session, photos) == ["Red vest.", "A pink cap.", "Hot pink bag.", "Blue cap."]


def test_the_list_narrows_and_grows(client: TestClient, session: Session, pile: Catalog) -> None:
    for number in range(8):
        cast.image(session, pile, caption=f"A pink cap, number {number}.")
    here = f"/catalogs/{pile.id}/replace"
    page = client.get(here, params=ASKED | {"q": "pink", "show": "changes", "part": "page"})
    group = page.context["groups"][0]  # type: ignore[attr-defined]
    assert (group.count, len(group.shown)) == (8, 5) and "Show more of 8" in page.text
    more = client.get(here, params=ASKED | {"part": "group", "group": group.key, "after": "5"})
    assert more.text.count("data-line=") == 3
    assert client.get(here, params=ASKED | {"show": "kept"}).context["groups"] == ()  # type: ignore[attr-defined]


def test_words_of_a_catalog_are_set_by_a_lead_and_hold_at_once(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image]
) -> None:
    here = f"/catalogs/{pile.id}/words"
    assert "appears to be" in client.get(here).text
    client.post(here, data={"kind": "locked", "text": "hot pink\n", "expected_id": "0"})
    assert "1 word · current" in client.get(here).text
    page = client.get(f"/catalogs/{pile.id}/replace", params=ASKED)
    assert page.context["reasons"]["locked"] == 1 and "locked word" in page.text  # type: ignore[attr-defined]
    assert client.post(here, data={"kind": "locked", "text": "x", "expected_id": "0"}).status_code == 409
    assert client.post(here, data={"kind": "other", "text": "x"}).status_code == 422


def test_the_desk_tells_of_phrases_slips_and_what_is_printed(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image]
) -> None:
    session.add(Lettering(image_id=photos[0].id, version=1, words="KENZO", place="product"))
    session.flush()
    said = client.post(
        f"/images/{photos[0].id}/contradictions", data={"text": "The image shows a red ketle lettered “KENSO”."}
    ).text
    assert "“the image shows” is banned in this catalog" in said
    assert "“ketle”: <b>kettle</b> may be meant" in said
    assert "says <b>“KENSO”</b>, on the photo stands <b>“KENZO”</b>" in said
    client.post(f"/catalogs/{pile.id}/words", data={"kind": "known", "text": "ketle", "expected_id": "0"})
    again = client.post(f"/images/{photos[0].id}/contradictions", data={"text": "A red ketle."}).text
    assert "data-lint" not in again


def test_a_template_begins_with_what_the_catalogue_knows(client: TestClient, session: Session, pile: Catalog) -> None:
    photo = cast.image(session, pile, "Sky 12", category="Kettles", caption="A kettle.")
    here = f"/catalogs/{pile.id}/template"
    page = client.get(here).text
    assert "{colour} {category}[ by {brand}]" in page and "<ins>Red kettle" in page
    photo.file_name = "Kettles/1.jpg"  # a folder's name is no word of the catalogue's
    session.flush()
    page = client.get(here).text
    assert "{title}[ by {brand}]" in page and "<ins>Sky 12, " in page
