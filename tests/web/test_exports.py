"""Exports on the version's page, as JSON, as a file, and at the terminal."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app import cli, jobs
from app.database import transaction
from app.datasets.tables import DatasetVersion
from app.exports import asking, writing
from app.exports.members import gather
from app.exports.shards import Wish
from app.exports.tables import Export
from app.jobs import Job
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.conftest import sign_in
from tests.exports.cast import digest, version

JSON = {"Accept": "application/json"}


@pytest.fixture
def files(settings: Settings) -> Storage:
    return Storage(settings.data_dir)


@pytest.fixture
def frozen(session: Session, files: Storage) -> DatasetVersion:
    return version(session, files, 4)


def write(session: Session, files: Storage, export: Export) -> None:
    """What the job does, in the test's own transaction."""
    folder = asking.folder_of(files, export.id)
    outgoing = gather(session, files, export.version_id)
    asking.record(
        session, export, writing.write(folder, outgoing, export.format, Wish(export.leaves_out, export.repeats))
    )
    jobs.get(session, export.job_id).state = "done"
    session.flush()


def test_an_export_is_asked_for_on_the_page_followed_and_downloaded(
    client: TestClient, session: Session, files: Storage, frozen: DatasetVersion, tmp_path: Path
) -> None:
    here = f"/datasets/{frozen.id}"
    assert 'value="webdataset" checked' in client.get(here).text
    answer = client.post(f"{here}/exports", data={"format": "imagefolder"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{here}#exports")
    export = session.scalars(select(Export)).one()
    assert f'data-job="/jobs/{export.job_id}"' in client.get(here).text
    assert client.get(f"/exports/{export.id}/archive.tar").status_code == 422
    write(session, files, export)
    page = client.get(here).text
    folder = asking.folder_of(files, export.id)
    assert "4 photos in" in page and str(folder) in page
    answer = client.get(f"/exports/{export.id}/archive.tar")
    assert answer.headers["content-type"] == "application/x-tar"
    assert 'filename="autumn-b-co-b-v1-imagefolder.tar"' in answer.headers["content-disposition"]
    assert int(answer.headers["content-length"]) == len(answer.content)
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        tar.extractall(tmp_path, filter="data")
    assert digest(tmp_path / "autumn-b-co-b-v1-imagefolder") == digest(folder)


def test_the_same_as_json(client: TestClient, session: Session, files: Storage, frozen: DatasetVersion) -> None:
    here = f"/datasets/{frozen.id}/exports"
    answer = client.post(here, data={"format": "kohya", "repeats": "10"}, headers=JSON)
    asked = answer.json()
    assert (answer.status_code, asked["state"], asked["repeats"], asked["archive"]) == (202, "waiting", 10, None)
    write(session, files, session.get_one(Export, asked["id"]))
    whole = client.get(f"/exports/{asked['id']}").json()
    assert (whole["state"], whole["photos"], whole["left_out"]) == ("done", 4, [])
    assert client.get(here).json() == {"exports": [whole]}


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"format": "zip"}, "There is no format “zip”. There are: webdataset, imagefolder, parquet, mds, kohya."),
        ({"format": "kohya", "repeats": "0"}, "Repeats are a whole number from 1 to 1,000."),
    ],
)
def test_what_cannot_be_written_is_refused_in_a_sentence(
    form: dict[str, str], sentence: str, client: TestClient, session: Session, frozen: DatasetVersion
) -> None:
    answer = client.post(f"/datasets/{frozen.id}/exports", data=form, headers=JSON)
    assert (answer.status_code, answer.json()["error"]["sentence"]) == (422, sentence)
    assert session.scalars(select(Export)).all() == []


def test_exports_are_deleted_by_whom_they_belong_to_or_an_owner(
    web: FastAPI,
    client: TestClient,
    session: Session,
    settings: Settings,
    files: Storage,
    frozen: DatasetVersion,
    me: Person,
) -> None:
    member = sign_in(web, session, settings, cast.person(session, "Ben"))
    export = asking.request_export(session, frozen.id, "webdataset", me)
    export_id = export.id
    assert client.post(f"/exports/{export_id}/removal").status_code == 422  # it is being written
    assert "being written" in client.get(f"/datasets/{frozen.id}/removal").text
    write(session, files, export)
    assert member.post(f"/exports/{export_id}/removal").status_code == 403
    assert f"/exports/{export_id}/removal" not in member.get(f"/datasets/{frozen.id}").text
    assert "Delete all exports" in client.get("/storage").text
    assert client.post("/storage/exports/removal").status_code == 303
    session.expire_all()
    assert session.get(Export, export_id) is None
    deleting = session.scalars(select(Job).where(Job.kind == "files.delete")).one()
    assert f"exports/{export_id}" in deleting.arguments["folders"]


def test_a_version_is_removed_with_its_exports(
    client: TestClient, session: Session, files: Storage, frozen: DatasetVersion, me: Person
) -> None:
    export = asking.request_export(session, frozen.id, "mds", me)
    write(session, files, export)
    export_id = export.id
    assert "its 1 export" in client.get(f"/datasets/{frozen.id}/removal").text
    assert client.post(f"/datasets/{frozen.id}/removal").status_code == 303
    deleting = session.scalars(select(Job).where(Job.kind == "files.delete")).one()
    assert f"exports/{export_id}" in deleting.arguments["folders"]


def test_an_export_whose_folder_is_gone_is_written_again(
    client: TestClient, session: Session, files: Storage, frozen: DatasetVersion, me: Person
) -> None:
    export = asking.request_export(session, frozen.id, "mds", me)
    jobs.get(session, export.job_id).state = "done"
    session.flush()
    assert "not in the data folder any more" in client.get(f"/datasets/{frozen.id}").text
    assert client.get(f"/exports/{export.id}/archive.tar").status_code == 404
    assert client.post(f"/exports/{export.id}/retry", headers=JSON).json()["state"] == "waiting"


def test_the_command_writes_into_a_new_folder_and_nowhere_else(
    engine: Engine, emptied: None, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("PACKSHOT_DATABASE_URL", str(settings.database_url))
    with transaction(engine) as session:
        number = version(session, Storage(settings.data_dir), 4).id
    command = ["export", str(number), "--data", str(settings.data_dir), "--format", "webdataset"]
    assert cli.main([*command, "--out", str(tmp_path / "out")]) == 0
    assert "4 photos as WebDataset, 2 files" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]
    assert cli.main([*command, "--out", str(tmp_path / "out")]) == 2
    assert "nothing is ever written over" in capsys.readouterr().err
    assert cli.main(["export", "999999", *command[2:], "--out", str(tmp_path / "other")]) == 2
    assert "There is no dataset version 999999." in capsys.readouterr().err
