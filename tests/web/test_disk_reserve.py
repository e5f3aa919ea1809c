"""A disk with only its reserve left: what is large is refused in words, and captioning and deciding go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import jobs
from app.captions.tables import Caption
from app.errors import DiskFull
from app.evaluation import sheets, suites
from app.intake import ingest, uploads
from app.people import Person
from app.settings import Settings
from app.storage import Storage, free_on
from app.training.tables import Checkpoint
from app.web.middleware import AccessControl
from tests import cast
from tests.conftest import sign_in
from tests.intake.conftest import encoded, picture
from tests.training.cast import one_run

JSON = {"Accept": "application/json"}
MB = 1 << 20


@pytest.fixture
def full(web: FastAPI, settings: Settings, tmp_path: Path) -> Settings:
    """The reserve is larger than what is free: the disk is full, as far as anything large goes."""
    squeezed = settings.model_copy(update={"disk_reserve_mb": (free_on(tmp_path) >> 20) + 10_000})
    web.state.settings = squeezed
    web.state.storage = Storage(squeezed.data_dir, squeezed.disk_reserve_bytes)
    return squeezed


def said(answer: Any) -> str:
    text: str = answer.json()["error"]["sentence"]
    return text


def test_what_is_large_is_refused_in_words_and_leaves_nothing(
    full: Settings, client: TestClient, session: Session, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"a picture")
    pile = cast.catalog(session)
    done = ingest.request_intake(session, pile, photos, cast.person(session))
    sheet = sheets.open_sheet(session, run := one_run(session), _suite(session, run))
    files = {"files": ("a.jpg", b"x" * 100, "image/jpeg")}
    answers = [
        client.post("/uploads", headers=JSON),
        client.post("/uploads/1-00/files", files=files, headers=JSON),
        client.post("/intakes", data={"catalog_id": pile.id}, files=files, headers=JSON),
        client.post("/intakes", data={"catalog_id": pile.id, "folder": str(photos)}, headers=JSON),
        client.post(f"/intakes/{done.id}/repetitions", headers=JSON),
        client.post(f"/compare/{sheet.id}/drawing", headers=JSON),
    ]
    for answer in answers:
        assert answer.status_code == 422, answer.text
        assert "stay free for the database" in said(answer)
    assert not [path for path in full.data_dir.rglob("*") if path.is_file()]


def _suite(session: Session, run: Any) -> Any:
    from app.datasets.tables import DatasetVersion
    from app.training.recipe import Recipe

    session.add(Checkpoint(run_id=run.id, step=10, folder="checkpoints/step-000010", size_bytes=1))
    session.flush()
    version = session.get_one(DatasetVersion, run.version_id)
    return suites.suite_for(session, version, Recipe.model_validate(run.recipe))


def test_captions_and_decisions_go_on(full: Settings, client: TestClient, session: Session) -> None:
    photo = cast.red_kettle(session, cast.catalog(session))
    caption = session.query(Caption).filter_by(image_id=photo.id).one()
    form = {"text": "Red kettle on white.", "expected_id": caption.id}
    assert client.post(f"/images/{photo.id}/captions", data=form, headers=JSON).status_code == 200
    assert client.post(f"/images/{photo.id}/decisions", data={"verdict": "kept"}, headers=JSON).status_code == 200
    assert client.get(f"/images/{photo.id}").status_code == 200
    assert client.post(f"/catalogs/{photo.catalog_id}/versions", data={"q": "decision:kept"}).status_code == 303


def test_a_large_body_is_refused_before_it_is_read(
    full: Settings, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would lie on the temporary folder's disk first, whatever the route then says."""
    for path in ("/uploads/1-00/files", "/intakes"):
        answer = client.post(path, content=b"", headers={**JSON, "Content-Length": str(100 * MB)})
        assert answer.status_code == 422 and "MB" in said(answer)
    # Without a length it may be as large as any.
    chunked = client.post("/intakes", content=iter([b"x"]), headers={**JSON, "Content-Type": "multipart/form-data"})
    assert chunked.status_code == 422 and "stay free" in said(chunked)


def test_a_store_leaves_the_reserve(full: Settings, tmp_path: Path) -> None:
    storage = Storage(tmp_path / "data", full.disk_reserve_bytes)
    source = tmp_path / "source.jpg"
    source.write_bytes(b"bytes")
    with pytest.raises(DiskFull):
        storage.put("samples", b"bytes", ".png")
    with pytest.raises(DiskFull):
        storage.put_file("originals", source, "ab" * 32, ".jpg")
    roomy = Storage(tmp_path / "data", 1)
    sha256 = roomy.put("samples", b"bytes", ".png")
    assert storage.put("samples", b"bytes", ".png") == sha256, "what is there already takes no room"
    with pytest.raises(DiskFull):
        Storage(tmp_path / "data", free_on(tmp_path) // 2).refuse_below_reserve(free_on(tmp_path))


@pytest.fixture
def ben(session: Session) -> Person:
    return cast.person(session, "Ben")


def test_a_member_has_a_quota_and_an_owner_has_none(
    web: FastAPI, session: Session, settings: Settings, client: TestClient, ben: Person
) -> None:
    web.state.settings = settings.model_copy(update={"upload_quota_mb": 1})
    member, photo = sign_in(web, session, settings, ben), encoded(picture())
    upload = member.post("/uploads").json()["upload"]

    def send(browser: TestClient, name: str, size: int) -> Any:
        files = {"files": (name, photo + b"\0" * (size - len(photo)), "image/jpeg")}
        return browser.post(f"/uploads/{upload}/files", files=files, headers=JSON)

    assert send(member, "a.jpg", 600_000).status_code == 200
    refused = send(member, "b.jpg", 600_000)
    assert refused.status_code == 422 and "of the 1 MB that a lead has" in said(refused)
    assert send(member, "c.jpg", 300_000).status_code == 200, "what fits is taken"
    whole = {"files": ("d.jpg", b"x" * 600_000, "image/jpeg")}
    assert member.post("/intakes", data={"name": "New"}, files=whole, headers=JSON).status_code == 422
    assert client.post("/intakes", data={"name": "New"}, files=whole, headers=JSON).status_code != 422


def test_the_quota_counts_what_was_taken_in(web: FastAPI, session: Session, settings: Settings, ben: Person) -> None:
    """Taken in, an upload's folder is gone; its photos are on the disk."""
    storage, pile = Storage(settings.data_dir), cast.catalog(session)
    photo = cast.red_kettle(session, pile)
    photo.size_bytes, photo.made_bytes = 1 * MB, 4 * MB  # a small file with a large render
    intake = session.get_one(ingest.Intake, photo.intake_id)
    intake.folder = str(storage.root / uploads.FOLDER / f"{ben.id}-{'0' * 32}")
    session.flush()
    uploads.refuse_without_room(session, storage, ben, 5 * MB)
    with pytest.raises(uploads.OverQuota):
        uploads.refuse_without_room(session, storage, ben, 5 * MB, 1)
    other = cast.person(session, "Cleo")
    uploads.refuse_without_room(session, storage, other, 5 * MB, 5 * MB)


def test_the_same_asked_for_again_is_one_job(client: TestClient, session: Session, tmp_path: Path) -> None:
    photo = cast.red_kettle(session, cast.catalog(session))
    ids = {client.post(f"/images/{photo.id}/recaption", headers=JSON).json()["job_id"] for _ in range(40)}
    assert len(ids) == 1
    job = session.get_one(jobs.Job, ids.pop())
    job.state = "running"
    session.flush()
    assert client.post(f"/images/{photo.id}/recaption", headers=JSON).json()["job_id"] == job.id
    job.state = "done"
    session.flush()
    assert client.post(f"/images/{photo.id}/recaption", headers=JSON).json()["job_id"] != job.id
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"a picture")
    form = {"catalog_id": photo.catalog_id, "folder": str(photos)}
    assert len({client.post("/intakes", data=form, headers=JSON).json()["href"] for _ in range(5)}) == 1


def test_a_database_whose_disk_is_full_says_so(
    client: TestClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers, so “does not answer, try again” would be the wrong advice."""

    def full_disk(*_: object, **__: object) -> None:
        session.execute(text("do $$ begin raise exception 'could not extend file' using errcode = '53100'; end $$"))

    monkeypatch.setattr(jobs, "request", full_disk)
    photo = cast.red_kettle(session, cast.catalog(session))
    answer = client.post(f"/images/{photo.id}/recaption", headers=JSON)
    assert answer.status_code == 422 and "disk is full" in said(answer)


def test_what_others_send_stops_nobody_who_sends_nothing(
    web: FastAPI, client: TestClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strangers who announced terabytes and held them back made every page answer that the disk was full."""
    photo = cast.red_kettle(session, cast.catalog(session))
    assert client.get("/people").status_code == 200
    door: Any = web.middleware_stack
    while not isinstance(door, AccessControl):
        door = door.app
    monkeypatch.setattr(door, "_coming_bytes", 1 << 60)
    assert client.get("/people").status_code == 200
    assert client.post(f"/images/{photo.id}/decisions", data={"verdict": "kept"}, headers=JSON).status_code == 200
    announced = {**JSON, "Content-Length": str(100 * MB)}
    assert client.post("/intakes", content=b"", headers=announced).status_code == 422


def test_a_stranger_takes_no_room(full: Settings, stranger: TestClient) -> None:
    announced = {**JSON, "Content-Length": str(100 * MB), "Content-Type": "application/x-www-form-urlencoded"}
    for answer in (
        stranger.post("/sign-in", content=b"", headers=announced),
        stranger.post("/links/x", content=iter([b"password=x"]), headers=JSON),
    ):
        assert "disk" not in answer.text and answer.status_code in (404, 413, 422)
