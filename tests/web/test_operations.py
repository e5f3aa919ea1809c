"""Acts on many photos over the web: assigning, the list of what was done, undo by anybody, and jobs for many photos."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.bulk import operations
from app.catalog.tables import Catalog, Image
from app.jobs import Job
from app.people import Person
from app.review.decisions import current
from app.review.tables import Operation
from app.selection.query import parse
from tests import cast

JSON = {"accept": "application/json"}


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session)


@pytest.fixture
def photos(session: Session, pile: Catalog) -> list[Image]:
    return [cast.red_kettle(session, pile) for _ in range(3)]


def test_photos_are_assigned_and_their_person_sees_them(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image], me: Person
) -> None:
    assert "Assigned to you" not in client.get(f"/catalogs/{pile.id}").text
    sent = {"person_id": str(me.id), "q": f"id:{photos[0].id}", "expected_count": "1"}
    answer = client.post(f"/catalogs/{pile.id}/assignments", data=sent, headers=JSON)
    assert answer.json()["sentence"] == f"Assigned 1 photo to {me.name}"
    page = client.get(f"/catalogs/{pile.id}").text
    assert "Assigned to you" in page and page.count(f'title="Assigned to {me.name}"') == 1
    hers = client.get(f"/catalogs/{pile.id}", params={"q": f"assigned:{me.email}"})
    assert hers.context["total"] == 1  # type: ignore[attr-defined]
    assert f"assigned to {me.email}" in hers.text
    freed = client.post(f"/catalogs/{pile.id}/assignments", data=sent | {"person_id": "0"}, headers=JSON)
    assert freed.json()["sentence"] == "Assigned 1 photo to nobody"
    unknown = client.post(f"/catalogs/{pile.id}/assignments", data=sent | {"person_id": "999999"}, headers=JSON)
    assert unknown.status_code == 404


def test_what_was_done_is_listed_and_taken_back_by_anybody(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image]
) -> None:
    mei = cast.person(session, "Mei")
    value = {"verdict": "rejected", "reason": "blurred"}
    operation = operations.begin(session, parse("", pile.id), mei, "decide", value, "category:Kettles")
    operations.carry_out(session, operation, mei)
    page = client.get(f"/catalogs/{pile.id}/operations").text
    assert "Rejected 3 photos: blurred" in page and "Mei" in page and "category:Kettles" in page
    answer = client.post(f"/operations/{operation.id}/undo", headers=JSON)
    assert answer.json()["sentence"] == "Took back on 3 photos: rejected 3 photos: blurred."
    session.expire_all()
    assert current(session, photos[0].id) is None
    assert "taken back" in client.get(f"/catalogs/{pile.id}/operations").text
    again = client.post(f"/operations/{operation.id}/undo", headers=JSON)
    assert again.status_code == 422 and "nothing left" in again.json()["error"]["sentence"]
    assert client.post("/operations/999999/undo", headers=JSON).status_code == 404


def test_many_photos_are_changed_by_a_job_that_the_page_shows(
    client: TestClient, session: Session, pile: Catalog, photos: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "AT_ONCE", 2)
    sent = {"verdict": "kept", "q": "", "expected_count": "3"}
    answer = client.post(f"/catalogs/{pile.id}/decisions", data=sent, headers=JSON)
    assert answer.status_code == 202
    said = answer.json()
    assert said["sentence"] == "3 photos are being changed. It can be stopped, and taken back"
    page = client.get(f"/catalogs/{pile.id}").text
    assert f'data-job="/jobs/{said["job_id"]}"' in page and f'data-operation="{said["operation_id"]}"' in page
    assert f'data-job="/jobs/{said["job_id"]}"' in client.get(f"/catalogs/{pile.id}/operations").text
    busy = client.post(f"/operations/{said['operation_id']}/undo", headers=JSON)
    assert busy.status_code == 422 and "still busy" in busy.json()["error"]["sentence"]
    operations.do_next(session, said["operation_id"])
    client.post(f"/jobs/{said['job_id']}/cancel")
    session.expire_all()
    assert session.get_one(Job, said["job_id"]).state == "cancelled"
    page = client.get(f"/catalogs/{pile.id}/operations").text
    assert "stopped half-way" in page and "Go on" in page and "Undo" in page
    assert (
        "stopped half-way, 0 were not reached" in client.get(f"/operations/{said['operation_id']}").json()["sentence"]
    )
    gone_on = client.post(f"/operations/{said['operation_id']}/resumption")
    assert gone_on.status_code == 303
    newest = session.scalars(select(Job.id).order_by(Job.id.desc()).limit(1)).one()
    session.expire_all()
    assert session.get_one(Operation, said["operation_id"]).job_id == newest


def test_a_catalog_without_operations_says_so(client: TestClient, pile: Catalog) -> None:
    assert "Nothing was done to many photos at once yet." in client.get(f"/catalogs/{pile.id}/operations").text
