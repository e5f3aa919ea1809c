"""What the grid's script asks for: photos around a place, ranges, one facet's choices, histograms, changes."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, Image, Signals
from app.people import Person
from app.review.decisions import decide
from app.web.views import facets
from tests import cast


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session, "Autumn 2026")


@pytest.fixture
def ids(session: Session, pile: Catalog) -> list[int]:
    """Ten photos, newest first."""
    made = [cast.red_kettle(session, pile).id for _ in range(10)][::-1]
    session.flush()
    return made


def places(html: str) -> list[tuple[int, int]]:
    """(place, photo) of each tile."""
    read = re.findall(r'data-tile="(\d+)" data-place="(\d+)"', html)
    return [(int(place), int(photo)) for photo, place in read]


def test_photos_come_from_a_place_behind_one_before_one_and_by_number(
    client: TestClient, pile: Catalog, ids: list[int]
) -> None:
    def asked(**parameters: int | list[int]) -> list[tuple[int, int]]:
        return places(client.get(f"/catalogs/{pile.id}/tiles", params={"size": 4} | parameters).text)

    assert asked(at=1) == list(enumerate(ids[:4], 1))
    assert asked(at=4) == list(enumerate(ids[3:7], 4))
    assert asked(at=9) == list(enumerate(ids[8:], 9))
    assert asked(at=99) == []
    assert asked(at=3, after=ids[1]) == list(enumerate(ids[2:6], 3))
    assert asked(at=4, before=ids[7]) == list(enumerate(ids[3:7], 4))
    assert asked(at=6, id=[ids[5], ids[2]]) == [(6, ids[5]), (7, ids[2])]
    assert client.get(f"/catalogs/{pile.id}/tiles?sort=best").status_code == 422
    assert client.get(f"/catalogs/{pile.id}/tiles?q=colour:").status_code == 422


def test_photos_by_number_stay_though_the_filter_has_lost_them(
    client: TestClient, session: Session, pile: Catalog, ids: list[int]
) -> None:
    ana: Person = cast.person(session)
    decide(session, session.get_one(Image, ids[0]), ana, "kept")
    other = cast.red_kettle(session, cast.catalog(session, "Winter"))
    session.flush()
    shown = client.get(
        f"/catalogs/{pile.id}/tiles", params={"q": "decision:unseen", "id": [ids[0], ids[1], other.id, 999_999]}
    ).text
    assert [photo for _, photo in places(shown)] == ids[:2]
    assert 'data-verdict="kept"' in shown


def test_only_thumbs_and_views_are_offered(client: TestClient, pile: Catalog, ids: list[int]) -> None:
    text = client.get(f"/catalogs/{pile.id}/tiles").text
    assert re.findall(r'srcset="([^"]+)"', text)[0] == f"/images/{ids[0]}/thumb 256w, /images/{ids[0]}/view 1024w"
    assert "/original" not in text


def test_a_range_is_told(client: TestClient, pile: Catalog, ids: list[int]) -> None:
    answer = client.get(f"/catalogs/{pile.id}/range", params={"from": ids[6], "to": ids[1]})
    assert answer.json() == {"ids": ids[1:7], "is_left_out": False, "count": 6}
    assert client.get(f"/catalogs/{pile.id}/range", params={"from": ids[0], "to": 999_999}).status_code == 404


def test_the_list_begins_around_a_photo_that_is_in_it(
    client: TestClient, session: Session, pile: Catalog, ids: list[int]
) -> None:
    there = client.get(f"/catalogs/{pile.id}", params={"part": "grid", "near": ids[8]})
    assert f'data-near="{ids[8]}"' in there.text
    gone = client.get(f"/catalogs/{pile.id}", params={"part": "grid", "q": "decision:kept", "near": ids[8]})
    assert "data-near" not in gone.text
    assert client.get(f"/catalogs/{pile.id}", params={"near": 999_999}).status_code == 200


def test_a_choice_is_found_in_a_long_facet(
    client: TestClient, session: Session, pile: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facets, "SHOWN_AT_MOST", 20)
    for number in range(30):
        cast.image(session, pile, category=f"Shelf {number:02}")
    cast.image(session, pile, category="Crème brûlée")
    session.flush()
    page = client.get(f"/catalogs/{pile.id}").text
    assert "Show all 31" in page and "11 more: type to find them." in page
    assert 'data-find="category"' in page and 'data-find="background"' not in page

    def found(text: str, q: str = "") -> list[str]:
        answer = client.get(f"/catalogs/{pile.id}/facets/category", params={"find": text, "q": q})
        return re.findall(r'<span class="cut" title="([^"]+)"', answer.text)

    assert found("creme BRUL") == ["Crème brûlée"]
    assert found("shelf 2") == [f"Shelf {number}" for number in range(20, 30)]
    # The others of a key stay to be chosen, with what each would give.
    assert found("shelf 21", 'category:"Shelf 03"') == ["Shelf 21"]
    nothing = client.get(f"/catalogs/{pile.id}/facets/category", params={"find": "<b>"}).text
    assert "Nothing here has “&lt;b&gt;” in its name." in nothing
    assert client.get(f"/catalogs/{pile.id}/facets/lost").status_code == 404


def test_histograms_are_those_that_a_browser_chose(client: TestClient, session: Session, pile: Catalog) -> None:
    for contrast in (2.0, 2.0, 97.0, None):
        photo = cast.image(session, pile)
        session.get_one(Signals, photo.id).contrast = contrast
    session.flush()

    def shown(q: str = "") -> dict[str, list[int]]:
        answer = client.get(f"/catalogs/{pile.id}", params={"q": q})
        drawn = answer.context["facets"]  # type: ignore[attr-defined]
        return {facet.key: [bar.count for bar in facet.bars] for facet in drawn if hasattr(facet, "bars")}

    assert list(shown()) == ["sharpness", "fill"]
    # What limits the photos is seen, chosen or not.
    assert list(shown("contrast:<50")) == ["sharpness", "fill", "contrast"]
    client.cookies.set("packshot-measures", "contrast.lost")
    assert shown() == {"contrast": [2, *[0] * 18, 1]}
    text = client.get(f"/catalogs/{pile.id}").text
    untold = re.search(r'href="([^"]*contrast(?:%3A|:)none[^"]*)" data-filter>(\d+) cannot be told', text)
    assert untold and untold[2] == "1"
    assert client.get(untold[1]).context["total"] == 1  # type: ignore[attr-defined]
    assert 'data-range="contrast" data-top="100" data-unit=" ΔE"' in text
    assert re.search(r'value="contrast" data-measure checked', text)
    client.cookies.set("packshot-measures", "")
    assert shown() == {}


def test_a_change_is_news(client: TestClient, session: Session, pile: Catalog, ids: list[int]) -> None:
    def mark() -> str:
        return str(client.get(f"/catalogs/{pile.id}/changes").json()["mark"])

    before = mark()
    assert mark() == before
    decide(session, session.get_one(Image, ids[0]), cast.person(session), "kept")
    session.flush()
    assert mark() != before
