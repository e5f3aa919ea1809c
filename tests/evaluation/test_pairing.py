"""Which pair comes next: where it can change what ships, in turns of categories and prompts, some again swapped."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from app.evaluation import pairing
from app.evaluation.pairing import NextPair, VoteSpot
from app.evaluation.ranking import Ballot, Choice

SEEDS = (11, 23)


def spots(columns: int = 3, sizes: tuple[int, ...] = (8, 4)) -> list[VoteSpot]:
    """Prompts in categories of such sizes, with two seeds, drawn by columns 1, 2, ..."""
    category_of = [category for category, size in enumerate(sizes) for _ in range(size)]
    ids = frozenset(range(1, columns + 1))
    return [
        VoteSpot(prompt, seed, "ABC"[category], ids) for prompt, category in enumerate(category_of) for seed in SEEDS
    ]


def cast(
    count: int, places: list[VoteSpot], strengths: dict[int, float], seed: int = 0, baseline: int | None = None,
    voters: int = 1, threshold: float = 0.4,
) -> tuple[list[Ballot], list[NextPair]]:  # fmt: skip
    """Votes as they come from voters in turns, won by the odds of strengths."""
    rng, ballots, shown = np.random.default_rng(seed), list[Ballot](), list[NextPair]()
    for turn in range(count):
        voter = f"p{turn % voters}"
        pair = pairing.next_pair(ballots, places, voter, rng, baseline, threshold)
        if pair is None:
            break
        chance = 1 / (1 + np.exp(strengths[pair.right] - strengths[pair.left]))
        choice: Choice = "left" if rng.random() < chance else "right"
        ballots.append(Ballot(pair.prompt, pair.seed, pair.left, pair.right, choice, voter))
        shown.append(pair)
    return ballots, shown


def columns_of(pair: NextPair | Ballot) -> frozenset[int]:
    return frozenset((pair.left, pair.right))


def test_nobody_is_asked_twice_but_for_swapped_repeats() -> None:
    places = spots()
    ballots, shown = cast(500, places, {1: 0.0, 2: 0.5, 3: 1.0})
    first = [pair for pair in shown if pair.repeats is None]
    again = [pair for pair in shown if pair.repeats is not None]
    assert len({(p.prompt, p.seed, columns_of(p)) for p in first}) == len(first) == 3 * len(places)
    assert 0.08 <= len(again) / len(shown) <= 0.10
    for place, pair in enumerate(shown):
        if pair.repeats is not None:
            before = ballots[pair.repeats]
            assert (before.prompt, before.seed, before.left, before.right) == (
                pair.prompt, pair.seed, pair.right, pair.left,
            )  # fmt: skip
            assert place - pair.repeats > pairing.REPEATED_AFTER
    assert max(Counter(ballot.shown for ballot in ballots).values()) == 2


def test_somebody_new_is_not_asked_again_at_once_and_five_of_sixty_are() -> None:
    _, shown = cast(60, spots(4, (8, 8)), dict.fromkeys((1, 2, 3, 4), 0.0))
    repeats = [place for place, pair in enumerate(shown) if pair.repeats is not None]
    assert len(repeats) == 5 and repeats[0] >= pairing.REPEATED_AFTER


def test_a_repeat_is_of_a_pair_that_is_still_there() -> None:
    ballots, _ = cast(40, spots(), {1: 0.0, 2: 0.5, 3: 1.0})
    left = [spot for spot in spots() if spot.prompt >= 6]
    for seed in range(30):
        pair = pairing.next_pair(ballots, left, "p0", np.random.default_rng(seed))
        assert pair is None or pair.prompt >= 6


def test_sides_are_drawn_by_chance() -> None:
    _, shown = cast(120, spots(2, (40, 40)), {1: 0.0, 2: 0.0})
    assert 40 <= sum(pair.left == 1 for pair in shown) <= 80


def test_votes_go_to_those_that_may_be_the_best() -> None:
    """Two that are close and far above the rest get most votes; whom hardly anybody prefers costs few."""
    _, shown = cast(200, spots(5, (30, 30)), {1: -2.0, 2: -2.0, 3: -2.5, 4: 0.6, 5: 0.5}, voters=3)
    pairs = Counter(columns_of(pair) for pair in shown)
    assert pairs[frozenset((4, 5))] > 100
    hopeless = sum(count for pair, count in pairs.items() if pair <= {1, 2, 3})
    assert hopeless < 20


def test_the_baseline_is_asked_about_until_the_limit_is_decided() -> None:
    strengths = {1: 0.0, 2: 1.6, 3: 1.5}
    _, shown = cast(160, spots(3, (60, 60)), strengths, baseline=1)
    early, late = ([pair for pair in part if pair.repeats is None] for part in (shown[:24], shown[-60:]))
    against = [sum(1 in columns_of(pair) for pair in part) / len(part) for part in (early, late)]
    assert against[0] > 0.3, "about half, while it is open"
    assert against[1] < 0.1, "hardly any, once both surely do better than the limit"
    _, two = cast(
        60, [VoteSpot(s.prompt, s.seed, s.category, frozenset((1, 2))) for s in spots()], strengths, baseline=1
    )
    assert len(two) == 26, "with one candidate there is one pair, decided or not"


def test_categories_take_turns_by_their_size_and_prompts_within() -> None:
    _, shown = cast(36, spots(2, (12, 6)), {1: 0.0, 2: 0.0}, voters=4)
    prompts = Counter(pair.prompt for pair in shown if pair.repeats is None)
    assert max(prompts.values()) - min(prompts[prompt] for prompt in range(18)) <= 1
    of_large = sum(count for prompt, count in prompts.items() if prompt < 12)
    assert of_large / sum(prompts.values()) == pytest.approx(2 / 3, abs=0.06)
    _, first = cast(6, spots(2, (12, 6)), {1: 0.0, 2: 0.0})
    assert {pair.prompt < 12 for pair in first} == {True, False}, "from the first votes on"


def test_columns_meet_where_both_have_drawn() -> None:
    places = [VoteSpot(1, 11, "A", frozenset((1, 2, 3))), VoteSpot(2, 11, "A", frozenset((2, 3)))]
    _, shown = cast(50, places, {1: 0.0, 2: 0.0, 3: 0.0})
    assert {(pair.prompt, columns_of(pair)) for pair in shown} == {
        (1, frozenset((1, 2))), (1, frozenset((1, 3))), (1, frozenset((2, 3))), (2, frozenset((2, 3))),
    }  # fmt: skip


def test_where_nothing_can_be_compared_there_is_no_pair() -> None:
    rng = np.random.default_rng(0)
    assert pairing.next_pair([], [], "p1", rng) is None
    assert pairing.next_pair([], spots(1), "p1", rng) is None


def test_what_was_handed_out_says_nothing_of_strength() -> None:
    """Pairs that wait to be voted on count as seen, and as nothing else."""
    places = spots()
    held = [Ballot(0, 11, 1, 2, "both_bad", "p1")] * 1
    chances = [pairing.next_pair(held, places, "p1", np.random.default_rng(seed)) for seed in range(40)]
    assert all(pair is not None and (pair.prompt, pair.seed, columns_of(pair)) != (0, 11, {1, 2}) for pair in chances)
