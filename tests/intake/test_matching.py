"""Which picture a row means; and what is said where it means none."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from app.intake.matching import Matched, match
from app.intake.metadata import PhotoMetadata, key_of
from app.intake.sources.entry import Entry


def matched(names: list[str], *pictures: str, place: str = "", others: dict[str, str] | None = None) -> Matched:
    rows = {
        f"{place}/{key_of(name)}" if place else key_of(name): PhotoMetadata(line, name=name, source="metadata.csv")
        for line, name in enumerate(names, start=2)
    }
    mets = [Entry("picture", Path("/data/photos") / name, name) for name in pictures]
    kinds: dict[str, Literal["refused", "other"]] = {"refused": "refused", "other": "other"}
    mets += [Entry(kinds[kind], Path("/data/photos") / name, name) for name, kind in (others or {}).items()]
    return match(rows, mets, "/data/photos")


@pytest.mark.parametrize(
    ("row", "picture", "difference"),
    [
        ("img_1.jpg", "IMG_1.JPG", "upper and lower case"),
        ("Sub/2.jpg", "sub/2.jpg", "upper and lower case"),
        ("/a/1.jpg", "a/1.jpg", "a leading slash"),
        ("/data/photos/a/1.jpg", "a/1.jpg", "a full path"),
        ("a//1.jpg", "a/1.jpg", "slashes"),
        ("a%20b.jpg", "a b.jpg", "URL encoding"),
        ("caf%C3%A9.jpg", "café.jpg", "URL encoding"),
        ("a&amp;b.jpg", "a&b.jpg", "HTML entities"),
        ("a\u200b.jpg", "a.jpg", "letters of no width"),
        ("a  b.jpg", "a b.jpg", "spaces"),
        ("\uff11.jpg", "1.jpg", "the form of letters"),
        ("/A%20B.jpg", "a b.jpg", "a leading slash, URL encoding, upper and lower case"),
    ],
)
def test_the_same_path_in_another_spelling_is_taken_and_said(row: str, picture: str, difference: str) -> None:
    result = matched([row], picture)
    assert result.rows[picture].name == row and result.unmatched == []
    assert [sentence for _, sentence in result.respelled] == [f"Read as {picture}. What differs: {difference}."]


@pytest.mark.parametrize("row", ["./a/1.jpg", "a\\1.jpg", ".\\a\\1.jpg", " a/1.jpg "])
def test_ways_of_writing_one_path_need_no_remark(row: str) -> None:
    result = matched([row], "a/1.jpg")
    assert (list(result.rows), result.respelled, result.unmatched) == (["a/1.jpg"], [], [])


@pytest.mark.parametrize(
    ("row", "picture", "difference"),
    [
        ("1", "1.jpg", "the extension"),
        ("kt-2.0", "kt-2.0.jpg", "the extension"),
        ("a.png", "a.jpg", "the extension"),
        ("A.PNG", "a.jpg", "the extension"),
        ("d/a.jpg", "a.jpg", "the folder"),
        ("d/a.png", "a.jpg", "folder and extension"),
        ("cafe.jpg", "café.jpg", "accents"),
        ("kettle_red.jpg", "kettle-red.jpg", "spaces and signs"),
    ],
)
def test_another_path_is_not_taken_but_said_to_be_alike(row: str, picture: str, difference: str) -> None:
    result = matched([row], picture)
    assert result.rows == {} and result.respelled == []
    assert [sentence for _, sentence in result.unmatched] == [
        f"No picture is called so; there is {picture}. What differs: {difference}."
    ]


def test_what_could_mean_several_is_not_guessed() -> None:
    assert matched(["a.jpg"], "A.JPG", "a.JPG").unmatched[0][1] == "Several pictures could be meant: A.JPG, a.JPG."
    two = matched(["a.jpg", "A.jpg"], "A.JPG")
    assert two.rows == {}
    assert {sentence for _, sentence in two.unmatched} == {"Another row is for A.JPG, which this one may mean too."}
    own = matched(["A.JPG", "a.jpg"], "A.JPG")
    assert own.rows["A.JPG"].line == 2 and own.unmatched[0][0].name == "a.jpg"


def test_files_that_are_no_pictures_are_told_apart_from_none() -> None:
    result = matched(["b.heic", "n.txt", "ghost.jpg"], "a.jpg", others={"b.heic": "refused", "n.txt": "other"})
    assert [sentence for _, sentence in result.unmatched] == [
        "The file is here but was refused; the list of refused files says why.",
        "The file is here but is no picture.",
        "No picture here is called so or alike.",
    ]


def test_a_leading_slash_in_a_folders_own_file_means_that_folder() -> None:
    result = matched(["/1.jpg"], "train/1.jpg", place="train")
    assert list(result.rows) == ["train/1.jpg"] and "a leading slash" in result.respelled[0][1]


@pytest.mark.parametrize(
    "row", ["https://cdn.shop.com/files/a%20b.jpg?v=16", "http://shop.de/img/A%20b.jpg#x", "s3://b/a b.jpg"]
)
def test_a_web_address_is_told_by_the_file_it_ends_in(row: str) -> None:
    result = matched([row], "sub/a b.jpg", "c.jpg")
    assert not result.rows
    assert result.unmatched[0][1] == (
        "No picture is called so; there is sub/a b.jpg. What differs: the row has a web address."
    )


@pytest.mark.parametrize("row", ["a.jpg, b.jpg", "a.jpg|b.jpg", "https://s.com/a.jpg,https://s.com/b.jpg"])
def test_a_row_for_several_pictures_is_told_to_be_one(row: str) -> None:
    assert matched([row], "a.jpg", "b.jpg").unmatched[0][1] == "It names 2 files; a row is for one."
