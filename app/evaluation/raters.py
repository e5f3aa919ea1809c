"""How far voters can be trusted: on swapped repeats, with each other, and by the side that they pick. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from app.evaluation.ranking import Ballot

LEFT_FROM: Final = 0.4
LEFT_TO: Final = 0.6
LEFT_COUNTED_FROM: Final = 40
SHARED_FROM: Final = 20


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two votes on one pair were the same, of how many; `kappa` is above chance, None where too few."""

    same: int
    count: int
    kappa: float | None = None


@dataclass(frozen=True, slots=True)
class SidePicks:
    """How many decisive votes took the left side; `is_biased` where that is too many, or too few, to be by chance."""

    left: int
    count: int

    @property
    def is_biased(self) -> bool:
        share = self.left / self.count if self.count else 0.5
        return self.count >= LEFT_COUNTED_FROM and not LEFT_FROM <= share <= LEFT_TO


def side_picks(ballots: Sequence[Ballot]) -> SidePicks:
    """Left against right among decisive votes: sides are drawn by chance, so each has half."""
    picks = Counter(ballot.choice for ballot in ballots)
    return SidePicks(picks["left"], picks["left"] + picks["right"])


def with_themselves(ballots: Sequence[Ballot], voter: str) -> Agreement:
    """A voter's votes on pairs that they were shown twice, with sides swapped: the same column, or the same word."""
    by_pair: dict[tuple[int, int, frozenset[int]], list[str]] = defaultdict(list)
    for ballot in ballots:
        if ballot.voter == voter:
            by_pair[_pair(ballot)].append(_meant(ballot))
    twice = [said[:2] for said in by_pair.values() if len(said) > 1]
    return Agreement(sum(first == second for first, second in twice), len(twice))


def with_each_other(ballots: Sequence[Ballot]) -> Agreement:
    """Votes of different voters on the same pairs, each voter's first, with Cohen's kappa over all such pairs."""
    by_pair: dict[tuple[int, int, frozenset[int]], dict[str, str]] = defaultdict(dict)
    for ballot in ballots:
        by_pair[_pair(ballot)].setdefault(ballot.voter, _meant(ballot))
    both: list[tuple[str, str]] = []
    for pair, said in by_pair.items():
        least = str(min(pair[2]))
        for one_voter, other_voter in combinations(sorted(said), 2):
            both.append((_side(said[one_voter], least), _side(said[other_voter], least)))
    same = sum(first == second for first, second in both)
    if len(both) < SHARED_FROM:
        return Agreement(same, len(both))
    first, second = Counter(pair[0] for pair in both), Counter(pair[1] for pair in both)
    by_chance = sum(first[word] * second[word] for word in first) / len(both) ** 2
    kappa = 1.0 if by_chance >= 1 else (same / len(both) - by_chance) / (1 - by_chance)
    return Agreement(same, len(both), kappa)


def without(ballots: Sequence[Ballot], voter: str) -> list[Ballot]:
    """The votes of everybody else: a result that depends on one voter is told."""
    return [ballot for ballot in ballots if ballot.voter != voter]


def _pair(ballot: Ballot) -> tuple[int, int, frozenset[int]]:
    return ballot.prompt, ballot.seed, frozenset((ballot.left, ballot.right))


def _meant(ballot: Ballot) -> str:
    """The column that was chosen, or the word that chose none."""
    chosen = {"left": str(ballot.left), "right": str(ballot.right)}
    return chosen.get(ballot.choice, ballot.choice)


def _side(meant: str, least: str) -> str:
    """The same for all pairs: the column of the lower number, the other, or the word."""
    return meant if meant in ("tie", "both_bad") else "first" if meant == least else "second"
