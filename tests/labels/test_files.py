"""Labels as files: a round trip loses nothing, and what is not taken is named."""

from __future__ import annotations

import csv
import io
import json

import pytest
from sqlalchemy.orm import Session

from app.catalog import reading
from app.catalog.tables import Catalog, Image
from app.errors import Refused
from app.intake import sidecars
from app.labels import files, giving, sets
from tests import cast


def as_csv(session: Session, catalog_id: int) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([files.FIELDS, *files.csv_rows(files.records(session, catalog_id))])
    return ("\ufeff" + text.getvalue()).encode()


def as_jsonl(session: Session, catalog_id: int) -> bytes:
    return "\n".join(json.dumps(record) for record in files.records(session, catalog_id)).encode()


def pile_of(session: Session, names: list[str]) -> Catalog:
    pile = cast.catalog(session)
    for name in names:
        cast.image(session, pile).file_name = name
    session.flush()
    return pile


def photo(session: Session, pile: Catalog, name: str) -> Image:
    return session.query(Image).filter_by(catalog_id=pile.id, file_name=name).one()


def without_authors(session: Session, catalog_id: int) -> list[dict[str, str]]:
    told = ("file", "set", "kind", "key", "label", "retired")
    return [{name: record.get(name, "") for name in told} for record in files.records(session, catalog_id)]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_round_trip_loses_nothing(session: Session, ending: str) -> None:
    ana, names = cast.person(session), ["a.jpg", "b,\n.jpg", "=c.jpg"]
    pile, other = pile_of(session, names), pile_of(session, names)
    fit = sets.define(session, pile.id, ana, "Fit", "one", ["'90s", "'-wide'", "-loose"])
    faults = sets.define(session, pile.id, ana, "Faults", "many", ["stain", "creases"])
    sets.define(session, pile.id, ana, "Empty", "yes_no")
    note = sets.define(session, pile.id, ana, "Note", "text")
    for name, value in zip(names, fit.values, strict=True):
        giving.give(session, photo(session, pile, name), ana, giving.LabelAct(fit, value))
    for value in faults.values:
        giving.give(session, photo(session, pile, "a.jpg"), ana, giving.LabelAct(faults, value))
    written = giving.LabelAct(note, sets.value_of_text(session, note, "=SUM(A1); “odd”, it’s"))
    giving.give(session, photo(session, pile, "a.jpg"), ana, written)
    sets.retire_label(session, fit, fit.values[2].id, ana)
    sets.retire(session, faults, ana)
    content = as_csv(session, pile.id) if ending == "csv" else as_jsonl(session, pile.id)

    outcome = files.bring_in(session, other.id, ana, files.read(f"labels.{ending}", content))
    assert (outcome.given, outcome.already, outcome.refused, outcome.named) == (6, 0, 0, [])
    assert without_authors(session, other.id) == without_authors(session, pile.id)
    again = files.bring_in(session, other.id, ana, files.read(f"labels.{ending}", content))
    assert (again.given, again.already, again.refused) == (0, 6, 0)


def test_rows_that_are_not_taken_are_named_and_others_keep_what_they_said(session: Session) -> None:
    ana, bob = cast.person(session), cast.person(session, "Bob")
    pile = pile_of(session, ["a.jpg", "b.jpg", "twin.jpg", "twin.jpg"])
    fit = sets.define(session, pile.id, bob, "Fit", "one", ["slim", "wide"])
    giving.give(session, photo(session, pile, "a.jpg"), bob, giving.LabelAct(fit, fit.values[0]))
    table = (
        "File,Set,Label,Kind\na.jpg,fit,wide,\nghost.jpg,fit,wide,\ntwin.jpg,fit,wide,\nb.jpg,FIT,wide,\n"
        "b.jpg,fit,slim,\nb.jpg,fit,slim,many\nb.jpg,,x,\nb.jpg,On,perhaps,yes_no\nb.jpg,Odd,x,riddle\n"
    )
    outcome = files.bring_in(session, pile.id, ana, files.read("l.csv", table.encode()))
    assert (outcome.given, outcome.refused) == (1, 8)
    assert outcome.named == [
        "Row 3: no photo is called “ghost.jpg”.",
        "Row 4: 2 photos are called “twin.jpg”; give their sha256.",
        "Row 6: an earlier row says otherwise of this photo in “Fit”, which takes one answer.",
        "Row 7: “Fit” is one of here, not many of.",
        "Row 8: it names no set.",
        "Row 9: “perhaps” is no label of “On”. Labels are: yes, no.",
        "Row 10: “riddle” is no kind of label set. Kinds are: one, many, yes_no, text.",
        "“a.jpg” stays slim in “Fit”, as Bob said.",
    ]


def given(session: Session, pile: Catalog) -> list[tuple[str, str]]:
    return [(record["file"], record["label"]) for record in files.records(session, pile.id) if "file" in record]


def test_a_foreign_table_keeps_its_apostrophes(session: Session) -> None:
    ana, pile = cast.person(session), pile_of(session, ["'a.jpg", "=b.jpg", "-c.jpg"])
    table = "file;set;label\r\n'a.jpg;Era;'90s\r\n'=b.jpg;Era;''70s'\r\n-c.jpg;Era;'+1\r\n"
    outcome = files.bring_in(session, pile.id, ana, files.read("l.csv", table.encode()))
    assert (outcome.given, outcome.named) == (3, [])
    assert given(session, pile) == [("'a.jpg", "'90s"), ("=b.jpg", "''70s'"), ("-c.jpg", "+1")]
    again = files.bring_in(session, pile.id, ana, files.read("l.csv", as_csv(session, pile.id)))
    assert (again.given, again.already, again.refused) == (0, 3, 0)
    assert all(
        not cell.startswith(("=", "+", "-"))
        for row in csv.reader(as_csv(session, pile.id).decode().splitlines()[1:])
        for cell in row
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "l.jsonl",
            '{"file":"a.jpg","set":"Worn","kind":"yes_no","label":true}\n{"file":"b.jpg","set":"worn","label":false}',
        ),
        ("l.csv", "file,set,kind,label\na.jpg,Worn,Yes_No,TRUE\nb.jpg,Worn,,False"),
        ("l.csv", "file\tset\tkind\tlabel\na.jpg\tWorn\tyes_no\t1\nb.jpg\tWorn\tyes_no\t0"),
    ],
)
def test_true_and_false_are_yes_and_no_where_a_set_asks_that(session: Session, name: str, content: str) -> None:
    ana, pile = cast.person(session), pile_of(session, ["a.jpg", "b.jpg"])
    outcome = files.bring_in(session, pile.id, ana, files.read(name, content.encode()))
    assert (outcome.given, outcome.named) == (2, [])
    assert given(session, pile) == [("a.jpg", "yes"), ("b.jpg", "no")]


def test_what_is_retired_is_given_by_no_file(session: Session) -> None:
    ana, pile = cast.person(session), pile_of(session, ["a.jpg", "b.jpg"])
    fit = sets.define(session, pile.id, ana, "Fit", "one", ["slim", "wide"])
    worn = sets.define(session, pile.id, ana, "Worn", "yes_no")
    giving.give(session, photo(session, pile, "a.jpg"), ana, giving.LabelAct(fit, fit.values[0]))
    sets.retire_label(session, fit, fit.values[0].id, ana)
    sets.retire(session, worn, ana)
    table = "file,set,label\na.jpg,fit,slim\nb.jpg,fit,slim\nb.jpg,worn,yes\n"
    outcome = files.bring_in(session, pile.id, ana, files.read("l.csv", table.encode()))
    assert (outcome.given, outcome.already) == (0, 1)
    assert outcome.named == [
        "“b.jpg” does not get slim in “Fit”, which is retired.",
        "“b.jpg” does not get yes in “Worn”, which is retired.",
    ]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [("l.csv", b"set,label,Label\na,b,c\n", "two columns for label"),
     ("l.csv", b"file,label\na,b\n", "no column set"), ("l.jsonl", b" \n", "is empty"),
     ("l.csv", b"\xff\xfe\x00", "begins like UTF-16"), ("l.csv", b"set\0", "null")],
)  # fmt: skip
def test_what_is_no_such_file_is_refused(name: str, content: bytes, why: str) -> None:
    with pytest.raises(Refused, match=why):
        list(files.read(name, content).rows)


@pytest.mark.parametrize(
    ("line", "why"),
    [('{"set":"A","label":["x","y"]}', "it has a list or an object as label; write a row for each label."),
     ('{"set":"A","label":"x\\u0000"}', "it is no JSON object."),
     ('{"set":"A","label":"x\\ud800"}', "it is no JSON object."),
     ("{}", "it has no set."), ("[1]", "it is no JSON object."), ("{", "it is no JSON object.")],
)  # fmt: skip
def test_a_line_that_cannot_be_read_costs_only_itself(session: Session, line: str, why: str) -> None:
    ana, pile = cast.person(session), pile_of(session, ["a.jpg"])
    content = f'{line}\n{{"file":"a.jpg","set":"Fit","label":"slim"}}\n'
    outcome = files.bring_in(session, pile.id, ana, files.read("l.jsonl", content.encode()))
    assert (outcome.given, outcome.named) == (1, [f"Row 1: {why}"])


def test_a_table_in_another_encoding_is_read_and_that_is_told(session: Session) -> None:
    ana, pile = cast.person(session), pile_of(session, ["ä.jpg"])
    outcome = files.bring_in(
        session, pile.id, ana, files.read("l.csv", "file;set;label\nÄ.JPG;Farbe;grün\n".encode("cp1252"))
    )
    assert (outcome.given, outcome.assumed) == (1, "“l.csv” is not UTF-8 and was read as Windows-1252.")
    assert given(session, pile) == [("ä.jpg", "grün")]


def test_empty_lines_before_the_columns_are_passed_over() -> None:
    record = {"set": "Fit", "label": "slim", "file": "a.jpg"}
    assert list(files.read("l.csv", b"\r\n\r\nset,label,file\r\nFit,slim,a.jpg\r\n").rows) == [(4, record)]


def test_a_person_is_told_who_said_what(session: Session) -> None:
    ana, pile = cast.person(session), pile_of(session, ["a.jpg"])
    fit = sets.define(session, pile.id, ana, "Fit", "one", ["slim"])
    giving.give(session, photo(session, pile, "a.jpg"), ana, giving.LabelAct(fit, fit.values[0]))
    assert [record["by"] for record in files.records(session, pile.id) if "by" in record] == ["Ana"]


def test_labels_go_out_and_in_as_sidecars(session: Session) -> None:
    ana, names = cast.person(session), ["a.jpg", "a.png", "b.jpg"]
    pile, other = pile_of(session, names), pile_of(session, names)
    tags = sets.define(session, pile.id, ana, "Tags", "many", ["red", "on a table"])
    for name, value in (("a.jpg", 0), ("a.jpg", 1), ("b.jpg", 1)):
        giving.give(session, photo(session, pile, name), ana, giving.LabelAct(tags, tags.values[value]))
    said = dict(files.texts(session, tags))
    beside = sidecars.names_of(reading.named(session, pile.id))
    assert {beside[number]: text for number, text in said.items()} == {
        "a.jpg.txt": "red, on a table",
        "b.txt": "on a table",
    }
    packed = b"".join(sidecars.packed([*((beside[number], text) for number, text in said.items()), ("c.txt", "x")]))
    outcome = files.bring_in(session, other.id, ana, files.read_sidecars(session, other.id, io.BytesIO(packed), "Tags"))
    assert (outcome.given, outcome.named) == (3, ["Row 3: “c.txt”: no photo is called so."])
    assert given(session, other) == given(session, pile)
    sets.add_label(session, tags, ana, "red, white")
    with pytest.raises(Refused, match="part labels by commas"):
        files.texts(session, sets.get(session, tags.id))
    with pytest.raises(Refused, match="Name the set"):
        files.read_sidecars(session, other.id, io.BytesIO(packed), " ")
