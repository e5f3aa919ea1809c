"""The catalog's pages: the grid with its filter, its fragments, bulk decisions, and the states without photos."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, Image
from app.people import Person
from app.review.decisions import apply_rules, current, decide
from app.selection import browse
from tests import cast

JSON = {"Accept": "application/json"}


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session, "Autumn 2026")


@pytest.fixture
def photos(session: Session, pile: Catalog) -> list[Image]:
    """A red kettle, a blurred shoe that a rule suggests to reject, and a mug whose caption is wrong."""
    found = [
        cast.red_kettle(session, pile),
        cast.blurred_shoe(session, pile),
        cast.image(session, pile, "Green mug", category="Mugs", caption="Green mug on a pure white background."),
    ]
    apply_rules(session, [found[1].id])
    session.flush()
    return found


def tile_ids(html: str) -> list[int]:
    return [int(found) for found in re.findall(r'data-tile="(\d+)"', html)]


def test_the_grid_shows_photos_counts_and_the_sentence(client: TestClient, pile: Catalog, photos: list[Image]) -> None:
    answer = client.get(f"/catalogs/{pile.id}")
    assert answer.status_code == 200
    context = answer.context  # type: ignore[attr-defined]
    assert (context["total"], context["suggested"], str(context["said"])) == (3, 1, "All 3 photos.")
    assert tile_ids(answer.text) == [photo.id for photo in reversed(photos)]
    assert "Freeze the 0 kept" in answer.text
    assert "The caption says green" in answer.text
    assert 'title="a rule suggests to reject it"' in answer.text and 'data-verdict="suggested-rejected"' in answer.text
    assert 'data-verdict="rejected"' not in answer.text


def test_a_filter_narrows_grid_counts_and_what_is_frozen(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image], me: Person
) -> None:
    decide(session, photos[0], me, "kept")
    answer = client.get(f"/catalogs/{pile.id}", params={"q": "sharpness:>0.5", "sort": "name"})
    assert tile_ids(answer.text) == [photos[0].id, photos[2].id]
    assert "sharper than 0.5" in answer.text
    assert "Freeze the 1 kept" in answer.text
    assert f'href="/catalogs/{pile.id}/freeze?q=decision%3Akept%20sharpness%3A%3E0.5"' in answer.text


def test_what_intake_assumed_is_shown_filtered_and_counted(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image]
) -> None:
    plain = client.get(f"/catalogs/{pile.id}").text
    assert "Noted at intake" not in plain
    photos[0].notes, photos[1].notes = ["cmyk-without-profile", "largest-page"], ["largest-page"]
    session.flush()
    answer = client.get(f"/catalogs/{pile.id}", params={"q": "note:cmyk-without-profile"})
    assert tile_ids(answer.text) == [photos[0].id]
    assert "noted as “cmyk without profile”" in answer.text
    (facet,) = (one for one in answer.context["facets"] if one.key == "note")  # type: ignore[attr-defined]
    assert [(choice.label, choice.count) for choice in facet.choices] == [
        ("CMYK without a profile", 1), ("Largest page", 2),
    ]  # fmt: skip
    for address in (f"/images/{photos[0].id}/card", f"/images/{photos[0].id}"):
        page = client.get(address).text
        assert "CMYK without a usable profile: its colours are approximate." in page, address
        assert "The file holds several pages; the largest was taken, not the first." in page
    page = client.get(f"/intakes/{photos[0].intake_id}").text
    assert f'<a href="/catalogs/{pile.id}?q=note:largest-page">1 photo</a>' in page
    assert "CMYK without a usable profile" in page


def test_a_query_that_is_not_understood_says_where(client: TestClient, pile: Catalog, photos: list[Image]) -> None:
    answer = client.get(f"/catalogs/{pile.id}", params={"q": "kettle shiny:yes"})
    assert answer.status_code == 422
    assert answer.context["refusal"].there == "shiny:yes"  # type: ignore[attr-defined]
    assert "is not a filter" in answer.text and "sharpness" in answer.text
    assert 'value="kettle shiny:yes"' in answer.text  # what was typed stays
    assert len(tile_ids(answer.text)) == 3


def test_without_hits_the_filter_can_be_cleared(client: TestClient, pile: Catalog, photos: list[Image]) -> None:
    answer = client.get(f"/catalogs/{pile.id}", params={"q": "decision:kept"})
    assert "No photo matches this filter." in answer.text
    assert "Clear the filter" in answer.text


def test_an_empty_catalog_offers_taking_in(client: TestClient, pile: Catalog) -> None:
    assert "No photos yet." in client.get(f"/catalogs/{pile.id}").text
    assert client.get("/catalogs").headers["location"] == f"/catalogs/{pile.id}"


def test_no_catalog_and_several(client: TestClient, session: Session) -> None:
    assert "No photos yet." in client.get("/catalogs").text
    for name in ("Spring", "Winter"):
        cast.catalog(session, name)
    assert "Spring" in client.get("/catalogs").text


def test_unknown_catalogs_and_orders(client: TestClient, pile: Catalog) -> None:
    assert client.get("/catalogs/999999").status_code == 404
    assert client.get(f"/catalogs/{pile.id}", params={"sort": "best"}).status_code == 422


def test_without_scripts_pages_lead_through_all_photos(
    client: TestClient, session: Session, pile: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.web.routes import catalogs

    monkeypatch.setattr(catalogs, "PAGE", 4)
    monkeypatch.setattr(browse.page, "__defaults__", ("newest", None, 4))
    ids = [cast.red_kettle(session, pile).id for _ in range(10)][::-1]
    session.flush()
    seen, address = [], f"/catalogs/{pile.id}"
    while address:
        text = client.get(address).text
        seen += tile_ids(text)
        more = re.search(r'class="next" href="([^"]+)"', text)
        address = more[1].replace("&amp;", "&") if more else ""
    assert seen == ids
    jumped = client.get(f"/catalogs/{pile.id}?at=6")
    assert tile_ids(jumped.text) == ids[5:9]
    assert 'data-place="6"' in jumped.text
    assert "Earlier photos" in jumped.text
    assert tile_ids(client.get(f"/catalogs/{pile.id}?at=999").text) == ids[9:]


def test_pieces_of_the_page_come_alone(client: TestClient, pile: Catalog, photos: list[Image]) -> None:
    grid = client.get(f"/catalogs/{pile.id}", params={"part": "grid"}).text
    assert "<html" not in grid and 'data-part="facets"' in grid
    card = client.get(f"/images/{photos[2].id}/card").text
    assert "Green mug on a pure white background." in card and "0.80" in card


def test_a_bulk_decision_by_filter(client: TestClient, session: Session, pile: Catalog, photos: list[Image]) -> None:
    answer = client.post(
        f"/catalogs/{pile.id}/decisions",
        data={"q": "category:Kettles,Mugs", "verdict": "rejected:badly lit", "expected_count": "2"},
        headers=JSON,
    )
    said = answer.json()
    assert (said["changed"], said["job_id"], said["sentence"]) == (2, None, "Rejected 2 photos: badly lit")
    session.expire_all()
    decided = current(session, photos[0].id)
    assert decided is not None and (decided.verdict, decided.reason) == ("rejected", "badly lit")
    undone = client.post("/undo", headers=JSON).json()
    assert undone["count"] == 2
    session.expire_all()
    assert current(session, photos[0].id) is None


def test_a_bulk_decision_on_chosen_photos(client: TestClient, pile: Catalog, photos: list[Image]) -> None:
    q = f"id:{photos[0].id},{photos[2].id}"
    answer = client.post(f"/catalogs/{pile.id}/decisions", data={"q": q, "verdict": "kept"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/catalogs/{pile.id}")
    text = client.get(f"/catalogs/{pile.id}", params={"q": "decision:kept"}).text
    assert set(tile_ids(text)) == {photos[0].id, photos[2].id}


@pytest.mark.parametrize(
    ("q", "suggested"),
    [
        ("", 1), ("decision:unseen", 1), ("decision:kept", 0), ("by:rule", 1), ("decision:kept by:rule", 0),
        ("by:person,none", 0), ("rule:blurred", 1),
    ],
)  # fmt: skip
def test_the_grid_knows_how_many_suggestions_it_shows(
    client: TestClient, pile: Catalog, photos: list[Image], q: str, suggested: int
) -> None:
    assert client.get(f"/catalogs/{pile.id}", params={"q": q}).context["suggested"] == suggested  # type: ignore[attr-defined]


def test_facets_count_people_and_rules_apart(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image], me: Person
) -> None:
    decide(session, photos[0], me, "kept")
    listed = {facet.key: facet for facet in client.get(f"/catalogs/{pile.id}").context["facets"]}  # type: ignore[attr-defined]
    counts = {key: {choice.label: choice.count for choice in listed[key].choices} for key in ("decision", "by", "rule")}
    assert counts["decision"] == {"Kept": 1, "Rejected": 0, "Needs work": 0, "Not seen yet": 2}
    assert counts["by"] == {"A person": 1, "Only a rule suggests": 1, "Nobody": 1}
    assert counts["rule"]["Reject: blurred"] == 1


def test_suggestions_are_accepted_in_bulk_and_alone(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image]
) -> None:
    sent = {"verdict": "suggested", "q": "rule:blurred", "expected_count": "1"}
    answer = client.post(f"/catalogs/{pile.id}/decisions", data=sent, headers=JSON)
    assert (answer.json()["changed"], answer.json()["sentence"]) == (1, "Accepted 1 suggestion")
    undone = client.post("/undo", headers=JSON).json()
    assert undone["mark"] == "suggested-rejected"
    accepted = client.post(f"/images/{photos[1].id}/decisions", data={"verdict": "suggested"}, headers=JSON).json()
    assert accepted["verdict"] == "rejected"
    refused = client.post(f"/images/{photos[0].id}/decisions", data={"verdict": "suggested"}, headers=JSON)
    assert refused.status_code == 422 and "No rule suggests anything" in refused.json()["error"]["sentence"]
    moved = client.post(f"/catalogs/{pile.id}/decisions", data=sent, headers=JSON)
    assert moved.status_code == 409


def test_a_count_that_has_moved_is_a_conflict(client: TestClient, pile: Catalog, photos: list[Image]) -> None:
    answer = client.post(
        f"/catalogs/{pile.id}/decisions", data={"verdict": "kept", "expected_count": "4"}, headers=JSON
    )
    assert answer.status_code == 409
    assert "3 photos now, not 4" in answer.json()["error"]["sentence"]


def test_texts_of_the_catalogue_are_escaped(client: TestClient, session: Session, pile: Catalog) -> None:
    cast.image(session, pile, '<script>alert("x")</script>', category="<b>Bags</b>", caption="<i>bag</i>")
    session.flush()
    text = client.get(f"/catalogs/{pile.id}").text
    assert "<script>alert" not in text and "<b>Bags" not in text and "<i>bag" not in text
    chosen = client.get(f"/catalogs/{pile.id}", params={"q": 'category:"<b>Bags</b>"'})
    assert len(tile_ids(chosen.text)) == 1


@pytest.mark.parametrize(
    ("query", "label", "frozen"),
    [
        ("", "Freeze the 1 kept", "decision:kept"),
        ("-id:{kept}", "Freeze 2 unseen", "decision:kept -id:{kept}"),
        ("by:rule", "Freeze 2 unseen", "decision:kept by:rule"),
        ("decision:kept by:rule", "Freeze 2 unseen", "decision:kept by:rule"),
        ("decision:kept by:person", "Freeze the 1 kept", "decision:kept by:person"),
        ("by:none", "Freeze the 0 kept", None),
        ("decision:unseen", "Freeze the 0 kept", None),
    ],
)
def test_what_the_grid_offers_to_freeze_is_of_the_photos_it_shows(
    client: TestClient, session: Session, me: Person, query: str, label: str, frozen: str | None
) -> None:
    pile = cast.catalog(session)
    kept, *others = (cast.red_kettle(session, pile) for _ in range(3))
    apply_rules(session, [photo.id for photo in (kept, *others)])
    decide(session, kept, me, "kept")
    answer = client.get(f"/catalogs/{pile.id}", params={"q": query.format(kept=kept.id)})
    assert label in answer.text
    asked = quote(frozen.format(kept=kept.id)) if frozen else ""
    assert (f"/freeze?q={asked}" in answer.text) is (frozen is not None)
