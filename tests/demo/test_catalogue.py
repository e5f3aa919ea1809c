"""The demo catalogue says what it planted, and plants what it says."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image as Pillow
from PIL import ImageStat

from app.demo.catalogue import (
    BROKEN,
    FAULT_SHARE,
    NEAR_COPIES,
    Truth,
    draw_catalogue,
    held_out_prompts,
    planted_in_words,
    read_truth,
)
from app.demo.kinds import fresh
from app.demo.worlds import FRESH_WITHHELD

COUNT, SIDE_PX = 60, 72


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    folder = tmp_path_factory.mktemp("catalogue")
    return folder, draw_catalogue(folder, COUNT, SIDE_PX, seed=1)


def test_every_file_is_there_and_in_the_metadata(drawn: tuple[Path, Truth]) -> None:
    folder, truth = drawn
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file_name"] for row in rows] == [photo.file_name for photo in truth.photos]
    assert [row["title"] for row in rows] == [photo.title for photo in truth.photos]
    assert len({row["file_name"] for row in rows}) == COUNT
    assert all((folder / row["file_name"]).is_file() for row in rows)
    assert read_truth(folder) == truth
    assert "not photographed" in (folder / "README.txt").read_text()


def test_faults_are_counted(drawn: tuple[Path, Truth]) -> None:
    counts = Counter(photo.fault for photo in drawn[1].photos)
    assert counts[BROKEN] == 1
    for fault, share in FAULT_SHARE.items():
        assert counts[fault] == max(1, round(share * COUNT))


def test_the_same_seed_draws_the_same_bytes(drawn: tuple[Path, Truth], tmp_path: Path) -> None:
    folder, truth = drawn
    assert draw_catalogue(tmp_path, COUNT, SIDE_PX, seed=1) == truth
    for photo in truth.photos:
        assert (tmp_path / photo.file_name).read_bytes() == (folder / photo.file_name).read_bytes()


def test_copies_relate_to_their_originals_as_told(drawn: tuple[Path, Truth]) -> None:
    folder, truth = drawn
    digests = {
        photo.file_name: hashlib.sha256((folder / photo.file_name).read_bytes()).digest() for photo in truth.photos
    }
    for photo in truth.photos:
        if photo.original is None:
            continue
        same = digests[photo.file_name] == digests[photo.original]
        assert same == (photo.fault == "exact duplicate")
        with Pillow.open(folder / photo.file_name) as copy, Pillow.open(folder / photo.original) as original:
            if photo.fault == "padded copy":
                assert copy.width > original.width
            if photo.fault == "recompressed copy":
                assert copy.width < original.width
    alone = [photo.file_name for photo in truth.photos if photo.fault != "exact duplicate"]
    assert len({digests[name] for name in alone}) == len(alone)


def test_what_was_found_is_told_apart_from_what_was_drawn_twice(drawn: tuple[Path, Truth]) -> None:
    truth = drawn[1]
    planted = [photo for photo in truth.photos if photo.fault in NEAR_COPIES]
    pairs = [(photo.original or "", photo.file_name) for photo in planted]
    many = len(planted)
    assert (
        planted_in_words(truth, pairs) == f"{many} of the {many} copies that were planted, 0 that show something else"
    )
    sound = [photo for photo in truth.photos if photo.fault is None]
    twin = replace(sound[0], file_name="twin.jpg")
    other = next(photo for photo in sound if photo.product != sound[0].product)
    more = Truth(1, (*truth.photos, twin))
    assert planted_in_words(more, [*pairs[1:], (sound[0].file_name, twin.file_name, other.file_name)]) == (
        f"{many - 1} of the {many} copies that were planted, "
        "1 drawing of what was drawn before on the same ground, 1 that show something else"
    )


def test_only_the_broken_file_does_not_open(drawn: tuple[Path, Truth]) -> None:
    folder, truth = drawn
    for photo in truth.photos:
        path = folder / photo.file_name
        if photo.fault == BROKEN:
            with pytest.raises(OSError), Pillow.open(path) as picture:
                picture.load()
        else:
            with Pillow.open(path) as picture:
                assert max(ImageStat.Stat(picture.convert("RGB")).stddev) > 5


def test_wrong_titles_are_wrong_and_the_others_right(drawn: tuple[Path, Truth]) -> None:
    for photo in drawn[1].photos:
        assert (photo.title != photo.true_title) == (photo.fault == "wrong title")
        assert photo.true_title.lower() == f"{photo.colour} {photo.kind}"


def test_held_out_combinations_are_absent(drawn: tuple[Path, Truth]) -> None:
    photos = drawn[1].photos
    assert {photo.kind for photo in photos} <= set(fresh.KINDS)
    shown = {(photo.kind, photo.colour, photo.background) for photo in photos}
    claimed = {(*reversed(photo.title.lower().split()), photo.background) for photo in photos}
    asked = {(prompt.kind, prompt.colour, prompt.background) for prompt in held_out_prompts(64)}
    assert asked <= FRESH_WITHHELD
    assert not (shown | claimed) & FRESH_WITHHELD


def test_too_small_a_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 30"):
        draw_catalogue(tmp_path, count=10)
