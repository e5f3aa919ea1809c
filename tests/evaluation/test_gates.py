"""Whether a candidate ships: each limit on its bound, what is open with what is missing, and what cannot be told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from pydantic import ValidationError

from app.evaluation import eprocess, gates, intervals
from app.evaluation.gates import GateDecision, GateFacts, GateLimits, GateLine, LineKey

DEFAULTS = GateLimits()


def said(yes: int, no: int, unsaid: int = 0) -> dict[int, list[bool | None]]:
    """One picture for each prompt."""
    outcomes: Sequence[bool | None] = [True] * yes + [False] * no + [None] * unsaid
    return {prompt: [each] for prompt, each in enumerate(outcomes)}


def duel(won: int, lost: int, tied: int = 0) -> dict[int, list[float]]:
    return {prompt: [score] for prompt, score in enumerate([1.0] * won + [0.0] * lost + [0.5] * tied)}


def only(facts: GateFacts, key: LineKey, limits: GateLimits = DEFAULTS) -> GateLine:
    (line,) = (line for line in gates.judge(facts, limits).lines if line.key == key)
    return line


def strong() -> GateFacts:
    """Everything as it should be: 120 prompts with four pictures each, 64 packshots, 110 votes."""
    four = {prompt: [True, True, True, prompt % 4 > 0] for prompt in range(120)}
    return GateFacts(
        usable=four, categories={prompt: "AB"[prompt % 2] for prompt in four}, hold_out=said(79, 17),
        hard_fails=said(0, 64), copies=said(0, 120), duel=duel(66, 44),
    )  # fmt: skip


def test_what_meets_every_limit_ships() -> None:
    decision = gates.judge(strong(), DEFAULTS)
    assert [line.key for line in decision.lines] == [
        "usable", "best_of", "category", "hold_out", "hard_fails", "copies", "copies_unseen", "not_worse",
    ]  # fmt: skip
    assert decision == GateDecision("ship", 0, 0, decision.lines, "unclear")
    assert all(line.passes and line.more == 0 and line.sentence for line in decision.lines)


def test_bounds_decide_and_not_values() -> None:
    line = only(GateFacts(usable=said(101, 19)), "usable")
    assert (line.value, line.n, line.threshold, line.passes) == (101 / 120, 120, 0.70, True)
    assert line.bound == intervals.lower(101, 120) and line.sentence == "Surely at least 77 %; 70 % is asked."
    short = only(GateFacts(usable=said(75, 25)), "usable")
    assert short.value == 0.75 and short.bound < 0.70 and short.passes is False
    assert short.sentence == "With everything answered surely only 66 %; 70 % is asked."
    assert gates.judge(GateFacts(usable=said(75, 25)), DEFAULTS).kind == "train_more"


def test_the_same_pictures_several_times_prove_no_more() -> None:
    alike = {prompt: [prompt % 5 > 0] * 4 for prompt in range(30)}
    apart = said(96, 24)
    assert only(GateFacts(usable=alike), "usable").passes is False
    assert only(GateFacts(usable=apart), "usable").passes is True


def test_an_open_line_says_how_many_answers_decide_it() -> None:
    line = only(GateFacts(usable=said(24, 6, 90)), "usable")
    assert line.passes is None and line.more is not None and 30 < line.more <= 90
    assert f"about {line.more} more answers" in line.sentence
    decision = gates.judge(GateFacts(usable=said(24, 6, 90)), GateLimits(best_of=None))
    assert (decision.kind, decision.more_votes, decision.more_answers) == ("need_votes", 0, line.more)


def test_while_answers_come_in_the_bound_holds_at_any_time() -> None:
    """A bound that is right once is not right when it is looked at after every answer."""
    line = only(GateFacts(usable=said(45, 11, 64)), "usable")
    assert line.bound == eprocess.bounds(45, 11)[0] < intervals.lower(45, 11)
    rng, false = np.random.default_rng(1), 0
    for _ in range(100):
        outcomes = (rng.random(240) < 0.7).tolist()
        false += any(
            only(GateFacts(usable=dict(enumerate([[x] for x in outcomes[:n]] + [[None]] * (240 - n)))), "usable").passes
            for n in range(40, 241, 40)
        )
    assert false / 100 <= 0.08, "5 % at the end, and hardly any before"


@pytest.mark.parametrize(
    ("facts", "passes", "sentence"),
    [
        (said(0, 0, 9), None, "No answers yet; 70 % is asked."),
        ({}, None, "No answers yet; 70 % is asked."),
        (said(5, 60, 100), False, "Surely at most 29 %; 70 % is asked."),
        (said(6, 0), None, "6 are too few: all of them good would surely be 60 %; 70 % is asked."),
        (said(70, 29, 1), False, "Surely 55 %, and too few are left to make it enough; 70 % is asked."),
    ],
)
def test_an_answered_line_says_why(facts: gates.Said, passes: bool | None, sentence: str) -> None:
    line = only(GateFacts(usable=facts), "usable")
    assert (line.passes, line.sentence) == (passes, sentence)


def test_a_prompt_counts_for_best_of_once_all_its_pictures_are_answered() -> None:
    answered = {prompt: [prompt % 60 == 0, False, prompt > 1, False] for prompt in range(60)}
    line = only(GateFacts(usable=answered), "best_of")
    assert (line.value, line.n, line.passes) == (59 / 60, 60, True)
    early = answered | {prompt: [True, None, None, None] for prompt in range(60, 90)}
    line = only(GateFacts(usable=early), "best_of")
    assert line.n == 60, "a yes is known before a no, so it does not count alone"
    assert only(GateFacts(usable=answered | {60: [None] * 4, 61: [None] * 4}), "best_of").more in (0, 4, 8)
    assert not any(line.key == "best_of" for line in gates.judge(GateFacts(usable=said(9, 1)), DEFAULTS).lines)


def test_the_weakest_category_fails_only_where_it_is_surely_bad() -> None:
    usable = {prompt: [prompt % 10 > 0] for prompt in range(60)} | {
        prompt: [prompt % 3 == 0] for prompt in range(60, 90)
    }
    categories = {prompt: "Packshot" if prompt < 60 else "Label text" for prompt in usable}
    line = only(GateFacts(usable=usable, categories=categories), "category")
    assert (line.category, line.n, line.value, line.passes) == ("Label text", 30, 10 / 30, False)
    assert line.bound == intervals.upper(10, 30) and line.is_upper
    assert line.sentence == "“Label text” is surely at most 50 %; 60 % is asked."
    some = usable | {prompt: [prompt < 77] for prompt in range(60, 90)}
    assert only(GateFacts(usable=some, categories=categories), "category").passes is True, "57 % could be 73 %"


def test_a_category_that_nobody_looked_at_is_open_and_a_tiny_one_is_passed_over() -> None:
    usable = said(40, 10) | {prompt: [None] for prompt in range(50, 60)} | {60: [False]}
    categories = {prompt: "ABC"[(prompt >= 50) + (prompt >= 60)] for prompt in usable}
    line = only(GateFacts(usable=usable, categories=categories), "category")
    assert (line.passes, line.more) == (None, 4), "four of which none is usable would fail it"
    assert only(GateFacts(usable=said(40, 10) | {60: [False]}, categories=categories), "category").passes is True
    assert gates.judge(GateFacts(usable={60: [False]}, categories={60: "C"}), GateLimits(usable=None)).lines == ()


@pytest.mark.parametrize(
    ("faults", "passes", "sentence"),
    [
        (said(0, 64), True, "Surely at most 4.6 %; 5 % is allowed."),
        (said(1, 63), False, "It could be 7.2 %; 5 % is allowed."),
        (said(20, 44), False, "Surely at least 21 %; 5 % is allowed."),
        (said(0, 30), None, "30 are too few: without a fault they could still be 9.6 %; 5 % is allowed."),
        (said(0, 96, 4), None, "4 could not be told, so it could be 9 %; 5 % is allowed."),
        (said(0, 296, 4), True, "Surely at most 3.1 %; 5 % is allowed."),
        (said(0, 0, 80), None, "None of 80 could be told; 5 % is allowed."),
        ({}, None, "Not measured yet; 5 % is allowed."),
    ],
)
def test_a_measured_line_counts_what_it_cannot_tell_as_a_fault(
    faults: gates.Said, passes: bool | None, sentence: str
) -> None:
    line = only(GateFacts(hard_fails=faults), "hard_fails")
    assert (line.passes, line.sentence, line.is_upper) == (passes, sentence, True)


def test_what_looks_like_a_training_photo_waits_for_somebody_to_look() -> None:
    unseen = gates.judge(GateFacts(usable=None, copies=said(0, 397, 3)), DEFAULTS)
    rate, looked = unseen.lines
    assert rate.passes is True and (looked.value, looked.passes, looked.more, looked.n) == (3.0, None, 3, 400)
    assert unseen.kind == "need_votes" and looked.sentence.startswith("3 pictures look like training photos")
    copied = gates.judge(GateFacts(usable=None, copies=said(40, 60)), DEFAULTS)
    assert [line.passes for line in copied.lines] == [False, True] and copied.kind == "train_more"
    assert only(GateFacts(copies={}), "copies_unseen").sentence == "Not measured yet."
    assert "1 picture looks" in only(GateFacts(copies=said(0, 9, 1)), "copies_unseen").sentence


def test_not_worse_asks_for_as_many_votes_as_decide_it() -> None:
    decision = gates.judge(GateFacts(usable=None, duel=duel(34, 28)), DEFAULTS)
    (line,) = decision.lines
    assert (line.key, line.n, line.threshold) == ("not_worse", 62, 0.4) and line.value == 34 / 62
    assert decision.kind == "need_votes" and decision.more_votes == line.more and 20 < (line.more or 0) < 80
    assert line.bound == eprocess.bounds(34, 28)[0] and decision.against == "unclear"
    more = line.more or 0
    wins = 34 + more * 34 / 62
    assert eprocess.bounds(wins, 62 + more - wins)[0] >= 0.395, "so many more at this rate do"


def test_not_worse_passes_fails_and_gives_up() -> None:
    assert only(GateFacts(duel=duel(66, 44)), "not_worse").passes is True
    worse = gates.judge(GateFacts(usable=None, duel=duel(10, 90)), DEFAULTS)
    assert (worse.kind, worse.against) == ("train_more", "worse")
    assert gates.judge(GateFacts(duel=duel(80, 20)), DEFAULTS).against == "better"
    none = only(GateFacts(duel={}), "not_worse")
    assert none.passes is None and none.value is None and 100 < (none.more or 0) < 400
    futile = only(GateFacts(duel=duel(50, 45)), "not_worse", GateLimits(most_votes=96))
    assert futile.passes is False and "winning up to 96 would not do" in futile.sentence
    assert only(GateFacts(duel=duel(5, 5, 60)), "not_worse").value == 0.5, "a tie is half of each"


def test_nothing_ships_on_nothing() -> None:
    assert gates.judge(GateFacts(usable=None), DEFAULTS) == GateDecision("need_votes", 0, 0, (), None)
    off = GateLimits(usable=None, best_of=None, category=None, hold_out=None, hard_fails=None, copies=None, margin=None)
    assert gates.judge(strong(), off).kind == "need_votes"
    fresh = gates.judge(GateFacts(hold_out={}, hard_fails={}, copies={}, duel={}), DEFAULTS)
    assert fresh.kind == "need_votes" and {line.passes for line in fresh.lines} == {None}
    assert fresh.more_answers is None and fresh.more_votes is not None


def test_one_line_that_fails_is_enough_whatever_is_open() -> None:
    decision = gates.judge(GateFacts(usable=said(10, 90), duel={}), DEFAULTS)
    assert decision.kind == "train_more" and decision.more_votes


def test_limits_are_kept_as_they_were_set_and_refused_out_of_range() -> None:
    limits = GateLimits(usable=0.8, copies=None, most_votes=200)
    assert GateLimits.model_validate(limits.model_dump()) == limits
    for wrong in ({"usable": 1.0}, {"usable": float("nan")}, {"margin": 0.5}, {"most_votes": 0}, {"speed": 1}):
        with pytest.raises(ValidationError):
            GateLimits.model_validate(wrong)


@pytest.mark.parametrize("seed", range(8))
def test_any_facts_get_a_decision(seed: int) -> None:
    """Every line of any facts has a bound between 0 and 1, and passes only on its bound."""
    rng = np.random.default_rng(seed)
    for _ in range(40):
        prompts, seeds = int(rng.integers(0, 30)), int(rng.integers(1, 5))
        chosen = [
            {
                p: [(None, False, True)[k] for k in rng.choice(3, seeds, p=rng.dirichlet((1, 1, 1)))]
                for p in range(prompts)
            }
            for _ in range(4)
        ]
        votes = {p: rng.choice([0, 0.5, 1], int(rng.integers(1, 6))).tolist() for p in range(prompts)}
        facts = GateFacts(chosen[0], {p: "AB"[p % 2] for p in range(prompts)}, *chosen[1:], votes)
        decision = gates.judge(facts, DEFAULTS)
        for line in decision.lines:
            assert line.sentence.endswith((".", ";")) and (line.more is None or line.more >= 0)
            if line.key != "copies_unseen":
                assert 0 <= line.bound <= 1
            if line.passes and line.key != "category":
                assert line.bound <= line.threshold if line.is_upper else line.bound >= line.threshold
        assert (decision.kind == "ship") == (bool(decision.lines) and all(line.passes for line in decision.lines))
