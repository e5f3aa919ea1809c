"""Ratings from votes: the truth is found, intervals hold where prompts favour sides, and few votes promise nothing."""

from __future__ import annotations

import numpy as np
import pytest

from app.evaluation import ranking
from app.evaluation.ranking import Ballot, Choice


def votes(
    strengths: dict[int, float], prompts: int, per_prompt: int, seed: int = 0, of_prompt: float = 0.0
) -> list[Ballot]:
    """Votes between columns of such strengths, pairs in turns; prompts favour columns by normal effects `of_prompt`."""
    rng, ids = np.random.default_rng(seed), sorted(strengths)
    pairs = [(a, b) for a in ids for b in ids if a < b]
    ballots = []
    for prompt in range(prompts):
        favour = dict(zip(ids, rng.normal(0, of_prompt, len(ids)).tolist(), strict=True))
        for vote in range(per_prompt):
            left, right = rng.permutation(pairs[(prompt * per_prompt + vote) % len(pairs)]).tolist()
            gap = strengths[left] + favour[left] - strengths[right] - favour[right]
            choice: Choice = "left" if rng.random() < 1 / (1 + np.exp(-gap)) else "right"
            ballots.append(Ballot(prompt, vote, left, right, choice, f"p{vote}"))
    return ballots


def test_ratings_are_the_odds_of_winning() -> None:
    """Bradley and Terry: 400 points are ten to one, and the baseline stays at 1000."""
    ballots = votes({1: 0.0, 2: np.log(2), 3: np.log(4)}, 3000, 1)
    ratings = ranking.rate(ballots, [1, 2, 3], 1, rounds=200)
    assert (ratings[1].rating, ratings[1].difference_low, ratings[1].difference_high) == (1000, 0, 0)
    for number, odds in ((2, 2), (3, 4)):
        wanted = 400 * np.log10(odds)
        assert ratings[number].difference == pytest.approx(wanted, abs=25)
        assert ratings[number].difference_low < wanted < ratings[number].difference_high
        assert ratings[number].rating == 1000 + ratings[number].difference
    assert ratings[3].p_best > 0.99 and sum(rating.p_best for rating in ratings.values()) == pytest.approx(1)


def test_the_same_votes_give_the_same_ratings_whatever_their_order() -> None:
    ballots = votes({1: 0.0, 2: 0.5, 3: 1.0}, 20, 3)
    first = ranking.rate(ballots, [1, 2, 3], 1, rounds=100)
    assert ranking.rate(ballots, [1, 2, 3], 1, rounds=100) == first
    swapped = [
        Ballot(b.prompt, b.seed, b.right, b.left, "right" if b.choice == "left" else "left", b.voter) for b in ballots
    ]
    for number, rating in ranking.rate(swapped[::-1], [3, 1, 2], 1, rounds=100).items():
        assert rating.rating == pytest.approx(first[number].rating), "sides and order do not count"


def test_a_tie_is_half_of_each_and_both_bad_says_nothing_of_which_is_better() -> None:
    ties = [Ballot(prompt, 0, 1, 2, "tie", "p1") for prompt in range(40)]
    even = ranking.rate(ties, [1, 2], 1)[2]
    assert even.difference == pytest.approx(0, abs=1e-6) and even.difference_low < 0 < even.difference_high
    won = [Ballot(prompt, 0, 1, 2, "left", "p1") for prompt in range(20)]
    bad = [Ballot(prompt, 1, 1, 2, "both_bad", "p1") for prompt in range(200)]
    assert ranking.rate(won + bad, [1, 2], 1) == ranking.rate(won, [1, 2], 1)
    assert ranking.both_bad_share(won + bad, 2) == (200, 220) and ranking.both_bad_share(won, 3) == (0, 0)


def test_who_says_both_has_not_said_which() -> None:
    """A swapped repeat is no second vote: it is the same one, or it takes the first one back."""
    first = Ballot(1, 0, 5, 7, "left", "p1")
    same, contrary = Ballot(1, 0, 7, 5, "right", "p1"), Ballot(1, 0, 7, 5, "left", "p1")
    assert ranking.duel([first], 5, 7) == ranking.duel([first, same], 5, 7) == {1: [1.0]}
    assert ranking.duel([first, contrary], 5, 7) == {1: [0.5]}
    assert ranking.duel([first, Ballot(1, 0, 7, 5, "left", "p2")], 7, 5) == {1: [0.0, 1.0]}, "two voters are two"
    assert ranking.duel([first], 5, 6) == {}
    assert ranking.rate([first, same], [5, 7], 5) == ranking.rate([first], [5, 7], 5)


def test_without_votes_any_may_be_the_best() -> None:
    ratings = ranking.rate([], [4, 5, 6, 7], 5)
    assert {rating.rating for rating in ratings.values()} == {1000.0}
    assert {rating.p_best for rating in ratings.values()} == {0.25}
    assert all(rating.difference_low < -300 for number, rating in ratings.items() if number != 5)
    assert ranking.rate([], [5], 5)[5].p_best == 1
    with pytest.raises(ValueError, match="5"):
        ranking.rate([], [4], 5)


@pytest.mark.parametrize("won", [1, 3, 5])
def test_a_few_wins_in_a_row_promise_nothing(won: int) -> None:
    """Drawn again they are the same wins again: an interval of resampling alone would be a point."""
    rating = ranking.rate([Ballot(prompt, 0, 2, 1, "left", "p1") for prompt in range(won)], [1, 2], 1)[2]
    assert rating.difference > 0 > rating.difference_low and rating.p_best < 0.99


def test_who_never_lost_has_a_rating_with_an_end() -> None:
    ballots = [Ballot(prompt, 0, 2, 1, "left", "p1") for prompt in range(100)]
    rating = ranking.rate(ballots, [1, 2], 1)[2]
    assert 300 < rating.difference < 3000 and rating.difference_low > 0 and rating.p_best == 1


@pytest.mark.parametrize(("prompts", "per_prompt", "of_prompt"), [(100, 1, 1.0), (30, 6, 1.0), (60, 2, 0.0)])
def test_the_interval_of_a_difference_holds(prompts: int, per_prompt: int, of_prompt: float) -> None:
    """Equals whose prompts favour one of them: called different in about 5 %, however votes lie on prompts."""
    false, evaluations = 0, 250
    for seed in range(evaluations):
        rating = ranking.rate(votes({1: 0.0, 2: 0.0}, prompts, per_prompt, seed, of_prompt), [1, 2], 1, rounds=200)[2]
        false += not rating.difference_low <= 0 <= rating.difference_high
    assert 0.01 <= false / evaluations <= 0.09


def test_votes_taken_for_independent_would_not_hold() -> None:
    """Why prompts are resampled: by votes alone a third more and more of equals are told apart."""
    false, evaluations = 0, 250
    for seed in range(evaluations):
        strengths, unsure = ranking.posterior(votes({1: 0.0, 2: 0.0}, 20, 10, seed, 1.0), [1, 2])
        gap, variance = strengths[1] - strengths[0], unsure[0, 0] + unsure[1, 1] - 2 * unsure[0, 1]
        false += abs(gap) > 1.96 * np.sqrt(variance)
    assert false / evaluations > 0.12, "13 to 21 % published"
