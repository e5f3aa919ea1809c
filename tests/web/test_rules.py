"""The page of a catalog's rules: tried in the address, kept by a press, never at the cost of what people decided."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, Image
from app.jobs import Job
from app.people import Person
from app.review import rule_sets
from app.review.decisions import apply_rules, decide
from app.review.rules import SWITCHES, RuleSettings
from tests import cast

USUAL = {"wants": "packshots", "on": list(SWITCHES), "blurred_below": "0.059", "unsure_below": "0.350"}


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session, "Autumn 2026")


@pytest.fixture
def photos(session: Session, pile: Catalog, me: Person) -> list[Image]:
    """A sharp kettle, a soft one, a scene, a blurred shoe, and a sharp kettle that a person rejected."""
    made = [
        cast.red_kettle(session, pile),
        cast.image(session, pile, sharpness=0.3, caption="Red kettle."),
        cast.image(session, pile, background="scene", caption="Red kettle."),
        cast.blurred_shoe(session, pile),
        cast.red_kettle(session, pile),
    ]
    apply_rules(session, [photo.id for photo in made])
    decide(session, made[-1], me, "rejected")
    session.flush()
    return made


def counts(html: str) -> tuple[int, int]:
    found = re.search(r'class="count"><b>([\d,]+)</b> of ([\d,]+)', html)
    assert found
    return int(found[1].replace(",", "")), int(found[2].replace(",", ""))


def test_the_page_shows_the_usual_rules_and_what_they_say_now(
    client: TestClient, pile: Catalog, photos: list[Image]
) -> None:
    page = client.get(f"/catalogs/{pile.id}/rules")
    view = page.context  # type: ignore[attr-defined]
    assert view["asked"] == RuleSettings() and not view["is_tried"]
    assert {rule.name: rule.now for rule in view["rules"] if rule.now} == {"blurred": 1, "busy": 1, "clean": 2}
    assert counts(page.text) == (0, 4)
    assert "Nobody yet: the rules are as they come." in page.text
    assert f'href="/catalogs/{pile.id}?q=rule:blurred"' in page.text
    assert 'value="0.059"' in page.text and page.text.count("Accept all ") >= 3
    assert f'href="/catalogs/{pile.id}/rules"' in client.get(f"/catalogs/{pile.id}").text


@pytest.mark.parametrize(
    ("tried", "changed"),
    [
        ({}, 0),
        ({"blurred_below": "0.5"}, 1),
        ({"blurred_below": "0.5", "unsure_below": "1"}, 1),
        ({"unsure_below": "1", "blurred_below": "0.9"}, 3),
        ({"wants": "scenes"}, 3),
        ({"wants": "both"}, 1),
        ({"on": [rule for rule in SWITCHES if rule != "clean"]}, 2),
        ({"on": [], "wants": "both"}, 4),
    ],
)
def test_what_would_change_is_counted_and_nothing_is_kept(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image], tried: dict[str, object], changed: int
) -> None:
    page = client.get(f"/catalogs/{pile.id}/rules", params=USUAL | tried)  # type: ignore[arg-type]
    assert counts(page.text) == (changed, 4)
    part = client.get(f"/catalogs/{pile.id}/rules", params=USUAL | tried | {"part": "counts"})  # type: ignore[arg-type]
    assert counts(part.text) == (changed, 4) and "<html" not in part.text
    assert rule_sets.current(session, pile.id) is None
    assert session.scalars(select(Job)).all() == []


def test_saving_keeps_who_and_when_and_asks_for_the_job(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image], me: Person
) -> None:
    sent = USUAL | {"wants": "both", "blurred_below": "0.5", "expected_id": "0"}
    answer = client.post(f"/catalogs/{pile.id}/rules", data=sent)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/catalogs/{pile.id}/rules")
    kept = rule_sets.current(session, pile.id)
    assert kept is not None and kept.person_id == me.id
    # The limit that was not touched stays what it is to all its places.
    assert RuleSettings.from_json(kept.settings) == RuleSettings("both", blurred_below=0.5)
    job = session.scalars(select(Job)).one()
    assert (job.kind, job.arguments) == ("review.apply_rules", {"catalog_id": pile.id})
    page = client.get(f"/catalogs/{pile.id}/rules").text
    assert (
        f'data-job="/jobs/{job.id}"' in page
        and "both, empty below 2.3, small below 256, blurred below 0.500, unsure below 0.350" in page
    )
    assert "within the limit" not in client.get(f"/images/{photos[1].id}").text.split("Sharpness")[1].split("Fill")[0]
    again = client.post(f"/catalogs/{pile.id}/rules", data=sent | {"expected_id": str(kept.id)})
    assert again.status_code == 303 and session.scalars(select(Job)).all() == [job]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"blurred_below": "soft"}, "“soft” is not a number"),
        ({"blurred_below": ""}, "“” is not a number"),
        ({"unsure_below": "1.5"}, "lies between 0 and 1"),
        ({"unsure_below": "nan"}, "lies between 0 and 1"),
        ({"wants": "<b>all</b>"}, "“&lt;b&gt;all&lt;/b&gt;” is not a kind of photo"),
    ],
)
def test_what_cannot_be_set_is_told_beside_what_was_typed(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image], wrong: dict[str, str], said: str
) -> None:
    for answer in (
        client.get(f"/catalogs/{pile.id}/rules", params=USUAL | wrong),  # type: ignore[arg-type]
        client.post(f"/catalogs/{pile.id}/rules", data=USUAL | wrong),
    ):
        assert answer.status_code == 422 and said in answer.text
        for name in ("blurred_below", "unsure_below"):
            assert f'value="{(USUAL | wrong)[name]}"' in answer.text
    assert rule_sets.current(session, pile.id) is None


def test_the_second_of_two_people_sees_that_the_first_was_there_and_loses_nothing(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image]
) -> None:
    mei = cast.person(session, "Mei")
    hers = rule_sets.save(session, pile.id, mei, RuleSettings("scenes"))
    assert hers is not None
    sent = USUAL | {"blurred_below": "0.2", "expected_id": "0"}
    answer = client.post(f"/catalogs/{pile.id}/rules", data=sent)
    assert answer.status_code == 409 and "Mei set other rules since you opened this page." in answer.text
    assert 'value="0.2"' in answer.text and f'name="expected_id" value="{hers.id}"' in answer.text
    assert rule_sets.settings_of(session, pile.id) == RuleSettings("scenes")
    client.post(f"/catalogs/{pile.id}/rules", data=sent | {"expected_id": str(hers.id)})
    assert rule_sets.settings_of(session, pile.id) == RuleSettings(blurred_below=0.2)


def test_an_unknown_catalog_has_no_rules(client: TestClient) -> None:
    assert client.get("/catalogs/999999/rules").status_code == 404
    assert client.post("/catalogs/999999/rules", data=USUAL).status_code == 404
