"""Captioners compared: the sample, blind sides, what votes tell, words taken over, adopting."""

from __future__ import annotations

from collections import Counter

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit import AuditEntry
from app.captions import runs, writing
from app.captions.asking import Asking
from app.captions.runs import Answered, Spent
from app.catalog.tables import Catalog
from app.desk import judging
from app.desk.comparison_tables import CaptionerComparison, CaptionVote
from app.desk.judging import AskedCaptioner
from app.errors import NotAllowed, Refused
from app.jobs import Job
from app.people import Person
from app.selection.query import parse
from app.settings import Settings
from tests import cast

SHORT = AskedCaptioner("tiny", Asking(length="short"))
LONG = AskedCaptioner("tiny", Asking(length="long"))


@pytest.fixture
def lead(session: Session) -> Person:
    return cast.person(session)


@pytest.fixture
def pile(session: Session) -> Catalog:
    pile = cast.catalog(session)
    for n in range(6):
        cast.image(session, pile, f"Kettle {n}", caption="A kettle.")
    return pile


def compared(session: Session, lead: Person, pile: Catalog, sample: int = 4) -> CaptionerComparison:
    """A comparison whose photos are all captioned."""
    comparison, jobs = judging.begin(session, lead, parse("", pile.id), LONG, SHORT, Settings(), sample)
    for run_id, text in ((comparison.a_id, "A red kettle. It stands on wood."), (comparison.b_id, "A kettle.")):
        ids = list(session.scalars(select(judging.ComparedPhoto.image_id)))
        runs.keep(session, run_id, [Answered(image_id, {"long": text}, "", {}) for image_id in ids], Spent())
    for job in jobs:
        session.get_one(Job, job.id).state = "done"
    session.flush()
    return comparison


def test_a_sample_is_judged_blind_with_sides_drawn_by_chance(session: Session, lead: Person, pile: Catalog) -> None:
    comparison = compared(session, lead, pile)
    assert len(judging.ready(session, comparison)) == 4
    shown = judging.turn(session, comparison, lead)
    assert shown is not None and {shown.left, shown.right} == {"A red kettle. It stands on wood.", "A kettle."}
    assert shown.left_is_a == shown.left.startswith("A red")
    assert judging.turn(session, comparison, lead) == shown, "the same side whenever it is asked"
    sides = Counter(judging.side(comparison, lead, number) for number in range(400))
    assert 160 < sides[True] < 240
    judging.vote(session, comparison, lead, shown.image.id, "left")
    vote = session.scalars(select(CaptionVote)).one()
    assert vote.choice == ("a" if shown.left_is_a else "b")
    judging.vote(session, comparison, lead, shown.image.id, "right")
    assert session.scalars(select(CaptionVote)).one().choice == ("b" if shown.left_is_a else "a"), "thought again"
    following = judging.turn(session, comparison, lead)
    assert following is not None and following.image.id != shown.image.id
    assert judging.take_back(session, comparison, lead) == shown.image.id
    assert judging.verdicts(session, comparison) == judging.weighed(0, 0, 0, 0)


def test_captions_stay_until_one_is_adopted(session: Session, lead: Person, pile: Catalog) -> None:
    comparison = compared(session, lead, pile)
    ids = judging.ready(session, comparison)
    assert {writing.current(session, ids)[image_id].text for image_id in ids} == {"A kettle."}
    with pytest.raises(Refused, match="4 of the sample are to be judged first"):
        judging.adopt(session, comparison, lead, "a", Settings(caption_model="tiny"))
    for image_id in ids:
        judging.vote(session, comparison, lead, image_id, "tie")
    operation, _ = judging.adopt(session, comparison, lead, "a", Settings(caption_model="tiny"))
    assert operation.value["asking"]["length"] == "long" and comparison.adopted == "a"
    line = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()
    assert (line.act, line.by_id, line.facts) == (
        "captioner_adopted", lead.id, {"comparison": comparison.id, "captioner": "tiny"}
    )  # fmt: skip
    with pytest.raises(Refused, match="adopted already"):
        judging.adopt(session, comparison, lead, "b", Settings(caption_model="tiny"))
    with pytest.raises(NotAllowed):
        judging.adopt(session, comparison, cast.person(session, "Ben", "annotator"), "b", Settings())


def test_a_caption_made_of_both_is_the_judges_own(session: Session, lead: Person, pile: Catalog) -> None:
    comparison = compared(session, lead, pile)
    shown = judging.turn(session, comparison, lead)
    assert shown is not None and shown.caption is not None
    text = "A red kettle of steel."
    vote = judging.vote(session, comparison, lead, shown.image.id, "tie", text, shown.caption.id)
    current = writing.current(session, [shown.image.id])[shown.image.id]
    assert (current.text, current.written_by, current.person_id) == (text, "person", lead.id)
    taken = (vote.taken_a, vote.taken_b) if shown.left_is_a else (vote.taken_b, vote.taken_a)
    assert taken == judging.taken_over(text, shown.left, shown.right)


def test_what_votes_tell() -> None:
    """17 of 27: surely between 42 and 81 %, which tells nothing; 27 of 30 does."""
    said = judging.weighed(17, 10, 3, 1)
    assert said.low == pytest.approx(0.424, abs=0.005) and said.high == pytest.approx(0.806, abs=0.005)
    assert (said.better, judging.weighed(27, 3, 0, 0).better, judging.weighed(3, 27, 0, 0).better) == ("", "a", "b")
    assert said.needed == 57
    assert judging.weighed(5, 5, 0, 0).needed is None
    assert judging.weighed(0, 0, 2, 0).share is None


def test_sentences_and_words_taken_over() -> None:
    assert judging.sentences("A kettle, 1.5 l. It is red! “Is it?” Yes.") == [
        "A kettle, 1.5 l.", "It is red!", "“Is it?” Yes.",
    ]  # fmt: skip
    assert judging.sentences("  ") == []
    assert judging.taken_over("A red kettle on wood", "A red kettle.", "It stands on wood.") == (3, 2)


def test_what_cannot_be_compared_is_refused(session: Session, lead: Person, pile: Catalog) -> None:
    for chosen, a, b in (("", LONG, LONG), ("decision:rejected", LONG, SHORT)):
        with pytest.raises(Refused):
            judging.begin(session, lead, parse(chosen, pile.id), a, b, Settings())
    with pytest.raises(NotAllowed):
        judging.begin(session, cast.person(session, "B", "annotator"), parse("", pile.id), LONG, SHORT, Settings())
    comparison = compared(session, lead, pile)
    with pytest.raises(Refused, match="A vote is"):
        judging.vote(session, comparison, lead, judging.ready(session, comparison)[0], "best")
    with pytest.raises(Refused, match="not one to judge"):
        judging.vote(session, comparison, lead, 999999, "tie")
