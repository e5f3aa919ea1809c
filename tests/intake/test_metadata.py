"""The metadata file: read as people write it, refused whole with the line of the first mistake."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from app.errors import Refused
from app.intake import metadata, table_rows
from app.intake.folders import walk
from app.intake.metadata import PhotoMetadata, Rows
from app.intake.metadata import read_metadata as read_files


def rows_of(folder: Path) -> Rows:
    return read_files(walk(folder))


def read_metadata(folder: Path) -> dict[str, PhotoMetadata]:
    return rows_of(folder).by_key


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
        # Counted before they are compared with each other, which takes hours for a line of megabytes.
        ("file_name" + ",x" * 100_000 + "\n", "metadata.csv has 100001 columns; 100 are the limit."),
        (
            "file_name,title\na.jpg,Mug, red\n",
            "metadata.csv, line 2, has 3 fields where the header has 2. A separator inside a text needs quotes around "
            "the text. Nothing was taken in.",
        ),
        ("file_name,title\n\na.jpg\n", "metadata.csv, line 3, has 1 fields where the header has 2. Nothing was"),
        ('file_name,title\na.jpg,"open\n', "metadata.csv, line 2, cannot be read as a table: unexpected end of data."),
        (
            "file_name,title\na.jpg,x\nb.jpg,y\na.jpg,z\n",
            "metadata.csv, line 4, names a.jpg, which line 2 names too. They say different things of it.",
        ),
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


def test_files_in_subfolders_name_their_own_photos(folder: Path) -> None:
    """As model hubs lay image folders out: a split each, with a file of its own."""
    for place in ("train", "test/deep"):
        (folder / place).mkdir(parents=True)
    csv_file(folder / "train", "file_name,title\n1.jpg,Blue kettle\n../test/3.jpg,Pan\n")
    json_file(folder / "test/deep", {"file_name": "2.jpg", "title": "Green lamp"})
    rows = rows_of(folder)
    assert {key: row.title for key, row in rows.by_key.items()} == {
        "train/1.jpg": "Blue kettle", "test/3.jpg": "Pan", "test/deep/2.jpg": "Green lamp",
    }  # fmt: skip
    assert rows.files == {"test/deep/metadata.jsonl": 1, "train/metadata.csv": 2}


@pytest.mark.parametrize("name", ["METADATA.CSV", "Metadata.csv", "metadata.CSV"])
def test_names_of_files_count_in_any_case(folder: Path, name: str) -> None:
    (folder / name).write_text("file_name,title\na.jpg,Blue kettle\n")
    assert read_metadata(folder)["a.jpg"].title == "Blue kettle"


@pytest.mark.parametrize(
    "value",
    [
        [{"file_name": "a.jpg", "title": "Blue kettle"}],
        {"a.jpg": {"title": "Blue kettle"}},
        {"info": {"year": 2026}, "images": [{"file_name": "a.jpg", "title": "Blue kettle"}]},
    ],
)
def test_one_json_value_lists_photos(folder: Path, value: object) -> None:
    (folder / "metadata.json").write_text(json.dumps(value))
    assert read_metadata(folder) == {"a.jpg": PhotoMetadata(1, "Blue kettle")}


@pytest.mark.parametrize("text", ['{"title": "Album", "date": "2024"}', "[]", "{", '["a.jpg"]', "[" * 100_000])
def test_a_json_file_of_another_program_is_left_alone_and_said_to_be(folder: Path, text: str) -> None:
    (folder / "metadata.json").write_text(text)
    csv_file(folder, "file_name,title\na.jpg,Blue kettle\n")
    rows = rows_of(folder)
    assert list(rows.by_key) == ["a.jpg"]
    assert list(rows.unread) == ["metadata.json"]


@pytest.mark.parametrize("name", ["metadata.ods", "metadata.xlsx", "Metadata.XLSX"])
def test_what_is_not_read_says_what_to_do_instead(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"PAR1")
    assert "metadata.csv" in rows_of(folder).unread[name] or "CSV UTF-8" in rows_of(folder).unread[name]


def test_a_spreadsheets_line_that_names_the_separator(folder: Path) -> None:
    csv_file(folder, "sep=;\r\nfile_name;title\r\na.jpg;Blue, kettle\r\n", "utf-8-sig")
    assert read_metadata(folder) == {"a.jpg": PhotoMetadata(3, "Blue, kettle")}


@pytest.mark.parametrize("column", ["text", "Caption", "PROMPT"])
def test_a_column_of_captions(folder: Path, column: str) -> None:
    csv_file(folder, f"file_name,{column}\na.jpg,A tall blue kettle\n")
    assert read_metadata(folder) == {"a.jpg": PhotoMetadata(2, caption="A tall blue kettle")}


def test_one_of_several_captions_counts_and_the_others_are_kept(folder: Path) -> None:
    json_file(
        folder,
        {"file_name": "a.jpg", "prompt": "c", "caption": "b", "text": ""},
        {"file_name": "b.jpg", "text": ["d", "e"]},
    )
    rows = read_metadata(folder)
    assert (rows["a.jpg"].caption, rows["a.jpg"].extra) == ("b", {"prompt": "c"})
    assert (rows["b.jpg"].caption, rows["b.jpg"].extra) == ("d", {"text": ["d", "e"]})


def test_the_same_row_twice_does_no_harm(folder: Path) -> None:
    csv_file(folder, "file_name,title\na.jpg,Mug\na.jpg,Mug\n./a.jpg,Mug\n")
    assert read_metadata(folder) == {"a.jpg": PhotoMetadata(2, "Mug")}


def test_two_files_that_say_different_things_of_a_photo(folder: Path) -> None:
    (folder / "train").mkdir()
    csv_file(folder, "file_name,title\ntrain/1.jpg,Mug\n")
    csv_file(folder / "train", "file_name,title\n1.jpg,Pan\n")
    assert sentence(folder) == (
        "train/metadata.csv, line 2, names 1.jpg, which line 2 of metadata.csv names too. They say different things of "
        "it. What differs: title. Nothing was taken in."
    )


def test_two_files_in_one_subfolder_are_one_too_many(folder: Path) -> None:
    (folder / "train").mkdir()
    csv_file(folder / "train", "file_name\na.jpg\n")
    (folder / "train" / "METADATA.jsonl").write_text('{"file_name": "a.jpg"}')
    assert sentence(folder).startswith("The folder train has both METADATA.jsonl and metadata.csv;")


SECRET = "root:x:0:0:root,file_name\n"


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.json", "train/METADATA.CSV"])
@pytest.mark.parametrize("kind", ["link out", "link in", "pipe", "folder"])
def test_only_plain_files_are_read_and_nothing_else_is_quoted(folder: Path, name: str, kind: str) -> None:
    secret = folder / ".secret" if kind == "link in" else folder.parent / "secret"
    secret.write_text(SECRET)
    place = folder / name
    place.parent.mkdir(exist_ok=True)
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to(secret)
    rows = rows_of(folder)
    assert rows.by_key == {} and "root" not in str(rows)
    said = {met.name: met.reason for met in walk(folder) if met.kind == "refused"} | rows.unread
    expected = {
        "link out": "A link that leaves the folder; such links are not followed.",
        "link in": "A link; only plain files are read beside photos.",
        "pipe": "No plain file; only such are read beside photos.",
    }
    assert said == ({name: expected[kind]} if kind in expected else {})


def test_no_file_takes_much_more_memory_than_it_has_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "MAX_ROWS", 2)
    csv_file(folder, "file_name,title\na,x\nb,y\nc,z\n")
    assert sentence(folder) == (
        "metadata.csv, line 4, is one more than 2 rows, the limit of one intake; take the folders in apart. "
        "Nothing was taken in."
    )
    (folder / "metadata.csv").unlink()
    monkeypatch.setattr(table_rows, "MAX_LINE", 50)
    json_file(folder, '{"file_name": "a.jpg", "more": [' + "[]," * 20 + "1]}")
    assert sentence(folder) == ("metadata.jsonl, line 1, has 95 characters; 50 are the limit. Nothing was taken in.")
    (folder / "metadata.jsonl").rename(folder / "metadata.json")
    monkeypatch.setattr(table_rows, "MAX_JSON_BYTES", 50)
    assert rows_of(folder).unread == {"metadata.json": "The file is larger than 0 kB."}


def test_columns_without_a_name_keep_their_own_values(folder: Path) -> None:
    csv_file(folder, ",file_name,,title,\n7,a.jpg,x,Mug,y\n")
    assert read_metadata(folder)["a.jpg"].extra == {"column 1": "7", "column 3": "x", "column 5": "y"}


@pytest.mark.parametrize("heading", ["File Name", "file-name", "FILENAME", "\u200bfile_name\u00a0"])
def test_the_key_column_is_known_however_it_is_spelled(folder: Path, heading: str) -> None:
    csv_file(folder, f"{heading}|Title\na.jpg|Mug\n")
    assert read_metadata(folder)["a.jpg"].title == "Mug"


def test_a_shop_s_export_is_told_which_column_to_rename(folder: Path) -> None:
    csv_file(folder, "Handle,Title,Image Src\nmug,Mug,https://cdn.shop/mug.jpg\n")
    assert sentence(folder).endswith("If Image Src holds the names of the pictures, rename that column to file_name.")


@pytest.mark.parametrize(
    "text", ['{"title": "A", "Title": "B", "file_name": "a.jpg"}', '{"file_name": "a.jpg", "n": 1, "n": 2}']
)
def test_a_json_row_says_nothing_twice(folder: Path, text: str) -> None:
    json_file(folder, text)
    assert "twice" in sentence(folder)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
def test_wide_letters_are_read_without_a_mark(folder: Path, encoding: str) -> None:
    csv_file(folder, "file_name\ttitle\r\na.jpg\tKätzchen\r\n", encoding)
    assert read_metadata(folder)["a.jpg"].title == "Kätzchen"


def test_a_missing_value_is_none_however_a_program_writes_it(folder: Path) -> None:
    csv_file(folder, "file_name,title,product,text,category\na.jpg,nan,N/A,NULL,None\n")
    assert read_metadata(folder)["a.jpg"] == PhotoMetadata(2)


def test_empty_fields_behind_the_last_column_are_no_mistake(folder: Path) -> None:
    csv_file(folder, "file_name,title\na.jpg,Mug,,\n")
    assert read_metadata(folder)["a.jpg"].title == "Mug"


@pytest.mark.parametrize(
    "name", ["Metadata (1).csv", "products_export_1.csv", "captions.jsonl", "feed.tsv", "list.xlsx"]
)
def test_a_table_under_another_name_is_said_not_to_be_read(folder: Path, name: str) -> None:
    (folder / name).write_text("file_name,title\na.jpg,Mug\n")
    assert rows_of(folder).unread[name].startswith("Not read: ")


@pytest.mark.parametrize("value", [{"file_name": "a.jpg", "text": "a mug"}, {"a.jpg": "a mug"}])
def test_one_row_and_captions_by_name_are_read(folder: Path, value: object) -> None:
    (folder / "metadata.json").write_text(json.dumps(value))
    assert read_metadata(folder)["a.jpg"].caption == "a mug"


def test_what_two_rows_say_otherwise_is_named(folder: Path) -> None:
    csv_file(folder, "file_name,title,size\na.jpg,Shirt,S\na.jpg,Shirt,M\n")
    assert "What differs: size." in sentence(folder)


def test_a_workbook_under_another_name_is_told(folder: Path) -> None:
    (folder / "metadata.csv").write_bytes(b"PK\x03\x04" + bytes(range(256)))
    assert "is a workbook" in sentence(folder)
