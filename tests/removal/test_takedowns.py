"""A photo that was taken down leaves nothing behind: in training's cache, by a version's end, in backups."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app import jobs
from app.catalog.tables import Image, RemovedPhoto
from app.database import transaction, utc_now
from app.datasets.tables import DatasetVersion, Member
from app.errors import Refused
from app.jobs import Job
from app.people import Person
from app.removal import backups, caches, files, photos, versions
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.datasets import cast as datasets
from tests.training.cast import frozen_version
from workers import removal_job
from workers.celery_app import Work


@pytest.fixture
def owner(session: Session) -> Person:
    return cast.person(session, role="owner")


def encoded(storage: Storage, digest: str) -> Path:
    """Something that training keeps of a picture file."""
    kept = storage.encoded_folder(digest) / "latents.safetensors"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"1234")
    return kept


def asked_folders(session: Session) -> set[str]:
    jobs_asked = session.scalars(select(Job).where(Job.kind == files.KIND))
    return {folder for job in jobs_asked for folder in job.arguments["folders"]}


def folder_of(storage: Storage, digest: str) -> str:
    return storage.encoded_folder(digest).relative_to(storage.root).as_posix()


def test_what_training_keeps_of_a_photo_goes_with_it(session: Session, storage: Storage, owner: Person) -> None:
    photo = datasets.kept(session, storage, cast.catalog(session), caption="A red kettle.")
    assert "what training keeps of it, encoded" in photos.consequences(session, photo).goes
    digest = Path(photo.render_path).stem
    photos.remove(session, storage, photo.id, owner, "")
    assert folder_of(storage, digest) in asked_folders(session)


def test_what_a_version_needs_of_it_stays_until_that_goes(session: Session, storage: Storage, owner: Person) -> None:
    version = frozen_version(session)
    member = session.scalars(select(Member).where(Member.version_id == version.id)).first()
    assert member is not None
    image = session.get_one(Image, member.image_id)
    member.sha256, image_id, held = (
        Path(image.render_path).stem,
        image.id,
        folder_of(storage, Path(image.render_path).stem),
    )
    told = photos.consequences(session, image)
    assert "what training keeps of it, encoded, which these need; it goes with the last of them" in told.stays
    photos.remove(session, storage, image_id, owner, "")
    assert held not in asked_folders(session)
    assert session.get(Image, image_id) is not None
    assert "1 removed photo that only this version holds" in versions.consequences(session, version).goes
    versions.remove(session, storage, version.id, owner)
    assert session.get(Image, image_id, populate_existing=True) is None
    assert held in asked_folders(session)
    assert session.scalars(select(Image.id)).all() != [], "photos that nobody removed stay"


def test_a_hidden_photo_that_another_version_holds_stays(session: Session, storage: Storage, owner: Person) -> None:
    version = frozen_version(session)
    first = session.scalars(select(Member).where(Member.version_id == version.id)).first()
    assert first is not None
    second = DatasetVersion(
        catalog_id=version.catalog_id, number=2, selection="", sentence="", content_hash="1", frozen_at=utc_now()
    )
    session.add(second)
    session.flush()
    columns = {"image_id": first.image_id, "caption_id": first.caption_id, "split": "train", "group": "g"}
    session.add(Member(version_id=second.id, **columns))
    session.flush()
    image_id = first.image_id
    photos.remove(session, storage, image_id, owner, "")
    versions.remove(session, storage, version.id, owner)
    assert session.get(Image, image_id, populate_existing=True) is not None
    versions.remove(session, storage, second.id, owner)
    assert session.get(Image, image_id, populate_existing=True) is None


def safetensors(*names: str) -> bytes:
    head = json.dumps({name: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for name in names}).encode()
    return len(head).to_bytes(8, "little") + head


def test_encoded_pictures_that_name_no_photo_are_deleted_once_and_captions_stay(storage: Storage) -> None:
    caches.drop_unnamed(storage)
    assert not storage.cache_folder.exists()
    old = storage.cache_folder / "ab"
    old.mkdir(parents=True)
    for name, data in (("picture", safetensors("clean")), ("caption", safetensors("tokens")), ("torn", b"\0" * 3)):
        (old / f"{name}.safetensors").write_bytes(data)
    named = encoded(storage, "c" * 64)
    caches.drop_unnamed(storage)
    assert {path.stem for path in old.iterdir()} == {"caption", "torn"} and named.exists()


@pytest.mark.usefixtures("emptied")
def test_the_job_deletes_it_and_tells_the_backups(
    engine: Engine, settings: Settings, storage: Storage, tmp_path: Path
) -> None:
    place = tmp_path / "backups"
    place.mkdir()
    with transaction(engine) as session:
        owner = cast.person(session, role="owner")
        photo = datasets.kept(session, storage, cast.catalog(session), caption="A red kettle.")
        kept = encoded(storage, Path(photo.render_path).stem)
        (place / "one.tar").write_bytes(b"")
        backups.note(session, place / "one.tar")
        backups.note(session, place / "deleted.tar")
        backups.note(session, tmp_path / "unmounted" / "two.tar")
        shutil.rmtree(tmp_path / "unmounted")
        told = " ".join(photos.consequences(session, photo).stays)
        assert "one.tar" in told and "two.tar" in told and "deleted.tar" not in told
        assert (place / backups.LIST).read_text() == ""
        sha256 = photo.sha256
        photos.remove(session, storage, photo.id, owner, "")
    with transaction(engine) as session:
        job_id = session.scalars(select(Job.id).where(Job.kind == files.KIND)).one()
        claim = jobs.claim(session, job_id, "worker")
    assert claim is not None
    # Its pictures are too young to be deleted.
    with pytest.raises(removal_job.NotYet):
        removal_job.delete_files(Work(claim, settings, engine, storage))
    assert not kept.exists()
    assert [row.sha256 for row in backups.read(place / backups.LIST)] == [sha256]
    with transaction(engine) as session:
        photos.allow_again(session, session.scalars(select(RemovedPhoto.id)).one(), session.merge(owner))
        backups.tell_removed(session)
    assert list(backups.read(place / backups.LIST)) == []


def test_a_photo_that_a_backup_brought_back_is_removed_again(session: Session, storage: Storage, owner: Person) -> None:
    pile = cast.catalog(session)
    gone, stays = (datasets.kept(session, storage, pile, caption=text) for text in ("A kettle.", "A lamp."))
    lists = [
        backups.TakenDown(gone.id, gone.sha256, "kettle.jpg", pile.id, "2026-11-30T10:00:00+00:00"),
        backups.TakenDown(stays.id, "0" * 64, "another.jpg", pile.id, "2026-11-30T10:00:00+00:00"),
        backups.TakenDown(0, "1" * 64, "of-no-catalog.jpg", 10**9, "2026-11-30T10:00:00+00:00"),
        backups.TakenDown(0, "2" * 64, "told-of-no-catalog.jpg", None, "2026-11-30T10:00:00+00:00"),
    ]
    sha256, render = gone.sha256, gone.render_path
    count, going = photos.remove_again(session, storage, lists)
    assert count == 1 and render in going and stays.render_path not in going
    assert session.scalars(select(Image.id).where(Image.catalog_id == pile.id)).all() == [stays.id]
    barred = set(session.scalars(select(RemovedPhoto.sha256).where(RemovedPhoto.catalog_id == pile.id)))
    assert barred == {sha256, "0" * 64}
    # The list that is written anew from here forgets none, for other backups may hold them.
    assert {row.sha256 for row in backups.taken_down(session)} == {row.sha256 for row in lists}
    assert photos.remove_again(session, storage, lists)[0] == 0
    assert len(backups.taken_down(session)) == 4


def test_allowed_again_in_one_catalog_it_stays_removed_from_another(
    session: Session, storage: Storage, owner: Person
) -> None:
    first, second = (datasets.kept(session, storage, cast.catalog(session), caption="A kettle.") for _ in range(2))
    second.sha256 = first.sha256
    session.flush()
    kept_in = second.catalog_id
    for photo in (first, second):
        photos.remove(session, storage, photo.id, owner, "")
    row = session.scalars(select(RemovedPhoto).where(RemovedPhoto.catalog_id != kept_in)).one()
    photos.allow_again(session, row.id, owner)
    assert [row.catalog for row in backups.taken_down(session)] == [kept_in]


@pytest.mark.parametrize("text", ["{", "[]", '{"photo": 1}', "\x00"])
def test_a_damaged_list_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / backups.LIST).write_text(text + "\n")
    with pytest.raises(Refused, match="Nothing was restored"):
        list(backups.read(tmp_path / backups.LIST))
