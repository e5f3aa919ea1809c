"""What metadata rows and caption files do to the catalog: newest word first, and nothing passed over in silence."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.captions import proposing, writing
from app.captions.tables import Caption
from app.catalog import corrections
from app.catalog.tables import Catalog, Image, Intake, IntakeRemark
from app.intake import describing, ingest, taking
from app.storage import Storage
from tests import cast
from tests.intake.conftest import encoded, picture

Begin = Callable[[], AbstractContextManager[Session]]
TakeIn = Callable[[], tuple[Intake, dict[str, Any]]]


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session)


@pytest.fixture
def take_in(
    session: Session,
    begin: Begin,
    storage: Storage,
    pile: Catalog,
    folder: Path,
) -> TakeIn:
    """Takes the folder in, as it is now."""

    def taken() -> tuple[Intake, dict[str, Any]]:
        asked = ingest.request_intake(session, pile, folder, cast.person(session))
        result = taking.take_in(begin, lambda **_: None, storage, asked.id, max_megapixels=50)  # type: ignore[misc]
        session.expire_all()
        return asked, result

    return taken


def add(folder: Path, *names: str, seed: int | None = None) -> None:
    """A picture under each name: different ones, or the one of `seed`."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(picture(number if seed is None else seed)))


def said(session: Session, asked: Intake, kind: str) -> list[tuple[str, int, str, str]]:
    rows = session.scalars(
        select(IntakeRemark)
        .where(IntakeRemark.intake_id == asked.id, IntakeRemark.kind == kind)
        .order_by(IntakeRemark.id)
    )
    return [(row.source, row.line, row.name, row.sentence) for row in rows]


def captions(session: Session) -> dict[str, tuple[str, str, str]]:
    """The current captions by file name: text, whose, and where from."""
    rows = session.execute(
        select(Image.file_name, Caption)
        .join(Caption, Caption.image_id == Image.id)
        .where(Caption.superseded_at.is_(None))
    )
    return {name: (caption.text, caption.written_by, writing.author(session, caption)) for name, caption in rows}


def test_rows_in_subfolders_describe_their_photos_and_the_others_are_named(
    session: Session, take_in: TakeIn, folder: Path
) -> None:
    add(folder, "train/1.jpg", "train/2.jpg", "test/IMG_3.JPG")
    (folder / "train/METADATA.CSV").write_text("file_name,title\n1.jpg,Blue kettle\nghost.jpg,Pan\n2.png,Red mug\n")
    (folder / "test/metadata.jsonl").write_text('{"file_name": "/img_3.jpg", "title": "Green lamp"}\n')
    asked, result = take_in()
    titles = {image.file_name: image.title for image in session.scalars(select(Image))}
    assert titles == {"train/1.jpg": "Blue kettle", "train/2.jpg": None, "test/IMG_3.JPG": "Green lamp"}
    assert [image.category for image in session.scalars(select(Image))] == [None] * 3
    assert said(session, asked, "unmatched") == [
        ("train/METADATA.CSV", 3, "ghost.jpg", "No picture here is called so or alike."),
        (
            "train/METADATA.CSV", 4, "2.png",
            "No picture is called so; there is train/2.jpg. What differs: the extension.",
        ),
    ]  # fmt: skip
    assert said(session, asked, "respelled") == [
        (
            "test/metadata.jsonl", 1, "/img_3.jpg",
            "Read as test/IMG_3.JPG. What differs: a leading slash, upper and lower case.",
        )
    ]  # fmt: skip
    assert result["metadata_files"] == {"test/metadata.jsonl": 1, "train/METADATA.CSV": 3}
    assert (result["metadata_rows"], result["metadata_rows_without_picture"], result["other_files"]) == (4, 2, 0)
    assert result["remarks"] == {"unmatched": 2, "respelled": 1}


def test_a_corrected_row_takes_effect_and_says_what_it_changed(session: Session, take_in: TakeIn, folder: Path) -> None:
    add(folder, "1.jpg")
    table = folder / "metadata.csv"
    table.write_text("file_name,title,category,season\n1.jpg,Bleu ketle,mugs,\n")
    take_in()
    table.write_text("file_name,title,category,season\n1.jpg,Blue kettle,Kettles,autumn\n")
    asked, result = take_in()
    image = session.scalars(select(Image)).one()
    assert (image.title, image.category, image.extra) == ("Blue kettle", "Kettles", {"season": "autumn"})
    changes = "title “Bleu ketle” → “Blue kettle”; category “mugs” → “Kettles”; “season” none → “autumn”"
    assert said(session, asked, "changed") == [("metadata.csv", 2, "1.jpg", f"1.jpg: {changes}.")]
    _, again = take_in()
    assert (result["remarks"], again["remarks"]) == ({"changed": 1}, {})


def test_what_a_person_corrected_stays_and_the_row_is_named(session: Session, take_in: TakeIn, folder: Path) -> None:
    add(folder, "1.jpg")
    table = folder / "metadata.csv"
    table.write_text("file_name,title,season\n1.jpg,Bleu ketle,spring\n")
    take_in()
    ana, image = cast.person(session), session.scalars(select(Image)).one()
    corrections.correct(session, image, ana, "title", "Blue kettle")
    corrections.correct(session, image, ana, "season", "")
    table.write_text("file_name,title,season,category\n1.jpg,Bleu kettle,summer,Kettles\n")
    asked, _ = take_in()
    image = session.scalars(select(Image)).one()
    assert (image.title, image.category, image.extra) == ("Blue kettle", "Kettles", {})
    assert [row[3] for row in said(session, asked, "unused")] == [
        "Not taken: title “Bleu kettle”. Ana corrected it to “Blue kettle”, which stays.",
        "Not taken: “season” “summer”. Ana corrected it to none, which stays.",
    ]


def test_an_empty_field_of_a_corrected_row_takes_nothing_away(session: Session, take_in: TakeIn, folder: Path) -> None:
    add(folder, "1.jpg")
    (folder / "metadata.csv").write_text("file_name,title,product\n1.jpg,Mug,m-1\n")
    take_in()
    (folder / "metadata.csv").write_text("file_name,title,product\n1.jpg,,m-1\n")
    take_in()
    assert session.scalars(select(Image)).one().title == "Mug"


def test_a_row_for_the_second_name_of_equal_bytes_takes_effect(session: Session, take_in: TakeIn, folder: Path) -> None:
    add(folder, "a_copy.jpg", "b_main.jpg", seed=7)
    (folder / "metadata.csv").write_text("file_name,title,product\nb_main.jpg,Blue kettle,KT-1\n")
    asked, _ = take_in()
    image = session.scalars(select(Image)).one()
    assert (image.file_name, image.title, image.product) == ("a_copy.jpg", "Blue kettle", "KT-1")
    assert said(session, asked, "changed")[0][3] == "a_copy.jpg: title none → “Blue kettle”; product none → “KT-1”."


def test_names_of_equal_bytes_that_disagree_say_which_counts(
    session: Session, take_in: TakeIn, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "BATCH", 1)
    add(folder, "a.jpg", "b.jpg", seed=7)
    (folder / "metadata.csv").write_text("file_name,title,product\na.jpg,Blue kettle,\nb.jpg,Red mug,KT-1\n")
    for _ in range(2):
        asked, _ = take_in()
        image = session.scalars(select(Image)).one()
        assert (image.title, image.product) == ("Blue kettle", "KT-1")
        why = "a.jpg has the same bytes, and its row says otherwise"
        assert said(session, asked, "unused") == [("metadata.csv", 3, "b.jpg", f"Not taken: title “Red mug”. {why}.")]


def test_captions_of_columns_and_of_files_are_taken_as_given(session: Session, take_in: TakeIn, folder: Path) -> None:
    add(folder, "1.jpg", "2.jpg", "sub/3.JPG", "4.jpg", "5.jpg")
    (folder / "metadata.jsonl").write_text('{"file_name": "1.jpg", "text": "a tall blue kettle <3"}\n')
    (folder / "2.txt").write_bytes("\ufeffa chipped\r\nred mug\r\n".encode())
    (folder / "sub/3.CAPTION").write_text("a lamp")
    (folder / "4.jpg.txt").write_text("a pan")
    (folder / "notes.txt").write_text("of no photo")
    _, result = take_in()
    assert captions(session) == {
        "1.jpg": ("a tall blue kettle <3", "given", "metadata.jsonl"),
        "2.jpg": ("a chipped red mug", "given", "2.txt"),
        "sub/3.JPG": ("a lamp", "given", "sub/3.CAPTION"),
        "4.jpg": ("a pan", "given", "4.jpg.txt"),
    }
    assert (result["captions_given"], result["other_files"], result["remarks"]) == (4, 1, {})


def test_no_captioner_replaces_a_given_caption(session: Session, take_in: TakeIn, pile: Catalog, folder: Path) -> None:
    add(folder, "1.jpg", "2.jpg")
    (folder / "1.txt").write_text("a tall blue kettle")
    take_in()
    given, bare = session.scalars(select(Image).order_by(Image.file_name))
    assert proposing.awaiting(session, pile.id) == [bare.id]
    assert proposing.awaiting(session, pile.id, [given.id, bare.id]) == [bare.id]
    proposing.propose_facts(session, [given.id, bare.id])
    assert writing.propose(session, given, "A thing.", "org/model", {}) is None
    assert captions(session)["1.jpg"][0] == "a tall blue kettle"


def test_a_given_caption_replaces_a_captioners_and_is_corrected(
    session: Session, take_in: TakeIn, folder: Path
) -> None:
    add(folder, "1.jpg")
    take_in()
    image = session.scalars(select(Image)).one()
    writing.propose(session, image, "Product.", "facts", {})
    (folder / "1.txt").write_text("a bleu kettle")
    first, _ = take_in()
    (folder / "1.txt").write_text("a blue kettle")
    second, _ = take_in()
    assert captions(session)["1.jpg"][:2] == ("a blue kettle", "given")
    assert said(session, first, "changed")[0][3] == "1.jpg: caption “Product.” → “a bleu kettle”."
    assert said(session, second, "changed") == [
        ("1.txt", 0, "1.jpg", "1.jpg: caption “a bleu kettle” → “a blue kettle”.")
    ]
    assert [caption.text for caption in writing.history(session, image.id)] == [
        "a blue kettle", "a bleu kettle", "Product.",
    ]  # fmt: skip


def test_a_persons_caption_stays_and_the_given_one_waits_in_the_history(
    session: Session, take_in: TakeIn, folder: Path
) -> None:
    add(folder, "1.jpg")
    take_in()
    image = session.scalars(select(Image)).one()
    writing.rewrite(session, image.id, "Ana's words", cast.person(session), None)
    (folder / "1.txt").write_text("a blue kettle")
    for _ in range(2):
        asked, _ = take_in()
        why = "The caption by Ana stays; this one is in the photo's history."
        assert said(session, asked, "unused") == [("1.txt", 0, "1.jpg", why)]
    history = writing.history(session, image.id)
    assert [(caption.text, caption.written_by) for caption in history] == [
        ("Ana's words", "person"), ("a blue kettle", "given"),
    ]  # fmt: skip
    assert writing.restore(session, history[1].id, cast.person(session)).text == "a blue kettle"


def test_of_two_given_captions_one_counts_and_the_other_is_kept(
    session: Session, take_in: TakeIn, folder: Path
) -> None:
    add(folder, "1.jpg")
    (folder / "metadata.csv").write_text("file_name,text\n1.jpg,from the table\n")
    (folder / "1.txt").write_text("from the file")
    (folder / "1.caption").write_text("from the table")
    asked, _ = take_in()
    assert captions(session)["1.jpg"][0] == "from the table"
    why = "metadata.csv has another caption of this photo; this one is in its history."
    assert said(session, asked, "unused") == [("1.txt", 0, "1.jpg", why)]
    assert len(writing.history(session, session.scalars(select(Image.id)).one())) == 2


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "No caption was taken: a caption cannot be empty."),
        (b" \n\t\n", "No caption was taken: a caption cannot be empty."),
        ("Gr\u00fcner Topf".encode("latin-1"), "It is not UTF-8 text, so its caption was not taken."),
        (b"word " * 1000, "No caption was taken: this caption has 4,999 characters; 4,000 is the most."),
        (b"x" * 70_000, "The file is larger than 64 kB."),
    ],
)
def test_a_caption_file_that_holds_none_is_said_to(
    session: Session, take_in: TakeIn, folder: Path, data: bytes, sentence: str
) -> None:
    add(folder, "1.jpg")
    (folder / "1.txt").write_bytes(data)
    asked, _ = take_in()
    assert said(session, asked, "unread") == [("1.txt", 0, "1.jpg", sentence)]
    assert captions(session) == {}


@pytest.mark.parametrize("kind", ["link out", "link in", "pipe"])
def test_captions_and_rows_are_read_from_plain_files_only(
    session: Session, take_in: TakeIn, folder: Path, kind: str
) -> None:
    add(folder, "1.jpg")
    secret = folder / ".env" if kind == "link in" else folder.parent / "secret"
    secret.write_text("root:x:0:0")
    for name in ("1.txt", "metadata.csv"):
        if kind == "pipe":
            os.mkfifo(folder / name)
        else:
            (folder / name).symlink_to(secret)
    asked, result = take_in()
    assert captions(session) == {} and session.scalars(select(Image)).one().title is None
    if kind == "link out":
        assert [file.file_name for file in cast.refused(session, asked)] == ["1.txt", "metadata.csv"]
    else:
        assert {source for source, *_ in said(session, asked, "unread")} == {"1.txt", "metadata.csv"}
    assert "root" not in str(result) and not any("root" in row[3] for row in said(session, asked, "unread"))


def test_more_remarks_than_a_page_needs_are_counted_and_not_kept(
    session: Session, take_in: TakeIn, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(describing, "MAX_REMARKS", 3)
    add(folder, "1.jpg")
    (folder / "metadata.csv").write_text("file_name\n" + "".join(f"ghost{number}.jpg\n" for number in range(10)))
    asked, result = take_in()
    assert len(said(session, asked, "unmatched")) == 3
    assert result["remarks"] == {"unmatched": 10}


def test_an_intake_done_again_after_a_kill_remarks_once(
    session: Session, begin: Begin, storage: Storage, pile: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "BATCH", 1)
    add(folder, "1.jpg", "2.jpg")
    asked = ingest.request_intake(session, pile, folder, cast.person(session))
    taking.take_in(begin, lambda **_: None, storage, asked.id, 50)  # type: ignore[misc]
    (folder / "metadata.csv").write_text("file_name,title\n1.jpg,Mug\n2.jpg,Pan\nghost.jpg,x\n")
    asked = ingest.request_intake(session, pile, folder, cast.person(session))

    def killed(**facts: Any) -> None:
        if facts.get("done") == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taking.take_in(begin, killed, storage, asked.id, 50)  # type: ignore[arg-type]
    result = taking.take_in(begin, lambda **_: None, storage, asked.id, 50)  # type: ignore[misc]
    assert result["remarks"] == {"unmatched": 1, "changed": 2}
    assert [row[2] for row in said(session, asked, "changed")] == ["1.jpg", "2.jpg"]


def test_one_row_that_corrects_facts_and_caption_says_both(session: Session, take_in: TakeIn, folder: Path) -> None:
    add(folder, "1.jpg", "2.jpg", seed=7)
    (folder / "metadata.csv").write_text("file_name,title,text\n1.jpg,Bleu,a bleu mug\n2.jpg,Rde,a rde mug\n")
    first, _ = take_in()
    assert len(said(session, first, "unused")) == 2
    (folder / "metadata.csv").write_text("file_name,title,text\n1.jpg,Blue,a blue mug\n")
    second, _ = take_in()
    assert [row[3] for row in said(session, second, "changed")] == [
        "1.jpg: title “Bleu” → “Blue”.", "1.jpg: caption “a bleu mug” → “a blue mug”.",
    ]  # fmt: skip


def test_metadata_and_captions_that_come_alone_correct_the_photos_of_their_names(
    session: Session, take_in: TakeIn, folder: Path
) -> None:
    add(folder, "sub/a.jpg", "b.jpg", "c.jpg")
    (folder / "metadata.csv").write_text("file_name,title\nsub/a.jpg,Blue kettle\nb.jpg,Cup\n")
    take_in()
    for name in ("sub/a.jpg", "b.jpg", "c.jpg"):
        (folder / name).unlink()
    (folder / "metadata.csv").write_text("file_name,title\nSUB/a.jpg,Red kettle\nb.jpg,Cup\nd.jpg,Gone\n")
    (folder / "c.txt").write_text("a lamp")
    asked, result = take_in()
    titles = {row[0]: row[1] for row in session.execute(select(Image.file_name, Image.title))}
    assert titles == {"sub/a.jpg": "Red kettle", "b.jpg": "Cup", "c.jpg": None}
    assert session.scalars(select(Caption.text).where(Caption.superseded_at.is_(None))).all() == ["a lamp"]
    changed = said(session, asked, "changed")
    assert len(changed) == 1 and "title “Blue kettle” → “Red kettle”" in changed[0][3]
    assert [row[2] for row in said(session, asked, "unmatched")] == ["d.jpg"]
    assert (result["accepted"], result["refused"], result["other_files"]) == (0, 0, 0)


def test_a_row_finds_a_photo_whose_path_is_longer_than_what_is_kept_of_it(
    session: Session, take_in: TakeIn, folder: Path
) -> None:
    name = "/".join(["d" * 200] * 3) + "/a.jpg"
    add(folder, name)
    (folder / "metadata.csv").write_text(f"file_name,title\n{name},Kettle\n")
    take_in()
    assert session.scalars(select(Image.title)).all() == ["Kettle"]


def test_caption_files_are_known_in_any_case_and_those_beside_no_picture_are_named(
    session: Session, take_in: TakeIn, folder: Path
) -> None:
    add(folder, "IMG_1.JPG", "sub/a 2.jpg")
    (folder / "img_1.txt").write_text("a kettle")
    (folder / "a-2.txt").write_text("a pan")
    (folder / "b.caption").write_text("a lamp")
    (folder / "LICENSE.txt").write_text("of no photo")
    asked, _ = take_in()
    assert captions(session) == {"IMG_1.JPG": ("a kettle", "given", "img_1.txt")}
    assert said(session, asked, "unread") == [
        ("a-2.txt", 0, "a-2.txt", "No picture beside it is called a-2; there is sub/a 2.jpg."),
        ("b.caption", 0, "b.caption", "No picture beside it is called b."),
    ]
