"""Uploads that go on: what has arrived, what is missing, large files in pieces, and files that come twice."""

from __future__ import annotations

import errno
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import DiskFull
from app.intake import resuming
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.conftest import sign_in

JSON = {"Accept": "application/json"}


@pytest.fixture
def member(web: FastAPI, session: Session, settings: Settings) -> TestClient:
    return sign_in(web, session, settings, cast.person(session, "Mei"))


def begun(client: TestClient, *chosen: tuple[str, int]) -> str:
    files = [("chosen", ("chosen.json", json.dumps(chosen)))]
    answer = client.post("/uploads", data={"size_bytes": sum(size for _, size in chosen)}, files=files)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["upload"])


def send(client: TestClient, upload: str, name: str, data: bytes) -> list[str]:
    answer = client.post(f"/uploads/{upload}/files", data={"names": name}, files=[("files", ("file", data))])
    return list(answer.json()["kept"])


def piece(client: TestClient, upload: str, name: str, offset: int, whole: bytes, until: int | None = None) -> int:
    data = {"name": name, "offset": offset, "size_bytes": len(whole)}
    answer = client.post(
        f"/uploads/{upload}/pieces", data=data, files=[("piece", ("piece", whole[offset:until]))], headers=JSON
    )
    assert answer.status_code == 200, answer.text
    return int(answer.json()["here"])


def test_an_upload_says_what_has_arrived_and_the_form_what_is_missing(member: TestClient, client: TestClient) -> None:
    upload = begun(member, ("a.jpg", 3), ("sub/cafe\u0301.jpg", 4), ("c <i>.jpg", 5))
    send(member, upload, "sub/cafe\u0301.jpg", b"1234")
    assert member.get(f"/uploads/{upload}").json() == {"files": [["sub/caf\u00e9.jpg", 4]], "pieces": []}
    text = " ".join(member.get("/intakes").text.split())
    assert "1 of 3 files are here" in text and "Missing: a.jpg, c &lt;i&gt;.jpg" in text
    assert "files are here" not in client.get("/intakes").text, "another person's"
    assert client.get(f"/uploads/{upload}", headers=JSON).status_code == 404


def test_an_upload_that_was_taken_in_or_thrown_away_is_no_unfinished_one(member: TestClient) -> None:
    upload, other = begun(member, ("a.jpg", 3)), begun(member, ("b.jpg", 3))
    send(member, upload, "a.jpg", b"\xff\xd8\xff")
    assert member.post("/intakes", data={"name": "x", "upload": upload}).status_code == 303
    assert member.post(f"/uploads/{other}/removal").status_code == 303
    assert "data-unfinished" not in member.get("/intakes").text


def test_a_file_sent_again_after_a_lost_answer_is_one_file(member: TestClient, settings: Settings) -> None:
    upload = begun(member)
    for _ in range(2):
        assert send(member, upload, "a.jpg", b"same") == ["a.jpg"]
    assert send(member, upload, "a.jpg", b"else") == ["a (2).jpg"]
    assert send(member, upload, "a.jpg", b"else") == ["a (2).jpg"]
    long = "\u6f22" * 250 + ".jpg"
    assert send(member, upload, long, b"long") == send(member, upload, long, b"long") == [long]
    assert len([file for file in (settings.data_dir / "uploads" / upload).iterdir() if file.suffix == ".jpg"]) == 3


def test_a_large_file_goes_on_where_it_was_cut(member: TestClient, settings: Settings) -> None:
    upload, whole = begun(member), bytes(range(256)) * 40
    place = settings.data_dir / "uploads" / upload
    assert piece(member, upload, "big.tif", 0, whole, 4_000) == 4_000
    assert member.get(f"/uploads/{upload}").json() == {"files": [], "pieces": [["big.tif", 4_000]]}
    assert piece(member, upload, "big.tif", 0, whole, 4_000) == 4_000, "sent twice"
    assert piece(member, upload, "big.tif", 9_000, whole, 9_500) == 4_000, "behind a gap"
    assert not (place / "big.tif").exists()
    assert piece(member, upload, "big.tif", 4_000, whole) == len(whole)
    assert (place / "big.tif").read_bytes() == whole
    assert member.get(f"/uploads/{upload}").json() == {"files": [["big.tif", len(whole)]], "pieces": []}


def test_pieces_stay_in_their_upload_and_below_the_limit(
    member: TestClient, client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begun(member)
    assert piece(member, upload, "../../x.jpg", 0, b"12") == 2
    assert (settings.data_dir / "uploads" / upload / "x.jpg").is_file()
    fields = {"name": "a.tif", "offset": 0, "size_bytes": 9}
    file = [("piece", ("piece", b"x"))]
    assert client.post(f"/uploads/{upload}/pieces", data=fields, files=file, headers=JSON).status_code == 404
    monkeypatch.setattr(resuming, "MAX_FILE_BYTES", 8)
    assert member.post(f"/uploads/{upload}/pieces", data=fields, files=file, headers=JSON).status_code == 422


@pytest.mark.parametrize("chosen", ["[", "7", '[["a"]]', '[["a", "x"]]', "[" * 100_000, '"' + "a" * 9])
def test_a_list_of_files_that_cannot_be_read_is_refused(member: TestClient, chosen: str) -> None:
    answer = member.post("/uploads", files=[("chosen", ("chosen.json", chosen))], headers=JSON)
    assert answer.status_code == 422 and "choose them again" in answer.text


def test_more_files_than_a_browser_sends_are_refused(member: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "MAX_CHOSEN", 1)
    answer = member.post("/uploads", files=[("chosen", ("c", '[["a", 1], ["b", 1]]'))], headers=JSON)
    assert answer.status_code == 422


def test_what_does_not_fit_a_quota_is_said_before_anything_is_sent(
    member: TestClient, settings: Settings, tmp_path: Path
) -> None:
    answer = member.post("/uploads", data={"size_bytes": (settings.upload_quota_mb + 1) << 20}, headers=JSON)
    assert answer.status_code == 422 and "quota" in answer.text


def test_two_tabs_that_send_one_large_file_end_with_one_whole_file(
    member: TestClient, session: Session, settings: Settings
) -> None:
    upload, whole = begun(member), bytes(range(256)) * 4_000
    half, storage = len(whole) // 2, Storage(settings.data_dir)
    person = session.scalars(select(Person).where(Person.name == "Mei")).one()

    def send_piece(offset: int, until: int | None) -> int:
        source = io.BytesIO(whole[offset:until])
        return resuming.keep_piece(storage, upload, person, "big.tif", offset, len(whole), source)

    with ThreadPoolExecutor(4) as pool:
        for offset, until in ((0, half), (half, None)):
            sent = [pool.submit(send_piece, offset, until) for _ in range(4)]
            assert {answer.result() for answer in sent} == {until or len(whole)}
    # A lost answer: the last piece once more.
    assert send_piece(half, None) == len(whole)
    place = settings.data_dir / "uploads" / upload
    names = [path.name for path in place.rglob("*") if path.is_file() and path.name != ".\x01chosen.json"]
    assert names == ["big.tif"]
    assert (place / "big.tif").read_bytes() == whole


def test_a_disk_that_fills_up_under_a_piece_is_said_and_loses_nothing(
    member: TestClient, session: Session, settings: Settings
) -> None:
    upload, whole = begun(member), bytes(range(256)) * 40
    assert piece(member, upload, "big.tif", 0, whole, 4_000) == 4_000
    person = session.scalars(select(Person).where(Person.name == "Mei")).one()

    class Full(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.ENOSPC, "No space left on device")

    storage = Storage(settings.data_dir)
    with pytest.raises(DiskFull, match="Nothing was lost; free some space and go on"):
        resuming.keep_piece(storage, upload, person, "big.tif", 4_000, len(whole), Full())
    assert piece(member, upload, "big.tif", 4_000, whole) == len(whole)
    assert (settings.data_dir / "uploads" / upload / "big.tif").read_bytes() == whole
