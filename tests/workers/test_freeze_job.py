"""The task that freezes a version: done once, done again without harm, refused with a sentence."""

from __future__ import annotations

import io
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image as Pillow
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from app import jobs
from app.captions.tables import Caption
from app.database import transaction, utc_now
from app.datasets import arranging, freezing, verifying
from app.datasets.manifest import read_manifest
from app.datasets.tables import DatasetVersion, Member
from app.errors import Refused
from app.jobs import Job
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.blocking import process_id, wait_until_blocked
from tests.datasets.cast import kept
from tests.pictures import again, patches, saved
from workers import celery_app, cpu

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def version(engine: Engine, settings: Settings) -> DatasetVersion:
    """A version of two photos, just asked for; a third photo has no caption."""
    with transaction(engine) as session:
        pile = cast.catalog(session)
        storage = Storage(settings.data_dir)
        for caption in ("Red kettle.", "Blue kettle.", None):
            kept(session, storage, pile, caption=caption)
        return freezing.request_freeze(session, pile.id)


def freeze(engine: Engine, settings: Settings, version: DatasetVersion) -> tuple[Job, DatasetVersion]:
    celery_app.do(version.job_id or 0, cpu.freeze, settings)
    with transaction(engine) as session:
        return jobs.get(session, version.job_id or 0), session.get_one(DatasetVersion, version.id)


def test_a_version_is_frozen_and_says_how_many_were_left_out(
    engine: Engine, settings: Settings, version: DatasetVersion
) -> None:
    job, frozen = freeze(engine, settings, version)
    assert (job.state, job.result, job.done, job.total) == ("done", {"left_out": 1, "opted_out": 0}, 2, 2)
    assert (frozen.train_count, frozen.sentence) == (2, "2 kept photos.")
    assert frozen.content_hash is not None


def test_copies_of_a_photo_are_measured_where_they_were_not_and_kept_in_one_split(
    engine: Engine, settings: Settings
) -> None:
    storage = Storage(settings.data_dir)
    with transaction(engine) as session:
        pile = cast.catalog(session)
        for seed in range(7):
            picture = patches(seed)
            small = picture.resize((120, 120))
            for copy in (saved(picture, "JPEG", quality=90), saved(small, "JPEG", quality=60), saved(picture, "PNG")):
                photo = kept(session, storage, pile, caption=f"Vase {seed}.")
                view = again(Pillow.open(io.BytesIO(copy)), "PNG")
                photo.view_sha256 = storage.put("views", saved(view, "JPEG", quality=88), ".jpg")
        kept(session, storage, pile, caption="Its view is gone.")
        asked = freezing.request_freeze(session, pile.id)
    job, version = freeze(engine, settings, asked)
    assert (job.state, version.train_count + version.validation_count, version.uncompared_count) == ("done", 22, 1)
    assert version.validation_count >= 1
    with transaction(engine) as session:
        splits: dict[str, set[str]] = {}
        rows = session.execute(select(Caption.text, Member.split).join(Caption, Caption.id == Member.caption_id))
        for text_, split in rows:
            splits.setdefault(text_, set()).add(split)
    assert all(len(kinds) == 1 for kinds in splits.values())


def test_a_job_swept_after_a_crash_behind_the_commit_changes_nothing(
    engine: Engine, settings: Settings, version: DatasetVersion
) -> None:
    _, before = freeze(engine, settings, version)
    with transaction(engine) as session:  # the worker died before it could say "done"; the sweeper found the job
        jobs.get(session, version.job_id or 0).state = "queued"
    job, after = freeze(engine, settings, version)
    assert job.state == "done"
    assert (after.content_hash, after.frozen_at) == (before.content_hash, before.frozen_at)


def test_a_worker_without_its_lease_records_nothing(
    engine: Engine, settings: Settings, version: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrange = arranging.arrange

    def arrange_slowly(*arguments: object) -> object:
        placed = arrange(*arguments)  # type: ignore[arg-type]
        with transaction(engine) as session:
            job = jobs.get(session, version.job_id or 0)
            job.state, job.lease_until = "queued", utc_now()
            session.flush()
            assert jobs.claim(session, job.id, "another worker")
        return placed

    monkeypatch.setattr(arranging, "arrange", arrange_slowly)
    _, left = freeze(engine, settings, version)
    assert left.content_hash is None
    assert not (Storage(settings.data_dir).dataset_folder(version.id) / freezing.MANIFEST).exists()


def test_a_leak_fails_the_job_and_its_pair_is_kept(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction(engine) as session:
        pile = cast.catalog(session)
        photos = [kept(session, Storage(settings.data_dir), pile, product="Kettle") for _ in range(2)]
        asked = freezing.request_freeze(session, pile.id)
    cut = {"train": photos[0].render_path, "validation": photos[1].render_path}
    names = dict(zip((Path(path).stem for path in cut.values()), cut, strict=True))
    monkeypatch.setattr(arranging, "group", lambda photos, copies: [names[sha256] for _, sha256 in photos])
    monkeypatch.setattr(arranging, "split", lambda groups, seed: {name: name for name in groups})
    job, left = freeze(engine, settings, asked)
    assert (job.state, job.failure_kind, left.content_hash) == ("failed", "refused", None)
    assert photos[0].file_name in (job.failure or "") and photos[1].file_name in (job.failure or "")
    assert left.leak == {"kind": "product", "learned_id": photos[0].id, "held_out_id": photos[1].id}


def verified(engine: Engine, settings: Settings, version: DatasetVersion) -> Job:
    with transaction(engine) as session:
        asked = verifying.request(session, version.id, cast.person(session)).verify_job_id or 0
    celery_app.do(asked, cpu.verify, settings)
    with transaction(engine) as session:
        return jobs.get(session, asked)


def test_a_version_that_is_whole_says_so_and_one_that_is_not_says_what(
    engine: Engine, settings: Settings, version: DatasetVersion
) -> None:
    with pytest.raises(Refused, match="not frozen yet"):
        verified(engine, settings, version)
    freeze(engine, settings, version)
    job = verified(engine, settings, version)
    assert (job.state, job.result) == ("done", {"files": 2})

    with transaction(engine) as session:
        member = session.scalars(select(Member).where(Member.version_id == version.id)).first()
        assert member is not None
        member.split = "validation"
    job = verified(engine, settings, version)
    assert "members of version 1 were changed" in (job.failure or "")
    with transaction(engine) as session:
        session.execute(update(Member).values(split="train"))

    storage = Storage(settings.data_dir)
    manifest = storage.dataset_folder(version.id) / freezing.MANIFEST
    (row, _) = read_manifest(manifest)
    file = manifest.parent / row.file
    whole = file.read_bytes()
    file.write_bytes(b"another picture")
    job = verified(engine, settings, version)
    assert (job.failure or "").startswith("1 of 2 picture files is missing or changed: ")
    file.write_bytes(whole)

    text = manifest.read_text()
    manifest.write_text(text.replace("Red kettle.", "Red mug."))
    assert "manifest of version 1 was changed" in (verified(engine, settings, version).failure or "")
    other = re.sub(r'"image_id": (\d+)', lambda found: f'"image_id": {int(found[1]) + 900}', text)
    manifest.write_text(other)
    assert "does not give the facts hash any more. Restore it" in (verified(engine, settings, version).failure or "")
    manifest.unlink()
    assert "is not in the data folder any more" in (verified(engine, settings, version).failure or "")
    manifest.write_text(text[:-9])
    assert "is not whole" in (verified(engine, settings, version).failure or "")
    manifest.write_text(text)
    assert verified(engine, settings, version).state == "done"


def test_a_missing_file_fails_the_job_with_its_name(
    engine: Engine, settings: Settings, version: DatasetVersion
) -> None:
    for file in Storage(settings.data_dir).root.rglob("*.jpg"):
        file.unlink()
    job, left = freeze(engine, settings, version)
    assert job.state == "failed"
    assert re.fullmatch(
        r"2 picture files cannot be learned from: \S+ is missing, \S+ is missing\. "
        r"Take its folder in again, then freeze\.",
        job.failure or "",
    )
    assert left.content_hash is None


@pytest.mark.parametrize(("query", "number"), [("decision:kept", 2), ("decision:kept,unseen", 3)])
def test_two_people_who_freeze_at_once_get_one_version_or_two_numbers(
    engine: Engine, settings: Settings, version: DatasetVersion, query: str, number: int
) -> None:
    freeze(engine, settings, version)
    with Session(engine) as first, Session(engine) as second, ThreadPoolExecutor(1) as pool:
        second_pid = process_id(second)
        freezing.request_freeze(first, version.catalog_id)
        other = pool.submit(freezing.request_freeze, second, version.catalog_id, query)
        wait_until_blocked(engine, second_pid)
        first.commit()
        assert other.result(timeout=30).number == number
        second.commit()
