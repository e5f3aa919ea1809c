"""Manifests: round trip, content hash, and refusals that name the line."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from app.datasets.manifest import ManifestError, ManifestRow, content_hash, facts_hash, read_manifest, write_manifest

KETTLE = ManifestRow("pictures/kettle.png", "Red kettle – „glänzend“.", "train", "red-kettle", "a" * 64, 64, 48)
LAMP = ManifestRow("/photos/lamp.png", "Blue lamp.", "validation", "blue-lamp", "b" * 64, 64, 64)


def line(**changes: object) -> str:
    return json.dumps({**asdict(KETTLE), **changes})


def test_written_rows_read_back_equal_and_in_order(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.jsonl", [LAMP, KETTLE])
    assert read_manifest(tmp_path / "m.jsonl") == [LAMP, KETTLE]
    assert [file.name for file in tmp_path.iterdir()] == ["m.jsonl"]


def test_writing_replaces_the_old_file_only_when_the_new_one_is_complete(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.jsonl", [KETTLE])

    def broken() -> object:
        yield LAMP
        raise RuntimeError("no more rows")

    with pytest.raises(RuntimeError):
        write_manifest(tmp_path / "m.jsonl", broken())  # type: ignore[arg-type]
    assert read_manifest(tmp_path / "m.jsonl") == [KETTLE]
    assert [file.name for file in tmp_path.iterdir()] == ["m.jsonl"]


def test_the_hash_ignores_order_and_place_of_files() -> None:
    moved = replace(KETTLE, file="/elsewhere/k.png")
    assert content_hash([KETTLE, LAMP]) == content_hash([LAMP, moved])


@pytest.mark.parametrize(
    "changes", [{"caption": "Red pot."}, {"split": "validation"}, {"group": "pot"}, {"sha256": "c" * 64}]
)
def test_the_hash_sees_what_is_learned(changes: dict[str, str]) -> None:
    assert content_hash([replace(KETTLE, **changes), LAMP]) != content_hash([KETTLE, LAMP])  # type: ignore[arg-type]


FACTS = {
    "width_px": 65, "height_px": 49, "source": "shop", "licence": "CC0", "credit": "Ana", "opt_out": "robots.txt",
    "mend": {"id": 1, "turn": 90.5}, "image_id": 7, "original_name": "k.png", "product": "P", "category": "Kettles",
    "labels": ["fit=slim"], "caption_by": "person", "caption_short": "Pot.", "caption_tags": "pot, red",
    "caption_facts": "A pot of tin.",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(asdict(KETTLE)) - {"file"}))
def test_one_of_both_hashes_sees_each_field(name: str, tmp_path: Path) -> None:
    learned = {"caption": "Pot.", "split": "validation", "group": "pot", "sha256": "c" * 64, "repeats": 2, "mask": "m"}
    other = replace(KETTLE, **{name: (FACTS | learned)[name]})
    assert (content_hash([other]) != content_hash([KETTLE])) == (name in learned)
    assert facts_hash([other, LAMP]) != facts_hash([KETTLE, LAMP])
    write_manifest(tmp_path / "m.jsonl", [LAMP, replace(other, file="moved.png")])
    assert facts_hash(read_manifest(tmp_path / "m.jsonl")) == facts_hash([other, LAMP])


def test_facts_that_two_members_swap_are_seen() -> None:
    swapped = [replace(KETTLE, licence="CC0"), LAMP], [KETTLE, replace(LAMP, licence="CC0")]
    assert facts_hash(swapped[0]) != facts_hash(swapped[1])


def test_the_hash_counts_a_member_that_is_there_twice() -> None:
    assert content_hash([KETTLE, KETTLE]) != content_hash([KETTLE])


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        (line(split="test"), "split"),
        (line(width_px="64"), "width_px must be a whole number"),
        (line(width_px=True), "width_px"),
        (line(caption=None), "caption must be text"),
        (line(weight=1), "weight"),
        (line(width_px=0), "width_px must be at least 1"),
        (line(caption="half \ud83d"), "caption holds half a character"),
        (json.dumps({"file": "a.png"}), "caption"),
        (line().replace("64", "6" * 5_000, 1), "holds a number"),
        ("[" * 100_000, "not a JSON object"),
        (line().replace('"caption"', '"caption": "Blue pot.", "caption"'), "has the field caption twice"),
        (line(file=""), "file must be the name"),
        (line(file="a\0b.png"), "file must be the name"),
        # In the cache, pictures without a digest would all be the first of them.
        (line(sha256=""), "sha256 must be the 64 hex digits"),
        (line(sha256="md5:12"), "sha256 must be the 64 hex digits"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(tmp_path: Path, bad: str, says: str) -> None:
    (tmp_path / "m.jsonl").write_text(f"{line()}\n\n{bad}\n")
    with pytest.raises(ManifestError, match=r"^Line 3 of m\.jsonl.*" + says):
        read_manifest(tmp_path / "m.jsonl")


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x1c", "\x0b", "\x0c"])
def test_only_the_newline_parts_lines(tmp_path: Path, mark: str) -> None:
    rows = [replace(KETTLE, caption=f"Red{mark}kettle."), LAMP]
    write_manifest(tmp_path / "m.jsonl", rows)
    (tmp_path / "windows.jsonl").write_bytes((tmp_path / "m.jsonl").read_bytes().replace(b"\n", b"\r\n"))
    assert read_manifest(tmp_path / "m.jsonl") == read_manifest(tmp_path / "windows.jsonl") == rows
    with (tmp_path / "m.jsonl").open("a") as file:
        file.write("{")
    with pytest.raises(ManifestError, match="Line 3 of"):
        read_manifest(tmp_path / "m.jsonl")


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text(line() + "\n", encoding="utf-8-sig")
    assert read_manifest(tmp_path / "m.jsonl") == [KETTLE]
    # Files with a mark each, joined into one.
    part = (tmp_path / "m.jsonl").read_bytes()
    (tmp_path / "m.jsonl").write_bytes(part + part)
    assert read_manifest(tmp_path / "m.jsonl") == [KETTLE, KETTLE]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_another_encoding_is_named(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "m.jsonl").write_bytes('{"caption": "Café"}'.encode(encoding))
    with pytest.raises(ManifestError, match=r"m\.jsonl is not UTF-8 text: see its byte"):
        read_manifest(tmp_path / "m.jsonl")


def test_a_digest_is_the_same_in_capitals(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text(line(sha256="A" * 64))
    assert read_manifest(tmp_path / "m.jsonl") == [KETTLE]


def test_a_missing_manifest_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"gone\.jsonl"):
        read_manifest(tmp_path / "gone.jsonl")


def test_rights_travel_and_change_neither_hash_nor_old_lines(tmp_path: Path) -> None:
    told = replace(KETTLE, source="https://shop.example/k.jpg", licence="CC BY 4.0", credit="Ana", opt_out="noai: 1")
    write_manifest(tmp_path / "m.jsonl", [told, LAMP])
    assert read_manifest(tmp_path / "m.jsonl") == [told, LAMP]
    first, second = (tmp_path / "m.jsonl").read_text().splitlines()
    assert "CC BY 4.0" in first and "licence" not in second
    assert content_hash([told, LAMP]) == content_hash([KETTLE, LAMP])


def test_rights_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text(json.dumps(asdict(KETTLE) | {"licence": 3}))
    with pytest.raises(ManifestError, match="licence must be text"):
        read_manifest(tmp_path / "m.jsonl")
