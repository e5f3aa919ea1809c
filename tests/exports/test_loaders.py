"""Each format is read back whole by its consumer's own loader, and counted."""

from __future__ import annotations

import gc
import importlib
import json
import sys
import types
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow
from sqlalchemy.orm import Session

from app.exports import formats, parquet, writing
from app.exports.mds import Mds
from app.exports.members import Outgoing, gather
from app.exports.shards import Wish
from app.exports.webdataset import WebDataset
from app.storage import Storage
from tests.exports.cast import version

PHOTOS = 12
Told = dict[str, tuple[Any, ...]]
KINDS = ("caption_short", "caption_tags", "caption_facts")
LATE = ("labels", "repeats", "mended", "source", "licence", "credit", "opt_out", *KINDS)
"""Facts that only some photos have, or that differ between photos."""


@pytest.fixture
def outgoing(session: Session, storage: Storage) -> Outgoing:
    """A version of a dozen photos of three kinds of files."""
    return gather(session, storage, version(session, storage, PHOTOS).id)


def facts_of(outgoing: Outgoing) -> Told:
    """Caption, split, author and late facts of each photo, by its key."""
    members = outgoing.members
    return {each.key: (each.row.caption, each.row.split, each.caption_by, *late(each.facts)) for each in members}


def late(facts: Mapping[str, Any]) -> tuple[Any, ...]:
    """The late facts; a table has null where other formats have an empty text."""
    return tuple("" if facts[name] is None else facts[name] for name in LATE)


def test_the_facts_are_what_was_frozen(outgoing: Outgoing) -> None:
    held_out = {each.key for each in outgoing.of("validation")}
    for number, each in enumerate(outgoing.members):
        labels = "fit=slim; view=front" if number % 2 and number > 6 else ""
        repeats = 3 if labels and each.key not in held_out else 1
        credit = "Ana Lund" if number == PHOTOS - 1 else ""
        source = f"https://shop.example/{number}"
        short = f"Kettle {number}, short" if number > 6 else ""
        kinds = (short, "kettle, “red”" if number == 8 else "", "")
        assert late(each.facts) == (labels, repeats, number == PHOTOS - 2, source, "CC0", credit, "", *kinds)
        assert all(type(value) in (str, int, bool) for value in each.facts.values())
        with Pillow.open(each.file) as opened:
            assert opened.size == (each.row.width_px, each.row.height_px)


def test_webdataset_reads_its_shards_back(outgoing: Outgoing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    webdataset = pytest.importorskip("webdataset")
    monkeypatch.setattr(WebDataset, "SHARD_PHOTOS", 4)
    folder = tmp_path / "out"
    written = writing.write(folder, outgoing, "webdataset", Wish())
    shards = sorted(str(path) for path in folder.glob("*.tar"))
    assert len(shards) == 4  # eleven to train on, one held out
    # The library leaves closing each shard to the collector, which pytest takes for a fault of ours.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil"))
        gc.collect()
    seen: Told = {}
    for sample in samples:
        (suffix,) = {"jpg", "png", "webp"} & sample.keys()
        facts = sample["json"]
        assert sample[suffix].size == (facts["width_px"], facts["height_px"])
        assert facts["caption"] == sample["txt"]
        seen[sample["__key__"]] = (sample["txt"], facts["split"], facts["caption_by"], *late(facts))
    assert seen == facts_of(outgoing)
    assert {each[2] for each in seen.values()} == {"facts", "person"}
    assert (written.photos, written.files, written.left_out) == (PHOTOS, 5, [])


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several shards, so that what a loader guesses from the first has to hold for all."""
    for form in formats.FORMATS.values():
        monkeypatch.setattr(type(form), "SHARD_PHOTOS", 4)


@pytest.mark.usefixtures("small_shards")
def test_datasets_reads_webdataset_shards_back(outgoing: Outgoing, tmp_path: Path) -> None:
    rows = loaded(tmp_path, outgoing, "webdataset")
    seen = {
        each["__key__"]: (each["txt"], each["split"], each["json"]["caption_by"], *late(each["json"])) for each in rows
    }
    assert seen == facts_of(outgoing)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("name", ["imagefolder", "parquet"])
def test_datasets_reads_pictures_captions_and_facts_back(name: str, outgoing: Outgoing, tmp_path: Path) -> None:
    rows = loaded(tmp_path, outgoing, name)
    seen = {each["key"]: (each["text"], each["split"], each["caption_by"], *late(each)) for each in rows}
    assert seen == facts_of(outgoing)
    assert all(each["image"].size == (each["width_px"], each["height_px"]) for each in rows)


def test_row_groups_stay_far_under_what_the_viewer_reads_at_once(
    outgoing: Outgoing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "GROUP_PHOTOS", 5)
    writing.write(tmp_path / "out", outgoing, "parquet", Wish())
    file = pq.ParquetFile(tmp_path / "out" / "data" / "train-00000.parquet")
    sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert (max(sizes), sum(sizes)) == (5, len(outgoing.of("train")))
    assert parquet.GROUP_BYTES < 286 << 20


def test_kohya_folders_hold_each_picture_with_its_caption_and_how_often_it_is_seen(
    outgoing: Outgoing, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    writing.write(folder, outgoing, "kohya", Wish(repeats=10))
    members = {member.key: member for member in outgoing.members}
    seen: dict[str, str] = {}
    # As sd-scripts reads a folder: what stands in front of the first underscore, each picture, the text of its name.
    for subset in (path for split in ("train", "validation") for path in (folder / split).iterdir()):
        repeats = int(subset.name.split("_")[0])
        for picture in (path for path in subset.iterdir() if path.suffix in (".jpg", ".png", ".webp")):
            with Pillow.open(picture) as opened:
                row = members[picture.stem].row
                assert opened.size == (row.width_px, row.height_px)
                assert repeats == (10 * row.repeats if row.split == "train" else 1)
            seen[picture.stem] = picture.with_suffix(".txt").read_text("utf-8")
    assert seen == {key: " ".join(member.row.caption.split()) for key, member in members.items()}
    assert {row.repeats for row in (member.row for member in outgoing.members)} == {1, 3}
    facts = [json.loads(line) for line in (folder / "photos.jsonl").read_text("utf-8").splitlines()]
    given = {each["key"]: (each["caption"], each["split"], each["caption_by"], *late(each)) for each in facts}
    assert given == facts_of(outgoing)


def test_mds_is_read_back_by_the_librarys_own_reader(
    outgoing: Outgoing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = mds_reader(monkeypatch)
    monkeypatch.setattr(Mds, "SHARD_PHOTOS", 4)
    folder = tmp_path / "out"
    writing.write(folder, outgoing, "mds", Wish())
    seen: Told = {}
    for split in ("train", "validation"):
        for shard in json.loads((folder / split / "index.json").read_text())["shards"]:
            opened = reader.from_json(str(folder), split, shard)
            opened.validate(False)
            for number in range(opened.samples):
                sample = opened.decode_sample(opened.get_sample_data(number))
                member = next(each for each in outgoing.members if each.key == sample["key"])
                assert sample["image"] == member.file.read_bytes()
                assert (sample["width_px"], sample["height_px"]) == (member.row.width_px, member.row.height_px)
                assert sample["facts"] == member.facts
                facts = sample["facts"]
                seen[sample["key"]] = (sample["caption"], split, facts["caption_by"], *late(facts))
    assert seen == facts_of(outgoing)


def mds_reader(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The reader of `mosaicml-streaming` alone: the package as a whole wants torchvision and an older NumPy."""
    spec = find_spec("streaming")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("mosaicml-streaming is not installed")
    for below in ("", ".base", ".base.format", ".base.format.base", ".base.format.mds"):
        name = f"streaming{below}"
        bare = types.ModuleType(name)
        bare.__path__ = [str(Path(place, *name.split(".")[1:])) for place in spec.submodule_search_locations]
        monkeypatch.setitem(sys.modules, name, bare)
    return importlib.import_module("streaming.base.format.mds.reader").MDSReader


def loaded(tmp_path: Path, outgoing: Outgoing, name: str) -> list[dict[str, Any]]:
    """The rows of an export as `datasets` gives them for its folder, each with its split."""
    datasets = pytest.importorskip("datasets")
    folder = tmp_path / "out"
    writing.write(folder, outgoing, name, Wish())
    splits = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    return [{**row, "split": split} for split, rows in splits.items() for row in rows]
