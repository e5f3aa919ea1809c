"""Labels as files: a round trip loses nothing, and what is not taken is named."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass

import pytest
from sqlalchemy.orm import Session

from app.bulk import label_importing, operations, undoing
from app.catalog import reading
from app.catalog.tables import Catalog, Image
from app.errors import Refused
from app.intake import sidecars
from app.labels import files, giving, sets
from app.people import Person
from tests import cast


def as_csv(session: Session, catalog_id: int) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([files.FIELDS, *files.csv_rows(files.records(session, catalog_id))])
    return ("\ufeff" + text.getvalue()).encode()


def as_jsonl(session: Session, catalog_id: int) -> bytes:
    return "\n".join(json.dumps(record) for record in files.records(session, catalog_id)).encode()


@dataclass
class Outcome:
    """What a file came to: what is said of photos in sets by fate, rows refused and named, as it was brought in."""

    counts: dict[str, int]
    refused: int
    named: list[str]
    assumed: list[str]
    clashes: list[str]


def bring_in(
    session: Session, catalog_id: int, by: Person, name: str, content: bytes, set_name: str = "", **how: bool
) -> Outcome:
    read = label_importing.read_in(session, catalog_id, by, name, io.BytesIO(content), set_name)
    would = label_importing.preview(session, read)
    clashes = [f"{each.file_name}: {each.theirs}, not {each.here}" for each in would.clashes]
    outcome = Outcome(dict(would.counts), read.refused, list(read.named), list(read.assumed), clashes)
    operation = label_importing.carry_out(session, read, by, takes_over=how.get("takes_over", False))
    if operation is not None:
        operations.carry_out(session, operation, by)
    return outcome


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

    outcome = bring_in(session, other.id, ana, f"labels.{ending}", content)
    assert (outcome.counts, outcome.refused, outcome.named) == ({"new": 5, "named": 10}, 0, [])
    assert without_authors(session, other.id) == without_authors(session, pile.id)
    again = bring_in(session, other.id, ana, f"labels.{ending}", content)
    assert (again.counts, again.refused) == ({"same": 5}, 0)


def test_rows_that_are_not_taken_are_named_and_others_keep_what_they_said(session: Session) -> None:
    ana, bob = cast.person(session), cast.person(session, "Bob")
    pile = pile_of(session, ["a.jpg", "b.jpg", "twin.jpg", "twin.jpg"])
    fit = sets.define(session, pile.id, bob, "Fit", "one", ["slim", "wide"])
    giving.give(session, photo(session, pile, "a.jpg"), bob, giving.LabelAct(fit, fit.values[0]))
    table = (
        "File,Set,Label,Kind\na.jpg,fit,wide,\nghost.jpg,fit,wide,\ntwin.jpg,fit,wide,\nb.jpg,FIT,wide,\n"
        "b.jpg,fit,slim,\nb.jpg,fit,slim,many\nb.jpg,,x,\nb.jpg,On,perhaps,yes_no\nb.jpg,Odd,x,riddle\n"
    )
    outcome = bring_in(session, pile.id, ana, "l.csv", table.encode())
    assert (outcome.counts, outcome.refused) == ({"new": 1, "conflict": 1}, 7)
    assert outcome.named == [
        "Row 3: no photo is called “ghost.jpg”.",
        "Row 4: 2 photos are called “twin.jpg”; give their sha256.",
        "Row 6: an earlier row says otherwise of this photo in “Fit”, which takes one answer.",
        "Row 7: “Fit” is one of here, not many of.",
        "Row 8: it names no set.",
        "Row 9: “perhaps” is no label of “On”. Labels are: yes, no.",
        "Row 10: “riddle” is no kind of label set. Kinds are: one, many, yes_no, text.",
    ]
    assert outcome.clashes == ["a.jpg: wide, not slim"]


def given(session: Session, pile: Catalog) -> list[tuple[str, str]]:
    return [(record["file"], record["label"]) for record in files.records(session, pile.id) if "file" in record]


def test_a_foreign_table_keeps_its_apostrophes(session: Session) -> None:
    ana, pile = cast.person(session), pile_of(session, ["'a.jpg", "=b.jpg", "-c.jpg"])
    table = "file;set;label\r\n'a.jpg;Era;'90s\r\n'=b.jpg;Era;''70s'\r\n-c.jpg;Era;'+1\r\n"
    outcome = bring_in(session, pile.id, ana, "l.csv", table.encode())
    assert (outcome.counts["new"], outcome.named) == (3, [])
    assert given(session, pile) == [("'a.jpg", "'90s"), ("=b.jpg", "''70s'"), ("-c.jpg", "'+1")]
    again = bring_in(session, pile.id, ana, "l.csv", as_csv(session, pile.id))
    assert (again.counts, again.refused) == ({"same": 3}, 0)
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
    outcome = bring_in(session, pile.id, ana, name, content.encode())
    assert (outcome.counts["new"], outcome.named) == (2, [])
    assert given(session, pile) == [("a.jpg", "yes"), ("b.jpg", "no")]


def test_what_is_retired_is_given_by_no_file(session: Session) -> None:
    ana, pile = cast.person(session), pile_of(session, ["a.jpg", "b.jpg"])
    fit = sets.define(session, pile.id, ana, "Fit", "one", ["slim", "wide"])
    worn = sets.define(session, pile.id, ana, "Worn", "yes_no")
    giving.give(session, photo(session, pile, "a.jpg"), ana, giving.LabelAct(fit, fit.values[0]))
    sets.retire_label(session, fit, fit.values[0].id, ana)
    sets.retire(session, worn, ana)
    table = "file,set,label\na.jpg,fit,slim\nb.jpg,fit,slim\nb.jpg,worn,yes\n"
    outcome = bring_in(session, pile.id, ana, "l.csv", table.encode())
    assert outcome.counts == {"same": 1, "retired": 2}
    assert outcome.clashes == ["b.jpg: slim, not nothing", "b.jpg: yes, not nothing"]
    assert given(session, pile) == [("a.jpg", "slim")]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [("l.csv", b"set,label,Label\na,b,c\n", "two columns for label"),
     ("l.csv", b"file,label\na,b\n", "no column set"), ("l.jsonl", b" \n", "is empty"),
     ("l.csv", b"\xff\xfe\x00", "begins like UTF-16"), ("l.csv", b"set\0", "null")],
)  # fmt: skip
def test_what_is_no_such_file_is_refused(session: Session, name: str, content: bytes, why: str) -> None:
    ana, pile = cast.person(session), pile_of(session, ["a.jpg"])
    with pytest.raises(Refused, match=why):
        label_importing.read_in(session, pile.id, ana, name, io.BytesIO(content))


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
    outcome = bring_in(session, pile.id, ana, "l.jsonl", content.encode())
    assert (outcome.counts["new"], outcome.named) == (1, [f"Row 1: {why}"])


def test_a_table_in_another_encoding_is_read_and_that_is_told(session: Session) -> None:
    ana, pile = cast.person(session), pile_of(session, ["ä.jpg"])
    outcome = bring_in(session, pile.id, ana, "l.csv", "file;set;label\nÄ.JPG;Farbe;grün\n".encode("cp1252"))
    assert (outcome.counts["new"], outcome.assumed) == (1, ["“l.csv” is not UTF-8 and was read as Windows-1252."])
    assert given(session, pile) == [("ä.jpg", "grün")]


def test_empty_lines_before_the_columns_are_passed_over(session: Session) -> None:
    ana, pile = cast.person(session), pile_of(session, ["a.jpg"])
    outcome = bring_in(session, pile.id, ana, "l.csv", b"\r\n\r\nset,label,file\r\nFit,slim,a.jpg\r\nFit,,a.jpg\r\n")
    assert (outcome.counts["new"], outcome.named) == (1, ["Row 5: it names no label."])


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
    outcome = bring_in(session, other.id, ana, "l.zip", packed, "Tags")
    assert (outcome.counts["new"], outcome.named) == (2, ["“c.txt”: no photo is called so."])
    assert given(session, other) == given(session, pile)
    sets.add_label(session, tags, ana, "red, white")
    with pytest.raises(Refused, match="part labels by commas"):
        files.texts(session, sets.get(session, tags.id))
    with pytest.raises(Refused, match="Name the set"):
        bring_in(session, other.id, ana, "l.zip", packed, " ")


def test_an_import_is_taken_back_as_one_and_later_edits_stay(session: Session) -> None:
    ana, bob = cast.person(session), cast.person(session, "Bob")
    pile = pile_of(session, ["a.jpg", "b.jpg", "c.jpg"])
    fit = sets.define(session, pile.id, ana, "Fit", "one", ["slim", "wide"])
    giving.give(session, photo(session, pile, "a.jpg"), ana, giving.LabelAct(fit, fit.values[0]))
    giving.give(session, photo(session, pile, "c.jpg"), bob, giving.LabelAct(fit, fit.values[0]))
    table = (
        b"file,set,kind,label\na.jpg,Fit,,wide\nb.jpg,Fit,,loose\nc.jpg,Fit,,wide\na.jpg,Note,text,x\n"
        b"b.jpg,Note,text,y\na.jpg,Mood,many,calm\nb.jpg,Mood,,calm\nb.jpg,Mood,,odd\n"
    )
    outcome = bring_in(session, pile.id, ana, "l.csv", table)
    assert outcome.counts == {"new": 5, "changed": 1, "conflict": 1, "named": 7}
    before = [("a.jpg", "slim"), ("c.jpg", "slim")]
    brought = [("a.jpg", "wide"), ("a.jpg", "x"), ("a.jpg", "calm"), ("b.jpg", "loose"), ("b.jpg", "y"),
               ("b.jpg", "calm"), ("b.jpg", "odd"), ("c.jpg", "slim")]  # fmt: skip
    assert given(session, pile) == brought
    mood = sets.named(session, pile.id, "Mood")
    giving.give(session, photo(session, pile, "a.jpg"), bob, giving.LabelAct(mood, mood.values[1]))
    said = undoing.undo(session, ana)
    assert said.sentence.startswith(
        "Took back on 2 photos: brought in labels of 2 photos from “l.csv”; 1 changed since"
    )
    stays = [before[0], ("a.jpg", "calm"), ("a.jpg", "odd"), before[1]]
    assert given(session, pile) == stays, "Bob’s edit holds what it was made on"
    retired = {each.name: each.retired_at is not None for each in sets.of(session, pile.id, with_retired=True)}
    assert retired == {"Fit": False, "Note": True, "Mood": False}
    assert [each.name for each in sets.named(session, pile.id, "Fit").values if each.retired_at] == ["loose"]
    again = bring_in(session, pile.id, ana, "l.csv", table)
    assert (again.counts, again.refused) == ({"new": 4, "changed": 1, "same": 1, "conflict": 1}, 0)
    assert given(session, pile) == [*brought[:3], ("a.jpg", "odd"), *brought[3:]], "what the undo retired is back"


def test_another_persons_answer_gives_way_only_where_that_was_asked(session: Session) -> None:
    ana, bob = cast.person(session), cast.person(session, "Bob")
    pile = pile_of(session, ["a.jpg", "b.jpg"])
    fit = sets.define(session, pile.id, bob, "Fit", "one", ["slim", "wide", "loose"])
    giving.give(session, photo(session, pile, "a.jpg"), bob, giving.LabelAct(fit, fit.values[0]))
    table = b"file,set,label\na.jpg,Fit,wide\nb.jpg,Fit,wide\n"
    read = label_importing.read_in(session, pile.id, ana, "l.csv", io.BytesIO(table))
    giving.give(session, photo(session, pile, "b.jpg"), bob, giving.LabelAct(fit, fit.values[2]))
    operation = label_importing.carry_out(session, read, ana, takes_over=True)
    assert operation is not None
    operations.carry_out(session, operation, ana)
    assert (operation.changed, operation.passed_over) == (1, 1), "what was said since the file was read stays"
    assert given(session, pile) == [("a.jpg", "wide"), ("b.jpg", "loose")]
    operations.undo(session, operation.id, ana)
    assert given(session, pile) == [("a.jpg", "slim"), ("b.jpg", "loose")]


def test_looking_makes_nothing_and_a_file_of_too_many_names_is_told_once_a_row(session: Session) -> None:
    ana, pile = cast.person(session), pile_of(session, ["a.jpg"])
    table = "file,set,label\n" + "".join(f"a.jpg,Fit {n},slim\n" for n in range(sets.MOST_SETS + 2))
    read = label_importing.read_in(session, pile.id, ana, "l.csv", io.BytesIO(table.encode()))
    assert sets.of(session, pile.id, with_retired=True) == []
    assert (read.refused, read.named[0]) == (2, "Row 32: A catalog has at most 30 label sets.")
    with pytest.raises(Refused, match="has no labels"):
        label_importing.read_in(session, pile.id, ana, "l.csv", io.BytesIO(b"file,set,label\n"))
