"""Blind votes: which pair comes next, kept once, taken back, repeated with swapped sides; and what is said of one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import guessing, people
from app.database import utc_now
from app.errors import NotAllowed, NotFound, Refused, TooMany
from app.evaluation import columns, failures, links, sheets, usable, voting
from app.evaluation.columns import ColumnWish
from app.evaluation.gates import GateLimits
from app.evaluation.promotion_tables import Gate
from app.evaluation.tables import PromptPhoto, Sample, Sheet
from app.evaluation.usable import SaidOfPicture, SinglePicture
from app.evaluation.vote_tables import FailureTag, UsableAnswer, Vote
from app.evaluation.voting import VotePair, Voter
from app.people import Person
from tests import cast
from tests.evaluation.cast import finished_run, sheet_of

WHOLE = 36
"""Cells of a sheet of twelve rows and three columns."""


@pytest.fixture
def sheet(session: Session) -> Sheet:
    """A run's sheet with every cell drawn."""
    return sheet_of(session, finished_run(session), WHOLE)


@pytest.fixture
def ana(session: Session) -> Person:
    return cast.person(session)


def voter_of(person: Person) -> Voter:
    return Voter(person_id=person.id)


def same_two(pair: VotePair) -> tuple[int, int, frozenset[int]]:
    return pair.prompt_id, pair.seed, frozenset((pair.left_id, pair.right_id))


def vote_all(session: Session, sheet: Sheet, voter: Voter, most: int = 200) -> list[VotePair]:
    """Vote on what is shown until there is nothing more, or on the first `most`."""
    shown: list[VotePair] = []
    while len(shown) < most and (pairs := voting.next_pairs(session, sheet, voter)):
        voting.vote(session, sheet, voter, pairs[0], "left", 2.0)
        shown += pairs
    return shown


def test_a_voter_sees_every_pair_of_one_prompt_and_seed_once(session: Session, sheet: Sheet, ana: Person) -> None:
    shown = vote_all(session, sheet, voter_of(ana))
    first = [pair for pair in shown if pair.repeats_id is None]
    assert len({same_two(pair) for pair in first}) == len(first) == 36, "three pairs of columns in each of 12 rows"
    prompts = [pair.prompt_id for pair in first[:12]]
    assert max(prompts.count(prompt) for prompt in prompts) <= 4, "prompts take turns"
    assert {pair.left_id for pair in first} == {pair.right_id for pair in first}, "sides are drawn by chance"


def test_two_voters_see_sides_of_their_own(session: Session, sheet: Sheet, ana: Person) -> None:
    ben = cast.person(session, "Ben")
    mine, others = (vote_all(session, sheet, voter_of(each), 36) for each in (ana, ben))
    lefts = {same_two(pair): pair.left_id for pair in mine if pair.repeats_id is None}
    both = [pair for pair in others if pair.repeats_id is None and same_two(pair) in lefts]
    assert any(lefts[same_two(pair)] != pair.left_id for pair in both)


def test_asked_again_without_a_vote_the_same_pair_comes(session: Session, sheet: Sheet, ana: Person) -> None:
    voter = voter_of(ana)
    ahead = voting.next_pairs(session, sheet, voter, 4)
    assert voting.next_pairs(session, sheet, voter, 4) == ahead and len({same_two(pair) for pair in ahead}) == 4
    assert voting.next_pairs(session, sheet, voter, 1, held=ahead[:3]) == ahead[3:], "what is held is not given twice"


def test_some_pairs_are_asked_again_with_swapped_sides(session: Session, sheet: Sheet, ana: Person) -> None:
    shown = vote_all(session, sheet, voter_of(ana), 36)
    repeats = [pair for pair in shown if pair.repeats_id is not None]
    assert len(repeats) == 3, "one in eleven"
    original = session.get_one(Vote, repeats[0].repeats_id)
    assert (original.left_checkpoint_id, original.right_checkpoint_id) == (repeats[0].right_id, repeats[0].left_id)
    kept = session.scalars(select(Vote).where(Vote.repeats_id == original.id)).one()
    assert (kept.prompt_id, kept.seed) == (original.prompt_id, original.seed)


def test_the_same_vote_sent_again_is_kept_once_and_another_one_stands_in(
    session: Session, sheet: Sheet, ana: Person
) -> None:
    voter = voter_of(ana)
    (pair,) = voting.next_pairs(session, sheet, voter)
    kept = voting.vote(session, sheet, voter, pair, "left", 1.5, was_zoomed=True)
    assert voting.vote(session, sheet, voter, pair, "left", 9.0) is kept
    changed = voting.vote(session, sheet, voter, pair, "both_bad", float("nan"))
    assert kept.withdrawn_at is not None and changed.seconds == 0 and kept.was_zoomed
    assert [ballot.choice for ballot in voting.ballots(session, sheet)] == ["both_bad"]


def test_a_vote_is_taken_back_once_and_its_pair_comes_again(session: Session, sheet: Sheet, ana: Person) -> None:
    voter = voter_of(ana)
    first, second = voting.next_pairs(session, sheet, voter, 2)
    voting.vote(session, sheet, voter, first, "tie", 1.0)
    voting.vote(session, sheet, voter, second, "right", 1.0)
    assert voting.progress(session, sheet, voter) == voting.VoteProgress(2, 1.0)
    assert voting.take_back(session, sheet, voter) == second
    assert voting.take_back(session, sheet, voter, second) is None, "it is taken back already"
    assert voting.next_pairs(session, sheet, voter) == [second]
    assert voting.take_back(session, sheet, voter, first) == first
    assert voting.take_back(session, sheet, voter) is None and voting.ballots(session, sheet) == []
    assert len(session.scalars(select(Vote)).all()) == 2, "nothing is deleted"


def test_what_cannot_be_voted_on_is_refused(session: Session, sheet: Sheet, ana: Person) -> None:
    voter = voter_of(ana)
    (pair,) = voting.next_pairs(session, sheet, voter)
    with pytest.raises(Refused, match="A, B, a tie, or both bad"):
        voting.vote(session, sheet, voter, pair, "neither", 1.0)
    other = sheet_of(session, finished_run(session), WHOLE)
    with pytest.raises(Refused, match="not in the comparison"):
        voting.vote(session, other, voter, pair, "left", 1.0)
    for cell in pair.cells[:1]:
        session.delete(session.get_one(Sample, voting.drawn(session, sheet)[cell]))
    session.flush()
    with pytest.raises(Refused, match="not in the comparison"):
        voting.vote(session, sheet, voter, pair, "left", 1.0)
    assert voting.ballots(session, sheet) == []


def test_a_sheet_with_one_column_drawn_has_no_pair(session: Session, ana: Person) -> None:
    sheet = sheet_of(session, finished_run(session), 12)
    assert voting.next_pairs(session, sheet, voter_of(ana)) == []


def test_columns_drawn_in_part_are_compared_where_they_meet(session: Session, sheet: Sheet, ana: Person) -> None:
    base, *others = (checkpoint.id for checkpoint in columns.drawn_columns(session, sheet))
    wishes = [ColumnWish(base, "preview"), *(ColumnWish(other) for other in others)]
    some = sheets.make(session, sheets.suite(session, sheet), wishes, ana)
    shown = vote_all(session, some, voter_of(ana))
    of_base = {(pair.prompt_id, pair.seed) for pair in shown if base in (pair.left_id, pair.right_id)}
    assert len({(pair.prompt_id, pair.seed) for pair in shown}) == 12 > len(of_base)


def test_a_column_drawn_in_part_does_not_keep_votes_to_its_part(session: Session, sheet: Sheet, ana: Person) -> None:
    """What the best two have drawn beyond it is asked about from the first votes on."""
    base, *others = (checkpoint.id for checkpoint in columns.drawn_columns(session, sheet))
    wishes = [ColumnWish(base, "preview"), *(ColumnWish(other) for other in others)]
    some = sheets.make(session, sheets.suite(session, sheet), wishes, ana)
    of_base = {(cell.prompt_id, cell.seed) for cell in voting.drawn(session, some) if cell.checkpoint_id == base}
    early = vote_all(session, some, voter_of(ana), 6)
    assert {(pair.prompt_id, pair.seed) for pair in early} - of_base


def test_the_baseline_of_the_gate_is_asked_about_until_it_is_decided(
    session: Session, sheet: Sheet, ana: Person
) -> None:
    base, *_ = (checkpoint.id for checkpoint in columns.drawn_columns(session, sheet))
    session.add(Gate(sheet_id=sheet.id, baseline_id=base, settings=GateLimits().model_dump()))
    session.flush()
    shown = vote_all(session, sheet, voter_of(ana), 16)
    against = [pair for pair in shown if base in (pair.left_id, pair.right_id)]
    assert 4 <= len(against) < 16
    session.add(Gate(sheet_id=sheet_of(session, finished_run(session), 12).id, settings=GateLimits().model_dump()))
    session.flush()
    assert voting.next_pairs(session, sheet, voter_of(ana)), "the gate of another sheet, without a baseline"


def test_usable_is_asked_of_samples_and_real_photos_alike(session: Session, sheet: Sheet, ana: Person) -> None:
    suite = sheets.suite(session, sheet)
    cell = next(iter(voting.drawn(session, sheet)))
    photo = cast.image(session, cast.catalog(session))
    shown = PromptPhoto(prompt_id=cell.prompt_id, position=0, image_id=photo.id)
    session.add(shown)
    session.flush()
    assert len(usable.pictures_of(session, sheet)) == WHOLE, "no column of photos, no photos"
    some = sheets.make(session, suite, [ColumnWish(cell.checkpoint_id), ColumnWish(None)], ana)
    voter, seen = voter_of(ana), []
    while pictures := usable.next_pictures(session, some, voter):
        usable.answer(session, some, voter, pictures[0], is_usable=len(seen) % 2 == 0, seconds=1.0)
        seen += pictures
    assert len(seen) == len(set(seen)) == 13 and SinglePicture(prompt_photo_id=shown.id) in seen
    assert usable.progress(session, some, voter) == voting.VoteProgress(13, 1.0)
    assert usable.tag(session, some, voter, SinglePicture(prompt_photo_id=shown.id), "crop", True) is None
    assert usable.progress(session, sheet, voter).done == 12, "of a shared sample it is said once, for all sheets"


def test_a_second_thought_stands_in_for_the_first(session: Session, sheet: Sheet, ana: Person) -> None:
    voter, ben = voter_of(ana), voter_of(cast.person(session, "Ben"))
    (picture,) = usable.next_pictures(session, sheet, voter)
    first = usable.answer(session, sheet, voter, picture, True, 1.0)
    assert usable.answer(session, sheet, voter, picture, True, 1.0) is first
    usable.answer(session, sheet, voter, picture, False, 1.0)
    usable.answer(session, sheet, ben, picture, True, 1.0)
    for _ in range(2):
        usable.tag(session, sheet, voter, picture, "bad_text", True)
    assert usable.said(session, voter, [picture])[picture] == SaidOfPicture(False, frozenset({"bad_text"}))
    assert usable.said(session, ben, [picture])[picture] == SaidOfPicture(True)
    usable.tag(session, sheet, voter, picture, "bad_text", False)
    assert usable.take_back(session, sheet, voter) == picture and usable.take_back(session, sheet, voter) is None
    assert usable.said(session, voter, [picture])[picture] == SaidOfPicture()
    assert len(session.scalars(select(UsableAnswer)).all()) == 3 and len(session.scalars(select(FailureTag)).all()) == 1
    with pytest.raises(Refused, match="not one of the failures"):
        usable.tag(session, sheet, voter, picture, "ugly", True)
    assert failures.WORDS.keys() == set(failures.FAILURES)


def test_a_link_is_shown_once_and_ends(session: Session, sheet: Sheet, ana: Person) -> None:
    with pytest.raises(NotAllowed):
        links.make(session, cast.person(session, "Vic", "annotator"), sheet, "vote", 3)
    with pytest.raises(Refused, match="1, 3, 7 or 30"):
        links.make(session, ana, sheet, "vote", 400)
    link, token = links.make(session, ana, sheet, "vote", 3)
    assert token not in link.token_hash and links.find(session, token, "vote") == link
    assert links.find(session, token, "read") is None, "a link to vote by reads nothing"
    guest, key = links.enter(session, link, "  Mei  Chen ")
    assert guest.name == "Mei Chen" and links.guest_of(session, link, key) == guest
    other, _ = links.make(session, ana, sheet, "vote", 3)
    assert links.guest_of(session, other, key) is None and links.guest_of(session, link, "x") is None
    for name in ("", " ", "x" * 81, "a\x00b"):
        with pytest.raises(Refused, match="Say who votes"):
            links.enter(session, link, name)
    (pair,) = voting.next_pairs(session, sheet, Voter(guest_id=guest.id))
    voting.vote(session, sheet, Voter(guest_id=guest.id), pair, "left", 1.0)
    listed = links.of_sheet(session, sheet)
    assert [(row.guests, row.votes, row.is_good) for row in listed] == [([], 0, True), (["Mei Chen"], 1, True)]
    with pytest.raises(NotFound):
        links.revoke(session, ana, sheet_of(session, finished_run(session)), link.id)
    links.revoke(session, ana, sheet, link.id)
    other.expires_at = utc_now() - timedelta(seconds=1)
    session.flush()
    assert links.find(session, token, "vote") is None and not any(row.is_good for row in links.of_sheet(session, sheet))
    assert len(voting.ballots(session, sheet)) == 1, "what was said by it stays"


def test_links_are_not_guessed_and_not_for_the_world(
    session: Session, sheet: Sheet, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, _ = links.make(session, ana, sheet, "vote", 1)
    monkeypatch.setattr(links, "MOST_GUESTS", 1)
    links.enter(session, link, "Mei")
    with pytest.raises(TooMany):
        links.enter(session, link, "Ben")
    for _ in range(guessing.GUESSES_OF_ADDRESS):
        links.refuse_guesser(session, "203.0.113.7")
        guessing.note_wrong_link(session, "203.0.113.7")
    with pytest.raises(TooMany, match="Wait 15 minutes"):
        links.refuse_guesser(session, "203.0.113.7")
    links.refuse_guesser(session, "203.0.113.8")
    people.set_password(session, ana.id, "four words make one")
    assert not isinstance(guessing.begin_try(session, ana.email, "203.0.113.7"), guessing.SignInFailure), (
        "who mistyped links may still sign in"
    )
