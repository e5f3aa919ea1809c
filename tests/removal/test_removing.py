"""Removing photos, catalogs, versions and the cache: what goes, what stays, and that nothing else is touched."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image as Pillow
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from app import jobs
from app.captions import writing
from app.captions.proposing import propose_facts
from app.catalog import duplicates, lettering, reading, signals
from app.catalog.copies import Match
from app.catalog.duplicate_tables import DuplicateGroup
from app.catalog.tables import Catalog, Image, Lettering, Signals, SourceFile
from app.database import transaction, utc_now
from app.datasets.tables import DatasetVersion, Member
from app.errors import NotAllowed, NotFound, Refused
from app.intake import ingest, quarantine, uploads
from app.jobs import Job
from app.people import Person
from app.removal import caches, catalogs, files, photos, versions
from app.review import decisions
from app.review import duplicates as rulings
from app.review.tables import Decision
from app.selection.tables import PhotoIndex
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.datasets import cast as datasets
from tests.training.cast import frozen_version, one_run
from workers import celery_app, cpu


@pytest.fixture
def owner(session: Session) -> Person:
    return cast.person(session, role="owner")


def kept_with_files(session: Session, storage: Storage, pile: Catalog) -> Image:
    return datasets.kept(session, storage, pile, caption="A red kettle.")


def asked_files(session: Session) -> list[str]:
    jobs_asked = session.scalars(select(Job).where(Job.kind == files.KIND).order_by(Job.id))
    return [file for job in jobs_asked for file in job.arguments["files"]]


def test_a_photo_goes_with_all_that_hangs_on_it(session: Session, storage: Storage, owner: Person) -> None:
    pile = cast.catalog(session)
    gone, stays = cast.image(session, pile, caption="A red kettle."), cast.image(session, pile)
    before = writing.current(session, [gone.id])[gone.id]
    writing.rewrite(session, gone.id, "A red kettle on a stove.", owner, before.id)
    told = photos.consequences(session, gone)
    assert told.goes[:2] == ("its file as it came, and the pictures made of it", "2 captions, 1 of them by people")
    assert told.stays == ()
    gone_id = gone.id
    removed = photos.remove(session, storage, gone_id, owner, "A model asked for it.")
    assert (removed.gone, removed.kept) == (1, 0)
    assert session.scalars(select(Image.id).where(Image.catalog_id == pile.id)).all() == [stays.id]
    assert session.get(PhotoIndex, gone_id) is None
    assert set(asked_files(session)) == set(removed.files)


def test_a_photo_that_a_version_holds_is_hidden_and_marked(session: Session, storage: Storage, owner: Person) -> None:
    version = frozen_version(session)
    member = session.scalars(select(Member).where(Member.version_id == version.id)).first()
    assert member is not None
    image = reading.photo(session, member.image_id)
    catalog_id = image.catalog_id
    assert photos.consequences(session, image).stays == (
        f"in {reading.get(session, catalog_id).name}, version {version.number}, with its file and the caption it had",
        "what training keeps of it, encoded, which these need; it goes with the last of them",
    )
    removed = photos.remove(session, storage, image.id, owner, "")
    assert (removed.gone, removed.kept, removed.files) == (0, 1, ())
    image = reading.photo(session, member.image_id)
    assert reading.is_removed(session, image.catalog_id)
    assert session.get_one(PhotoIndex, image.id).catalog_id != catalog_id
    assert all(row.catalog.removed_at is None for row in reading.everything(session))
    with pytest.raises(Refused, match="removed before"):
        photos.remove(session, storage, image.id, owner, "")


def test_only_an_owner_removes(session: Session, storage: Storage) -> None:
    photo, member = cast.image(session, cast.catalog(session)), cast.person(session)
    for remove in (
        lambda: photos.remove(session, storage, photo.id, member, ""),
        lambda: catalogs.remove(session, photo.catalog_id, member),
        lambda: versions.remove(session, storage, frozen_version(session).id, member),
        lambda: caches.empty(session, storage, member),
    ):
        with pytest.raises(NotAllowed):
            remove()


def test_a_version_that_a_run_uses_stays(session: Session, storage: Storage, owner: Person) -> None:
    run = one_run(session)
    with pytest.raises(Refused, match="1 run learned from this version"):
        versions.remove(session, storage, run.version_id, owner)
    unused = frozen_version(session)
    versions.remove(session, storage, unused.id, owner)
    assert session.get(DatasetVersion, unused.id) is None


def test_what_is_measured_of_a_removed_photo_is_passed_over(session: Session, storage: Storage, owner: Person) -> None:
    pile = cast.catalog(session)
    gone_id, stays = cast.image(session, pile).id, cast.image(session, pile)
    photos.remove(session, storage, gone_id, owner, "")
    values = {"background": "white", "sharpness": 0.4}
    signals.record(session, 9, {gone_id: values, stays.id: values})
    assert session.get_one(Signals, stays.id, populate_existing=True).version == 9


def test_what_is_found_of_a_removed_photo_is_passed_over(session: Session, storage: Storage, owner: Person) -> None:
    pile = cast.catalog(session)
    gone_id, stays, other = cast.image(session, pile).id, cast.image(session, pile), cast.image(session, pile)
    photos.remove(session, storage, gone_id, owner, "")
    lettering.record(session, 9, {gone_id: [], stays.id: []})
    assert session.get_one(Lettering, stays.id).version == 9
    ids = [gone_id, stays.id, other.id]
    matches = [Match(first, second, 0.01, 0) for first, second in ((0, 1), (1, 2))]
    duplicates.record(session, pile.id, ids, matches, ids, utc_now())
    assert [(pair.first_id, pair.second_id) for pair in duplicates.pairs_of(session, pile.id)] == [(ids[1], ids[2])]
    assert decisions.apply_rules(session, ids).left_to_people == 0
    assert propose_facts(session, ids) == 2


def test_copies_of_a_removed_photo_are_no_copies_any_more(session: Session, storage: Storage, owner: Person) -> None:
    pile = cast.catalog(session)
    best, kept, open_one, other = (cast.image(session, pile, caption="A red kettle.") for _ in range(4))
    decisions.decide(session, kept, owner, "kept")
    group_id = cast.alike(session, pile, [best, kept, open_one])
    rulings.rule(session, group_id, owner, "linked")
    assert photos.consequences(session, best).stays == ("2 copies linked to it, no longer left out as such",)
    photos.remove(session, storage, best.id, owner, "")
    said = {
        row.image_id: row.verdict for row in session.scalars(select(Decision).where(Decision.superseded_at.is_(None)))
    }
    assert said[kept.id] == "kept" and "copy of another" not in session.scalars(
        select(Decision.reason).where(Decision.superseded_at.is_(None))
    ).all()  # fmt: skip
    assert [photo.is_linked for photo in (kept, open_one, other)] == [False] * 3
    group = session.get_one(DuplicateGroup, group_id)
    assert (group.size, group.best_id, rulings.current(session, group_id)) == (2, kept.id, None)
    assert [photo.copy_count for photo in (kept, open_one, other)] == [1, 1, 0]
    assert session.scalars(select(Job.kind).where(Job.kind == "photos.group")).all() == ["photos.group"]
    photos.remove(session, storage, kept.id, owner, "")
    assert session.get(DuplicateGroup, group_id) is None
    assert (open_one.copies, open_one.copy_count) == ("none", 0)


def test_what_was_said_of_a_group_goes_on_without_one_of_its_photos(
    session: Session, storage: Storage, owner: Person
) -> None:
    pile = cast.catalog(session)
    for kind, gone in (("linked", 2), ("apart", 0), ("kept", 0)):
        some = [cast.image(session, pile, caption="A red kettle.") for _ in range(3)]
        group_id = cast.alike(session, pile, some)
        rulings.rule(session, group_id, owner, kind)  # type: ignore[arg-type]
        photos.remove(session, storage, some[gone].id, owner, "")
        still = rulings.current(session, group_id)
        assert still is not None and still.kind == kind
        assert session.get_one(DuplicateGroup, group_id).size == 2
        assert some[1].is_linked == (kind == "linked")
        session.delete(session.get_one(DuplicateGroup, group_id))
        session.flush()


def test_a_photo_that_came_back_and_is_held_again_is_removed_again(
    session: Session, storage: Storage, owner: Person
) -> None:
    pile, hidden_in = cast.catalog(session), set[int]()
    sha256 = hashlib.sha256(b"photo").hexdigest()
    for _ in range(3):
        photo = kept_with_files(session, storage, pile)
        photo.sha256 = sha256
        storage.put("originals", b"photo", ".jpg")
        photo.render_path = storage.path("originals", sha256, ".jpg").relative_to(storage.root).as_posix()
        session.flush()
        version = datasets.frozen(session, storage, pile)
        assert version.train_count + version.validation_count == 1
        assert photos.remove(session, storage, photo.id, owner, "asked for").kept == 1
        hidden_in.add(reading.photo(session, photo.id).catalog_id)
        ((row, _),) = photos.removed(session)
        photos.allow_again(session, row.id, owner)
    assert len(hidden_in) == 3 and all(reading.is_removed(session, number) for number in hidden_in)


def test_files_that_another_photo_has_stay_and_young_ones_wait(session: Session, storage: Storage) -> None:
    pile = cast.catalog(session)
    shared = kept_with_files(session, storage, pile)
    names = files.of(storage, shared)
    assert files.unneeded(session, names) == []
    file = storage.root / "files" / "thumbs" / "ab" / "abc.webp"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"picture")
    name = file.relative_to(storage.root).as_posix()
    assert files.unneeded(session, [name]) == [name]
    assert files.delete(storage, [name]) == [name], "too young to be sure"
    old = time.time() - files.SETTLED_AFTER_S - 1
    os.utime(file, (old, old))
    assert files.delete(storage, [name, "files/thumbs/ab/none.webp"]) == []
    assert not file.exists()


def test_the_same_bytes_as_original_and_as_view_are_two_files(session: Session, storage: Storage) -> None:
    """Somebody takes in what the app showed of another photo."""
    names = [f"files/{kind}/aa/{'a' * 64}.jpg" for kind in ("originals", "views")]
    assert files.unneeded(session, names) == names
    cast.image(session, cast.catalog(session)).view_sha256 = "a" * 64
    session.flush()
    assert files.unneeded(session, names) == []


def test_putting_bytes_again_makes_their_file_young(storage: Storage) -> None:
    sha256 = storage.put("thumbs", b"picture", ".webp")
    file = storage.path("thumbs", sha256, ".webp")
    os.utime(file, (1, 1))
    storage.put("thumbs", b"picture", ".webp")
    assert file.stat().st_mtime > 1


def test_the_cache_is_emptied_unless_a_run_reads_it(session: Session, storage: Storage, owner: Person) -> None:
    (storage.cache_folder / "ab").mkdir(parents=True)
    (storage.cache_folder / "ab" / "latent").write_bytes(b"1234")
    assert caches.size_bytes(storage.cache_folder) == 4
    running = jobs.request(session, "run.train", {"run_id": 1})
    jobs.claim(session, running.id, "here")
    with pytest.raises(Refused, match="may be reading it"):
        caches.empty(session, storage, owner)
    jobs.cancel(session, running.id)
    running.state = "cancelled"
    session.flush()
    caches.empty(session, storage, owner)
    assert not (storage.cache_folder / "ab").exists()


class TestWithWorkers:
    """Whole ways, committed: taken in, removed, taken in again."""

    @pytest.fixture(autouse=True)
    def _clean_tables(self, emptied: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(celery_app.broker, "send_due", lambda *_: 0)
        monkeypatch.setattr(files, "SETTLED_AFTER_S", 0.0)

    def take_in(self, engine: Engine, settings: Settings, catalog_id: int, folder: Path, owner_id: int) -> None:
        with transaction(engine) as session:
            pile, owner = session.get_one(Catalog, catalog_id), session.get_one(Person, owner_id)
            job_id = ingest.request_intake(session, pile, folder, owner).job_id
        assert job_id is not None
        celery_app.do(job_id, cpu.take_in, settings)

    def do_all(self, engine: Engine, settings: Settings, kind: str, body: celery_app.Body) -> None:
        with transaction(engine) as session:
            ids = session.scalars(select(Job.id).where(Job.kind == kind, Job.state == "queued").order_by(Job.id)).all()
        for job_id in ids:
            celery_app.do(job_id, body, settings)

    def test_young_files_hold_no_worker_and_are_deleted_later(
        self, engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files, "SETTLED_AFTER_S", 60.0)
        place = settings.data_dir / "files" / "thumbs" / "ab" / "abc.webp"
        place.parent.mkdir(parents=True)
        place.write_bytes(b"picture")
        with transaction(engine) as session:
            asked = files.request_deletion(session, ["files/thumbs/ab/abc.webp"], None)
            assert asked is not None
            job_id = asked.id
        celery_app.do(job_id, cpu.delete_files, settings)
        with transaction(engine) as session:
            job = jobs.get(session, job_id)
            assert (job.state, job.attempts, job.sent_at is None, place.exists()) == ("queued", 0, False, True)
        monkeypatch.setattr(files, "SETTLED_AFTER_S", 0.0)
        celery_app.do(job_id, cpu.delete_files, settings)
        assert not place.exists()

    def test_a_removed_photo_is_not_taken_in_again_until_an_owner_allows_it(
        self, engine: Engine, settings: Settings, tmp_path: Path
    ) -> None:
        folder, storage = tmp_path / "photos", Storage(settings.data_dir)
        folder.mkdir()
        for number, colour in enumerate(("red", "blue")):
            Pillow.new("RGB", (64, 64), colour).save(folder / f"{number}.png")
        with transaction(engine) as session:
            pile, owner = cast.catalog(session), cast.person(session, role="owner")
            catalog_id, owner_id = pile.id, owner.id
        self.take_in(engine, settings, catalog_id, folder, owner_id)
        with transaction(engine) as session:
            image = session.scalars(select(Image).where(Image.file_name == "0.png")).one()
            before = [storage.root / file for file in files.of(storage, image)]
            assert all(file.is_file() for file in before)
            photos.remove(session, storage, image.id, session.get_one(Person, owner_id), "Taken down.")
        self.do_all(engine, settings, files.KIND, cpu.delete_files)
        assert not any(file.exists() for file in before)
        self.take_in(engine, settings, catalog_id, folder, owner_id)
        with transaction(engine) as session:
            assert session.scalar(select(func.count()).where(Image.file_name == "0.png")) == 0
            refused = session.scalars(select(SourceFile).where(SourceFile.file_name == "0.png")).one()
            assert refused.outcome == "refused"
            assert "removed this photo" in (refused.reason or "")
            assert "Taken down." in (refused.reason or "")
            ((row, _),) = photos.removed(session)
            photos.allow_again(session, row.id, session.get_one(Person, owner_id))
        self.take_in(engine, settings, catalog_id, folder, owner_id)
        with transaction(engine) as session:
            assert session.scalar(select(func.count()).where(Image.file_name == "0.png")) == 1

    def test_a_catalog_goes_but_for_what_a_run_learned_from(self, engine: Engine, settings: Settings) -> None:
        with transaction(engine) as session:
            run = one_run(session)
            version = session.get_one(DatasetVersion, run.version_id)
            pile = session.get_one(Catalog, version.catalog_id)
            catalog_id, members = pile.id, version.train_count + version.validation_count
            extra = [cast.image(session, pile, caption="Another.").id for _ in range(3)]
            owner = cast.person(session, role="owner")
            told = catalogs.consequences(session, pile)
            assert told.goes[0] == "3 photos with their files"
            assert told.stays[0] == f"version {version.number}, which 1 run uses"
            catalogs.remove(session, catalog_id, owner)
            with pytest.raises(NotFound, match="was removed"):
                reading.get(session, catalog_id)
        self.do_all(engine, settings, catalogs.KIND, cpu.remove_catalog)
        with transaction(engine) as session:
            left = session.scalars(select(Image.id).where(Image.catalog_id == catalog_id)).all()
            assert len(left) == members
            assert not set(left) & set(extra)
            assert session.get(DatasetVersion, run.version_id) is not None

    def test_a_catalog_without_versions_is_gone_altogether(self, engine: Engine, settings: Settings) -> None:
        with transaction(engine) as session:
            pile, owner = cast.catalog(session), cast.person(session, role="owner")
            for _ in range(5):
                cast.image(session, pile, caption="A red kettle.")
            catalog_id = pile.id
            catalogs.remove(session, catalog_id, owner)
        self.do_all(engine, settings, catalogs.KIND, cpu.remove_catalog)
        with transaction(engine) as session:
            assert session.get(Catalog, catalog_id) is None
            assert session.scalar(select(func.count()).select_from(Image)) == 0

    def test_with_a_catalog_goes_what_was_kept_of_refused_files(
        self, engine: Engine, settings: Settings, tmp_path: Path
    ) -> None:
        storage = Storage(settings.data_dir)
        with transaction(engine) as session:
            catalog_id, owner = cast.catalog(session).id, cast.person(session, role="owner")
            owner_id, place = owner.id, storage.root / uploads.FOLDER / uploads.begin(session, storage, owner)
        Pillow.new("RGB", (64, 64), "red").save(place / "whole.png")
        Pillow.effect_noise((400, 400), 90).save(place / "cut.jpg")
        (place / "cut.jpg").write_bytes((place / "cut.jpg").read_bytes()[:-900])
        self.take_in(engine, settings, catalog_id, place, owner_id)
        with transaction(engine) as session:
            seen = session.scalars(select(SourceFile.thumb_sha256).where(SourceFile.outcome == "refused")).one()
            assert seen is not None
            left = [storage.root / files.thumb(storage, seen), place / "cut.jpg"]
            assert all(file.is_file() for file in left)
            assert files.unneeded(session, [files.thumb(storage, seen)]) == []
            session.execute(update(Job).values(state="done"))
            catalogs.remove(session, catalog_id, session.get_one(Person, owner_id))
        self.do_all(engine, settings, catalogs.KIND, cpu.remove_catalog)
        self.do_all(engine, settings, files.KIND, cpu.delete_files)
        assert not any(file.exists() for file in left)

    def test_nothing_is_removed_from_a_catalog_that_is_worked_on(self, engine: Engine) -> None:
        with transaction(engine) as session:
            pile, owner = cast.catalog(session), cast.person(session, role="owner")
            jobs.request(session, "signals.measure", {"catalog_id": pile.id, "image_ids": None})
            with pytest.raises(Refused, match="being measured"):
                catalogs.remove(session, pile.id, owner)
            other = cast.catalog(session)
            intake_id = cast.image(session, other).intake_id
            jobs.request(session, quarantine.RETRY, {"intake_id": intake_id, "reason": None, "file_id": None})
            with pytest.raises(Refused, match="being taken in"):
                catalogs.remove(session, other.id, owner)


def test_an_owner_is_told_what_hangs_on_a_photo_before_it_goes(
    client: TestClient, session: Session, me: Person
) -> None:
    me.role = "owner"
    photo = cast.image(session, cast.catalog(session), caption="A red kettle.")
    page = client.get(f"/images/{photo.id}/removal")
    assert "Goes for good" in page.text
    assert "1 caption<" in page.text
    answer = client.post(f"/images/{photo.id}/removal", data={"reason": "asked for"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/catalogs/{photo.catalog_id}")
    assert "asked for" in client.get("/storage").text
