"""The pages of dataset versions."""

from __future__ import annotations

import html
import re

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import jobs
from app.captions import writing
from app.database import utc_now
from app.datasets import comparing, freezing, reading
from app.datasets.leaks import Leak
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
    assert f'<code class="mono">{(version.facts_hash or "")[:4]} ' in answer.text
    version.facts_hash = None
    session.flush()
    assert "not recorded" in client.get(f"/datasets/{version.id}").text
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
    kinds = {each.key: [(part.value, part.count) for part in each.portions] for each in page.context["balances"]}
    seen_kinds = {key: [part.count for part in each.portions] for key, each in page.context["seen"].items()}
    assert [count for _, count in kinds["category"]] == [4] and seen_kinds["category"] == [3]
    flat = " ".join(page.text.split())
    assert '<b class="with num">4</b>' in flat and '<b class="without num">3</b>' in flat
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

    # Lines in another order are the same version; a changed one is told of and not sent, nor is half a file.
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b'", "', b'",  "'))
    assert client.get(f"/datasets/{version.id}/manifest.jsonl").content == file.read_bytes()
    for changed in (whole.replace(b'"caption": "', b'"caption": "Not '), whole[:-20], whole + whole, b""):
        file.write_bytes(changed)
        answer = client.get(f"/datasets/{version.id}/manifest.jsonl")
        assert answer.status_code == 422 and "The manifest of version 1" in answer.text
        assert "Restore it from a backup" in answer.text
    version.file_sha256 = None  # frozen before the file's hash was kept
    assert client.get(f"/datasets/{version.id}/manifest.jsonl").status_code == 422
    file.write_bytes(whole)
    assert client.get(f"/datasets/{version.id}/manifest.jsonl").content == whole

    file.unlink()
    assert client.get(f"/datasets/{version.id}/manifest.jsonl").status_code == 404
    unfrozen = freezing.request_freeze(session, pile.id)
    assert client.get(f"/datasets/{unfrozen.id}/manifest.jsonl").status_code == 422
    assert client.get("/datasets/999999999").status_code == 404


def test_a_version_tells_what_changed_its_balance_and_its_card(
    client: TestClient, session: Session, files: Storage
) -> None:
    pile = cast.catalog(session)
    photo = kept(session, files, pile, product="P", caption="Red <kettle>.")
    alone = frozen(session, files, pile)
    text = client.get(f"/datasets/{alone.id}").text
    assert "Changed since" not in text and "Open as text" in text
    old = writing.current(session, [photo.id])[photo.id]
    writing.rewrite(session, photo.id, "Blue <kettle>.", cast.person(session), old.id)
    added = kept(session, files, pile, product="P")
    version = frozen(session, files, pile)
    page = client.get(f"/datasets/{version.id}")
    assert page.context["since"].older.id == alone.id
    assert "<del>Red </del><ins>Blue </ins>&lt;kettle&gt;." in page.text
    assert f'href="/datasets/{version.id}/changes?since={alone.id}&amp;kind=added"' in page.text
    other_way = client.get(f"/datasets/{alone.id}?since={version.id}")
    assert other_way.context["since"].changes.removed == 1
    listed = client.get(f"/datasets/{version.id}/changes?since={alone.id}&kind=added")
    assert [change.image_id for change in listed.context["listed"]] == [added.id]
    assert client.get(f"/datasets/{version.id}/changes?since={alone.id}&kind=odd").status_code == 422
    assert client.get(f"/datasets/{version.id}/changes?since=999999").status_code == 404
    answer = client.get(f"/datasets/{version.id}/card.md")
    assert answer.headers["content-type"].startswith("text/markdown") and "pretty_name" in answer.text


def test_ten_thousand_changes_come_in_small_pages(
    client: TestClient, session: Session, files: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "PAGE", 3)
    pile = cast.catalog(session)
    kept(session, files, pile)
    alone = frozen(session, files, pile)
    for _ in range(5):
        kept(session, files, pile)
    version = frozen(session, files, pile)
    page = client.get(f"/datasets/{version.id}/changes?since={alone.id}&kind=added")
    after = page.context["next_after"]
    assert len(page.context["listed"]) == 3 and f"kind=added&amp;after={after}" in page.text
    last = client.get(f"/datasets/{version.id}/changes?since={alone.id}&kind=added&after={after}")
    assert len(last.context["listed"]) == 2 and last.context["next_after"] is None


def test_repeats_and_seed_are_asked_for_on_the_page_that_freezes(
    client: TestClient, session: Session, files: Storage
) -> None:
    pile = cast.catalog(session)
    for number in range(12):
        kept(session, files, pile, category='Hats "new"' if number else None)
    page = client.get(f"/catalogs/{pile.id}/freeze")
    assert "91 % are in Hats" in html.unescape(page.text)
    filters = [html.unescape(each) for each in re.findall(r'name="repeated" value="([^"]+)"', page.text)]
    assert 'category:"Hats \\"new\\""' in filters and "category:none" in filters
    times = ["4" if each.startswith("category:none") else "1" for each in filters]
    form = {"q": "decision:kept", "repeated": filters, "times": times, "seed": "5"}
    answer = client.post(f"/catalogs/{pile.id}/versions", data=form, follow_redirects=False)
    assert answer.status_code == 303
    version = session.scalars(select(DatasetVersion).where(DatasetVersion.catalog_id == pile.id)).one()
    assert (version.seed, version.repeats) == (5, [{"query": "category:none", "times": 4}])
    odd = {"q": "decision:kept", "repeated": ["category:none"], "times": []}
    assert client.post(f"/catalogs/{pile.id}/versions", data=odd).status_code == 422


def test_a_leak_is_shown_with_both_photos_and_what_to_do(client: TestClient, session: Session, files: Storage) -> None:
    pile = cast.catalog(session)
    one, other = kept(session, files, pile), kept(session, files, pile)
    version = freezing.request_freeze(session, pile.id)
    job = jobs.get(session, version.job_id or 0)
    leak = Leak("The same photo would be in both train and validation.", "copies", one.id, other.id)
    job.state, job.failure = "failed", leak.sentence
    freezing.note_leak(version, leak)
    session.flush()
    text = client.get(f"/datasets/{version.id}").text
    assert f"/images/{one.id}/thumb" in text and f"/images/{other.id}/thumb" in text
    assert "are copies of each other" in text and f'href="/catalogs/{pile.id}/duplicates"' in text


def test_a_version_is_verified_on_demand_and_once_at_a_time(
    client: TestClient, session: Session, files: Storage
) -> None:
    pile = cast.catalog(session)
    kept(session, files, pile)
    version = frozen(session, files, pile)
    for _ in range(2):
        answer = client.post(f"/datasets/{version.id}/verification", follow_redirects=False)
        assert answer.status_code == 303
    session.refresh(version)
    asked = session.scalars(select(jobs.Job).where(jobs.Job.kind == "dataset.verify")).all()
    assert [job.id for job in asked] == [version.verify_job_id]
    asked[0].state, asked[0].result, asked[0].ended_at = "done", {"files": 1}, utc_now()
    session.flush()
    text = client.get(f"/datasets/{version.id}").text
    assert "Manifest, members and 1 picture file are whole" in text and "Verify again" in text
