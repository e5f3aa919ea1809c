"""The quarantine: refused files by reason, tried again, left out for good and taken back, and the list as a table."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app import jobs
from app.catalog.tables import Catalog, Intake, SourceFile
from app.database import utc_now
from app.intake import quarantine
from app.intake.quarantine import Which
from app.jobs import Job
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.conftest import sign_in
from tests.intake.conftest import encoded, picture

JSON = {"Accept": "application/json"}
EMPTY = "The file is empty."
SMALL = "The picture has only {} × 9 pixels; 32 a side are the least."


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session, "Spring chairs")


@pytest.fixture
def asked(session: Session, pile: Catalog, tmp_path: Path) -> Intake:
    """An intake of a folder that is there."""
    intake = Intake(catalog_id=pile.id, folder=str(tmp_path), job_id=jobs.request(session, "intake.take_in", {}).id)
    session.add(intake)
    session.flush()
    return intake


def refuse(session: Session, intake: Intake, **reasons: str) -> dict[str, int]:
    """Refused files by their names, here without a suffix; their ids."""
    files = [
        SourceFile(
            catalog_id=intake.catalog_id, intake_id=intake.id, file_name=f"{name}.jpg", sha256=name, outcome="refused",
            reason=reason,
        )
        for name, reason in reasons.items()
    ]  # fmt: skip
    session.add_all(files)
    session.flush()
    return {file.sha256: file.id for file in files}


def listed(answer: object) -> list[str]:
    return [file.sha256 for file in answer.context["files"]]  # type: ignore[attr-defined]


def test_files_are_grouped_by_reasons_that_differ_in_numbers_only(
    client: TestClient, session: Session, asked: Intake
) -> None:
    refuse(session, asked, a=SMALL.format(4), b=SMALL.format("1,024"), c=EMPTY, d="“a.jpg” has no bytes.")
    refuse(session, asked, e="“b.jpg” has no bytes.")
    answer = client.get(f"/intakes/{asked.id}/refused")
    kinds = [(kind.sentence, kind.files) for kind in answer.context["reasons"]]
    small = "The picture has only … × … pixels; … a side are the least."
    assert sorted(kinds) == sorted([(small, 2), (EMPTY, 1), ("… has no bytes.", 2)])
    assert listed(client.get(f"/intakes/{asked.id}/refused", params={"reason": small})) == ["a", "b"]


def test_a_catalog_lists_the_files_of_all_its_intakes_and_an_intake_its_own(
    client: TestClient, session: Session, pile: Catalog, asked: Intake
) -> None:
    other = Intake(catalog_id=pile.id, folder="/other")
    session.add(other)
    session.flush()
    refuse(session, asked, a=EMPTY)
    refuse(session, other, b=EMPTY)
    assert listed(client.get(f"/catalogs/{pile.id}/refused")) == ["a", "b"]
    assert listed(client.get(f"/intakes/{other.id}/refused")) == ["b"]
    assert "Nothing is refused here" in client.get(f"/catalogs/{cast.catalog(session).id}/refused").text


def test_a_page_ends_and_the_next_begins_behind_it_whatever_left_the_list(
    client: TestClient, session: Session, asked: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.routes.refusals.FILES_PAGE", 2)
    ids = refuse(session, asked, p1=EMPTY, p2=EMPTY, p10=EMPTY, p11=EMPTY, p12=EMPTY)
    first = client.get(f"/intakes/{asked.id}/refused")
    assert listed(first) == ["p1", "p2"] and first.context["total"] == 5
    session.get_one(SourceFile, ids["p2"]).outcome = "accepted"
    session.flush()
    assert f"after={first.context['next_after']}" in first.text
    assert listed(client.get(f"/intakes/{asked.id}/refused?after={ids['p2']}")) == ["p10", "p11"]


def test_a_page_of_a_hundred_thousand_refused_files_reads_one_page(session: Session, asked: Intake) -> None:
    row = {"catalog_id": asked.catalog_id, "intake_id": asked.id, "outcome": "refused"}
    rows = [row | {"file_name": f"{n}.jpg", "sha256": f"{n}", "reason": SMALL.format(n)} for n in range(20_000)]
    session.execute(insert(SourceFile), rows)
    # Which plan is best is told from what was counted, which may have been an empty table.
    session.connection().exec_driver_sql("analyze source_file")
    middle = session.scalars(select(SourceFile.id).where(SourceFile.file_name == "9999.jpg")).one()
    which = Which(asked.catalog_id, asked.id)
    assert [file.file_name for file in quarantine.page(session, which, middle, 2)] == ["10000.jpg", "10001.jpg"]
    assert [kind.files for kind in quarantine.reasons(session, which)] == [20_000]
    plan = str(session.connection().exec_driver_sql(
        "explain select id from source_file where intake_id = %s and catalog_id = %s and outcome = 'refused' "
        "and refused_key is not null and (refused_key, id) > ('5', 0) order by refused_key, id limit 200",
        (asked.id, asked.catalog_id),
    ).all())  # fmt: skip
    assert "Sort" not in plan and "ix_source_file_refused" in plan, plan


def test_left_out_for_good_and_taken_back(client: TestClient, session: Session, asked: Intake) -> None:
    ids = refuse(session, asked, a=EMPTY, b=EMPTY, c=SMALL.format(1))
    place = f"/catalogs/{asked.catalog_id}/refused/exclusions"
    answer = client.post(place, data={"intake_id": asked.id, "file_id": ids["a"]})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/intakes/{asked.id}/refused")
    assert listed(client.get(f"/intakes/{asked.id}/refused")) == ["b", "c"]
    session.expire_all()
    assert session.get_one(SourceFile, ids["a"]).left_out_by_id is not None
    client.post(place, data={"reason": EMPTY})
    assert listed(client.get(f"/catalogs/{asked.catalog_id}/refused")) == ["c"]
    assert listed(client.get(f"/intakes/{asked.id}/refused?left_out=1")) == ["a", "b"]
    client.post(place, data={"is_taken_back": "true"})
    assert listed(client.get(f"/intakes/{asked.id}/refused")) == ["a", "b", "c"]


@pytest.mark.parametrize("which", ["one", "reason", "all"])
def test_trying_again_asks_for_those_files_only(
    client: TestClient, session: Session, asked: Intake, which: str
) -> None:
    asked.folder = str(client.app.state.storage.root / "uploads" / "1-0")  # type: ignore[attr-defined]
    Path(asked.folder).mkdir(parents=True)
    ids = refuse(session, asked, a=EMPTY, b=SMALL.format(1))
    jobs.get(session, asked.job_id or 0).state = "done"
    session.flush()
    assert "disabled" not in client.get(f"/intakes/{asked.id}/refused").text
    fields = {"one": {"file_id": str(ids["a"])}, "reason": {"reason": EMPTY}, "all": {}}[which]
    answer = client.post(f"/catalogs/{asked.catalog_id}/refused/retries", data={"intake_id": str(asked.id), **fields})
    assert answer.status_code == 303
    job = session.scalars(select(Job).where(Job.kind == "intake.try_again")).one()
    told = {"intake_id": asked.id, "reason": fields.get("reason"), "file_id": int(fields.get("file_id", 0)) or None}
    assert job.arguments == told
    page = client.get(f"/intakes/{asked.id}/refused").text
    assert f'data-job="/jobs/{job.id}"' in page and page.count(" disabled") == 3, "two files, and all of them"


def test_who_may_not_name_a_folder_may_not_have_it_tried_again(
    web: FastAPI, client: TestClient, session: Session, asked: Intake, settings: Settings
) -> None:
    refuse(session, asked, a=EMPTY)
    member = sign_in(web, session, settings, cast.person(session, "Mei"))
    place = f"/catalogs/{asked.catalog_id}/refused/retries"
    assert member.post(place, headers=JSON).status_code == 403
    asked.folder = "/no/such/folder"
    session.flush()
    answer = client.post(place, headers=JSON)
    assert answer.status_code == 422 and "There is no folder /no/such/folder" in answer.text
    assert client.post(place, data={"reason": "another"}, headers=JSON).status_code == 422


def test_an_owner_is_told_that_a_folder_lies_outside_and_not_to_ask_one(
    client: TestClient, session: Session, asked: Intake
) -> None:
    refuse(session, asked, a=EMPTY)
    asked.folder = "/usr"
    session.flush()
    page = client.get(f"/catalogs/{asked.catalog_id}/refused").text
    assert "cannot be tried again: /usr lies outside the folders" in page and "Only an owner" not in page


def test_it_is_said_of_which_source_files_can_be_tried_again_and_why_not(
    client: TestClient, session: Session, pile: Catalog, asked: Intake
) -> None:
    asked.folder = str(client.app.state.storage.root / "uploads" / "1-0")  # type: ignore[attr-defined]
    Path(asked.folder).mkdir(parents=True)
    asked.job_id = None  # it is over
    gone = Intake(catalog_id=pile.id, folder="/gone")
    session.add(gone)
    session.flush()
    refuse(session, asked, a=EMPTY, b=EMPTY)
    only = refuse(session, gone, c=EMPTY)
    answer = client.get(f"/catalogs/{pile.id}/refused")
    said = [
        (source.name, source.files, source.obstacle and source.obstacle.sentence)
        for source in answer.context["sources"]
    ]
    assert said == [
        ("Files from a browser", 2, None),
        ("/gone", 1, "There is no folder /gone on this machine any more."),
    ]
    assert "cannot be tried again: There is no folder /gone" in answer.text
    assert answer.text.count("Try again") == 2 and "Try all again" in answer.text
    assert "Try all again" not in client.get(f"/intakes/{gone.id}/refused").text
    place = f"/catalogs/{pile.id}/refused/retries"
    assert "no folder /gone" in client.post(place, data={"file_id": str(only["c"])}, headers=JSON).text
    assert client.post(place).status_code == 303
    job = session.scalars(select(Job).where(Job.kind == quarantine.RETRY)).one()
    assert job.arguments["intake_id"] == asked.id, "what can be tried is, though another source is gone"
    job.state, job.result, job.ended_at = "done", {"taken_in": 1, "refused_again": 1}, utc_now()
    session.flush()
    assert "1 taken in, 1 refused once more" in " ".join(client.get(f"/catalogs/{pile.id}/refused").text.split())


def test_the_list_as_a_table_holds_every_file_and_no_formula(
    client: TestClient, session: Session, pile: Catalog, asked: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "CHUNK", 2)
    refuse(session, asked, **{"=1+1": EMPTY, "+a": "=cmd", "-b": EMPTY, "@c": EMPTY, 'd"\n,é': EMPTY})
    answer = client.get(f"/catalogs/{pile.id}/refused.csv?intake_id={asked.id}")
    assert answer.headers["content-disposition"] == 'attachment; filename="spring-chairs-refused.csv"'
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert rows[0] == ["file", "why", "from", "intake"]
    assert {row[0] for row in rows[1:]} == {"'=1+1.jpg", "'+a.jpg", "'-b.jpg", "'@c.jpg", 'd"\n,é.jpg'}
    assert "'=cmd" in {row[1] for row in rows} and rows[1][2:] == [asked.folder, str(asked.id)]


def test_what_can_be_seen_of_a_refused_file(
    client: TestClient, session: Session, asked: Intake, settings: Settings
) -> None:
    ids = refuse(session, asked, a=EMPTY, b=EMPTY)
    data = encoded(picture(), "WEBP")
    session.get_one(SourceFile, ids["a"]).thumb_sha256 = Storage(settings.data_dir).put("thumbs", data, ".webp")
    session.flush()
    assert client.get(f"/refused/{ids['a']}/thumb").content == data
    assert client.get(f"/refused/{ids['b']}/thumb").status_code == 404
    assert client.get("/refused/999999/thumb").status_code == 404
