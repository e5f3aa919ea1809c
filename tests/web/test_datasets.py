"""The pages of dataset versions."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import jobs
from app.datasets import freezing, reading
from app.datasets.manifest import read_manifest
from app.datasets.tables import DatasetVersion
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.datasets.cast import frozen, kept, suggested


@pytest.fixture
def files(settings: Settings) -> Storage:
    """The storage that the app reads."""
    return Storage(settings.data_dir)


def test_freezing_a_selection_leads_to_its_version(
    client: TestClient, session: Session, files: Storage, me: Person
) -> None:
    pile = cast.catalog(session, "Autumn & spring")
    kept(session, files, pile)
    answer = client.post(f"/catalogs/{pile.id}/versions", data={"q": "decision:kept"}, follow_redirects=False)
    version = session.scalars(select(DatasetVersion).where(DatasetVersion.catalog_id == pile.id)).one()
    assert (answer.status_code, answer.headers["location"]) == (303, f"/datasets/{version.id}")
    assert version.created_by_id == me.id
    page = client.get(f"/datasets/{version.id}")
    assert f'data-job="/jobs/{version.job_id}"' in page.text
    assert "Autumn &amp; spring, version 1" in page.text
    assert "Fine-tune now" not in page.text


def test_a_frozen_version_shows_its_photos_captions_and_next_step(
    client: TestClient, session: Session, files: Storage
) -> None:
    pile = cast.catalog(session)
    for number in range(10):
        kept(session, files, pile, product=f"P{number}", caption=f"<b>Kettle</b> number {number}.")
    version = frozen(session, files, pile)
    answer = client.get(f"/datasets/{version.id}")
    assert answer.context["contents"].products == {"train": 9, "validation": 1}
    assert len(answer.context["members"]) == 10
    assert "&lt;b&gt;Kettle&lt;/b&gt; number 3." in answer.text
    assert "no product is in both" in answer.text
    assert (version.content_hash or "")[:4] in answer.text
    assert 'action="/runs"' in answer.text
    assert f'name="version_id" value="{version.id}"' in answer.text


def test_members_are_shown_by_split_and_page_by_page(
    client: TestClient, session: Session, files: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 4)
    pile = cast.catalog(session)
    for number in range(10):
        kept(session, files, pile, product=f"P{number}")
    version = frozen(session, files, pile)
    first = client.get(f"/datasets/{version.id}?split=train")
    after = first.context["next_after"]
    assert f"/datasets/{version.id}?after={after}&amp;split=train" in first.text
    last = client.get(f"/datasets/{version.id}?split=train&after={first.context['members'][-1].image_id}")
    assert {one.split for one in last.context["members"]} == {"train"}
    assert client.get(f"/datasets/{version.id}?split=test").status_code == 422
    assert client.get(f"/datasets/{version.id}?after=9999999").status_code == 200


def test_a_version_that_could_not_be_frozen_says_why_and_what_to_do(
    client: TestClient, session: Session, files: Storage
) -> None:
    pile = cast.catalog(session)
    kept(session, files, pile)
    version = freezing.request_freeze(session, pile.id, 'decision:kept "red kettle"')
    job = jobs.get(session, version.job_id or 0)
    job.state, job.failure = "failed", "The picture file of kettle.jpg is missing."
    session.flush()
    answer = client.get(f"/datasets/{version.id}")
    assert "The picture file of kettle.jpg is missing." in answer.text
    again = f'href="/catalogs/{pile.id}/freeze?q=decision%3Akept%20%22red%20kettle%22"'
    assert again in answer.text and "Freeze again" in answer.text


def test_the_freeze_page_tells_what_no_person_has_seen_and_takes_it_only_when_told(
    client: TestClient, session: Session, files: Storage
) -> None:
    pile = cast.catalog(session)
    bare = cast.image(session, pile)
    page = client.get(f"/catalogs/{pile.id}/freeze")
    assert "has decided on each" not in page.text and "A version needs at least one photo" in page.text
    session.delete(bare)
    for number in range(3):
        kept(session, files, pile, product=f"P{number}")
    suggested(session, files, pile)
    suggested(session, files, pile, caption=None)
    page = client.get(f"/catalogs/{pile.id}/freeze")
    assert "3 kept photos." in page.text
    assert "Take also 2 photos that no person has seen" in page.text and "1 without a caption stay out" in page.text
    sent = {"q": "", "expected_seen": "3", "expected_unseen": "1"}
    answer = client.post(f"/catalogs/{pile.id}/versions", data=sent, follow_redirects=False)
    assert selection_of(session, answer.headers["location"]) == ("decision:kept", "3 kept photos.")
    answer = client.post(f"/catalogs/{pile.id}/versions", data=sent | {"unseen": "true"}, follow_redirects=False)
    assert selection_of(session, answer.headers["location"]) == (
        "decision:kept by:person,rule", "4 photos that are kept, or that a rule suggests to keep.",
    )  # fmt: skip


def test_what_changed_between_page_and_press_is_refused(client: TestClient, session: Session, files: Storage) -> None:
    pile = cast.catalog(session)
    kept(session, files, pile)
    suggested(session, files, pile)
    for sent, told in (
        ({"expected_seen": "2"}, "1 photos now, not 2"),
        ({"expected_seen": "1", "unseen": "true"}, "2 photos now"),
    ):
        answer = client.post(f"/catalogs/{pile.id}/versions", data=sent, headers={"Accept": "application/json"})
        assert answer.status_code == 409 and told in answer.json()["error"]["sentence"]
    assert session.scalars(select(DatasetVersion).where(DatasetVersion.catalog_id == pile.id)).all() == []


def selection_of(session: Session, address: str) -> tuple[str, str]:
    version = session.get_one(DatasetVersion, int(address.rsplit("/", 1)[1]))
    return version.selection, version.sentence


@pytest.mark.parametrize(
    ("q", "status", "said"),
    [
        ("decision:rejected", 422, "No photo matches decision:rejected"),
        ("sharpness:blue", 422, "is not a range"),
    ],
)
def test_a_selection_that_cannot_be_frozen_is_refused_in_a_sentence(
    client: TestClient, session: Session, files: Storage, q: str, status: int, said: str
) -> None:
    pile = cast.catalog(session)
    kept(session, files, pile)
    answer = client.post(f"/catalogs/{pile.id}/versions", data={"q": q}, headers={"Accept": "application/json"})
    assert answer.status_code == status
    assert said in answer.json()["error"]["sentence"]


def test_the_list_offers_what_can_be_frozen_and_shows_every_version(
    client: TestClient, session: Session, files: Storage
) -> None:
    pile = cast.catalog(session, "Autumn")
    kept(session, files, pile)
    kept(session, files, pile, caption=None)
    version = frozen(session, files, pile)
    answer = client.get("/datasets")
    assert "Freeze the 1 kept" in answer.text
    assert "1 without a caption left out" in answer.text
    assert version.id in [one.version.id for one in answer.context["versions"]]
    assert f'href="/datasets/{version.id}"' in answer.text


def test_an_empty_list_says_what_would_be_here(client: TestClient) -> None:
    answer = client.get("/datasets")
    assert answer.status_code == 200
    assert "No version yet" in answer.text


def test_the_manifest_is_downloaded_as_a_file(client: TestClient, session: Session, files: Storage) -> None:
    pile = cast.catalog(session, "Autumn / 2026 ⛄")
    kept(session, files, pile)
    version = frozen(session, files, pile)
    answer = client.get(f"/datasets/{version.id}/manifest.jsonl")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="autumn-2026-v1.jsonl"'
    file = files.dataset_folder(version.id) / freezing.MANIFEST
    assert answer.text == file.read_text()
    assert len(read_manifest(file)) == 1

    file.unlink()
    assert client.get(f"/datasets/{version.id}/manifest.jsonl").status_code == 404
    unfrozen = freezing.request_freeze(session, pile.id)
    assert client.get(f"/datasets/{unfrozen.id}/manifest.jsonl").status_code == 422
    assert client.get("/datasets/999999999").status_code == 404
