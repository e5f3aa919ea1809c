"""Taking in a folder: every file ends as an image, a second name of one, or a refusal, however often it is done."""

from __future__ import annotations

import errno
import os
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from app import storage as storage_module
from app.catalog.files import file_of
from app.catalog.tables import Catalog, Image, Intake, SourceFile
from app.database import transaction
from app.errors import Refused
from app.intake import ingest, planning, taking
from app.intake.sources import entry
from app.jobs import Job
from app.storage import Storage
from tests import cast
from tests.intake.conftest import encoded, picture, png_of_claimed_size

Begin = Callable[[], AbstractContextManager[Session]]


class Told:
    """Remembers how far the work was told to be, and stops it at the call it was asked to; signs of life aside."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self._stop_at = stop_at

    def __call__(self, **facts: Any) -> None:
        if facts:
            self.calls.append(facts)
        if self._stop_at is not None and len(self.calls) > self._stop_at:
            raise KeyboardInterrupt


def add(folder: Path, *names: str) -> None:
    """A different picture under each name."""
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(picture(zlib.crc32(name.encode()))))


def ask(session: Session, pile: Catalog, folder: Path) -> Intake:
    return ingest.request_intake(session, pile, folder, cast.person(session))


def take_in(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path, tell: Told | None = None
) -> tuple[Intake, dict[str, Any]]:
    asked = ask(session, pile, folder)
    result = taking.take_in(begin, tell or Told(), storage, asked.id, max_megapixels=50)
    session.expire_all()
    return asked, result


def outcomes(session: Session) -> dict[str, tuple[str, str | None]]:
    session.expire_all()
    return {one.file_name: (one.outcome, one.reason) for one in session.scalars(select(SourceFile))}


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session)


def test_asking_writes_an_intake_and_its_job(session: Session, pile: Catalog, folder: Path) -> None:
    add(folder, "a.jpg")
    asked = ask(session, pile, folder)
    job = session.get_one(Job, asked.job_id)
    assert (job.kind, job.arguments) == ("intake.take_in", {"intake_id": asked.id})
    assert asked.folder == str(folder)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("photos", "photos is not a full path; start it with /."),
        ("/no/such/place", "There is no folder /no/such/place on this machine."),
        ("/" + "a" * 5000, f"There is no folder /{'a' * 5000} on this machine."),
    ],
)
def test_a_folder_that_is_not_there_is_refused_at_once(
    session: Session, pile: Catalog, place: str, expected: str
) -> None:
    with pytest.raises(Refused) as refusal:
        ask(session, pile, Path(place))
    assert refusal.value.sentence == expected


def test_a_folder_without_pictures_is_refused_at_once(session: Session, pile: Catalog, folder: Path) -> None:
    (folder / "notes.txt").write_text("nothing here")
    with pytest.raises(Refused, match="There are no pictures in"):
        ask(session, pile, folder)


def test_pictures_become_images_with_their_files(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path
) -> None:
    original = encoded(picture(1, (300, 200)), exif=b"")
    (folder / "t-shirt").mkdir()
    (folder / "t-shirt" / "a.jpg").write_bytes(original)
    asked, result = take_in(session, begin, storage, pile, folder)
    image = session.scalars(select(Image)).one()
    assert (image.file_name, image.format, image.width_px, image.height_px) == ("t-shirt/a.jpg", "JPEG", 300, 200)
    assert (image.title, image.category, image.product) == (None, "t-shirt", None)
    assert image.size_bytes == len(original)
    path, content_type = file_of(storage, image, "original")
    assert (path.read_bytes(), content_type) == (original, "image/jpeg")
    assert storage.root / image.render_path == path
    assert file_of(storage, image, "thumb")[0].is_file() and file_of(storage, image, "view")[0].is_file()
    assert (asked.accepted, asked.already_there, asked.refused) == (1, 0, 0)
    assert result["accepted"] == 1
    assert outcomes(session) == {"t-shirt/a.jpg": ("accepted", None)}


def test_a_photo_whose_files_were_lost_gets_all_of_them_back(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path
) -> None:
    """Also where another version of Packshot made its view and its thumbnail, as other bytes."""
    (folder / "a.jpg").write_bytes(encoded(picture(1, (300, 200))))
    take_in(session, begin, storage, pile, folder)
    photo = session.scalars(select(Image)).one()
    shapes: tuple[Literal["thumb", "view", "original"], ...] = ("thumb", "view", "original")
    assert photo.made_bytes == sum(file_of(storage, photo, shape)[0].stat().st_size for shape in shapes[:2])
    photo.view_sha256, photo.thumb_sha256 = "a" * 64, "b" * 64
    session.flush()
    again, _ = take_in(session, begin, storage, pile, folder)
    session.expire_all()
    assert (again.accepted, again.already_there) == (0, 1)
    assert all(file_of(storage, photo, shape)[0].is_file() for shape in shapes)


def test_a_picture_that_needs_it_gets_a_render_that_looks_right(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path
) -> None:
    (folder / "cut_out.png").write_bytes(encoded(picture(mode="RGBA"), "PNG"))
    (folder / "print.jpg").write_bytes(encoded(picture(mode="CMYK")))
    take_in(session, begin, storage, pile, folder)
    noted = {image.file_name: image.notes for image in session.scalars(select(Image))}
    assert noted == {"cut_out.png": [], "print.jpg": ["cmyk-without-profile"]}
    for row in session.scalars(select(Image)):
        assert row.render_path.startswith("files/renders/")
        files = [storage.root / row.render_path, *(file_of(storage, row, shape)[0] for shape in ("thumb", "view"))]
        assert row.made_bytes == sum(path.stat().st_size for path in files), "a quota counts them"


def test_metadata_describes_pictures_and_rows_without_one_are_told(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path
) -> None:
    add(folder, "shoes/a.jpg", "b.jpg")
    (folder / "metadata.csv").write_text(
        "file_name,title,category,product,season\nshoes/a.jpg,Brown shoe,,s-1,autumn\ngone.jpg,Ghost,,,\n", "utf-8"
    )
    told = Told()
    _, result = take_in(session, begin, storage, pile, folder, told)
    found = {image.file_name: image for image in session.scalars(select(Image))}
    assert found.keys() == {"shoes/a.jpg", "b.jpg"}
    shoe = found["shoes/a.jpg"]
    assert (shoe.title, shoe.category, shoe.product, shoe.extra) == ("Brown shoe", "shoes", "s-1", {"season": "autumn"})
    assert found["b.jpg"].title is None and found["b.jpg"].category is None
    assert (result["metadata_rows"], result["metadata_rows_without_picture"]) == (2, 1)
    assert told.calls[0] == {"done": 0, "total": 2, "note": "1 row of the metadata file names no picture here"}


def test_a_broken_metadata_file_stops_everything_before_it_starts(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path
) -> None:
    add(folder, "a.jpg")
    (folder / "metadata.csv").write_text("file_name,title\na.jpg,Mug, red\n")
    with pytest.raises(Refused, match="line 2"):
        take_in(session, begin, storage, pile, folder)
    assert session.scalar(select(func.count()).select_from(Image)) == 0
    assert outcomes(session) == {}
    assert not (storage.root / "files").exists()


def test_bad_files_are_refused_with_a_reason_and_never_stop_the_rest(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path, tmp_path: Path
) -> None:
    add(folder, "good.jpg", "zz.jpg")
    (folder / "cut.jpg").write_bytes(encoded(picture(2, (400, 300)))[:3000])
    (folder / "empty.png").write_bytes(b"")
    (folder / "huge.gif").write_bytes(png_of_claimed_size(65_000, 65_000))
    (folder / "words.jpg").write_text("this is no picture")
    (tmp_path / "secret.jpg").write_bytes(encoded(picture(3)))
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "notes.txt").write_text("left alone")
    (folder / "line\nbreak.png").write_bytes(b"\x89PNG broken")
    asked, result = take_in(session, begin, storage, pile, folder)
    found = outcomes(session)
    assert {name for name, (outcome, _) in found.items() if outcome == "accepted"} == {"good.jpg", "zz.jpg"}
    reasons = {name: reason for name, (outcome, reason) in found.items() if outcome == "refused"}
    assert reasons == {
        "cut.jpg": "The file is cut off before its end, so its picture cannot be read.",
        "empty.png": "The file is empty.",
        "huge.gif": "The picture has 65,000 × 65,000 pixels; 50 megapixels are the limit.",
        "words.jpg": "The file is no picture that can be read: JPEG, PNG, WebP, AVIF, HEIC, JPEG XL, TIFF, BMP or GIF.",
        "link.jpg": "A link that leaves the folder; such links are not followed.",
        "line\ufffdbreak.png": "The file is damaged, so its picture cannot be read.",
    }
    assert (asked.accepted, asked.already_there, asked.refused) == (2, 0, 6)
    assert result["other_files"] == 1
    assert [file.file_name for file in cast.refused(session, asked)][1:3] == ["empty.png", "huge.gif"]


def test_the_same_bytes_under_two_names_are_one_image(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path
) -> None:
    for name in ("b.jpg", "a.jpg", "sub/c.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(encoded(picture(4)))
    asked, _ = take_in(session, begin, storage, pile, folder)
    assert session.scalars(select(Image)).one().file_name == "a.jpg"
    assert {name: outcome for name, (outcome, _) in outcomes(session).items()} == {
        "a.jpg": "accepted", "b.jpg": "same_bytes", "sub/c.png": "same_bytes",
    }  # fmt: skip
    assert (asked.accepted, asked.already_there) == (1, 2)


def test_taking_in_twice_adds_nothing(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(folder, "a.jpg", "b.jpg")
    (folder / "broken.jpg").write_bytes(b"broken")
    take_in(session, begin, storage, pile, folder)
    before = outcomes(session)
    decoded: list[int] = []
    real = taking.read_picture
    monkeypatch.setattr(taking, "read_picture", lambda data, *how: decoded.append(len(data)) or real(data, *how))
    again, _ = take_in(session, begin, storage, pile, folder)
    assert (again.accepted, again.already_there, again.refused) == (0, 2, 1)
    assert outcomes(session) == before
    assert decoded == [len(b"broken")]
    assert [file.file_name for file in cast.refused(session, again)] == ["broken.jpg"]


def test_a_second_catalog_has_its_own_images_and_shares_the_files(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path
) -> None:
    add(folder, "a.jpg")
    take_in(session, begin, storage, pile, folder)
    take_in(session, begin, storage, cast.catalog(session), folder)
    assert len(session.scalars(select(Image)).all()) == 2
    assert len([path for path in (storage.root / "files" / "originals").rglob("*") if path.is_file()]) == 1


def test_later_metadata_fills_in_and_corrects(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path
) -> None:
    add(folder, "mugs/a.jpg")
    take_in(session, begin, storage, pile, folder)
    (folder / "metadata.csv").write_text("file_name,title,category\nmugs/a.jpg,Red mug,Drinkware\n")
    take_in(session, begin, storage, pile, folder)
    image = session.scalars(select(Image)).one()
    assert (image.title, image.category) == ("Red mug", "Drinkware")


@pytest.mark.parametrize("stop_at", [1, 2])
def test_an_intake_that_was_stopped_goes_on_where_it_was(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch,
    stop_at: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(taking, "BATCH", 2)
    add(folder, *(f"{number}.jpg" for number in range(5)))
    (folder / "9.jpg").write_bytes(b"broken")
    asked = ask(session, pile, folder)
    with pytest.raises(KeyboardInterrupt):
        taking.take_in(begin, Told(stop_at), storage, asked.id, max_megapixels=50)
    assert session.scalar(select(func.count()).select_from(Image)) == 2 * stop_at
    assert asked.accepted == 2 * stop_at
    taking.take_in(begin, Told(), storage, asked.id, max_megapixels=50)
    session.expire_all()
    assert (asked.accepted, asked.already_there, asked.refused) == (5, 0, 1)
    assert len(outcomes(session)) == 6


def test_counts_never_shrink_while_an_intake_is_done_again(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "BATCH", 2)
    add(folder, "0.jpg")
    take_in(session, begin, storage, pile, folder)
    add(folder, *(f"{number}.jpg" for number in range(2, 6)))
    (folder / "1.jpg").write_bytes(b"broken")
    asked = ask(session, pile, folder)
    counts: list[tuple[int, int, int]] = []
    for stop_at in (2, 1, 9):  # after four files, then after the last two, then not at all
        with suppress(KeyboardInterrupt):
            taking.take_in(begin, Told(stop_at), storage, asked.id, max_megapixels=50)
        session.expire_all()
        counts.append((asked.accepted, asked.already_there, asked.refused))
    assert counts == [(2, 1, 1), (4, 1, 1), (4, 1, 1)]
    kept = {name: outcome for name, (outcome, _) in outcomes(session).items()}
    assert kept == {f"{number}.jpg": "refused" if number == 1 else "accepted" for number in range(6)}


def test_refused_files_that_a_later_intake_met_are_counted(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path
) -> None:
    add(folder, "a.jpg")
    (folder / "broken.jpg").write_bytes(b"broken")
    first, _ = take_in(session, begin, storage, pile, folder)
    assert ingest.met_again(session, first) == 0
    second, _ = take_in(session, begin, storage, pile, folder)
    assert (ingest.met_again(session, first), ingest.met_again(session, second)) == (1, 0)
    assert (first.refused, cast.refused(session, first)) == (1, [])


def test_progress_is_told_after_each_batch(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "BATCH", 2)
    add(folder, "a.jpg", "b.jpg", "c.jpg")
    told = Told()
    take_in(session, begin, storage, pile, folder, told)
    assert [call["done"] for call in told.calls] == [0, 2, 3]


def test_signals_are_asked_for_at_the_end(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path
) -> None:
    add(folder, "a.jpg")
    take_in(session, begin, storage, pile, folder)
    (asked,) = session.scalars(select(Job).where(Job.kind == "signals.measure"))
    assert asked.arguments == {"catalog_id": pile.id, "image_ids": None}


def test_a_file_that_vanishes_meanwhile_is_refused(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path
) -> None:
    add(folder, "gone.jpg", "stays.jpg")
    asked = ask(session, pile, folder)
    listed = planning.plan(begin, Told(), asked.id)
    (folder / "gone.jpg").unlink()
    share = taking.Share(asked.id, listed.ids[0], listed.ids[-1])
    assert taking.take_share(begin, Told(), storage, share, 50) == 2
    gone = ("refused", "The file vanished while the folder was taken in.")
    assert outcomes(session) == {"gone.jpg": gone, "stays.jpg": ("accepted", None)}


def test_a_file_that_may_not_be_read_is_refused(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(folder, "a.jpg")
    real = os.open

    def closed(path: Any, *arguments: Any, **named: Any) -> int:
        if str(path).endswith("a.jpg"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "open", closed)
    take_in(session, begin, storage, pile, folder)
    assert outcomes(session)["a.jpg"] == ("refused", "The file cannot be read: permission denied.")


def test_a_file_too_large_to_be_a_photo_is_refused(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path
) -> None:
    with (folder / "a.tif").open("wb") as file:
        file.truncate(entry.MAX_FILE_BYTES + 1024**2)
    take_in(session, begin, storage, pile, folder)
    assert outcomes(session)["a.tif"] == ("refused", "The file has 513 MB; 512 MB are the limit.")


def test_a_full_disk_stops_with_a_sentence_and_keeps_what_was_taken_in(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "BATCH", 1)
    add(folder, "a.jpg", "b.jpg", "c.jpg")
    asked: list[int] = []

    def filling(self: Storage, wanted_bytes: int = 0) -> None:
        asked.append(wanted_bytes)
        if len(asked) == 5:  # the second photo's thumbnail
            raise Refused("The disk with /data is full. Nothing was lost; free some space and go on.")

    monkeypatch.setattr(Storage, "refuse_below_reserve", filling)
    monkeypatch.setattr(storage_module, "_ASKED_AHEAD_BYTES", 0)
    with pytest.raises(Refused, match="full"):
        take_in(session, begin, storage, pile, folder)
    assert [image.file_name for image in session.scalars(select(Image))] == ["a.jpg"]
    assert len(list((storage.root / "files").rglob("*.*"))) == 3, "nothing of the second photo"
    again, _ = take_in(session, begin, storage, pile, folder)
    assert (again.accepted, again.already_there) == (2, 1)


def test_two_people_taking_in_the_same_pictures_at_once_make_each_image_once(
    engine: Engine, emptied: None, storage: Storage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On real transactions, batches of both starting together, the second folder in the opposite order of bytes."""
    monkeypatch.setattr(taking, "BATCH", 4)
    names = [f"{number:02d}.jpg" for number in range(12)]
    add(folder, *names)
    other = folder.parent / "other"
    other.mkdir()
    for name, mirrored in zip(names, reversed(names), strict=True):
        (other / mirrored).write_bytes((folder / name).read_bytes())
    with transaction(engine) as session:
        pile = cast.catalog(session)
        asked = [ask(session, pile, place).id for place in (folder, other)]
    gate = threading.Barrier(2, timeout=30)
    failures: list[BaseException] = []

    @contextmanager
    def begin() -> Iterator[Session]:
        with transaction(engine) as session:
            yield session

    def work(intake_id: int) -> None:
        try:
            taking.take_in(begin, lambda **_: gate.wait(), storage, intake_id, max_megapixels=50)  # type: ignore[misc]
        except BaseException as error:
            failures.append(error)
            gate.abort()

    threads = [threading.Thread(target=work, args=(intake_id,)) for intake_id in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failures == []
    with transaction(engine) as session:
        images = session.scalars(select(Image)).all()
        counts = [session.get_one(Intake, intake_id) for intake_id in asked]
        files = session.scalars(select(SourceFile)).all()
    assert len(images) == 12
    assert sum(one.accepted for one in counts) == 12
    assert [one.accepted + one.already_there for one in counts] == [12, 12]
    assert sum(one.outcome == "accepted" for one in files) == 12
