"""The filter field: saved views on the page, and completions as one types."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog
from app.labels import giving, sets
from app.labels.giving import LabelAct
from app.people import Person
from app.selection.query import parse
from app.selection.saved_views import SavedView
from app.settings import Settings
from tests import cast
from tests.conftest import sign_in


@pytest.fixture
def pile(session: Session) -> Catalog:
    pile = cast.catalog(session)
    for category in ("Table lamps", "Table lamps", "Mugs", "or (small)"):
        cast.image(session, pile, category=category, product="K-12")
    session.flush()
    return pile


def views(session: Session) -> list[SavedView]:
    session.expire_all()
    return list(session.scalars(select(SavedView).order_by(SavedView.id)))


def test_a_view_is_saved_opened_renamed_shared_and_deleted(
    client: TestClient, session: Session, web: FastAPI, settings: Settings, pile: Catalog
) -> None:
    saving = {"name": " White  lamps ", "q": "category:lamps or dress", "sort": "name"}
    answer = client.post(f"/catalogs/{pile.id}/views", data=saving)
    assert answer.status_code == 303
    [view] = views(session)
    assert (view.name, view.query, view.sort, view.is_shared) == (
        "White lamps",
        "category:lamps or dress",
        "name",
        False,
    )
    opened = client.get(answer.headers["location"]).text
    assert "either in lamps or mentioning “dress”" in opened
    assert "White lamps" in opened
    bo = sign_in(web, session, settings, cast.person(session, "Bo"))
    assert "White lamps" not in bo.get(f"/catalogs/{pile.id}").text
    assert client.post(f"/views/{view.id}", data={"name": "Lamps", "is_shared": "true"}).status_code == 303
    shown = bo.get(f"/catalogs/{pile.id}").text
    assert "Lamps" in shown
    assert "shared by" in shown
    assert bo.post(f"/views/{view.id}", data={"name": "Mine"}).status_code == 404
    assert bo.post(f"/views/{view.id}/deletion").status_code == 404
    assert client.post(f"/views/{view.id}/deletion").headers["location"] == f"/catalogs/{pile.id}"
    assert views(session) == []


@pytest.mark.parametrize(
    ("saving", "status", "why"),
    [
        ({"name": "  "}, 422, "1 to 60 characters"),
        ({"name": "a" * 61}, 422, "1 to 60 characters"),
        ({"name": "Lamps", "q": "(red"}, 422, "never closed"),
        ({"name": "Lamps", "sort": "best"}, 422, "not a sort order"),
        ({"name": "LAMPS"}, 409, "already"),
    ],
)
def test_a_view_that_cannot_be_kept_is_refused(
    client: TestClient, session: Session, me: Person, pile: Catalog, saving: dict[str, str], status: int, why: str
) -> None:
    session.add(
        SavedView(catalog_id=pile.id, person_id=me.id, name="Lamps" if status == 409 else "-", query="", sort="name")
    )
    session.flush()
    answer = client.post(f"/catalogs/{pile.id}/views", data=saving, headers={"Accept": "application/json"})
    assert answer.status_code == status
    assert why in answer.json()["error"]["sentence"]
    assert len(views(session)) == 1


@pytest.mark.parametrize(
    ("typed", "start", "first", "count"),
    [
        ("cat", 0, "category:", None),
        ("red -cat", 5, "category:", None),
        ("(cat", 1, "category:", None),
        ("category:", 9, '"Table lamps"', 2),
        ("category:mu", 9, "Mugs", 1),
        ("-category:lam", 10, '"Table lamps"', 2),
        ("category:mugs,tab", 14, '"Table lamps"', 2),
        ('category:"table la', 9, '"Table lamps"', 2),
        ("category:or", 9, '"or (small)"', 1),
        ("background:wh", 11, "white", 4),
        ("product:k", 8, "K-12", 4),
        ("decider:an", 8, "Ana", None),
        ("taken:w", 6, "week", None),
        ("best:", 5, "yes", None),
    ],
)
def test_what_could_stand_at_the_cursor(
    client: TestClient,
    session: Session,
    me: Person,
    pile: Catalog,
    typed: str,
    start: int,
    first: str,
    count: int | None,
) -> None:
    me.name = "Ana"
    session.flush()
    answer = completions(client, pile, typed)
    assert (answer["start"], answer["end"]) == (start, len(typed))
    assert (answer["choices"][0]["text"], answer["choices"][0]["count"]) == (first, count)
    taken = typed[: answer["start"]] + answer["choices"][0]["text"]
    if not taken.endswith(":"):
        parse(taken, pile.id)


@pytest.mark.parametrize("typed", ["", "red ", "shiny:", "category:zz", '"cat', "sharpness:0."])
def test_where_nothing_of_ours_fits_nothing_is_offered(client: TestClient, pile: Catalog, typed: str) -> None:
    assert completions(client, pile, typed)["choices"] == []


def completions(client: TestClient, pile: Catalog, typed: str) -> dict[str, Any]:
    answer = client.get(f"/catalogs/{pile.id}/completions", params={"q": typed, "at": len(typed)})
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def test_labels_are_offered_set_by_set_with_their_counts(client: TestClient, session: Session) -> None:
    pile, ana = cast.catalog(session), cast.person(session)
    fit = sets.define(session, pile.id, ana, "Fit", "one", ["slim", "wide"])
    giving.give(session, cast.image(session, pile), ana, LabelAct(fit, fit.values[0]))
    found = completions(client, pile, "label:f")["choices"]
    assert [(each["text"], each["count"]) for each in found] == [("Fit", None), ("Fit=slim", 1), ("Fit=wide", 0)]
    assert [each["text"] for each in completions(client, pile, "-label:fit=s")["choices"]] == ["Fit=slim"]
