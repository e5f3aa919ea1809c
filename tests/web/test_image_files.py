"""The files of photos over HTTP: fixed content types, kept by browsers, and a sentence where a file is gone."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.files import file_of
from app.catalog.tables import Image
from app.intake import ingest, taking
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.intake.conftest import encoded, picture


def taken_in(session: Session, storage: Storage, place: Path, data: bytes) -> Image:
    """One photo, taken in from a folder."""
    place.mkdir()
    (place / "photo.jpg").write_bytes(data)
    asked = ingest.request_intake(session, cast.catalog(session), place, cast.person(session))
    taking.take_in(lambda: nullcontext(session), lambda **_: None, storage, asked.id, 50)  # type: ignore[misc]
    return session.scalars(select(Image).where(Image.intake_id == asked.id)).one()


@pytest.fixture
def photo(session: Session, settings: Settings, tmp_path: Path) -> Image:
    return taken_in(session, Storage(settings.data_dir), tmp_path / "photos", encoded(picture(1, (400, 300))))


@pytest.mark.parametrize(
    ("shape", "kind"), [("thumb", "image/jpeg"), ("view", "image/jpeg"), ("original", "image/jpeg")]
)
def test_each_shape_is_served_for_good(
    client: TestClient, photo: Image, settings: Settings, shape: str, kind: str
) -> None:
    answer = client.get(f"/images/{photo.id}/{shape}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == kind
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.content == file_of(Storage(settings.data_dir), photo, shape)[0].read_bytes()  # type: ignore[arg-type]


def test_a_thumbnail_that_an_earlier_version_made_is_served_as_what_it_is(
    client: TestClient, session: Session, photo: Image, settings: Settings
) -> None:
    storage = Storage(settings.data_dir)
    photo.thumb_sha256 = storage.put("thumbs", data := encoded(picture(5), "WEBP"), ".webp")
    session.flush()
    answer = client.get(f"/images/{photo.id}/thumb")
    assert (answer.content, answer.headers["content-type"]) == (data, "image/webp")


def test_the_original_is_what_was_taken_in(client: TestClient, photo: Image) -> None:
    assert client.get(f"/images/{photo.id}/original").content == encoded(picture(1, (400, 300)))


def test_a_tiff_is_shown_as_its_render(
    client: TestClient, session: Session, settings: Settings, tmp_path: Path
) -> None:
    data = encoded(picture(2), "TIFF")
    photo = taken_in(session, Storage(settings.data_dir), tmp_path / "scans", data)
    answer = client.get(f"/images/{photo.id}/original")
    assert (answer.headers["content-type"], answer.content[:4]) == ("image/png", b"\x89PNG")


def test_a_photo_that_does_not_exist(client: TestClient) -> None:
    assert client.get("/images/987654/thumb").status_code == 404


def test_a_file_that_is_gone_says_what_to_do(client: TestClient, photo: Image, settings: Settings) -> None:
    file_of(Storage(settings.data_dir), photo, "view")[0].unlink()
    answer = client.get(f"/images/{photo.id}/view", headers={"Accept": "application/json"})
    assert answer.status_code == 404
    assert answer.json()["error"]["sentence"] == (
        "The file of this photo is not in the data folder any more. Take its folder in again."
    )


def test_a_stranger_sees_no_photo(stranger: TestClient, photo: Image) -> None:
    assert stranger.get(f"/images/{photo.id}/original").status_code in (303, 401)
