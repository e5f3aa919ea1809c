"""The job that writes an export: interrupted, cancelled, without room, with photos that are not what they were."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, select

from app import jobs
from app.catalog.tables import Image
from app.database import transaction
from app.datasets.tables import DatasetVersion, Member
from app.exports import asking, shards, writing
from app.exports.kohya import Kohya
from app.exports.members import gather
from app.exports.shards import ExportPhoto, Listener, Wish
from app.exports.tables import Export
from app.exports.webdataset import WebDataset
from app.jobs import Job
from app.people import Person
from app.removal import photos
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.exports.cast import digest, file_of, version
from workers import celery_app, cpu

pytestmark = pytest.mark.usefixtures("emptied")
PHOTOS = 12


@pytest.fixture
def files(settings: Settings) -> Storage:
    return Storage(settings.data_dir)


@pytest.fixture
def frozen(engine: Engine, files: Storage, monkeypatch: pytest.MonkeyPatch) -> DatasetVersion:
    """A version of a dozen photos, three or four of which make a shard."""
    monkeypatch.setattr(WebDataset, "SHARD_PHOTOS", 4)
    with transaction(engine) as session:
        return version(session, files, PHOTOS)


def asked(engine: Engine, frozen: DatasetVersion, wish: Wish | None = None, name: str = "webdataset") -> Export:
    with transaction(engine) as session:
        return asking.request_export(session, frozen.id, name, cast.person(session, role="owner"), wish)


def do(engine: Engine, settings: Settings, export: Export) -> tuple[Job, Export]:
    """The job done by a worker; the job and the export as they then are."""
    celery_app.do(export.job_id, cpu.export, settings)
    with transaction(engine) as session:
        return jobs.get(session, export.job_id), session.get_one(Export, export.id)


def undisturbed(engine: Engine, files: Storage, frozen: DatasetVersion, folder: Path, name: str) -> str:
    """What the export's bytes are where nothing goes wrong."""
    with transaction(engine) as session:
        outgoing = gather(session, files, frozen.id)
    writing.write(folder, outgoing, name, Wish())
    return digest(folder)


@pytest.mark.parametrize("name", ["webdataset", "imagefolder", "parquet", "mds", "kohya"])
def test_an_export_is_whole_and_the_same_bytes_each_time(
    name: str, engine: Engine, settings: Settings, files: Storage, frozen: DatasetVersion, tmp_path: Path
) -> None:
    job, export = do(engine, settings, asked(engine, frozen, name=name))
    assert (job.state, job.done, job.total) == ("done", PHOTOS, PHOTOS), job.failure
    folder = asking.folder_of(files, export.id)
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert (export.photos, export.files) == (PHOTOS, len(written))
    assert export.size_bytes == sum(path.stat().st_size for path in written)
    assert digest(folder) == undisturbed(engine, files, frozen, tmp_path / "again", name)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name], "nothing is left beside it"
    card = (folder / "README.md").read_text("utf-8")
    assert "Autumn \\<b\\>& Co\\</b\\>, version 1" in card
    assert frozen.content_hash and frozen.content_hash in card
    assert "| CC0 | 12 |" in card and "| people | 3 |" in card
    assert "Ana Lund" in card and "| `labels` |" in card


def test_an_interrupted_export_goes_on_behind_its_last_whole_shard(
    engine: Engine,
    settings: Settings,
    files: Storage,
    frozen: DatasetVersion,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    export = asked(engine, frozen)
    write = WebDataset.write

    def end_half_way(self: WebDataset, path: Path, photos: Iterator[ExportPhoto]) -> None:
        if "00001" in path.name:
            path.write_bytes(next(photos).data)
            raise MemoryError
        write(self, path, photos)

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(WebDataset, "write", end_half_way)
        celery_app.do(export.job_id, cpu.export, settings)
    part = files.exports_folder / f".{export.id}.part" / "files"
    first = (part / "train-00000.tar").stat()
    with transaction(engine) as session:
        jobs.get(session, export.job_id).state = "queued"
    job, export = do(engine, settings, export)
    assert job.state == "done"
    folder = asking.folder_of(files, export.id)
    assert (folder / "train-00000.tar").stat().st_mtime_ns == first.st_mtime_ns
    assert digest(folder) == undisturbed(engine, files, frozen, tmp_path / "again", "webdataset")


def test_what_was_begun_under_another_name_or_with_a_removed_photo_is_written_anew(
    engine: Engine, files: Storage, frozen: DatasetVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removed catalog has another name, and its photos stay in versions that runs use."""
    monkeypatch.setattr(Kohya, "SHARD_PHOTOS", 4)
    with transaction(engine) as session:
        outgoing = gather(session, files, frozen.id)

    def stop(count: int) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        writing.write(tmp_path / "a", outgoing, "kohya", Wish(), Listener(stop))
    other = replace(outgoing, name="Removed")
    writing.write(tmp_path / "a", other, "kohya", Wish())
    writing.write(tmp_path / "b", other, "kohya", Wish())
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    fewer = replace(other, members=other.members[1:], removed=1)
    assert writing.write(tmp_path / "a", fewer, "kohya", Wish()).photos == PHOTOS - 1
    assert not list((tmp_path / "a").rglob(f"{other.members[0].key}.*"))


def test_a_stopped_export_leaves_nothing(
    engine: Engine, settings: Settings, files: Storage, frozen: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = asked(engine, frozen)
    write = WebDataset.write

    def write_and_stop(self: WebDataset, path: Path, photos: Iterator[ExportPhoto]) -> None:
        write(self, path, photos)
        with transaction(engine) as session:
            jobs.cancel(session, export.job_id)

    monkeypatch.setattr(WebDataset, "write", write_and_stop)
    job, export = do(engine, settings, export)
    assert (job.state, export.finished_at) == ("cancelled", None)
    assert list(files.exports_folder.iterdir()) == []


def test_what_a_stopped_export_left_while_it_waited_goes_with_the_next_one(
    engine: Engine, settings: Settings, files: Storage, frozen: DatasetVersion
) -> None:
    stopped = asked(engine, frozen)
    part = files.exports_folder / f".{stopped.id}.part"
    part.mkdir(parents=True)
    with transaction(engine) as session:
        jobs.cancel(session, stopped.job_id)
    do(engine, settings, asked(engine, frozen))
    assert not part.exists()


@pytest.mark.parametrize("fault", [shards.MISSING, shards.CHANGED])
def test_a_photo_that_is_not_there_any_more_is_named(
    fault: str, engine: Engine, settings: Settings, files: Storage, frozen: DatasetVersion
) -> None:
    with transaction(engine) as session:
        photo = session.scalars(select(Image).join(Member, Member.image_id == Image.id).order_by(Image.id)).all()[5]
    file = file_of(files, photo)
    file.unlink() if fault == shards.MISSING else file.write_bytes(b"rotten")
    job, _ = do(engine, settings, asked(engine, frozen))
    assert (job.state, job.failure_kind) == ("failed", "refused")
    assert f"1 picture file cannot be exported: kettle.v5.webp is {fault}." in (job.failure or "")
    job, export = do(engine, settings, asked(engine, frozen, Wish(leaves_out=True)))
    assert (job.state, export.photos) == ("done", PHOTOS - 1), job.failure
    assert export.left_out == [f"kettle.v5.webp is {fault}"]
    assert "kettle.v5.webp is" in (asking.folder_of(files, export.id) / "README.md").read_text("utf-8")


def test_a_full_disk_is_said_in_a_sentence_and_loses_nothing(
    engine: Engine, settings: Settings, files: Storage, frozen: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = asked(engine, frozen)
    write = WebDataset.write

    def find_it_full(self: WebDataset, path: Path, photos: Iterator[ExportPhoto]) -> None:
        if "00001" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, path, photos)

    with monkeypatch.context() as patch:
        patch.setattr(WebDataset, "write", find_it_full)
        job, export = do(engine, settings, export)
    assert job.state == "failed"
    assert "is full" in (job.failure or "")
    with transaction(engine) as session:
        owner = session.get_one(Person, job.requested_by_id)
        export = asking.request_again(session, files, export.id, owner)
    job, export = do(engine, settings, export)
    assert (job.state, export.photos) == ("done", PHOTOS)


def test_a_photo_that_an_owner_removed_does_not_go_out(
    engine: Engine, settings: Settings, files: Storage, frozen: DatasetVersion
) -> None:
    with transaction(engine) as session:
        photo = session.scalars(select(Image).join(Member, Member.image_id == Image.id).order_by(Image.id)).all()[3]
        image_id = photo.id
        photos.remove(session, files, image_id, cast.person(session, role="owner"), "takedown")
    job, export = do(engine, settings, asked(engine, frozen, name="imagefolder"))
    assert (job.state, export.photos) == ("done", PHOTOS - 1)
    assert not list(asking.folder_of(files, export.id).rglob(f"{image_id:09d}.*"))


def test_two_people_who_ask_for_the_same_get_one_export_and_others_get_their_own(
    engine: Engine, settings: Settings, frozen: DatasetVersion
) -> None:
    one, same, other = asked(engine, frozen), asked(engine, frozen), asked(engine, frozen, name="kohya")
    assert one.id == same.id != other.id
    assert [do(engine, settings, export)[0].state for export in (other, one)] == ["done", "done"]


def test_an_export_that_is_deleted_with_its_catalog_while_it_is_written_leaves_nothing(
    engine: Engine, settings: Settings, files: Storage, frozen: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = asked(engine, frozen)
    write = WebDataset.write

    def write_and_lose_it(self: WebDataset, path: Path, photos: Iterator[ExportPhoto]) -> None:
        write(self, path, photos)
        with transaction(engine) as session:
            session.execute(delete(Export))

    monkeypatch.setattr(WebDataset, "write", write_and_lose_it)
    celery_app.do(export.job_id, cpu.export, settings)
    with transaction(engine) as session:
        job = jobs.get(session, export.job_id)
    assert (job.state, job.failure) == ("failed", "This export was deleted, or its version was.")
    assert list(files.exports_folder.iterdir()) == []
