"""Blind votes: which of two samples of one prompt and seed is better. Kept, repeated with swapped sides, taken back."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, get_args

import numpy as np
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.database import utc_now
from app.errors import Refused
from app.evaluation import columns, sheets, suites
from app.evaluation.gates import GateLimits
from app.evaluation.pairing import VoteSpot, next_pair
from app.evaluation.promotion_tables import Gate
from app.evaluation.ranking import Ballot
from app.evaluation.sheets import Cell
from app.evaluation.tables import Prompt, Sample, Sheet
from app.evaluation.vote_tables import FailureTag, Guest, Side, UsableAnswer, Vote
from app.people import Person

CHOICES: Final[tuple[Side, ...]] = get_args(Side)
ENOUGH: Final = 60
"""Votes that one person is asked for: some five minutes, and with two or three people the 150 that two close
checkpoints take (research on comparing checkpoints, 3.4). Whoever wants to goes on."""
LONGEST_S: Final = 3600.0
_LOCK: Final = 0x0B07E  # of pg_advisory_xact_lock: one voter after the other tab of theirs


@dataclass(frozen=True, slots=True)
class Voter:
    """Who votes: a person of the team, or a guest of a link. Exactly one of the two is set."""

    person_id: int | None = None
    guest_id: int | None = None

    @property
    def key(self) -> str:
        """What names the voter where only equality counts."""
        return f"p{self.person_id}" if self.guest_id is None else f"g{self.guest_id}"

    def is_of(self, table: type[Vote] | type[UsableAnswer] | type[FailureTag]) -> ColumnElement[bool]:
        """That a row was said by this voter."""
        if self.guest_id is None:
            return table.person_id == self.person_id
        return table.guest_id == self.guest_id


@dataclass(frozen=True, slots=True)
class VotePair:
    """Two samples beside each other: a prompt and a seed, by the checkpoints left and right. `repeats_id` is the vote
    that was given to the same two with their sides swapped."""

    prompt_id: int
    seed: int
    left_id: int
    right_id: int
    repeats_id: int | None = None

    @property
    def cells(self) -> tuple[Cell, Cell]:
        """Its two places of the sheet, left and right."""
        return Cell(self.left_id, self.prompt_id, self.seed), Cell(self.right_id, self.prompt_id, self.seed)


@dataclass(frozen=True, slots=True)
class VoteProgress:
    """How far a voter is. `pace_s`: the median time of their votes; None before there are some."""

    done: int
    pace_s: float | None


def drawn(session: Session, sheet: Sheet) -> dict[Cell, int]:
    """The samples that the sheet shows, by cell: those that its columns are to draw, and have drawn."""
    there = sheets.drawn_cells(session, sheet)
    return {cell: there[cell] for cell in sheets.wanted(session, sheet) if cell in there}


def ballots(session: Session, sheet: Sheet) -> list[Ballot]:
    """All votes on the sheet that were not taken back, in the order in which they were given."""
    rows = session.execute(
        select(
            Vote.prompt_id, Vote.seed, Vote.left_checkpoint_id, Vote.right_checkpoint_id, Vote.choice, Vote.person_id,
            Vote.guest_id,
        )
        .where(Vote.sheet_id == sheet.id, Vote.withdrawn_at.is_(None))
        .order_by(Vote.id)
    )  # fmt: skip
    return [
        Ballot(prompt_id, seed, left, right, _side(choice), Voter(person_id, guest_id).key)
        for prompt_id, seed, left, right, choice, person_id, guest_id in rows
    ]


def next_pairs(
    session: Session, sheet: Sheet, voter: Voter, count: int = 1, held: Sequence[VotePair] = ()
) -> list[VotePair]:
    """Up to `count` pairs to show to a voter next; fewer where they have seen all there are.

    `held` were handed out and wait to be voted on, so they are not given again. Asked again without a vote in between,
    the answer is the same: nobody reloads a page until a pair pleases them.
    """
    cast = ballots(session, sheet)
    # Handed out is seen, but says nothing yet of which is better, as "both bad" does not.
    cast += [Ballot(p.prompt_id, p.seed, p.left_id, p.right_id, "both_bad", voter.key) for p in held]
    spots, (baseline, threshold) = _spots(session, sheet), _held_against(session, sheet)
    pairs: list[VotePair] = []
    while len(pairs) < count:
        own = sum(ballot.voter == voter.key for ballot in cast)
        rng = np.random.default_rng(zlib.crc32(f"{sheet.id} {voter.key} {own}".encode()))
        shown = next_pair(cast, spots, voter.key, rng, baseline, threshold)
        if shown is None:
            break
        pair = VotePair(shown.prompt, shown.seed, shown.left, shown.right)
        if shown.repeats is not None:
            swapped = VotePair(shown.prompt, shown.seed, shown.right, shown.left)
            original = _current(session, sheet, voter, swapped)
            pair = replace(pair, repeats_id=original.id if original else None)
        pairs.append(pair)
        cast.append(Ballot(shown.prompt, shown.seed, shown.left, shown.right, "both_bad", voter.key))
    return pairs


def _spots(session: Session, sheet: Sheet) -> list[VoteSpot]:
    """Where at least two columns have drawn the same prompt and seed."""
    by_place: dict[tuple[int, int], set[int]] = defaultdict(set)
    for cell in drawn(session, sheet):
        by_place[cell.prompt_id, cell.seed].add(cell.checkpoint_id)
    categories = {prompt.id: prompt.category for prompt in suites.prompts_of(session, sheets.suite(session, sheet))}
    return [
        VoteSpot(prompt_id, seed, categories[prompt_id], frozenset(checkpoint_ids))
        for (prompt_id, seed), checkpoint_ids in by_place.items()
        if len(checkpoint_ids) > 1
    ]


def _held_against(session: Session, sheet: Sheet) -> tuple[int | None, float]:
    """The baseline of the sheet's gate, and the share of votes to win against it; none where it asks for nothing."""
    gate = session.scalars(select(Gate).where(Gate.sheet_id == sheet.id, Gate.superseded_at.is_(None))).first()
    margin = GateLimits.model_validate(gate.settings).margin if gate is not None else None
    return (gate.baseline_id, 0.5 - margin) if gate is not None and margin is not None else (None, 0.5)


def vote(
    session: Session, sheet: Sheet, voter: Voter, pair: VotePair, choice: str, seconds: float, was_zoomed: bool = False
) -> Vote:
    """Keep a vote on a pair that was shown. The same vote sent again, by a network that was cut, is kept once; another
    choice for the same pair takes the first one back.

    Raises Refused for an unknown choice, and for a pair whose samples are not in the sheet.
    """
    if choice not in CHOICES:
        raise Refused("A vote is A, B, a tie, or both bad.")
    hold(session, voter)
    if not _can_be_voted(session, sheet, pair):
        raise Refused("One of these two pictures is not in the comparison any more, so the vote was not kept.")
    before = _current(session, sheet, voter, pair)
    if before is not None and before.choice == choice:
        return before
    if before is not None:
        before.withdrawn_at = utc_now()
    original = session.get(Vote, pair.repeats_id) if pair.repeats_id is not None else None
    kept = Vote(
        sheet_id=sheet.id, prompt_id=pair.prompt_id, seed=pair.seed, left_checkpoint_id=pair.left_id,
        right_checkpoint_id=pair.right_id, choice=choice, person_id=voter.person_id, guest_id=voter.guest_id,
        repeats_id=original.id if original else None, seconds=clamped(seconds), was_zoomed=was_zoomed,
    )  # fmt: skip
    session.add(kept)
    session.flush()
    return kept


def take_back(session: Session, sheet: Sheet, voter: Voter, pair: VotePair | None = None) -> VotePair | None:
    """Take the voter's vote on a pair back, or their newest one; the pair, to be shown again. None where there is none.

    Done twice, it is done once.
    """
    hold(session, voter)
    taken = _newest(session, sheet, voter) if pair is None else _current(session, sheet, voter, pair)
    if taken is None:
        return None
    taken.withdrawn_at = utc_now()
    session.flush()
    return VotePair(taken.prompt_id, taken.seed, taken.left_checkpoint_id, taken.right_checkpoint_id, taken.repeats_id)


def names_of(session: Session, voters: Collection[str]) -> dict[str, str]:
    """What voters are called, by the keys of `Voter`; of guests the name that they gave themselves."""
    numbers = {kind: [int(key[1:]) for key in voters if key[0] == kind] for kind in "pg"}
    members = session.execute(select(Person.id, Person.name).where(Person.id.in_(numbers["p"])))
    names = {f"p{number}": name for number, name in members}
    guests = session.execute(select(Guest.id, Guest.name).where(Guest.id.in_(numbers["g"])))
    return names | {f"g{number}": name for number, name in guests}


def progress(session: Session, sheet: Sheet, voter: Voter) -> VoteProgress:
    """How many votes the voter has given on the sheet, and how long one took them."""
    median = func.percentile_cont(0.5).within_group(Vote.seconds)
    mine = (Vote.sheet_id == sheet.id, Vote.withdrawn_at.is_(None), voter.is_of(Vote))
    done, pace_s = session.execute(select(func.count(), median).where(*mine)).one()
    return VoteProgress(done, pace_s)


def samples_of(session: Session, pair: VotePair) -> tuple[Sample, Sample] | None:
    """The two samples of a pair, left and right; None where one is gone."""
    rows = session.scalars(
        select(Sample).where(
            Sample.prompt_id == pair.prompt_id,
            Sample.seed == pair.seed,
            Sample.checkpoint_id.in_((pair.left_id, pair.right_id)),
        )
    )
    by_checkpoint = {sample.checkpoint_id: sample for sample in rows}
    left, right = by_checkpoint.get(pair.left_id), by_checkpoint.get(pair.right_id)
    return (left, right) if left is not None and right is not None else None


def clamped(seconds: float) -> float:
    """Seconds as they are kept: 0 to an hour. A clock of a browser may say anything."""
    return min(max(seconds, 0.0), LONGEST_S) if seconds == seconds else 0.0


def _side(choice: str) -> Side:
    """A choice as it is kept in tables."""
    (known,) = (each for each in CHOICES if each == choice)
    return known


def _can_be_voted(session: Session, sheet: Sheet, pair: VotePair) -> bool:
    own = {checkpoint.id for checkpoint in columns.drawn_columns(session, sheet)}
    prompt = session.get(Prompt, pair.prompt_id)
    is_of_sheet = prompt is not None and prompt.suite_id == sheet.suite_id and {pair.left_id, pair.right_id} <= own
    return is_of_sheet and samples_of(session, pair) is not None


def _current(session: Session, sheet: Sheet, voter: Voter, pair: VotePair) -> Vote | None:
    """The voter's vote on these two samples with these sides."""
    same = (
        Vote.sheet_id == sheet.id, Vote.withdrawn_at.is_(None), voter.is_of(Vote), Vote.prompt_id == pair.prompt_id,
        Vote.seed == pair.seed, Vote.left_checkpoint_id == pair.left_id, Vote.right_checkpoint_id == pair.right_id,
    )  # fmt: skip
    return session.scalars(select(Vote).where(*same).order_by(Vote.id.desc()).limit(1)).first()


def _newest(session: Session, sheet: Sheet, voter: Voter) -> Vote | None:
    mine = (Vote.sheet_id == sheet.id, Vote.withdrawn_at.is_(None), voter.is_of(Vote))
    return session.scalars(select(Vote).where(*mine).order_by(Vote.id.desc()).limit(1)).first()


def hold(session: Session, voter: Voter) -> None:
    """One request of a voter after the other, so that two tabs cannot vote twice."""
    session.execute(select(func.pg_advisory_xact_lock(_LOCK, func.hashtext(voter.key))))
