"""The metadata file: read as people write it, refused whole with the line of the first mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.errors import Refused
from app.intake.metadata import PhotoMetadata, read_metadata


def csv_file(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "metadata.csv").write_bytes(text.encode(encoding))
    return folder


def json_file(folder: Path, *rows: object) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
    return folder


def sentence(folder: Path) -> str:
    with pytest.raises(Refused) as refusal:
        read_metadata(folder)
    return refusal.value.sentence


def test_without_a_file_nothing_is_said(folder: Path) -> None:
    assert read_metadata(folder) == {}


def test_known_columns_are_facts_and_others_are_kept(folder: Path) -> None:
    header = "file_name,title,category,description,product,season"
    csv_file(folder, f"{header}\na.jpg,Red kettle,Kettles,Holds 2 l,k-1,autumn\n")
    assert read_metadata(folder) == {
        "a.jpg": PhotoMetadata(2, "Red kettle", "Kettles", "Holds 2 l", "k-1", {"season": "autumn"})
    }


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_separators_and_encodings_of_spreadsheets(folder: Path, separator: str, encoding: str) -> None:
    rows = (("File_Name", " Title "), ("sub\\kättchen.jpg", "Kätzchen"))
    csv_file(folder, "\r\n".join(separator.join(row) for row in rows), encoding)
    assert read_metadata(folder)["sub/kättchen.jpg"].title == "Kätzchen"


def test_quoted_texts_may_hold_separators_and_line_breaks(folder: Path) -> None:
    csv_file(folder, 'file_name,title,description\na.jpg,"Mug, red","Two\nlines"\nb.jpg,Bowl,\n')
    facts = read_metadata(folder)
    assert (facts["a.jpg"].title, facts["a.jpg"].description) == ("Mug, red", "Two\nlines")
    assert facts["b.jpg"] == PhotoMetadata(4, title="Bowl")


def test_decomposed_names_match_composed_ones(folder: Path) -> None:
    csv_file(folder, "file_name,title\nka\u0308ttchen.jpg,x\n")
    assert list(read_metadata(folder)) == ["kättchen.jpg"]


def test_blank_lines_and_empty_fields_say_nothing(folder: Path) -> None:
    csv_file(folder, "file_name,title,colour\n\n ./a.jpg ,  ,\n,,\n")
    assert read_metadata(folder) == {"a.jpg": PhotoMetadata(3)}


def test_json_lines_keep_numbers_and_lists(folder: Path) -> None:
    json_file(folder, {"file_name": "a.jpg", "title": 501, "price": 12.5, "tags": ["red"], "note": None}, "")
    assert read_metadata(folder) == {"a.jpg": PhotoMetadata(1, title="501", extra={"price": 12.5, "tags": ["red"]})}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name,title\na.jpg,x\n", "metadata.csv has no column file_name; its first line reads: name, title."),
        ("", "metadata.csv"),
        ("file_name,title,Title\n", "metadata.csv has two columns named title."),
        (
            "file_name,title\na.jpg,Mug, red\n",
            "metadata.csv, line 2, has 3 fields where the header has 2. A separator inside a text needs quotes around "
            "the text. Nothing was taken in.",
        ),
        ("file_name,title\n\na.jpg\n", "metadata.csv, line 3, has 1 fields where the header has 2. Nothing was"),
        ('file_name,title\na.jpg,"open\n', "metadata.csv, line 2, cannot be read as a table: unexpected end of data."),
        ("file_name,title\na.jpg,x\nb.jpg,y\na.jpg,z\n", "metadata.csv, line 4, names a.jpg, which line 2 names too."),
        ("file_name,title\n,x\n", "metadata.csv, line 2, has no file name."),
        ("file_name,title\na.jpg,a\0b\n", "metadata.csv, line 2, has a title with a character that no database keeps."),
        (
            f"file_name,description\na.jpg,ok\nb.jpg,{'x' * 100_000}\n",
            "metadata.csv, line 3, has a description of 100,000 characters; 20,000 are the limit. Nothing was",
        ),
        (f"file_name,title\na.jpg,{'x' * 600}\n", "metadata.csv, line 2, has a title of 600 characters; 500 are"),
        (f"file_name,note\na.jpg,{'x' * 5000}\n", "metadata.csv, line 2, has a note of 5,000 characters; 4,000 are"),
        (f"file_name,note\na.jpg,{'x' * 200_000}\n", "metadata.csv, line 2, cannot be read as a table: field larger"),
    ],
)
def test_a_mistake_in_a_table_is_told_with_its_line(folder: Path, text: str, expected: str) -> None:
    if text == "":
        csv_file(folder, "")
        assert read_metadata(folder) == {}
        return
    assert sentence(csv_file(folder, text)).startswith(expected)


def test_bytes_that_are_not_utf8_are_told_with_their_line(folder: Path) -> None:
    (folder / "metadata.csv").write_bytes(b"file_name,title\na.jpg,ok\nb.jpg,K\xe4tzchen\n")
    assert sentence(folder) == (
        "metadata.csv, line 3, is not UTF-8 text. Save the file as UTF-8; in a spreadsheet choose CSV UTF-8. "
        "Nothing was taken in."
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ('{"file_name": "b.jpg",', "metadata.jsonl, line 2, is not JSON: "),
        ('["b.jpg"]', "metadata.jsonl, line 2, is not a JSON object with names and values."),
        ('{"title": "x"}', "metadata.jsonl, line 2, has no file_name."),
        ('{"file_name": "b.jpg", "price": NaN}', "metadata.jsonl, line 2, is not JSON: NaN is no JSON."),
        ('{"file_name": "b.jpg", "title": ["x"]}', "metadata.jsonl, line 2, has a title that is no text."),
        ('{"file_name": "b.jpg", "title": "\\ud800"}', "metadata.jsonl, line 2, has a title with a character"),
        ('{"file_name": "b.jpg", "more": {"a": "\\u0000"}}', "metadata.jsonl, line 2, has a more with a character"),
        ('{"file_name": "b.jpg", "m\\u0000re": 1}', "metadata.jsonl, line 2, has a column whose name holds"),
        ('{"file_name": "b.jpg", "price": 1e999}', "metadata.jsonl, line 2, is not JSON: 1e999 is too large a number"),
        ("[" * 100_000, "metadata.jsonl, line 2, is not JSON: "),
    ],
)
def test_a_mistake_in_json_lines_is_told_with_its_line(folder: Path, row: str, expected: str) -> None:
    assert sentence(json_file(folder, {"file_name": "a.jpg"}, row)).startswith(expected)


def test_two_metadata_files_are_one_too_many(folder: Path) -> None:
    json_file(csv_file(folder, "file_name\n"), {"file_name": "a.jpg"})
    assert sentence(folder) == "The folder has both metadata.csv and metadata.jsonl; keep the one that counts."
