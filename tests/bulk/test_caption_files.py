"""Captions as files: a round trip loses nothing, what it would do is shown first, and people are not written over."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.bulk import importing, imports, operations
from app.bulk.tables import FileImport
from app.captions import files, writing
from app.captions.tables import OF_KIND, CaptionText
from app.catalog.tables import Catalog, Image
from app.database import utc_now
from app.errors import Refused
from app.intake import sidecars
from app.people import Person
from app.review.tables import Operation
from tests import cast

LONG_AGO = datetime(2020, 1, 2, 3, 4, 5, 678901, UTC)


def photos_of(pile: Catalog) -> object:
    return select(Image.id).where(Image.catalog_id == pile.id)


def as_csv(session: Session, pile: Catalog, with_history: bool = True) -> bytes:
    text = io.StringIO()
    every = files.records(session, photos_of(pile), with_history=with_history)
    csv.writer(text).writerows([files.FIELDS, *files.csv_rows(every)])
    return ("\ufeff" + text.getvalue()).encode()


def as_jsonl(session: Session, pile: Catalog, with_history: bool = True) -> bytes:
    every = files.records(session, photos_of(pile), with_history=with_history)
    return "\n".join(json.dumps(record, ensure_ascii=False) for record in every).encode()


def as_zip(session: Session, pile: Catalog, kind: str = "long") -> bytes:
    rows = session.execute(select(Image.id, Image.file_name, Image.sha256).where(Image.catalog_id == pile.id))
    names = sidecars.names_of((row[0], row[1], row[2]) for row in rows)
    texts = files.texts(session, photos_of(pile), kind)
    return b"".join(sidecars.packed((names[number], text) for number, text in texts))


def read(session: Session, pile: Catalog, by: Person, name: str, content: bytes, **how: str) -> FileImport:
    return importing.read_in(session, pile.id, by, name, io.BytesIO(content), **how)


def bring(
    session: Session, pile: Catalog, by: Person, name: str, content: bytes, takes_over: bool = False, **how: str
) -> Operation:
    kept = read(session, pile, by, name, content, **how)
    operation = imports.carry_out(session, kept, by, takes_over=takes_over)
    operations.carry_out(session, operation, by)
    return operation


def copy_of(session: Session, pile: Catalog) -> Catalog:
    """The same photos, taken in in another order, without captions."""
    other = cast.catalog(session)
    for photo in session.scalars(select(Image).where(Image.catalog_id == pile.id).order_by(Image.id.desc())):
        twin = cast.image(session, other)
        twin.sha256, twin.file_name = photo.sha256, photo.file_name
    session.flush()
    return other


def current(session: Session, photo: Image, kind: str = "long") -> CaptionText | None:
    session.expire_all()
    return writing.current_kinds(session, photo.id).get(kind)


def counts(session: Session, kept: FileImport) -> dict[str, int]:
    return dict(importing.preview(session, kept).counts)


def named(session: Session, pile: Catalog, *names: str) -> list[Image]:
    photos = [cast.image(session, pile) for _ in names]
    for photo, name in zip(photos, names, strict=True):
        photo.file_name = name
    session.flush()
    return photos


WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Co")), min_size=1, max_size=40).filter(
    lambda text: _keeps(text)
)
AUTHORS = st.sampled_from(["person", "stranger", "given", "captioner"])


def _keeps(text: str) -> bool:
    try:
        writing.tidy(text)
    except Refused:
        return False
    return True


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    texts=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(files.KINDS), WORDS, AUTHORS), max_size=12),
    ending=st.sampled_from(["csv", "jsonl"]),
    with_history=st.booleans(),
)
def test_a_round_trip_is_equal_byte_for_byte(
    session: Session, texts: list[tuple[int, str, str, str]], ending: str, with_history: bool
) -> None:
    export = as_csv if ending == "csv" else as_jsonl
    with session.begin_nested() as nested:
        ana, pile = cast.person(session, f"Ana {utc_now()}"), cast.catalog(session)
        photos = named(session, pile, "=a.jpg", "b,\n'.jpg", "sub/ä.png")
        last: dict[tuple[int, str], CaptionText] = {}
        for turn, (place, kind, text, by) in enumerate(texts):
            before = last.get((place, kind))
            at = LONG_AGO + timedelta(seconds=turn)
            if before is not None:
                before.superseded_at = at
                session.flush()
            last[place, kind] = OF_KIND[kind](
                image_id=photos[place].id, text=writing.tidy(text),
                written_by="person" if by == "stranger" else by,
                person_id=ana.id if by in ("person", "stranger") else None,
                captioner=" models/odd,one" if by == "captioner" else None,
                settings={"by": "Zoë, of elsewhere"} if by == "stranger" else {"file": "=x", "line": 2} if by == "given"
                else {"prompt": "say “it”,\nplainly", "seed": [1, None, 0.5]} if by == "captioner" else {},
                parent_id=before.id if before is not None else None, created_at=at,
            )  # fmt: skip
            session.add(last[place, kind])
            session.flush()
        other = copy_of(session, pile)
        content = export(session, pile, with_history)
        if last:
            bring(session, other, ana, f"c.{ending}", content)
            again = read(session, other, ana, f"c.{ending}", content)
            assert counts(session, again).keys() <= {"same", "history"}
            assert again.refused == 0 and again.named == []
        assert export(session, other, with_history) == content
        nested.rollback()


def test_sidecars_go_out_and_in_and_no_two_photos_share_one(session: Session) -> None:
    ana, pile = cast.person(session), cast.catalog(session)
    names = ["a.jpg", "A.png", "b.jpg", "b.jpg", "../c.jpg", "sub/d.jpg", "a.jpg.txt.jpg", "e:*.jpg"]
    photos = named(session, pile, *names)
    for place, photo in enumerate(photos):
        writing.rewrite(session, photo.id, f"Photo {place}, “ä”", ana, None, "short")
    content = as_zip(session, pile, "short")
    members = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert len({name.casefold() for name in members}) == len(names) and not any(".." in name for name in members)
    assert {"a.jpg.txt", "A.png.txt", "sub/d.txt", "e__.txt"} <= set(members)
    other = copy_of(session, pile)
    operation = bring(session, other, ana, "c.zip", content, kind="short")
    assert (operation.changed, operation.passed_over) == (8, 0)
    assert as_zip(session, other, "short") == content == as_zip(session, pile, "short")


def test_a_file_is_shown_first_and_people_are_not_written_over(session: Session) -> None:
    ana, bob, pile = cast.person(session), cast.person(session, "Bob"), cast.catalog(session)
    fresh, machines, peoples, same, newer = named(session, pile, "new.jpg", "m.jpg", "p.jpg", "s.jpg", "n.jpg")
    writing.propose(session, machines, "A kettle.", "facts", {})
    for photo in (peoples, newer):
        writing.rewrite(session, photo.id, "Bob’s own words.", bob, None)
    writing.rewrite(session, same.id, "The same.", bob, None)
    soon = (utc_now() + timedelta(days=1)).isoformat()
    table = (
        "file;text;written_by;captioner;at\nnew.jpg;First.;;;\nm.jpg;Given.;;;\np.jpg;Other words.;;;\n"
        f"s.jpg;The same.;;;\nghost.jpg;Nobody.;;;\nn.jpg;Newer.;person;;{soon}\np.jpg;Twice.;;;\nnew.jpg;;;;\n"
        "m.jpg;By a model.;captioner;;\nm.jpg;x;riddle;;\nm.jpg;x;;;yesterday\nm.jpg;a;b;c;d;e\n"
    )
    kept = read(session, pile, ana, "t.csv", table.encode())
    shown = importing.preview(session, kept)
    assert shown.counts == Counter(new=1, changed=2, conflict=1, same=1)
    assert [(one.here, one.here_by, one.theirs, one.is_machine) for one in shown.clashes] == [
        ("Bob’s own words.", "Bob", "Other words.", False)
    ]
    assert (kept.refused, kept.unknown) == (7, 1)
    assert kept.named == [
        "Row 6: no photo is called “ghost.jpg”.",
        "Row 8: an earlier row has another text for this photo.",
        "Row 9: A caption cannot be empty.",
        "Row 10: it names no captioner.",
        "Row 11: “riddle” writes no captions; person, given, captioner do.",
        "Row 12: “yesterday” is no time; write it like 2026-11-30T14:05:00Z.",
        "Row 13: it has 6 cells where the table has 5 columns; a text with “;” in it stands between quotes.",
    ]
    assert current(session, fresh) is None, "nothing is changed by looking"
    operation = imports.carry_out(session, kept, ana, takes_over=False)
    operations.carry_out(session, operation, ana)
    assert (operation.changed, operation.already, operation.passed_over) == (3, 1, 1)
    assert [current(session, photo).text for photo in (fresh, machines, peoples, newer)] == [  # type: ignore[union-attr]
        "First.", "Given.", "Bob’s own words.", "Newer.",
    ]  # fmt: skip
    with pytest.raises(Refused, match="already"):
        imports.carry_out(session, kept, ana, takes_over=False)
    operations.undo(session, operation.id, ana)
    assert current(session, fresh) is None
    assert [current(session, photo).text for photo in (machines, newer)] == ["A kettle.", "Bob’s own words."]  # type: ignore[union-attr]
    assert (operation.taken_back, operation.stayed, operation.state) == (3, 0, "undone")


def test_who_brings_in_may_say_otherwise_but_for_machines(session: Session) -> None:
    ana, bob, pile = cast.person(session), cast.person(session, "Bob"), cast.catalog(session)
    mine, machine, meanwhile = named(session, pile, "a.jpg", "b.jpg", "c.jpg")
    for photo in (mine, machine, meanwhile):
        writing.rewrite(session, photo.id, "Bob’s.", bob, None)
    table = "photo,text,model\n{},Theirs.,\n{},A machine’s.,blip\n{},Theirs too.,\n"
    table = table.format(mine.id, machine.id, meanwhile.id)
    kept = read(session, pile, ana, "t.csv", table.encode())
    assert counts(session, kept) == {"conflict": 2, "machine": 1}
    writing.rewrite(session, meanwhile.id, "Bob’s, since it was shown.", bob, current(session, meanwhile).id)  # type: ignore[union-attr]
    operation = imports.carry_out(session, kept, ana, takes_over=True)
    operations.carry_out(session, operation, ana)
    assert (operation.changed, operation.passed_over) == (1, 2)
    texts = [current(session, photo).text for photo in (mine, machine, meanwhile)]  # type: ignore[union-attr]
    assert texts == ["Theirs.", "Bob’s.", "Bob’s, since it was shown."]


def test_what_somebody_wrote_since_stays_as_an_import_is_taken_back(session: Session) -> None:
    ana, bob, pile = cast.person(session), cast.person(session, "Bob"), cast.catalog(session)
    left, right = named(session, pile, "a.jpg", "b.jpg")
    rows = [
        {"file": name, "text": text, "version": version, "parent": version - 1 or None, "at": LONG_AGO.isoformat(),
         "until": until, "written_by": "person", "by": "Nobody here"}
        for name in ("a.jpg", "b.jpg")
        for version, text, until in ((1, "Old.", LONG_AGO.isoformat()), (2, "New.", None))
    ]  # fmt: skip
    operation = bring(session, pile, ana, "t.jsonl", "\n".join(json.dumps(row) for row in rows).encode())
    assert [row.text for row in writing.history(session, left.id)] == ["New.", "Old."]
    assert writing.author(session, current(session, left)) == "Nobody here"  # type: ignore[arg-type]
    writing.rewrite(session, right.id, "Bob’s.", bob, current(session, right).id)  # type: ignore[union-attr]
    operations.undo(session, operation.id, ana)
    assert current(session, left) is None, "neither the file's text nor the history that came with it"
    assert current(session, right).text == "Bob’s."  # type: ignore[union-attr]
    assert (operation.taken_back, operation.stayed) == (2, 1)


@pytest.mark.parametrize(
    ("content", "assumed"),
    [
        ("file\ttext\na.jpg\tSchön, “ü”\n".encode("utf-8-sig"), []),
        ('file,text\r\na.jpg,"Schön, “ü”"\r\n'.encode("utf-16"), []),
        ("file;text\na.jpg;Schön, “ü”\n".encode("cp1252"), ["“t.csv” is not UTF-8 and was read as Windows-1252."]),
        (
            "sep=|\nfile|text\na.jpg|Schön, “ü”\n".encode("utf-16-le"),
            ["It has no mark of its encoding and was read as UTF-16."],
        ),
    ],
)
def test_tables_are_read_as_spreadsheets_save_them(session: Session, content: bytes, assumed: list[str]) -> None:
    ana, pile = cast.person(session), cast.catalog(session)
    (photo,) = named(session, pile, "a.jpg")
    operation = bring(session, pile, ana, "t.csv", content)
    assert current(session, photo).text == "Schön, “ü”"  # type: ignore[union-attr]
    assert session.get_one(FileImport, operation.value["import_id"]).assumed == assumed


def zipped(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return packed.getvalue()


def test_a_foreign_zip_is_matched_by_name_and_never_by_guess(session: Session) -> None:
    ana, pile = cast.person(session), cast.catalog(session)
    flat, deep, *_ = named(session, pile, "flat.jpg", "set/deep.png", "x/twin.jpg", "y/twin.jpg", "z/own.jpg")
    content = zipped(
        ("10_kettle/flat.txt", b"Flat."), ("deep.caption", "Dëep.".encode("cp1252")), ("twin.txt", b"Which?"),
        ("other/own.txt", b"Of another folder."), ("../../etc/flat.txt", b"Out."), ("10_kettle/flat.jpg", b"picture"),
        ("notes.md", b"#"), ("big.txt", b"x" * 70_000), (".DS_Store", b""), ("null.txt", b"a\0b"),
    )  # fmt: skip
    kept = read(session, pile, ana, "c.zip", content)
    assert counts(session, kept) == {"new": 2}
    assert kept.assumed == ["1 sidecar is not UTF-8 and read as Windows-1252 or UTF-16."]
    assert kept.named == [
        "“twin.txt”: 2 photos are called so; it may be of any.",
        "“other/own.txt”: no photo is called so.",
        "“../../etc/flat.txt”: its name leads out of the archive.",
        "“notes.md”: it is no sidecar; these end in .txt or .caption.",
        "“big.txt”: it has 70,000 bytes; 65,536 are the most of a sidecar.",
        "“null.txt”: “null.txt” holds null characters; it is no text.",
    ]
    operations.carry_out(session, imports.carry_out(session, kept, ana, takes_over=False), ana)
    assert (current(session, flat).text, current(session, deep).text) == ("Flat.", "Dëep.")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b"file,note\na.jpg,x\n", "has no column text; it has file, note"),
        ("t.csv", b"file,text,caption\na.jpg,x,y\n", "two columns for text"),
        ("t.csv", b"PK\x03\x04rest", "workbook or a ZIP"),
        ("t.csv", b"file,text\n", "has no captions"),
        ("t.csv", b"\x81\x8d\x8f", "neither UTF-8 nor Windows-1252"),
        ("t.zip", b"no archive", "no ZIP, or a damaged one"),
        ("t.jsonl", b"\n\n", "is empty"),
    ],
)
def test_what_is_no_file_of_captions_is_said(session: Session, name: str, content: bytes, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        read(session, cast.catalog(session), cast.person(session), name, content)


def test_a_bomb_is_refused_and_a_broken_line_costs_only_itself(session: Session) -> None:
    ana, pile = cast.person(session), cast.catalog(session)
    named(session, pile, "a.jpg", "b.jpg")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"\0" * 1_100_000)
    content = bomb.getvalue().replace((1_100_000).to_bytes(4, "little"), (0x7FFFFFFF).to_bytes(4, "little"))
    with pytest.raises(Refused, match="unpacks to more than"):
        read(session, pile, ana, "c.zip", content)
    lines = [
        '{"file":"a.jpg","text":"A."}',
        "{broken",
        '{"file":"b.jpg"}',
        '["b.jpg"]',
        '{"file":"b.jpg","text":["x"]}',
        '{"file":"b.jpg","text":"\\ud800"}',
        '{"file":"b.jpg","text":"B.","settings":{"deep":NaN}}',
        "[" * 100_000,
    ]
    kept = read(session, pile, ana, "c.jsonl", "\n".join(lines).encode())
    assert counts(session, kept) == {"new": 1}
    assert kept.named == [
        "Row 2: it is no JSON object.", "Row 3: it has no text.", "Row 4: it is no JSON object.",
        "Row 5: its text is a list or an object.", "Row 6: it is no JSON object.", "Row 7: it is no JSON object.",
        "Row 8: it is no JSON object.",
    ]  # fmt: skip
    cut = read(session, pile, ana, "c.csv", b'file,text\na.jpg,A.\nb.jpg,"cut off')
    assert counts(session, cut) == {"new": 1} and cut.named[0].startswith("Row 3: from here on the file cannot be read")


def test_apostrophes_of_a_foreign_table_are_part_of_the_text(session: Session) -> None:
    ana, pile = cast.person(session), cast.catalog(session)
    photo, other = named(session, pile, "=a.jpg", "'b.jpg")
    bring(session, pile, ana, "t.csv", b"file,text\n'=a.jpg,'-50% is on the tag'\n'b.jpg,'90s jeans\n")
    assert [caption.text for each in (photo, other) if (caption := current(session, each))] == [
        "'-50% is on the tag'", "'90s jeans",
    ]  # fmt: skip
    assert counts(session, read(session, pile, ana, "t.csv", as_csv(session, pile, False))) == {"same": 2}
