"""Walking a folder: what is met, what is passed over, and that nothing leads out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from app.errors import Refused
from app.intake import folders
from app.intake.folders import walk
from app.intake.sources.entry import Entry
from tests.intake.conftest import encoded, picture


def met(folder: Path) -> dict[str, Entry]:
    return {one.name: one for one in walk(folder)}


def test_pictures_are_met_below_in_the_order_of_names(folder: Path) -> None:
    for name in ("b.JPG", "sub/a.png", "a.jpg", "sub/deeper/c.webp"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    assert [(one.name, one.kind) for one in walk(folder)] == [
        ("a.jpg", "picture"), ("b.JPG", "picture"), ("sub/a.png", "picture"), ("sub/deeper/c.webp", "picture"),
    ]  # fmt: skip


def test_a_picture_without_a_suffix_is_known_by_its_first_bytes(folder: Path) -> None:
    (folder / "IMG_0001").write_bytes(encoded(picture()))
    (folder / "LICENSE").write_text("Do as you like.")
    assert {name: one.kind for name, one in met(folder).items()} == {"IMG_0001": "picture", "LICENSE": "other"}


def test_hidden_files_and_archive_leavings_are_passed_over(folder: Path) -> None:
    for name in (".DS_Store", "._a.jpg", ".cache/a.jpg", "__MACOSX/a.jpg", "sub/.b.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    assert met(folder) == {}


def test_links_that_leave_the_folder_are_refused(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.mkdir()
    (outside / "a.jpg").write_bytes(encoded(picture()))
    (folder / "file.jpg").symlink_to(outside / "a.jpg")
    (folder / "place").symlink_to(outside)
    found = met(folder)
    assert found["file.jpg"].reason == "A link that leaves the folder; such links are not followed."
    assert found["place"].reason == "A link to a folder; such links are not followed."
    assert {one.kind for one in found.values()} == {"refused"}


def test_links_inside_are_followed_and_loops_end(folder: Path) -> None:
    (folder / "a.jpg").write_bytes(encoded(picture()))
    (folder / "again.jpg").symlink_to(folder / "a.jpg")
    (folder / "loop").symlink_to(folder)
    (folder / "self.jpg").symlink_to(folder / "self.jpg")
    (folder / "gone.jpg").symlink_to(folder / "nothing.jpg")
    found = met(folder)
    assert found["again.jpg"].kind == "picture"
    assert {name: one.kind for name, one in found.items() if name not in ("a.jpg", "again.jpg")} == {
        "loop": "refused", "self.jpg": "refused", "gone.jpg": "refused",
    }  # fmt: skip
    assert found["gone.jpg"].reason == "A link that leads nowhere."


def test_what_is_no_regular_file_is_never_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe.jpg")
    assert met(folder)["pipe.jpg"].kind == "refused"


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"kettle\nred.jpg", "kettle\ufffdred.jpg"),
        (b"caf\xe9.jpg", "caf\ufffd.jpg"),
        ("cafe\u0301.jpg".encode(), "café.jpg"),
        (b"tab\there\x1b[31m.jpg", "tab\ufffdhere\ufffd[31m.jpg"),
        ("🫖 & <b>'\".jpg".encode(), "🫖 & <b>'\".jpg"),
    ],
)
def test_odd_names_become_fit_to_keep(folder: Path, raw: bytes, name: str) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/" + raw)).write_bytes(b"x")
    assert list(met(folder)) == [name]
    name.encode()


def test_very_long_names_keep_their_end(folder: Path) -> None:
    deep = folder
    for _ in range(4):
        deep = deep / ("ä" * 120)
    deep.mkdir(parents=True)
    (deep / ("b" * 200 + ".jpg")).write_bytes(b"x")
    (name,) = met(folder)
    assert len(name) == 500 and name.startswith("…") and name.endswith("b.jpg")


def test_a_folder_that_cannot_be_read_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "closed").mkdir()
    scandir = os.scandir

    def closed(place: str) -> object:
        if str(place).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", closed)
    assert met(folder)["closed"].reason == "The folder cannot be read."


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg", "#recycle/a.jpg", "#snapshot/a.jpg", "@Recycle/a.jpg",
        "$RECYCLE.BIN/a.jpg", "System Volume Information/a.jpg", ".thumbnails/a.png", "__MACOSX/a.jpg",
        "Previews.lrdata/a.jpg", "Thumbs.db", "desktop.ini", "sub/@eadir/a.jpg", "lost+found/a.jpg",
    ],
)  # fmt: skip
def test_what_other_programs_leave_beside_photos_is_passed_over(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(encoded(picture()))
    (folder / "b.jpg").write_bytes(encoded(picture()))
    assert list(met(folder)) == ["b.jpg"]


@pytest.mark.parametrize("mark", ["files/originals", "postgres"])
def test_the_files_of_packshot_are_no_photos_and_those_beside_them_are(folder: Path, mark: str) -> None:
    data = folder / "packshot-data"
    for name in ("files/originals/ab/a.jpg", "uploads/1-x/b.jpg", "cache/c.png", "runs/1/d.png", "drawn-photos/e.jpg"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(encoded(picture()))
    (folder / "files").mkdir()
    (folder / "files" / "mine.jpg").write_bytes(encoded(picture()))
    if mark == "postgres":
        shutil.rmtree(data / "files")
        (data / "postgres").mkdir()
        (data / "postgres" / "PG_VERSION").write_text("18")
    assert list(met(folder)) == ["files/mine.jpg", "packshot-data/drawn-photos/e.jpg"]


def test_only_what_lies_in_the_roots_may_be_named(tmp_path: Path) -> None:
    root, beside = tmp_path / "photos", tmp_path / "photos-of-others"
    for place in (root / "spring", beside, tmp_path / "data" / "files" / "originals"):
        place.mkdir(parents=True)
    (root / "out").symlink_to(beside)
    roots = (root, tmp_path / "data")
    for place in (root, root / "spring", root / "spring" / "not there"):
        folders.refuse_outside(place, roots)
    for place in (Path("/"), beside, root / ".." / "photos-of-others", root / "out", tmp_path):
        with pytest.raises(Refused, match="lies outside the folders that photos may be taken in from") as refusal:
            folders.refuse_outside(place, roots)
        assert str(root) in refusal.value.sentence and "PACKSHOT_INTAKE_ROOTS" in refusal.value.sentence
    folders.refuse_outside(tmp_path / "data", roots)
    with pytest.raises(Refused, match="is where Packshot keeps its own files"):
        folders.refuse_outside(tmp_path / "data" / "files" / "originals", roots)


def test_a_walk_hears_of_a_stop_at_every_file_and_folder(folder: Path) -> None:
    for number in range(3):
        (folder / f"{number}").mkdir()
        (folder / f"{number}" / "a.jpg").write_bytes(b"x")
    beats = 0

    def stop_at_the_fourth() -> None:
        nonlocal beats
        beats += 1
        if beats == 4:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        list(walk(folder, stop_at_the_fourth))
    assert beats == 4


def test_a_request_looks_at_no_more_than_some_of_a_large_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        (folder / f"{number}").mkdir()
    assert folders.holds_none(folder, lambda met: True)
    monkeypatch.setattr(folders, "LOOKED_AT", 5)
    assert not folders.holds_none(folder, lambda met: True)


@pytest.mark.parametrize("name", ["sub/A.RAR", "p.7z", "photos.lz"])
def test_an_archive_that_is_not_opened_is_not_passed_over_in_silence(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"PK\3\4")
    assert met(folder)[name].reason == (
        "An archive of a kind that is not read: ZIP and TAR are. Unpack it and take in the folder."
    )


def test_a_pipe_that_is_called_a_picture_is_told_about(folder: Path) -> None:
    os.mkfifo(folder / "a.jpg")
    os.mkfifo(folder / "log")
    assert met(folder)["a.jpg"].reason == "No plain file: a pipe, a socket or a device."
    assert met(folder)["log"].kind == "other"


@pytest.mark.parametrize("name", ["a.hif", "a.PSB", "a.ppm", "a.ico", "a.svgz", "a.eip"])
def test_pictures_of_kinds_that_are_not_taken_in_are_told_about(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"whatever")
    assert met(folder)[name].kind == "picture"


def test_photos_of_a_shop_that_calls_its_folders_as_packshot_does_are_photos(folder: Path) -> None:
    for name in ("files/originals/kettle.jpg", "files/originals/lamps/b.jpg", "uploads/c.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(picture()))
    assert set(met(folder)) == {"files/originals/kettle.jpg", "files/originals/lamps/b.jpg", "uploads/c.jpg"}
