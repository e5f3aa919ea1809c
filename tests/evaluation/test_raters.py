"""How far voters can be trusted: swapped repeats, each other, and the side that they pick, each with its interval."""

from __future__ import annotations

import numpy as np
import pytest

from app.evaluation import intervals, raters
from app.evaluation.ranking import Ballot, Choice


def ballot(prompt: int, choice: Choice, voter: str = "p1", left: int = 1, right: int = 2) -> Ballot:
    return Ballot(prompt, 11, left, right, choice, voter)


def swapped(prompt: int, choice: Choice, voter: str = "p1") -> Ballot:
    return ballot(prompt, choice, voter, 2, 1)


def test_the_same_column_on_the_other_side_is_the_same_vote() -> None:
    ballots = [ballot(1, "left"), swapped(1, "right"), ballot(2, "left"), swapped(2, "left")]
    ballots += [ballot(3, "tie"), swapped(3, "tie"), ballot(4, "both_bad"), swapped(4, "tie"), ballot(5, "left")]
    own = raters.with_themselves(ballots)
    assert (own.same, own.count) == (2, 4)
    low, high = own.interval
    assert (low, high) == (intervals.lower(2, 4, 0.975), intervals.upper(2, 4, 0.975))
    assert low < 0.07 < 0.93 < high, "four repeats say little"
    others = [ballot(1, "left", "p2"), swapped(1, "left", "p2")]
    both = raters.with_themselves([*ballots, *others])
    assert (both.same, both.count) == (2, 5) and raters.with_themselves([*ballots, *others], "p1") == own
    assert raters.with_themselves([ballot(1, "left"), swapped(1, "right", "p2")]).count == 0, "two people are not one"
    assert raters.with_themselves([]).interval == raters.side_picks([]).interval == (0.0, 1.0)


def test_the_interval_of_a_share_is_wrong_in_one_of_twenty_at_most() -> None:
    rng = np.random.default_rng(1)
    counted = rng.binomial(30, 0.8, 400)
    drawn = [raters.side_picks([ballot(n, "left" if n < k else "right") for n in range(30)]) for k in counted]
    assert np.mean([not each.interval[0] <= 0.8 <= each.interval[1] for each in drawn]) <= 0.06


@pytest.mark.parametrize(
    ("left", "right", "is_biased"),
    [(27, 13, True), (13, 27, True), (24, 16, False), (25, 15, False), (30, 0, False), (61, 39, True), (20, 20, False)],
)
def test_sides_are_an_alarm_where_chance_hardly_explains_them(left: int, right: int, is_biased: bool) -> None:
    """Outside 40 to 60 % of at least 40 decisive votes: 25 of 40 happens to one voter of seven who has no bias."""
    ballots = [ballot(n, "left") for n in range(left)] + [ballot(n + left, "right") for n in range(right)]
    picks = raters.side_picks([*ballots, *(ballot(1000 + n, "tie") for n in range(50))])
    assert (picks.left, picks.count, picks.is_biased) == (left, left + right, is_biased)


def test_an_honest_voter_is_rarely_alarmed_of() -> None:
    rng = np.random.default_rng(2)
    alarms = [
        raters.side_picks([ballot(n, "left" if rng.random() < 0.5 else "right") for n in range(60)]).is_biased
        for _ in range(400)
    ]
    assert np.mean(alarms) <= 0.05


def people(agree: float, shared: int, voters: int = 2, seed: int = 0) -> list[Ballot]:
    """Voters who say the truth of a pair so often, and else anything."""
    rng, choices = np.random.default_rng(seed), ("left", "right")
    ballots = []
    for prompt in range(shared):
        truth = choices[rng.integers(2)]
        for voter in range(voters):
            said = truth if rng.random() < agree else choices[rng.integers(2)]
            is_swapped = rng.random() < 0.5
            if is_swapped:
                ballots.append(swapped(prompt, "right" if said == "left" else "left", f"p{voter}"))
            else:
                ballots.append(ballot(prompt, "left" if said == "left" else "right", f"p{voter}"))
    return ballots


@pytest.mark.parametrize("voters", [2, 4])
def test_agreement_between_people_is_beyond_chance_and_has_an_interval(voters: int) -> None:
    strangers, friends = (raters.with_each_other(people(agree, 300, voters)) for agree in (0.0, 0.8))
    assert strangers.kappa == pytest.approx(0, abs=0.12) and friends.kappa == pytest.approx(0.64, abs=0.1)
    for agreement in (strangers, friends):
        low, high = agreement.kappa_low, agreement.kappa_high
        assert low is not None and high is not None and agreement.kappa is not None
        assert low <= agreement.kappa <= high and high - low < 0.3
        assert agreement.pairs == 300 and agreement.count == 300 * voters * (voters - 1) // 2
    assert (friends.kappa_low or 0) > 0.4 and (strangers.kappa_low or 0) < 0


def test_kappa_is_the_textbooks() -> None:
    """20 + 5 of one word, 10 + 15 of the other: seen 0.7, by chance (0.55² + 0.45²)."""
    table = [("left", "left", 20), ("left", "right", 5), ("right", "left", 10), ("right", "right", 15)]
    cells = [(first, second) for first, second, count in table for _ in range(count)]
    ballots = []
    for prompt, (first, second) in enumerate(cells):
        ballots += [ballot(prompt, "left" if first == "left" else "right", "p1")]
        ballots += [ballot(prompt, "left" if second == "left" else "right", "p2")]
    chance = 0.55**2 + 0.45**2
    assert raters.with_each_other(ballots).kappa == pytest.approx((0.7 - chance) / (1 - chance))


def test_of_few_shared_pairs_or_of_one_word_there_is_no_kappa() -> None:
    few = raters.with_each_other(people(1.0, 19))
    assert (few.same, few.count, few.pairs, few.kappa, few.kappa_low) == (19, 19, 19, None, None)
    same = [ballot(prompt, "left", voter) for prompt in range(30) for voter in ("p1", "p2")]
    assert raters.with_each_other(same).kappa is None, "chance alone explains it"
    assert raters.with_each_other([]) == raters.Agreement(0, 0)
    one_prompt = [Ballot(1, b.prompt, b.left, b.right, b.choice, b.voter) for b in people(0.8, 40)]
    assert raters.with_each_other(one_prompt).kappa_low is None, "of one prompt there is no interval by prompts"
    again = [*people(1.0, 25), *(swapped(prompt, "tie", "p1") for prompt in range(25))]
    assert raters.with_each_other(again).same == 25, "of a repeat the first vote counts"


def test_a_voter_can_be_left_out() -> None:
    ballots = [*people(0.9, 30), ballot(1, "left", "g7")]
    assert {each.voter for each in raters.without(ballots, "p1")} == {"p0", "g7"}
