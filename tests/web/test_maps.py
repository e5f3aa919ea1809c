"""The map's page and its routes, in every state: nothing there, not looked at, no map yet, a map, a lasso."""

from __future__ import annotations

import re

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import jobs
from app.catalog import embeddings
from app.catalog.embeddings import EmbedderFacts
from app.catalog.tables import Catalog, MapSet
from app.jobs import Job
from app.people import Person
from app.review.tables import Decision
from app.selection import maps
from app.selection.maps import LaidOut, NewSet
from app.settings import Settings
from tests import cast

SQUARE = "0,0 0.5,0 0.5,1 0,1"


def page(client: TestClient, pile: Catalog, query: str = "") -> str:
    answer = client.get(f"/catalogs/{pile.id}/map", params={"q": query})
    assert answer.status_code == 200
    return " ".join(answer.text.split())


def mapped(session: Session, count: int = 6, reads_words: bool = False) -> tuple[Catalog, list[int]]:
    pile = cast.catalog(session)
    ids = [cast.image(session, pile, title=f"Mug {n}").id for n in range(count)]
    space = embeddings.space_of(session, EmbedderFacts("drawn", "1", "none", 2, reads_words))
    angles = np.linspace(0, 1, count)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    embeddings.record(session, space, dict(zip(ids, vectors.tolist(), strict=True)))
    points = np.stack([np.linspace(0.1, 0.9, count), np.full(count, 0.5)], axis=1).astype(np.float32)
    apart = np.linspace(0, 1, count, dtype=np.float32)
    placed = LaidOut(space, ids, points, count, "umap", 12, 5, 0.68, 0.66, count, 291.0, apart)
    maps.record(session, pile.id, placed, [NewSet("cluster", ids[:3], "mug, red", ids[1]), NewSet("far", ids[5:])])
    return pile, ids


def test_without_photos_the_page_leads_to_taking_in(client: TestClient, session: Session) -> None:
    assert "Take in a folder" in page(client, cast.catalog(session))


def test_photos_that_nobody_looked_at_can_be_looked_at(client: TestClient, session: Session) -> None:
    pile = cast.catalog(session)
    cast.red_kettle(session, pile)
    shown = page(client, pile)
    assert "the embedder has not looked at these photos" in shown
    assert f'action="/catalogs/{pile.id}/embeddings"' in shown
    answer = client.post(f"/catalogs/{pile.id}/embeddings")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/catalogs/{pile.id}/map")
    job = session.scalars(select(Job).where(Job.kind == "photos.embed")).one()
    assert f'data-job="/jobs/{job.id}"' in page(client, pile)


def test_a_job_that_failed_says_why_on_the_page(client: TestClient, session: Session) -> None:
    pile = cast.catalog(session)
    cast.red_kettle(session, pile)
    job = embeddings.request(session, pile.id, Settings())
    claim = jobs.claim(session, job.id, "worker")
    assert claim is not None
    jobs.fail(session, claim, "PyTorch is not installed where the workers run.")
    assert "PyTorch is not installed where the workers run." in page(client, pile)


def test_the_page_says_how_the_map_is_made_and_what_is_not_configured(client: TestClient, session: Session) -> None:
    pile, _ = mapped(session)
    shown = page(client, pile)
    for words in (
        "laid out by UMAP, seed 12",
        "All 6 placed",
        "68 % of 5",
        "66 %, n 6",
        "mug, red",
        "Far from everything",
        "Search by words: not configured",
        "6 of 6 drawn",
    ):
        assert words in shown
    cast.image(session, pile)
    assert "1 photo not looked at yet" in page(client, pile)


def test_points_come_as_numbers(client: TestClient, session: Session) -> None:
    pile, ids = mapped(session)
    answer = client.get(f"/catalogs/{pile.id}/map/points", params={"q": "in:cluster-1"})
    assert answer.headers["content-type"] == "application/octet-stream"
    count, length = np.frombuffer(answer.content, "<u4", 2)
    assert count == len(ids)
    chosen = answer.content[8 + int(length) + 96 :][:6]
    assert list(chosen) == [1, 0, 1, 0, 1, 0], "in turn"
    assert client.get(f"/catalogs/{cast.catalog(session).id}/map/points").status_code == 404


def test_a_lasso_becomes_a_filter_and_is_decided_on(client: TestClient, session: Session, me: Person) -> None:
    pile, ids = mapped(session)
    answer = client.post(
        f"/catalogs/{pile.id}/lassos", data={"corners": SQUARE}, headers={"Accept": "application/json"}
    )
    assert answer.json() == {"query": "in:lasso-1", "photos": 3}
    shown = page(client, pile, "in:lasso-1")
    assert "3 selected" in shown and "Nearest the middle" in shown and "Just outside" in shown
    kept = {
        "verdict": "kept",
        "q": "in:lasso-1",
        "expected_count": "3",
        "next": f"/catalogs/{pile.id}/map?q=in:lasso-1",
    }
    decided = client.post(f"/catalogs/{pile.id}/decisions", data=kept)
    assert decided.headers["location"] == kept["next"]
    assert set(session.scalars(select(Decision.image_id).where(Decision.person_id == me.id))) == set(ids[:3])
    # All inside have a decision now, so that nothing of what is shown is inside.
    again = {"corners": SQUARE, "q": "decision:unseen"}
    assert client.post(f"/catalogs/{pile.id}/lassos", data=again).status_code in (400, 422)
    assert session.scalars(select(MapSet.name).where(MapSet.kind == "lasso")).all() == ["lasso-1"]


@pytest.mark.parametrize(
    "fields", [{"corners": "nonsense"}, {"corners": "0,0 1,1"}, {"corners": "0,0 nan,1 1,1"}, {"corners": ""},
               {"corners": SQUARE, "way": "sideways"}, {"corners": SQUARE, "q": "in:nothing"}],
)  # fmt: skip
def test_a_lasso_that_is_none_is_refused_in_words(client: TestClient, session: Session, fields: dict[str, str]) -> None:
    pile, _ = mapped(session)
    answer = client.post(f"/catalogs/{pile.id}/lassos", data=fields, headers={"Accept": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["sentence"]
    assert session.scalars(select(MapSet).where(MapSet.kind == "lasso")).all() == []


def test_a_filter_that_is_not_understood_is_shown_beside_the_map(client: TestClient, session: Session) -> None:
    pile, _ = mapped(session)
    answer = client.get(f"/catalogs/{pile.id}/map", params={"q": "in:somewhere"})
    assert answer.status_code == 422
    assert "names nothing on the map" in answer.text and "data-map=" in answer.text
    assert "is not on this map; it may be of an earlier one" in page(client, pile, "in:cluster-9")


def test_similar_photos_stand_in_the_pane_of_a_photo(client: TestClient, session: Session) -> None:
    pile, ids = mapped(session)
    card = client.get(f"/images/{ids[0]}/card").text
    assert card.index(f"/images/{ids[1]}/thumb") < card.index(f"/images/{ids[3]}/thumb")
    assert f"q=similar:{ids[0]}" in card
    lone = cast.red_kettle(session, pile)
    assert "has not looked at this photo yet" in client.get(f"/images/{lone.id}/card").text
    grid = client.get(f"/catalogs/{pile.id}", params={"q": f"similar:{ids[2]}", "sort": "alike"})
    assert "similar to photo" in grid.text
    assert grid.text.index(f'data-tile="{ids[2]}"') < grid.text.index(f'data-tile="{ids[0]}"')


def test_any_selection_is_shown_from_the_most_alike_to_the_least(client: TestClient, session: Session) -> None:
    pile, ids = mapped(session)
    sort = f"alike:similar:{ids[3]}"
    assert f"?sort={sort}" in client.get(f"/images/{ids[3]}/card").text
    lone = cast.red_kettle(session, pile)
    grid = client.get(f"/catalogs/{pile.id}", params={"q": "decision:unseen", "sort": sort}).text
    assert f'<option value="{sort}" selected>Most alike first: similar to photo {ids[3]}</option>' in grid
    shown = [int(number) for number in re.findall(r'data-tile="(\d+)"', grid)]
    assert shown[0] == ids[3] and shown[-1] == lone.id and sorted(shown) == sorted([*ids, lone.id])
    assert f"sort=alike%3Asimilar%3A{ids[3]}" in grid, "photos lead on in this order"
    desk = client.get(f"/images/{ids[3]}", params={"q": "decision:unseen", "sort": sort})
    assert desk.status_code == 200 and f"/images/{shown[1]}" in desk.text
    refused = client.get(f"/catalogs/{pile.id}", params={"sort": "alike:category:lamps"})
    assert refused.status_code == 422 and "similar, like, unlike and looks alone" in refused.text


def test_words_are_read_by_a_model_that_reads_them(
    client: TestClient, web: FastAPI, session: Session, settings: Settings
) -> None:
    pile, _ = mapped(session, reads_words=True)
    asked = {"phrase": " red   mug "}
    refused = client.post(f"/catalogs/{pile.id}/phrases", data=asked, headers={"Accept": "application/json"})
    assert "not configured" in refused.json()["error"]["sentence"]
    web.state.settings = settings.model_copy(update={"embedder": "google/siglip2-base-patch16-224"})
    assert "Find by looks" in page(client, pile)
    answer = client.post(f"/catalogs/{pile.id}/phrases", data=asked)
    assert answer.headers["location"] == f"/catalogs/{pile.id}/map?q=looks%3A%22red%20mug%22"
    job = session.scalars(select(Job).where(Job.kind == "photos.read_phrase")).one()
    assert job.arguments["phrase"] == "red mug"
    space = embeddings.coverage(session, pile.id).space
    assert space is not None
    embeddings.record_phrase(session, space.id, "red mug", [1.0, 0.0])
    client.post(f"/catalogs/{pile.id}/phrases", data=asked)
    assert len(session.scalars(select(Job).where(Job.kind == "photos.read_phrase")).all()) == 1
    assert "6 photos" in page(client, pile, 'looks:"red mug"')


def test_a_map_is_made_again_when_asked(client: TestClient, session: Session) -> None:
    pile, _ = mapped(session)
    assert client.post(f"/catalogs/{pile.id}/map").status_code == 303
    assert session.scalars(select(Job).where(Job.kind == "photos.map")).one().state == "queued"
    empty = client.post(f"/catalogs/{cast.catalog(session).id}/map", headers={"Accept": "application/json"})
    assert "looked at none" in empty.json()["error"]["sentence"]
