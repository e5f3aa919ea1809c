"""Data sets of a model hub: what is asked of it, and what is fetched, from the hub's own layout on this machine."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from app.errors import DiskFull, Refused
from app.intake import hauls, hub
from app.intake.hub import HubDataset, HubListing
from app.storage import Storage
from tests.hub_cache import COMMIT, lay_out
from tests.intake.conftest import encoded, picture


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hf://datasets/shop/kettles", "hf://datasets/shop/kettles@main"),
        (f" hf://datasets/shop/kettles@{COMMIT} ", f"hf://datasets/shop/kettles@{COMMIT}"),
        ("https://huggingface.co/datasets/shop/kettles/", "hf://datasets/shop/kettles@main"),
        ("hf://datasets/shop/kettles@refs/pr/3", "hf://datasets/shop/kettles@refs/pr/3"),
        ("https://huggingface.co/datasets/shop/kettles/tree/v1/data", "hf://datasets/shop/kettles@v1"),
        ("https://huggingface.co/datasets/shop/kettles/viewer/default/train?p=1", "hf://datasets/shop/kettles@main"),
        ("http://hf.co/datasets/shop/kettles?x=1#top", "hf://datasets/shop/kettles@main"),
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


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache with one data set; files are links to blobs."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    files = {
        "README.md": b"", "images/lamp.png": encoded(picture(9), "PNG"), "kettles.py": b"raise SystemExit",
        ".gitattributes": b"", "images/.x/lamp.png": b"", "Thumbs.db": b"",
    }  # fmt: skip
    return lay_out(tmp_path / "cache", "shop/kettles", files)


def listed(tmp_path: Path, name: str = "shop/kettles", commit: str | None = None) -> HubListing:
    return hub.listing(HubDataset(name), commit, tmp_path / "listing.json", lambda: None)


def test_what_a_data_set_holds_is_told_at_one_commit_and_asked_once(tmp_path: Path, kept: Path) -> None:
    first = listed(tmp_path)
    assert first.commit == COMMIT and set(first.sizes) == {"README.md", "images/lamp.png", "kettles.py"}
    (kept / "refs" / "main").write_text("f" * 40)  # the branch moved on meanwhile
    assert listed(tmp_path) == first
    (tmp_path / "listing.json").unlink()
    assert listed(tmp_path, commit=COMMIT) == first


def test_what_is_missing_is_fetched_and_no_link_is_left(storage: Storage, tmp_path: Path, kept: Path) -> None:
    beats = 0

    def killed() -> None:
        nonlocal beats
        beats += 1
        if beats == 2:
            raise KeyboardInterrupt

    files = {"README.md": 0, **{f"no{number}.jpg": 1 for number in range(6)}, "images/lamp.png": 100}
    into = tmp_path / "haul"
    with pytest.raises(Refused, match=r"no0.jpg of .* cannot be fetched: the model hub cannot be reached any more"):
        hub.fetch(storage, HubDataset("shop/kettles"), COMMIT, files, into, lambda: None)
    hub.fetch(storage, HubDataset("shop/kettles"), COMMIT, {"README.md": 0, "images/lamp.png": 9}, into, killed)
    there = {path.name for path in into.rglob("*") if path.is_file() and ".cache" not in path.parts}
    assert there == {"README.md", "lamp.png"}
    assert not any(path.is_symlink() for path in into.rglob("*"))


def test_what_cannot_be_reached_is_said_in_one_sentence(tmp_path: Path, kept: Path) -> None:
    with pytest.raises(Refused, match=r"^The model hub cannot be reached from here, and hf://datasets/shop/lamps"):
        listed(tmp_path, "shop/lamps")


def test_a_full_disk_is_said_before_anything_is_fetched(
    storage: Storage, tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Storage, wanted_bytes: int = 0) -> None:
        raise DiskFull("full")

    monkeypatch.setattr(Storage, "refuse_below_reserve", full)
    with pytest.raises(DiskFull):
        hub.fetch(storage, HubDataset("shop/kettles"), COMMIT, {"README.md": 1}, tmp_path / "haul", lambda: None)
    assert not (tmp_path / "haul").exists()


def test_a_disk_that_runs_full_on_the_way_is_said_in_one_sentence(
    storage: Storage, tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place(kept: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(hub, "_place", place)
    with pytest.raises(
        DiskFull, match=r"^The disk is full: README.md of hf://datasets/shop/kettles@main was not fetched"
    ):
        hub.fetch(storage, HubDataset("shop/kettles"), COMMIT, {"README.md": 1}, tmp_path / "haul", lambda: None)


def test_hauls_keep_what_stands_beside_a_picture_with_it_and_shards_apart_from_loose_files() -> None:
    sizes = {
        "README.md": 1, "metadata.csv": 1, "a.jpg": 4, "a-1.jpg": 4, "a.txt": 1, "z/B.PNG": 9, "0.tar": 5, "1.tar": 50,
        "x/metadata.parquet": 3, "notes.csv": 1, "run.py": 1, "old.7z": 1,
    }  # fmt: skip
    plan = hauls.plan(sizes, 10, 100)
    assert (set(plan.words), set(plan.unread)) == (
        {"README.md", "metadata.csv", "x/metadata.parquet"},
        {"notes.csv", "old.7z"},
    )
    assert [(list(haul.files), haul.holds_many) for haul in plan.hauls] == [
        (["a.jpg", "a.txt", "a-1.jpg"], False), (["z/B.PNG"], False), (["0.tar"], True), (["1.tar"], True),
        (["x/metadata.parquet"], True),
    ]  # fmt: skip
    assert [len(haul.files) for haul in hauls.plan(sizes, 10**9, 1).hauls] == [2, 1, 1, 1, 1, 1]
    assert hauls.plan({}, 1, 1).hauls == ()
