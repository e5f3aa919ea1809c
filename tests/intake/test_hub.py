"""Data sets of a model hub: read at one commit from the hub's own layout on this machine, without asking anybody."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.tables import Image
from app.errors import DiskFull, Refused
from app.intake import hub
from app.intake.finding import Wanted
from app.intake.hub import HubDataset
from app.intake.taking import take_in
from app.storage import Storage
from tests import cast
from tests.intake.conftest import encoded, picture

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CARD = "---\nlicense: cc-by-4.0\npretty_name: Kettles\n---\n# Kettles\n"
Begin = Callable[[], AbstractContextManager[Session]]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache with one data set: a Parquet shard, an imagefolder, a script; files are links to blobs."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "cache" / "datasets--shop--kettles"
    shard = io.BytesIO()
    rows = [{"bytes": encoded(picture(number)), "path": f"k{number}.jpg"} for number in range(2)]
    pq.write_table(pa.table({"image": rows, "text": ["A red kettle.", "A blue kettle."]}), shard)
    files = {
        "README.md": CARD.encode(), "data/train-00000-of-00001.parquet": shard.getvalue(),
        "images/lamp.png": encoded(picture(9), "PNG"), "kettles.py": b"raise SystemExit", ".gitattributes": b"",
        "images/metadata.csv": b"file_name,title,license\nlamp.png,Lamp,CC0\n",
    }  # fmt: skip
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    (place / "blobs").mkdir()
    for number, (name, data) in enumerate(files.items()):
        blob = place / "blobs" / f"{number:064x}"
        blob.write_bytes(data)
        target = place / "snapshots" / COMMIT / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(blob)
    return place


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hf://datasets/shop/kettles", "hf://datasets/shop/kettles@main"),
        (f" hf://datasets/shop/kettles@{COMMIT} ", f"hf://datasets/shop/kettles@{COMMIT}"),
        ("https://huggingface.co/datasets/shop/kettles/", "hf://datasets/shop/kettles@main"),
        ("hf://datasets/shop/kettles@refs/pr/3", "hf://datasets/shop/kettles@refs/pr/3"),
        ("hf://datasets/../kettles", "None"), ("/photos", "None"), ("shop/kettles", "None"),
        ("hf://datasets/shop/kettles@../../x", "None"),
    ],
)  # fmt: skip
def test_a_data_set_is_known_by_its_address(text: str, name: str) -> None:
    assert str(hub.named(text)) == name


def test_its_folder_names_it_and_no_other_folder_does(storage: Storage) -> None:
    for wanted in (HubDataset("shop/kettles"), HubDataset("a-b/c--d", "refs/pr/3")):
        folder = wanted.folder(storage)
        assert folder.parent == storage.root / "hub" and hub.of_folder(storage, folder) == wanted
    assert hub.of_folder(storage, storage.root / "uploads" / "a@b") is None


def test_a_data_set_is_taken_in_at_its_commit_with_source_and_licence(
    session: Session, storage: Storage, begin: Begin, kept: Path
) -> None:
    pile, wanted = cast.catalog(session), HubDataset("shop/kettles")
    intake = hub.request_intake(session, storage, pile, wanted, cast.person(session))
    assert hub.request_intake(session, storage, pile, wanted, cast.person(session)) is intake
    hub.fetch(storage, wanted, lambda: None)
    take_in(begin, lambda **_: None, storage, intake.id, 60)
    hub.mark(session, storage, intake)
    session.expire_all()
    photos = session.scalars(select(Image).where(Image.catalog_id == pile.id)).all()
    assert len(photos) == 3
    assert {photo.source for photo in photos} == {f"hf://datasets/shop/kettles@{COMMIT}"}
    assert sorted(str(photo.licence) for photo in photos) == ["CC0", "cc-by-4.0", "cc-by-4.0"]
    hub.discard(storage, Path(intake.folder))
    assert not Path(intake.folder).exists() and kept.exists()


def test_a_fetch_taken_up_again_keeps_its_commit_and_fetches_what_is_missing(storage: Storage, kept: Path) -> None:
    wanted, beats = HubDataset("shop/kettles"), 0

    def killed() -> None:
        nonlocal beats
        beats += 1
        if beats == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hub.fetch(storage, wanted, killed)
    (kept / "refs" / "main").write_text("f" * 40)  # the branch moved on meanwhile
    hub.fetch(storage, wanted, lambda: None)
    names = {path.relative_to(wanted.folder(storage)).as_posix() for path in wanted.folder(storage).rglob("*.*")}
    assert {"README.md", "images/lamp.png", "images/metadata.csv"} <= names
    assert "kettles.py" not in names and not any(path.is_symlink() for path in wanted.folder(storage).rglob("*"))


def test_what_cannot_be_reached_is_said_in_one_sentence(storage: Storage, kept: Path) -> None:
    with pytest.raises(Refused, match=r"^The model hub cannot be reached from here, and hf://datasets/shop/lamps"):
        hub.fetch(storage, HubDataset("shop/lamps"), lambda: None)


def test_a_data_set_without_anything_to_take_in_is_refused(storage: Storage, kept: Path) -> None:
    for path in (kept / "snapshots" / COMMIT).rglob("*"):
        if path.is_symlink() and path.suffix != ".py":
            path.unlink()
    with pytest.raises(Refused, match="holds no pictures"):
        hub.fetch(storage, HubDataset("shop/kettles"), lambda: None)


def test_a_full_disk_is_said_before_anything_is_fetched(
    storage: Storage, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Storage, wanted_bytes: int = 0) -> None:
        raise DiskFull("full")

    monkeypatch.setattr(Storage, "refuse_below_reserve", full)
    with pytest.raises(DiskFull):
        hub.fetch(storage, HubDataset("shop/kettles"), lambda: None)


def test_what_is_tried_again_is_fetched_alone_with_the_words_beside_it(storage: Storage, kept: Path) -> None:
    wanted = HubDataset("shop/kettles")
    folder = wanted.folder(storage)
    for name, files in {
        "data/train-00000-of-00001.parquet/0000001 k0.jpg": {"data/train-00000-of-00001.parquet"},
        "images/lamp.png": {"images/lamp.png"},
        "images": {"images/lamp.png"},
    }.items():
        hub.fetch(storage, wanted, lambda: None, Wanted([name]))
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.is_file()}
        assert there - {".commit"} == files | {"README.md", "images/metadata.csv"}
        hub.discard(storage, folder)
