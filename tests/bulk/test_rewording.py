"""Find and replace in many captions: what is told before it is what is done, and one undo takes it back."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.bulk import operations, rewording, undoing
from app.bulk.rewording import ListedPhotos, Rewording, RewordWish
from app.captions import word_lists, writing
from app.captions.tables import Caption, CaptionText, CaptionTokens, ShortCaption
from app.catalog.tables import Catalog, Image
from app.errors import Conflict, Refused
from app.people import Person
from app.review.tables import Operation
from app.selection.query import parse
from app.selection.tables import PhotoText
from tests import cast

PINK = RewordWish(find="pink", replacement="rose")


def preview(session: Session, pile: Catalog, wish: RewordWish = PINK, q: str = "") -> list[Rewording]:
    return rewording.looked_at(session, parse(q, pile.id), rewording.wish_of(session, pile.id, wish))[0]


def fates(lines: list[Rewording]) -> list[tuple[str, str | None]]:
    return [(line.fate, line.reason) for line in lines]


def begin(session: Session, pile: Catalog, person: Person, wish: RewordWish = PINK) -> Operation:
    wish = rewording.wish_of(session, pile.id, wish)
    lines, _, newest = rewording.looked_at(session, parse("", pile.id), wish)
    ids = tuple(dict.fromkeys(line.image_id for line in lines if line.fate == "changes"))
    value = {**wish.as_json(), "newest": newest}
    return operations.begin(session, ListedPhotos(pile.id, ids), person, "reword", value, "")


def replace(session: Session, pile: Catalog, person: Person, wish: RewordWish = PINK) -> Operation:
    operation = begin(session, pile, person, wish)
    operations.carry_out(session, operation, person)
    return operation


def text_of(session: Session, image: Image, kind: Any = "long") -> str:
    session.expire_all()
    return writing.current_kinds(session, image.id)[kind].text


@pytest.fixture
def photos(session: Session, pile: Catalog) -> list[Image]:
    texts = ("Pink vest.", "Cap in pink, pink peak.", "Pink Lady apple.", "Blue cap.", "Vest with “PINK” on it.")
    return [cast.image(session, pile, caption=text) for text in texts]


def test_what_is_told_is_what_is_done_and_one_undo_brings_it_back(
    session: Session, pile: Catalog, ana: Person, mei: Person, photos: list[Image]
) -> None:
    word_lists.save(session, pile.id, "locked", ("Pink Lady",), ana, 0)
    lines = preview(session, pile)
    expected = [("changes", None), ("changes", None), ("kept", "locked"), ("kept", "quoted")]
    assert fates(lines) == expected
    assert [line.reworded for line in lines[:2]] == ["Rose vest.", "Cap in rose, rose peak."]
    assert lines[0].key == lines[1].key, "capitals make no other change"
    operation = replace(session, pile, ana)
    assert (operation.state, operation.changed, operation.passed_over) == ("done", 2, 0)
    assert [text_of(session, photo) for photo in photos[:3]] == [
        "Rose vest.",
        "Cap in rose, rose peak.",
        "Pink Lady apple.",
    ]
    row = session.scalars(select(Caption).where(Caption.operation_id == operation.id)).first()
    assert row is not None and (row.written_by, row.person_id, row.settings) == ("person", ana.id, {"by_hand": False})
    assert undoing.said(operation) == "Replaced “pink” by “rose” in 2 captions"
    hers = writing.rewrite(session, photos[1].id, "Cap, rose and white.", mei, row.id + 1)
    back = undoing.undone(session, operation, operations.undo(session, operation.id, mei))
    assert (operation.taken_back, operation.stayed) == (1, 1)
    assert back.sentence.startswith("Took back on 1 caption: replaced “pink”")
    assert text_of(session, photos[0]) == "Pink vest."
    assert text_of(session, photos[1]) == hers.text, "what was edited by hand since stays"


def test_what_a_person_wrote_by_hand_stays_and_what_a_bulk_edit_wrote_does_not(
    session: Session, pile: Catalog, ana: Person, photos: list[Image]
) -> None:
    before = writing.current(session, [photos[1].id])[photos[1].id]
    writing.rewrite(session, photos[1].id, "Pink by hand.", ana, before.id)
    assert fates(preview(session, pile))[1] == ("kept", "person")
    replace(session, pile, ana)
    again = RewordWish(find="rose", replacement="coral")
    assert fates(preview(session, pile, again)) == [("changes", None)] * 2, (
        "the second pass changes the first one's words"
    )
    all_of_them = RewordWish(find="pink", replacement="rose", keeps_people=False, keeps_quoted=False)
    replace(session, pile, ana, all_of_them)
    assert text_of(session, photos[1]) == "Rose by hand."
    line = next(line for line in preview(session, pile, again) if line.image_id == photos[1].id)
    assert (line.text, line.fate, line.reason) == ("Rose by hand.", "kept", "person"), "by hand stays by hand"


def test_a_colour_that_the_pixels_contradict_is_not_changed_until_somebody_ticks_it(
    session: Session, pile: Catalog, ana: Person, photos: list[Image]
) -> None:
    # The cast's photos are measured red. A “blue Lady” is no colour.
    wish = RewordWish(find="pink", replacement="blue")
    doubted = [line for line in preview(session, pile, wish) if line.fate == "doubted"]
    assert [line.measured for line in doubted] == ["red", "red"]
    ticked = RewordWish(find="pink", replacement="blue", ticked=frozenset({doubted[0].caption_id}))
    assert replace(session, pile, ana, ticked).changed == 2
    assert text_of(session, photos[1]) == "Cap in pink, pink peak."
    assert text_of(session, photos[0]) == "Blue vest."


def test_captions_and_whole_changes_are_left_out(
    session: Session, pile: Catalog, ana: Person, photos: list[Image]
) -> None:
    lines = preview(session, pile)
    one = RewordWish(find="pink", replacement="rose", left_out=frozenset({lines[0].caption_id}))
    assert fates(preview(session, pile, one))[:2] == [("left_out", None), ("changes", None)]
    change = RewordWish(find="pink", replacement="rose", left_out_changes=frozenset({lines[0].key}))
    assert {fate for fate, _ in fates(preview(session, pile, change))} == {"left_out", "kept"}


def test_kinds_are_searched_as_asked_and_each_photo_keeps_its_own(
    session: Session, pile: Catalog, ana: Person, photos: list[Image]
) -> None:
    session.add(ShortCaption(image_id=photos[3].id, text="Pink.", written_by="captioner", captioner="parrot"))
    session.flush()
    both = RewordWish(find="pink", replacement="rose", kinds=("long", "short"))
    assert replace(session, pile, ana, both).changed == 4
    assert (text_of(session, photos[3]), text_of(session, photos[3], "short")) == ("Blue cap.", "Rose.")


def test_what_somebody_writes_after_the_preview_stays_and_a_killed_act_goes_on(
    session: Session, pile: Catalog, ana: Person, mei: Person, photos: list[Image]
) -> None:
    operation = begin(session, pile, ana, RewordWish(find="pink", replacement="rose", keeps_people=False))
    assert operations.do_next(session, operation.id) > 0
    late = writing.current(session, [photos[1].id]).get(photos[1].id)
    if late is not None and late.written_by != "person":
        writing.rewrite(session, photos[1].id, "A pink cap, newer.", mei, late.id)
    while operations.do_next(session, operation.id):
        pass
    assert (operation.state, operation.changed + operation.passed_over) == ("done", operation.count)
    assert "pink" in text_of(session, photos[1]).lower() or late is None or late.written_by == "person"
    operations.undo(session, operation.id, mei)
    assert text_of(session, photos[0]) == "Pink vest."


def test_what_may_pass_a_cut_off_is_told(session: Session, pile: Catalog, photos: list[Image]) -> None:
    caption = writing.current(session, [photos[0].id])[photos[0].id]
    session.add(
        CaptionTokens(caption_id=caption.id, image_id=photos[0].id, counts={"clip": 77, "t5": 80}, counted_by="x")
    )
    session.flush()
    lines = preview(session, pile, RewordWish(find="pink", replacement="very pale salmon"))
    assert (lines[0].passes, lines[1].passes) == (("clip",), ())
    assert preview(session, pile, RewordWish(find="pink", replacement="red"))[0].passes == ()


def test_lists_of_words_are_a_history_and_of_two_people_the_second_is_told(
    session: Session, pile: Catalog, ana: Person, mei: Person
) -> None:
    assert "the image shows" in word_lists.current(session, pile.id, "banned")
    words = word_lists.read(" Pink  Lady \n\npink lady\nPackshot\n")
    assert words == ("Packshot", "pink lady")
    word_lists.save(session, pile.id, "locked", words, ana, 0)
    with pytest.raises(Conflict, match="Ana changed this list"):
        word_lists.save(session, pile.id, "locked", ("Other",), mei, 0)
    word_lists.save(session, pile.id, "locked", (), mei, word_lists.number(session, pile.id, "locked"))
    assert word_lists.current(session, pile.id, "locked") == ()
    assert [name for _, name in word_lists.history(session, pile.id, "locked")] == ["Mei", "Ana"]
    with pytest.raises(Refused, match="120 is the most"):
        word_lists.read("x" * 121)


def test_a_persons_undo_takes_the_whole_act_back_and_no_caption_of_it_alone(
    session: Session, pile: Catalog, ana: Person, photos: list[Image]
) -> None:
    replace(session, pile, ana)
    undoing.undo(session, ana)
    assert [text_of(session, photo) for photo in photos[:2]] == ["Pink vest.", "Cap in pink, pink peak."]
    assert session.scalars(select(CaptionText).where(CaptionText.undone_at.is_not(None))).all()
    assert undoing.newest(session, ana) is None


def test_a_caption_is_parted_into_words_once(session: Session, pile: Catalog, ana: Person, photos: list[Image]) -> None:
    def indexed() -> list[Any]:
        query = select(PhotoText.of_caption, PhotoText.caption_id).where(PhotoText.image_id == photos[0].id)
        return list(session.execute(query).one())

    old = writing.current(session, [photos[0].id])[photos[0].id]
    before = indexed()
    assert before[1] == old.id
    operation = replace(session, pile, ana)
    words, number = indexed()
    assert "'rose'" in words
    assert number == writing.current(session, [photos[0].id])[photos[0].id].id
    operations.undo(session, operation.id, ana)
    assert indexed() == before
    session.execute(update(PhotoText).where(PhotoText.image_id == photos[0].id).values(of_caption="noted"))
    writing.rewrite(session, photos[0].id, "A vest.", ana, None, "short")
    assert indexed() == ["'noted'", old.id], "what is there is not parted again for another kind"
    writing.rewrite(session, photos[0].id, "A vest, red.", ana, old.id)
    assert "'red'" in indexed()[0]
