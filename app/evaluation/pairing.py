"""Which two samples somebody is shown next. Pure."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal

REPEAT_EVERY: Final = 20
"""One vote of so many is asked again with its sides swapped: 5 %, as research on raters' agreement has it."""
REPEATED_AFTER: Final = 8
"""So many votes of the same voter lie between the two."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """A vote as statistics see it: who stood left and right, of which prompt and seed, and what was chosen."""

    prompt: int
    seed: int
    left: int
    right: int
    choice: Literal["left", "right", "tie", "both_bad"]
    voter: str


def next_pair(
    ballots: Sequence[Ballot],
    ids: Sequence[int],
    cells: Sequence[tuple[int, int, str]],
    voter: str,
    rng: random.Random,
) -> tuple[int, int, int, int, int | None] | None:
    """Prompt, seed, left and right of the pair to show, and the place in `ballots` that it repeats, or None.

    None where `voter` has seen every pair. `cells` are prompt, seed and category, each drawn by all of `ids`. The pair
    of checkpoints with the fewest ballots comes first, then the category, then the cell; chance decides the rest.
    """
    mine = [(place, ballot) for place, ballot in enumerate(ballots) if ballot.voter == voter]
    known, sides = set(ids), {(b.prompt, b.seed, b.left, b.right) for _, b in mine}
    there = {(prompt, seed) for prompt, seed, _ in cells}
    if len(mine) % REPEAT_EVERY == REPEAT_EVERY - 1:
        again = [
            (place, b) for place, b in mine[:-REPEATED_AFTER]
            if {b.left, b.right} <= known and (b.prompt, b.seed) in there
            and (b.prompt, b.seed, b.right, b.left) not in sides
        ]  # fmt: skip
        if again:
            place, ballot = rng.choice(again)
            return ballot.prompt, ballot.seed, ballot.right, ballot.left, place
    of_pair = Counter(frozenset((b.left, b.right)) for b in ballots)
    of_cell = Counter((b.prompt, b.seed) for b in ballots)
    of_category: Counter[str] = Counter()
    for prompt, seed, category in cells:
        of_category[category] += of_cell[prompt, seed]
    unseen = [
        (prompt, seed, category, pair)
        for pair in combinations(sorted(known), 2)
        for prompt, seed, category in cells
        if (prompt, seed, *pair) not in sides and (prompt, seed, *reversed(pair)) not in sides
    ]
    if not unseen:
        return None
    prompt, seed, _, pair = min(
        unseen,
        key=lambda each: (
            of_pair[frozenset(each[3])], of_category[each[2]], of_cell[each[0], each[1]], rng.random(),
        ),
    )  # fmt: skip
    left, right = pair if rng.random() < 0.5 else pair[::-1]
    return prompt, seed, left, right, None
