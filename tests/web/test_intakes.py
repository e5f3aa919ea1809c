"""Taking in over HTTP: the form, uploads file by file, who may name a folder, and what came of an intake."""

from __future__ import annotations

import os
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import jobs
from app.catalog.tables import Catalog, Intake, IntakeRemark, SourceFile
from app.intake import ingest, uploads
from app.intake.describing import IntakeRemarks
from app.intake.folders import walk
from app.jobs import Job
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.conftest import sign_in
from tests.intake.conftest import encoded, picture

JSON = {"Accept": "application/json"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "photos"
    place.mkdir()
    (place / "a.jpg").write_bytes(encoded(picture()))
    return place


@pytest.fixture
def member(web: FastAPI, session: Session, settings: Settings) -> TestClient:
    return sign_in(web, session, settings, cast.person(session, "Mei"))


def sentence(answer: object) -> str:
    return str(answer.json()["error"]["sentence"])  # type: ignore[attr-defined]


def newest(session: Session) -> Intake:
    session.expire_all()
    return session.scalars(select(Intake).order_by(Intake.id.desc()).limit(1)).one()


def begun(client: TestClient) -> str:
    return str(client.post("/uploads").json()["upload"])


def send(client: TestClient, upload: str, *files: tuple[str, bytes]) -> list[str]:
    answer = client.post(f"/uploads/{upload}/files", files=[("files", file) for file in files])
    assert answer.status_code == 200, answer.text
    return list(answer.json()["kept"])


def test_the_form_offers_catalogs_and_a_server_folder_to_owners(
    client: TestClient, member: TestClient, session: Session
) -> None:
    pile = cast.catalog(session, "Spring chairs")
    answer = client.get(f"/intakes?catalog_id={pile.id}")
    assert answer.status_code == 200
    assert "Spring chairs" in answer.text and 'name="folder"' in answer.text
    assert 'name="folder"' not in member.get("/intakes").text


def test_a_folder_of_the_server_is_taken_in(client: TestClient, session: Session, folder: Path, me: Person) -> None:
    answer = client.post("/intakes", data={"name": "  Autumn   2026 ", "folder": f" {folder} "})
    asked = newest(session)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/intakes/{asked.id}")
    assert asked.folder == str(folder)
    assert session.get_one(Catalog, asked.catalog_id).name == "Autumn 2026"
    job = session.get_one(Job, asked.job_id)
    assert (job.kind, job.requested_by_id) == ("intake.take_in", me.id)


def test_a_new_catalog_of_a_known_name_is_that_catalog(client: TestClient, session: Session, folder: Path) -> None:
    pile = cast.catalog(session, "Autumn 2026")
    client.post("/intakes", data={"catalog_id": "", "name": "Autumn 2026", "folder": str(folder)})
    assert newest(session).catalog_id == pile.id


def test_a_member_may_not_name_a_folder(member: TestClient, session: Session, folder: Path) -> None:
    answer = member.post("/intakes", data={"name": "x", "folder": str(folder)}, headers=JSON)
    assert answer.status_code == 403
    assert sentence(answer) == "Only an owner may take in a folder of the server. Choose files to upload instead."
    assert session.scalars(select(Intake)).all() == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"name": "x"}, "Choose files or a folder to take in."),
        ({"name": " ", "folder": "/"}, "Give the new catalog a name of at most 100 characters."),
        ({"catalog_id": "987654", "folder": "/"}, "There is no catalog 987654."),
        (
            {"catalog_id": "9" * 5000, "folder": "/"},
            "“catalog_id” cannot be read: unable to parse input string as an integer, exceeded maximum size.",
        ),
        ({"name": "x", "upload": "../../etc"}, "This upload is not there any more; choose the files again."),
    ],
)
def test_what_cannot_be_taken_in_is_said(client: TestClient, data: dict[str, str], expected: str) -> None:
    answer = client.post("/intakes", data=data, headers=JSON)
    assert answer.status_code in (404, 422)
    assert sentence(answer) == expected


def test_a_member_uploads_files_a_few_at_a_time(member: TestClient, session: Session, settings: Settings) -> None:
    pile = cast.catalog(session)
    upload = begun(member)
    assert send(member, upload, ("shoes/a.jpg", encoded(picture(1))), ("b.png", b"b")) == ["shoes/a.jpg", "b.png"]
    assert send(member, upload, ("metadata.csv", b"file_name,title\nshoes/a.jpg,Brown shoe\n")) == ["metadata.csv"]
    answer = member.post("/intakes", data={"catalog_id": pile.id, "upload": upload}, headers=JSON)
    asked = newest(session)
    assert answer.json() == {"href": f"/intakes/{asked.id}"}
    place = Path(asked.folder)
    assert place.is_relative_to(settings.data_dir.resolve())
    assert (place / "shoes" / "a.jpg").read_bytes() == encoded(picture(1))


HARD_NAMES = (
    'quo"te.jpg', "50%22 off.jpg", "back\\slash.jpg", "a;b,c=d&e.jpg", "emoji \U0001f469\U0001f3fd\u200d\U0001f680.jpg",
    "\u4e2d\u6587" * 40 + ".jpg", "\u0416" * 120 + ".jpg", "x" * 251 + ".jpg", "\u6f22" * 250 + ".jpg", "%2e%2e%2f.jpg",
    "sub/fold er/caf\u00e9 #1.jpg", "sub/fold er/cafe\u0301 #1.jpg", " leading and trailing .jpg",
    "/".join("1234567890") + "/deep.jpg",
    "/".join(["f" * 200] * 12) + "/far.jpg", "new\nline.jpg",
)  # fmt: skip


def test_uploaded_files_keep_their_names(member: TestClient, session: Session) -> None:
    """Also the ones that no file system here can hold, and those that a browser writes otherwise in a file's head."""
    upload = begun(member)
    sent = [("files", ("file", encoded(picture(number)))) for number in range(len(HARD_NAMES))]
    answer = member.post(f"/uploads/{upload}/files", files=sent, data={"names": HARD_NAMES})
    assert answer.status_code == 200, answer.text
    kept = [name.replace("\n", "\ufffd") for name in HARD_NAMES]
    assert answer.json()["kept"] == kept
    member.post("/intakes", data={"name": "x", "upload": upload}, headers=JSON)
    met = {one.name for one in walk(Path(newest(session).folder))}
    shown = {unicodedata.normalize("NFC", name) for name in kept}
    shown = {name if len(name) <= 500 else "…" + name[-499:] for name in shown}
    assert met == shown


def test_the_names_of_a_plain_form_are_read_as_browsers_write_them(client: TestClient, session: Session) -> None:
    file = ("files", ('quo"te.jpg', encoded(picture())))
    client.post("/intakes", data={"name": "x"}, files=[file])
    assert [one.name for one in walk(Path(newest(session).folder))] == ['quo"te.jpg']


def test_files_and_names_of_different_number_are_refused(client: TestClient) -> None:
    files = [("files", ("a", b"1")), ("files", ("b", b"2"))]
    answer = client.post(f"/uploads/{begun(client)}/files", files=files, data={"names": ["a.jpg"]}, headers=JSON)
    assert (answer.status_code, sentence(answer)) == (422, "Each file needs its name; send them again.")


def test_a_folder_outside_the_roots_is_refused(
    client: TestClient, session: Session, folder: Path, settings: Settings, over: Callable[..., Intake]
) -> None:
    named = ", ".join(map(str, settings.roots))
    for place in ("/", "/no/such/place", "/proc", f"{folder}/../../.."):
        answer = client.post("/intakes", data={"name": "x", "folder": place}, headers=JSON)
        assert answer.status_code == 422
        assert sentence(answer) == (
            f"{Path(place)} lies outside the folders that photos may be taken in from ({named}). "
            "PACKSHOT_INTAKE_ROOTS names them."
        )
    earlier = over("failed", "The disk was full.", Path("/usr"))
    assert client.post(f"/intakes/{earlier.id}/repetitions", headers=JSON).status_code == 422
    assert "repetitions" not in client.get(f"/intakes/{earlier.id}").text


def test_packshots_own_files_are_no_folder_to_take_in(client: TestClient, settings: Settings) -> None:
    own = settings.data_dir / "files" / "originals"
    own.mkdir(parents=True)
    answer = client.post("/intakes", data={"name": "x", "folder": str(own)}, headers=JSON)
    assert sentence(answer) == (
        f"{own} is where Packshot keeps its own files; name the folder that your photos came from."
    )


def test_files_of_one_plain_form_are_taken_in(client: TestClient, session: Session) -> None:
    answer = client.post("/intakes", data={"name": "x"}, files=[("files", ("a.jpg", encoded(picture())))])
    assert answer.status_code == 303
    assert (Path(newest(session).folder) / "a.jpg").is_file()


def test_an_upload_without_pictures_is_refused_and_removed(client: TestClient, settings: Settings) -> None:
    upload = begun(client)
    send(client, upload, ("notes.txt", b"words"))
    answer = client.post("/intakes", data={"name": "x", "upload": upload}, headers=JSON)
    assert (answer.status_code, sentence(answer)) == (422, "There are no pictures among these files.")
    assert not (settings.data_dir / "uploads" / upload).exists()


def test_an_archive_is_refused_with_what_to_do(client: TestClient) -> None:
    upload = begun(client)
    send(client, upload, ("photos.RAR", b"Rar!"))
    answer = client.post("/intakes", data={"name": "x", "upload": upload}, headers=JSON)
    assert sentence(answer) == (
        "There are no pictures among these files. "
        "photos.RAR: An archive of a kind that is not read: ZIP and TAR are. Unpack it and take in the folder."
    )


@pytest.mark.parametrize(("name", "words"), [("Metadata.csv", b"file_name,title\na.jpg,Cup\n"), ("a.txt", b"a cup")])
def test_a_corrected_file_is_an_upload_by_itself_where_the_catalog_has_photos(
    client: TestClient, session: Session, name: str, words: bytes
) -> None:
    catalog = cast.catalog(session)
    upload = begun(client)
    send(client, upload, (name, words))
    data = {"catalog_id": catalog.id, "upload": upload}
    assert client.post("/intakes", data=data, headers=JSON).status_code == 422
    cast.image(session, catalog)
    upload = begun(client)
    send(client, upload, (name, words))
    answer = client.post("/intakes", data=data | {"upload": upload}, headers=JSON)
    assert answer.json() == {"href": f"/intakes/{newest(session).id}"}


def test_nobody_reaches_another_persons_upload(client: TestClient, member: TestClient) -> None:
    upload = begun(client)
    answer = member.post(f"/uploads/{upload}/files", files=[("files", ("a.jpg", b"x"))], headers=JSON)
    assert (answer.status_code, sentence(answer)) == (404, "This upload is not there any more; choose the files again.")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("/absolute/a.jpg", "absolute/a.jpg"),
        ("back\\slash.jpg", "back\\slash.jpg"),
        ("a/./b/../c.jpg", "a/b/c.jpg"),
        ("line\nbreak\0.jpg", "line\ufffdbreak\ufffd.jpg"),
        ("...", "unnamed"),
        ("cafe\u0301.jpg", "cafe\u0301.jpg"),
        ("50%22 off.jpg", "50%22 off.jpg"),
        ("ä" * 300 + ".jpeg", "ä" * 300 + ".jpeg"),
        ("1/2/3/4/5/6/7/8/9/a.jpg", "1/2/3/4/5/6/7/8/9/a.jpg"),
    ],
)
def test_names_of_uploaded_files_are_tamed(name: str, kept: str) -> None:
    assert uploads.tame_name(name) == kept


def test_the_same_name_twice_keeps_both_files(client: TestClient) -> None:
    upload = begun(client)
    kept = send(client, upload, ("a.jpg", b"1"), ("a.jpg", b"2"), ("a.jpg", b"3"))
    assert kept == ["a.jpg", "a (2).jpg", "a (3).jpg"]


def test_a_file_and_a_folder_of_one_name_are_both_kept(client: TestClient) -> None:
    upload = begun(client)
    kept = send(client, upload, ("a", b"1"), ("a/b.jpg", b"2"), ("a/c/d.jpg", b"3"), ("a/b.jpg", b"4"), ("a", b"5"))
    assert kept == ["a", "a (2)/b.jpg", "a (2)/c/d.jpg", "a (2)/b (2).jpg", "a (3)"]


def test_a_file_over_the_limit_is_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_FILE_BYTES", 1024**2)
    upload = begun(client)
    answer = client.post(f"/uploads/{upload}/files", files=[("files", ("big.tif", bytes(1024**2 + 1)))], headers=JSON)
    assert answer.status_code == 422
    assert sentence(answer) == "big.tif has more than 1 MB, the limit of one file. Leave it out and go on."


def test_uploads_that_nobody_finished_are_removed(client: TestClient, settings: Settings) -> None:
    old, young = begun(client), begun(client)
    place = settings.data_dir / "uploads"
    os.utime(place / old, (time.time() - 3 * 24 * 3600,) * 2)
    begun(client)
    assert not (place / old).exists() and (place / young).exists()


@pytest.fixture
def over(session: Session, folder: Path) -> Callable[..., Intake]:
    """An intake whose job ended in the state given."""

    def make(state: str, failure: str | None = None, place: Path = folder) -> Intake:
        asked = ingest.request_intake(session, cast.catalog(session), place, cast.person(session))
        job = jobs.get(session, asked.job_id or 0)
        job.state, job.failure = state, failure
        job.result = {"other_files": 2, "metadata_rows_without_picture": 3}
        asked.accepted, asked.already_there, asked.refused = 12, 1, 2
        session.flush()
        return asked

    return make


def test_an_intake_under_way_shows_its_job(client: TestClient, session: Session, over: Callable[..., Intake]) -> None:
    asked = over("queued")
    text = client.get(f"/intakes/{asked.id}").text
    assert f'data-job="/jobs/{asked.job_id}"' in text


def test_a_finished_intake_shows_counts_refused_files_and_what_follows(
    client: TestClient, session: Session, over: Callable[..., Intake]
) -> None:
    asked = over("done")
    row = {"catalog_id": asked.catalog_id, "intake_id": asked.id, "outcome": "refused"}
    session.add(SourceFile(file_name="<b>cut.jpg", sha256="", reason="<b>The file is empty.", **row))
    session.flush()
    measuring = jobs.request(session, "signals.measure", {"catalog_id": asked.catalog_id, "image_ids": None})
    answer = client.get(f"/intakes/{asked.id}")
    assert [(kind.sentence, kind.files) for kind in answer.context["refused"]] == [("<b>The file is empty.", 1)]
    assert "&lt;b&gt;The file" in answer.text and "<b>The file" not in answer.text
    assert "3 files of which there is no photo here" in answer.text and "2 other files left alone" in answer.text
    assert [job.id for job in answer.context["following"]] == [measuring.id]


def test_refused_files_that_a_later_intake_met_are_said_to_be_there(
    client: TestClient, session: Session, over: Callable[..., Intake]
) -> None:
    asked = over("done")
    row = {"catalog_id": asked.catalog_id, "intake_id": asked.id, "outcome": "refused", "reason": "The file is empty."}
    session.add(SourceFile(file_name="a.jpg", sha256="", **row))
    session.flush()
    assert "A later intake met 1 refused file again" in client.get(f"/intakes/{asked.id}").text
    session.add(SourceFile(file_name="b.jpg", sha256="", **row))
    session.flush()
    assert "A later intake" not in client.get(f"/intakes/{asked.id}").text


def test_a_failed_intake_says_why_and_can_be_repeated(
    client: TestClient, session: Session, over: Callable[..., Intake]
) -> None:
    asked = over("failed", "metadata.csv, line 2, has no file name. Nothing was taken in.")
    assert "metadata.csv, line 2, has no file name." in client.get(f"/intakes/{asked.id}").text
    answer = client.post(f"/intakes/{asked.id}/repetitions")
    again = newest(session)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/intakes/{again.id}")
    assert (again.folder, again.catalog_id, again.id != asked.id) == (asked.folder, asked.catalog_id, True)


def test_a_member_may_not_repeat_an_intake_of_a_server_folder(
    member: TestClient, session: Session, over: Callable[..., Intake]
) -> None:
    asked = over("failed", "The disk is full.")
    assert "repetitions" not in member.get(f"/intakes/{asked.id}").text
    assert member.post(f"/intakes/{asked.id}/repetitions", headers=JSON).status_code == 403


def test_an_intake_that_does_not_exist(client: TestClient) -> None:
    assert client.get("/intakes/987654").status_code == 404


def test_discarding_touches_uploads_only(settings: Settings, folder: Path) -> None:
    storage = Storage(settings.data_dir)
    uploads.discard(storage, folder)
    uploads.discard(storage, storage.root)
    assert folder.is_dir()


def test_what_the_metadata_did_is_shown_kind_by_kind(
    client: TestClient, session: Session, over: Callable[..., Intake], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.routes.intakes.REMARKS_PAGE", 2)
    asked = over("done")
    counts = {"unmatched": 2_000, "changed": 1}
    jobs.get(session, asked.job_id or 0).result = {
        "other_files": 0, "metadata_rows_without_picture": 2_000, "metadata_files": {"train/metadata.csv": 2_001},
        "captions_given": 7, "remarks": counts,
    }  # fmt: skip
    row = {"intake_id": asked.id, "source": "train/metadata.csv"}
    why = "No picture here is called so or alike."
    session.add_all([
        IntakeRemark(kind="unmatched", line=line, name=f"<i>{line}.jpg", sentence=why, **row) for line in (2, 3, 4)
    ])  # fmt: skip
    session.add(IntakeRemark(kind="changed", line=5, name="1.jpg", sentence="1.jpg: title “a” → “b”.", **row))
    session.flush()
    first = client.get(f"/intakes/{asked.id}")
    assert "train/metadata.csv: 2,001 rows." in first.text and "7 captions came with the photos" in first.text
    assert first.context["remarks"].counts == counts and first.context["remarks"].is_cut
    assert "&lt;i&gt;2.jpg" in first.text and "<i>" not in first.text and why in first.text
    rest = client.get(f"/intakes/{asked.id}?remarks=unmatched&remarks_after={first.context['remarks'].next_after}")
    assert [remark.line for remark in rest.context["remarks"].page] == [4]
    assert "title “a” → “b”" in client.get(f"/intakes/{asked.id}?remarks=changed").text
    assert client.get(f"/intakes/{asked.id}?remarks=other").status_code == 422


def test_ten_thousand_changes_can_be_read(client: TestClient, session: Session, over: Callable[..., Intake]) -> None:
    asked = over("done")
    remarks = IntakeRemarks(asked.id)
    for n in range(10_000):
        remarks.remark("changed", "metadata.csv", n + 2, f"{n}.jpg", f"{n}.jpg: title “Red” → “=Blue {n}”.")
    remarks.keep(session)
    jobs.get(session, asked.job_id or 0).result = {
        "other_files": 0, "metadata_rows_without_picture": 0, "remarks": dict(remarks.counts),
    }  # fmt: skip
    session.flush()
    first = client.get(f"/intakes/{asked.id}").context["remarks"]
    assert (len(first.page), first.is_cut, first.counts) == (200, False, {"changed": 10_000})
    after = {"remarks": "changed", "remarks_after": first.next_after}
    assert client.get(f"/intakes/{asked.id}", params=after).context["remarks"].page[0].line == 202
    one = client.get(f"/intakes/{asked.id}", params={"remarks": "changed", "remarks_with": "9,99% 9876.JPG"[-8:]})
    assert [remark.name for remark in one.context["remarks"].page] == ["9876.jpg"]
    assert client.get(f"/intakes/{asked.id}", params={"remarks_with": "%"}).context["remarks"].page == []
    lines = client.get(f"/intakes/{asked.id}/remarks.csv?remarks=changed").text.splitlines()
    assert len(lines) == 10_001 and lines[1].startswith("metadata.csv,2,0.jpg,")


def test_the_form_says_what_is_read_beside_photos_and_in_what_language_captions_are(client: TestClient) -> None:
    text = " ".join(client.get("/intakes").text.split())
    assert "Photos without a caption get one in English." in text and ".caption" in text


@pytest.mark.parametrize("state", ["queued", "done", "failed", "cancelled"])
def test_the_form_lists_what_was_taken_in_lately(client: TestClient, over: Callable[..., Intake], state: str) -> None:
    asked = over(state)
    answer = client.get("/intakes")
    assert (answer.status_code, f'href="/intakes/{asked.id}"' in answer.text) == (200, True)


def test_a_data_set_that_was_cut_off_says_its_commit_and_goes_on_as_the_same_intake(
    client: TestClient, session: Session
) -> None:
    pile = cast.catalog(session)
    form = {"catalog_id": pile.id, "source": "hub", "dataset_name": "shop/kettles"}
    assert client.post("/intakes", data=form).status_code == 303
    asked = newest(session)
    asked.listed = {"commit": "0123456789abcdef" * 2}
    failed = jobs.get(session, asked.job_id or 0)
    failed.state, failed.failure, failed.failure_kind = "failed", "The model hub cannot be reached any more.", "refused"
    session.flush()
    page = client.get(f"/intakes/{asked.id}").text
    assert "hf://datasets/shop/kettles@main at commit 0123456789ab" in page
    assert "The model hub cannot be reached any more." in page and "Go on" in page
    assert "Take this folder in again" not in page
    assert client.post(f"/intakes/{asked.id}/repetitions").status_code == 303
    again = newest(session)
    assert again.id == asked.id and again.job_id != failed.id
    assert "Go on" not in client.get(f"/intakes/{asked.id}").text
