"""Find and replace in many captions: what is told before it is what is done, and one undo takes it back."""

from __future__ import annotations

from dataclasses import replace as with_fields
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from app.bulk import operations, rewording, undoing
from app.bulk.rewording import ListedPhotos, Rewording, RewordWish
from app.captions import word_lists, writing
from app.captions.tables import Caption, CaptionCheck, CaptionText, CaptionTokens, ShortCaption
from app.catalog.tables import Catalog, Image, Signals
from app.errors import Conflict, Refused
from app.labels import giving, sets
from app.people import Person
from app.review import decisions
from app.review.tables import Decision, Operation
from app.selection.query import parse
from app.selection.tables import PhotoIndex, PhotoText
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


BLUE = RewordWish(find="pink", replacement="blue")


def everything_of(session: Session, photos: list[Image]) -> dict[int, Any]:
    """By photo: what its captions say and whose they are, what rules and people say of it, and all that filters ask."""
    session.expire_all()
    ids = [photo.id for photo in photos]
    captions = select(Caption.image_id, Caption.id, Caption.text).where(Caption.superseded_at.is_(None))
    verdicts = select(Decision.image_id, Decision.rule, Decision.person_id, Decision.verdict, Decision.reason)
    checks = select(CaptionCheck.image_id, CaptionCheck.caption_id, CaptionCheck.contradiction)
    of_kind: list[Any] = [
        captions, verdicts.where(Decision.superseded_at.is_(None)), checks,
        select(*PhotoIndex.__table__.c), select(*PhotoText.__table__.c),
    ]  # fmt: skip
    rows = [{row.image_id: tuple(row) for row in session.execute(query)} for query in of_kind]
    return {number: tuple(each.get(number) for each in rows) for number in ids}


def test_an_undo_brings_back_all_that_followed_from_the_texts_and_goes_on_where_it_was_killed(
    session: Session, pile: Catalog, ana: Person, mei: Person, photos: list[Image]
) -> None:
    session.execute(
        update(Signals).where(Signals.image_id.in_([photo.id for photo in photos])).values(subject_colour="pink")
    )
    tags, summer = sets.tag(session, pile.id, ana, "summer")
    giving.give(session, photos[0], ana, giving.LabelAct(tags, summer))
    decisions.decide(session, photos[1], ana, "kept", "fine")
    decisions.apply_rules(session, [photo.id for photo in photos])
    first = writing.current(session, [photos[0].id])[photos[0].id]
    session.add(CaptionTokens(caption_id=first.id, image_id=photos[0].id, counts={"clip": 7}, counted_by="x"))
    session.flush()
    before = everything_of(session, photos)
    assert is_contradicted(session, pile) == {photos[3].id}
    numbers = [line.caption_id for line in preview(session, pile, BLUE) if line.fate == "doubted"]
    wish = with_fields(BLUE, ticked=frozenset(numbers), keeps_quoted=False)
    operation = replace(session, pile, ana, wish)
    after = everything_of(session, photos)
    assert operation.changed == 4 and after[photos[3].id] == before[photos[3].id]
    assert after[photos[0].id][1][1] == "contradicted", "the rules looked at the new text"
    assert after[photos[1].id][1] == before[photos[1].id][1], "a person has decided"
    assert is_contradicted(session, pile) == {photos[0].id, photos[1].id, photos[3].id}
    late = writing.rewrite(session, photos[2].id, "Apple, by hand.", mei, after[photos[2].id][0][1])
    operation.state = "undoing"  # as a worker has it
    session.flush()
    with pytest.raises(KeyboardInterrupt), session.begin_nested():
        assert operations.undo_next(session, operation.id) == 2
        raise KeyboardInterrupt
    session.expire_all()
    assert everything_of(session, photos[:2]) == {photo.id: after[photo.id] for photo in photos[:2]}, "a batch is whole"
    assert operations.undo_next(session, operation.id) == 2
    assert everything_of(session, photos[:2]) == {photo.id: before[photo.id] for photo in photos[:2]}
    while operations.undo_next(session, operation.id):
        pass
    back = everything_of(session, photos)
    assert (operation.state, operation.taken_back, operation.stayed) == ("undone", 3, 1)
    assert back.pop(photos[2].id)[0][1:] == (late.id, "Apple, by hand.")
    assert back == {number: row for number, row in before.items() if number != photos[2].id}
    assert is_contradicted(session, pile) == {photos[3].id}
    history = session.scalars(select(Caption).where(Caption.operation_id == operation.id)).all()
    assert {row.undone_at is not None for row in history if row.image_id != photos[2].id} == {True}
    assert sum(row.undone_at is None for row in history) == 1, "what somebody wrote over is no part of the undo"
    operations.undo(session, operation.id, mei)
    assert (operation.taken_back, operation.stayed) == (3, 1), "asked again it finds the same one and changes nothing"
    assert text_of(session, photos[2]) == "Apple, by hand."


def is_contradicted(session: Session, pile: Catalog) -> set[int]:
    query = select(PhotoIndex.image_id).where(PhotoIndex.catalog_id == pile.id, PhotoIndex.is_contradicted)
    return set(session.scalars(query))


def test_an_undo_leaves_a_later_acts_words_and_gives_the_right_ones_back_behind_it(
    session: Session, pile: Catalog, ana: Person, mei: Person, photos: list[Image]
) -> None:
    first = replace(session, pile, ana)
    second = replace(session, pile, mei, RewordWish(find="rose", replacement="coral"))
    operations.undo(session, first.id, ana)
    assert (first.taken_back, first.stayed, text_of(session, photos[0])) == (0, 3, "Coral vest.")
    operations.undo(session, second.id, mei)
    assert (second.taken_back, text_of(session, photos[0])) == (3, "Rose vest.")
    operations.undo(session, first.id, ana)
    assert (first.taken_back, first.stayed, text_of(session, photos[0])) == (3, 0, "Pink vest.")
    with pytest.raises(Refused, match="nothing left"):
        operations.undo(session, first.id, ana)


def test_a_text_worked_out_from_a_caption_that_somebody_replaced_is_not_written(
    session: Session, pile: Catalog, ana: Person, mei: Person, photos: list[Image]
) -> None:
    old = writing.current(session, [photo.id for photo in photos[:2]])
    first, second = (old[photo.id] for photo in photos[:2])
    texts = {first.id: "Rose vest.", second.id: "Rose cap."}
    hers = writing.rewrite(session, photos[0].id, "Vest, by hand.", mei, first.id)
    assert writing.rewrite_many(session, texts, ana.id, 1) == [photos[1].id]
    assert [text_of(session, photo) for photo in photos[:2]] == ["Vest, by hand.", "Rose cap."]
    late = writing.rewrite_many(session, {hers.id: "Rose vest."}, ana.id, 1, until=first.created_at)
    assert (late, text_of(session, photos[0])) == ([], "Vest, by hand."), "newer than what was seen"
    rows = session.scalars(select(Caption).where(Caption.image_id == photos[0].id).order_by(Caption.id)).all()
    assert [(row.text, row.superseded_at is None) for row in rows] == [("Pink vest.", False), ("Vest, by hand.", True)]


def test_the_index_follows_one_statement_that_replaces_some_captions_and_takes_others_away(
    session: Session, pile: Catalog, ana: Person, photos: list[Image]
) -> None:
    old = writing.current(session, [photo.id for photo in photos[:2]])
    replaced, gone = (old[photo.id].id for photo in photos[:2])
    session.execute(
        text(
            "with old as (update caption set superseded_at = now() where id in (:replaced, :gone)"
            " returning id, image_id)"
            " insert into caption (image_id, text, written_by, person_id, settings, parent_id, created_at)"
            " select image_id, 'A rose vest.', 'person', :person, '{}', id, now() from old where id = :replaced"
        ),
        {"replaced": replaced, "gone": gone, "person": ana.id},
    )
    of = (PhotoIndex.captioned_by, PhotoIndex.caption_words, PhotoIndex.kinds, PhotoText.of_caption)
    query = select(*of).join(PhotoText, PhotoText.image_id == PhotoIndex.image_id)
    rows = [tuple(session.execute(query.where(PhotoIndex.image_id == photo.id)).one()) for photo in photos[:2]]
    assert rows[0] == ("person", 3, ["long"], "'.' 'a':2 'rose':3 'vest':4")
    assert rows[1] == ("none", None, [], "")
