"""Mending over HTTP: the page, what is refused, two people at once, and addresses that never change what they give."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image as Pillow
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog import mends
from app.catalog.mend_tables import Mend
from app.catalog.tables import Image, Signals
from app.jobs import Job
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from tests.intake.conftest import encoded, picture
from tests.web.test_image_files import taken_in

JSON = {"Accept": "application/json"}


@pytest.fixture
def photo(session: Session, settings: Settings, tmp_path: Path) -> Image:
    return taken_in(session, Storage(settings.data_dir), tmp_path / "photos", encoded(picture(1, (400, 300))))


def asked(client: TestClient, photo: Image, **fields: object) -> tuple[int, dict[str, object]]:
    answer = client.post(f"/images/{photo.id}/mends", data=fields, headers=JSON)
    return answer.status_code, answer.json()


def made(session: Session, storage: Storage, mend_id: int) -> Mend:
    """As the worker leaves it, with files of another picture."""
    mend = session.get_one(Mend, mend_id)
    data = encoded(picture(9, (64, 48)))
    mend.render_path = (
        storage.path("renders", storage.put("renders", data, ".png"), ".png").relative_to(storage.root).as_posix()
    )
    mend.thumb_sha256, mend.view_sha256 = storage.put("thumbs", data, ".webp"), storage.put("views", data, ".jpg")
    mend.width_px, mend.height_px = 64, 48
    mends.show(session, mend, None)
    return mend


def test_the_page_offers_what_can_be_done(client: TestClient, photo: Image) -> None:
    page = client.get(f"/images/{photo.id}/mend")
    assert page.status_code == 200
    for name in ("turns", "angle", "left", "top", "right", "bottom", "white", "expected_id"):
        assert f'name="{name}"' in page.text
    assert "Nothing yet" in page.text


def test_a_mend_is_asked_for_and_told_while_it_is_made(client: TestClient, session: Session, photo: Image) -> None:
    status, told = asked(client, photo, turns=1, left=10, right=90)
    assert status == 202
    job = session.get_one(Job, told["job_id"])
    assert (job.kind, job.urgency, job.arguments["mend_id"]) == ("photos.mend", 0, told["mend_id"])
    state = client.get(f"/images/{photo.id}/mend", headers={"X-Fragment": "1"}).text
    assert "data-in-the-making" in state
    assert "Turned 90° clockwise, cropped" in state
    plain = client.post(f"/images/{photo.id}/mends", data={"turns": 2, "expected_id": told["mend_id"]})
    assert (plain.status_code, plain.headers["location"]) == (303, f"/images/{photo.id}/mend")


def test_the_later_of_two_people_is_told(client: TestClient, photo: Image, session: Session, me: Person) -> None:
    assert asked(client, photo, turns=1)[0] == 202
    status, said = asked(client, photo, turns=3)
    assert status == 409
    assert f"{me.name} mended this photo meanwhile: turned 90° clockwise" in str(said)
    assert session.scalars(select(Mend.edits["turns"].as_integer()).where(Mend.superseded_at.is_(None))).all() == [1]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Nothing was changed"),
        ({"angle": "80"}, "at most 45"),
        ({"angle": "nan"}, "numbers"),
        ({"left": "60", "right": "40"}, "crop is empty"),
        ({"left": "10", "right": "11"}, "Too little is left"),
        ({"white": "true"}, "Paint it with the brush"),
    ],
)
def test_what_no_picture_can_be_made_of_is_refused(
    client: TestClient, session: Session, photo: Image, fields: dict[str, str], said: str
) -> None:
    status, answer = asked(client, photo, **fields)
    assert status in (400, 422)
    assert said in str(answer)


def test_what_an_address_gave_it_gives_for_good(
    client: TestClient, session: Session, settings: Settings, photo: Image
) -> None:
    bare = {shape: client.get(f"/images/{photo.id}/{shape}").content for shape in ("thumb", "view", "original")}
    mend_id = int(str(asked(client, photo, turns=1)[1]["mend_id"]))
    made(session, Storage(settings.data_dir), mend_id)
    for shape, content in bare.items():
        assert client.get(f"/images/{photo.id}/{shape}").content == content, "as taken in"
        mended = client.get(f"/images/{photo.id}/{shape}?m={mend_id}")
        assert mended.content != content
        now = client.get(f"/images/{photo.id}/{shape}?m=now")
        assert (now.content, now.headers["cache-control"]) == (mended.content, "private, no-cache")
    assert f"/images/{photo.id}/view?m={mend_id}" in client.get(f"/images/{photo.id}").text
    grid = client.get(f"/catalogs/{photo.catalog_id}?q=mended:yes").text
    assert f"/images/{photo.id}/thumb?m={mend_id}" in grid
    for asked_for in ("x", "999999", "9" * 40):
        assert client.get(f"/images/{photo.id}/view?m={asked_for}").status_code == 404


def test_an_earlier_one_is_used_again(client: TestClient, session: Session, settings: Settings, photo: Image) -> None:
    mend_id = int(str(asked(client, photo, turns=1)[1]["mend_id"]))
    made(session, Storage(settings.data_dir), mend_id)
    first = session.scalars(select(Mend.id).where(Mend.image_id == photo.id).order_by(Mend.id)).first()
    url = f"/images/{photo.id}/mends/{first}/restoration"
    assert client.post(url, data={"expected_id": 0}, headers=JSON).status_code == 409
    assert client.post(url, data={"expected_id": mend_id}, headers=JSON).status_code == 200
    session.expire_all()
    assert (session.get_one(Image, photo.id).is_mended, session.get_one(Image, photo.id).width_px) == (False, 400)
    assert session.get(Signals, photo.id) is None, "measured anew"


def test_a_painted_mask_is_kept_and_given_back(client: TestClient, session: Session, photo: Image) -> None:
    buffer = io.BytesIO()
    mask = Pillow.new("RGBA", (400, 300), "black")
    mask.paste("white", (50, 50, 200, 200))
    mask.save(buffer, "PNG")
    files = {"mask": ("mask.png", buffer.getvalue(), "image/png")}
    answer = client.post(f"/images/{photo.id}/mends", data={"white": "true"}, files=files, headers=JSON)
    assert answer.status_code == 202
    mend_id = answer.json()["mend_id"]
    kept = client.get(f"/images/{photo.id}/mask?m={mend_id}")
    with Pillow.open(io.BytesIO(kept.content)) as shown:
        assert (shown.mode, shown.size, shown.getpixel((100, 100)), shown.getpixel((10, 10))) == (
            "L",
            (400, 300),
            255,
            0,
        )
    again = client.post(
        f"/images/{photo.id}/mends",
        data={"turns": 1, "keeps_mask": "true", "expected_id": mend_id},
        headers=JSON,
    )
    rows = session.scalars(select(Mend.mask_sha256).order_by(Mend.id.desc()).limit(2)).all()
    assert again.status_code == 202
    assert rows[0] == rows[1]
    bad = client.post(f"/images/{photo.id}/mends", files={"mask": ("m.png", b"no picture", "image/png")}, headers=JSON)
    assert bad.status_code in (400, 422)
