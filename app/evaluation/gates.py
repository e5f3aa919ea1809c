"""Whether a candidate ships: what is known of it, held against limits that were set before anybody voted. Pure.

A line passes when a bound does, not when a value does (research on comparing checkpoints, 3.5). What people say is
looked at while they say it, so until all is answered the bound is one that holds at any time; with everything answered,
as with what a machine measures, it is the exact one-sided 95 % bound. Both are by prompt. A line cannot tell (None)
while further answers could still decide it either way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.evaluation import eprocess, intervals
from app.evaluation.intervals import ByPrompt

Kind = Literal["ship", "train_more", "need_votes"]
LineKey = Literal["usable", "best_of", "category", "hold_out", "hard_fails", "copies", "copies_unseen", "not_worse"]
Against = Literal["better", "worse", "unclear"]
Said = Mapping[int, Sequence[bool | None]]
"""Of each prompt's pictures, in the order of the suite's seeds: yes, no, or None where nobody or nothing has said."""

_ANSWERED: Final = ("usable", "best_of", "category", "hold_out")


class GateLimits(BaseModel):
    """What a candidate has to meet; the defaults are those of research on comparing checkpoints, 3.5. Shares are above
    0 and below 1, None asks for nothing. Raises pydantic's ValidationError out of range."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    usable: float | None = Field(0.70, gt=0, lt=1, description="Usable at first try, surely at least.")
    best_of: float | None = Field(0.90, gt=0, lt=1, description="Prompts with a usable picture, surely at least.")
    category: float | None = Field(0.60, gt=0, lt=1, description="Usable in the weakest category, could be.")
    hold_out: float | None = Field(0.70, gt=0, lt=1, description="Usable of the hold-out prompts, surely at least.")
    hard_fails: float | None = Field(0.05, gt=0, lt=1, description="Packshots that break a hard rule, surely at most.")
    copies: float | None = Field(0.05, gt=0, lt=1, description="Copies of training photos, surely at most.")
    margin: float | None = Field(0.10, gt=0, lt=0.5, description="Win rate that may be missing to one half.")
    most_votes: int = Field(400, ge=20, le=100_000, description="Votes against the baseline that are worth asking for.")


@dataclass(frozen=True, slots=True)
class GateFacts:
    """What is known of a candidate. None: does not apply, so there is no line. Empty: nothing is known yet.

    `usable`: whether people would publish each picture of the suite; the hold-out prompts are apart in `hold_out`.
    `categories` are those of prompts. `hard_fails`: whether a packshot breaks a hard rule. `copies`: whether a picture
    copies a photo that its run learned from; None for one that looks so and that nobody has looked at. `duel` are the
    votes against the baseline by prompt: 1 won, 0 lost, 0.5 a tie (`ranking.duel`).
    """

    usable: Said | None = field(default_factory=dict)
    categories: Mapping[int, str] = field(default_factory=dict)
    hold_out: Said | None = None
    hard_fails: Said | None = None
    copies: Said | None = None
    duel: ByPrompt | None = None


@dataclass(frozen=True, slots=True)
class GateLine:
    """One limit. `value` is what was seen, None where nothing was; `bound` what it surely is at least, or with
    `is_upper` at most. Both are shares; counts for `copies_unseen`. `n`: pictures, prompts or votes that they rest on.
    `more`: further answers or votes that decide it at this rate; None where none are known to. `category` is the
    weakest one, on its line."""

    key: LineKey
    value: float | None
    bound: float
    threshold: float
    passes: bool | None
    n: int
    sentence: str
    is_upper: bool = False
    more: int | None = 0
    category: str = ""


@dataclass(frozen=True, slots=True)
class GateDecision:
    """What follows. `more_votes` against the baseline and `more_answers` on single pictures decide what is open, if
    things go on as they did; None where no number is known to. `against`: whether the baseline is beaten; None without
    one."""

    kind: Kind
    more_votes: int | None
    more_answers: int | None
    lines: tuple[GateLine, ...]
    against: Against | None = None


def judge(facts: GateFacts, limits: GateLimits) -> GateDecision:
    """Ship where every line passes, train more where one fails, and else ask for what is missing. Without any line
    nothing is known, so nothing ships."""
    lines = _lines(facts, limits)
    passed = [line.passes for line in lines]
    kind: Kind = "train_more" if False in passed else "ship" if lines and all(passed) else "need_votes"
    waiting = [line for line in lines if line.passes is None]
    votes = [line.more for line in waiting if line.key == "not_worse"]
    answers = [line.more for line in waiting if line.key in _ANSWERED]
    return GateDecision(kind, _most(votes), _most(answers), tuple(lines), against(facts.duel))


def against(duel: ByPrompt | None) -> Against | None:
    """Whether votes say better or worse than the baseline, at whatever vote one looks: false for equals in at most 5 %.
    None without a baseline."""
    if duel is None:
        return None
    low, high = eprocess.clustered_bounds(duel)
    return "better" if low > 0.5 else "worse" if high < 0.5 else "unclear"


def _lines(facts: GateFacts, limits: GateLimits) -> list[GateLine]:
    lines: list[GateLine | None] = []
    if facts.usable is not None:
        lines.append(_answered("usable", facts.usable, limits.usable) if limits.usable else None)
        lines.append(_best_of(facts.usable, limits.best_of) if limits.best_of else None)
        lines.append(_category(facts.usable, facts.categories, limits.category) if limits.category else None)
    if facts.hold_out is not None and limits.hold_out:
        lines.append(_answered("hold_out", facts.hold_out, limits.hold_out))
    if facts.hard_fails is not None and limits.hard_fails:
        lines.append(_measured("hard_fails", facts.hard_fails, limits.hard_fails))
    if facts.copies is not None and limits.copies:
        lines += [_measured("copies", facts.copies, limits.copies), _copies_unseen(facts.copies)]
    if facts.duel is not None and limits.margin:
        lines.append(_not_worse(facts.duel, 0.5 - limits.margin, limits.most_votes))
    return [line for line in lines if line is not None]


def _answered(key: LineKey, said: Said, threshold: float, answers_each: float = 1.0) -> GateLine:
    """What people say yes or no to, and surely so much of it has to be a yes. `answers_each`: answers behind each."""
    known, total = _known(said), _count(said)
    n, yes = _count(known), sum(map(sum, known.values()))
    left, asked = total - n, f"{_percent(threshold)} is asked"
    low, high = _bounds(known, is_all=not left)

    def line(passes: bool | None, sentence: str, more: int | None = 0) -> GateLine:
        value = yes / n if n else None
        return GateLine(key, value, low, threshold, passes, n, f"{sentence}; {asked}.", more=more)

    if not n:
        return line(None, "No answers yet", math.ceil(left * answers_each) or None)
    if low >= threshold:
        return line(True, f"Surely at least {_floor(low)}")
    if high < threshold:
        return line(False, f"Surely at most {_ceiling(high)}")
    if (perfect := intervals.lower(total, total)) < threshold:
        return line(None, f"{total} are too few: all of them good would surely be {_floor(perfect)}", None)
    if not left:
        return line(False, f"With everything answered surely only {_floor(low)}")
    if intervals.lower(yes + left, total) < threshold:
        return line(False, f"Surely {_floor(low)}, and too few are left to make it enough")
    more = math.ceil(_until(lambda further: _would_pass(known, further, left, threshold), left) * answers_each)
    return line(None, f"Surely {_floor(low)} so far, about {more:,} more {_answers(more)}", more)


def _would_pass(known: ByPrompt, further: int, left: int, threshold: float) -> bool:
    """Whether so many further answers, yes as often as those before, would bring the bound to the threshold."""
    n, yes, is_all = _count(known), sum(map(sum, known.values())), further >= left
    effect = intervals.design_effect(known, 0.0 if is_all else eprocess.LEAST_CORRELATION)
    yes_then, n_then = (yes + further * (yes + 1) / (n + 2)) / effect, (n + further) / effect
    if is_all:
        return intervals.lower(yes_then, n_then) >= threshold
    return eprocess.is_above(threshold, yes_then, n_then - yes_then)


def _best_of(usable: Said, threshold: float) -> GateLine | None:
    """Prompts that have a usable picture, of those whose pictures all have an answer: before that, a yes is counted
    sooner than a no. No line for a suite of one seed."""
    if usable and all(len(pictures) < 2 for pictures in usable.values()):
        return None
    prompts = {prompt: [any(said) if None not in said else None] for prompt, said in usable.items() if said}
    waiting = sum(said == [None] for said in prompts.values())
    missing = sum(list(said).count(None) for said in usable.values())
    return _answered("best_of", prompts, threshold, missing / waiting if waiting else 1.0)


def _category(usable: Said, categories: Mapping[int, str], threshold: float) -> GateLine | None:
    """The weakest category, which only fails where it is surely below the threshold.

    It is open while a category has so few answers that even none of them usable would not fail it; a category with so
    few pictures is passed over, and there is no line where that leaves none.
    """
    least = math.floor(math.log(1 - intervals.CONFIDENCE) / math.log(1 - threshold)) + 1
    by_category: dict[str, dict[int, Sequence[bool | None]]] = {}
    for prompt, said in usable.items():
        if prompt in categories:
            by_category.setdefault(categories[prompt], {})[prompt] = said
    judged = {name: said for name, said in by_category.items() if _count(said) >= least}
    if not judged:
        return None
    known = {name: _known(said) for name, said in judged.items()}
    high = {name: _bounds(known[name], _count(known[name]) == _count(said))[1] for name, said in judged.items()}
    more = sum(max(0, least - _count(answers)) for answers in known.values())
    weakest = min(judged, key=lambda name: (high[name], name))
    n, yes = _count(known[weakest]), sum(map(sum, known[weakest].values()))
    asked = f"{_percent(threshold)} is asked"
    passes = False if high[weakest] < threshold else None if more else True
    sentence = {
        True: f"No category is surely below {_percent(threshold)}.",
        False: f"“{weakest}” is surely at most {_ceiling(high[weakest])}; {asked}.",
        None: f"Some categories have too few answers, {more:,} more {_answers(more)}; {asked}.",
    }[passes]
    return GateLine(
        "category", yes / n if n else None, high[weakest], threshold, passes, n, sentence, is_upper=True,
        more=more if passes is None else 0, category=weakest,
    )  # fmt: skip


def _measured(key: LineKey, faults: Said, threshold: float) -> GateLine:
    """Faults of pictures, of which surely no more than so many may have one. What could not be told counts as a fault:
    it passes nothing, and where it alone decides, nothing is decided."""
    known, total = _known(faults), _count(faults)
    n, untold = _count(known), total - _count(known)
    high = intervals.clustered_upper({prompt: [each is not False for each in said] for prompt, said in faults.items()})

    def line(passes: bool | None, sentence: str) -> GateLine:
        value, more = sum(map(sum, known.values())) / n if n else None, None if passes is None else 0
        text = f"{sentence}; {_percent(threshold)} is allowed."
        return GateLine(key, value, high, threshold, passes, n, text, is_upper=True, more=more)

    if not n:
        return line(None, f"None of {total:,} could be told" if total else "Not measured yet")
    if high <= threshold:
        return line(True, f"Surely at most {_ceiling(high)}")
    if intervals.clustered_lower(known) > threshold:
        return line(False, f"Surely at least {_floor(intervals.clustered_lower(known))}")
    if (perfect := intervals.upper(0, total)) > threshold:
        return line(None, f"{total:,} are too few: without a fault they could still be {_ceiling(perfect)}")
    if untold and intervals.clustered_upper(_known(faults, unknown=False)) <= threshold:
        return line(None, f"{untold:,} could not be told, so it could be {_ceiling(high)}")
    return line(False, f"It could be {_ceiling(high)}")


def _copies_unseen(copies: Said) -> GateLine:
    """Pictures that look like a photo their run learned from: somebody has to have looked at each."""
    n = _count(copies)
    unseen = n - _count(_known(copies))
    passes = None if unseen or not n else True
    sentence = "Not measured yet." if not n else "Nothing that looks like a training photo waits to be looked at."
    if unseen == 1:
        sentence = "1 picture looks like a training photo: say whether it is a copy."
    elif unseen:
        sentence = f"{unseen:,} pictures look like training photos: say of each whether it is a copy."
    return GateLine(
        "copies_unseen", float(unseen) if n else None, float(unseen), 0.0, passes, n, sentence, is_upper=True,
        more=0 if passes else unseen or None,
    )  # fmt: skip


def _not_worse(duel: ByPrompt, threshold: float, most_votes: int) -> GateLine:
    """Votes against the baseline: surely not worse by more than the margin, at whatever vote one looks."""
    n, won = _count(duel), sum(map(sum, duel.values()))
    effect = intervals.design_effect(duel, eprocess.LEAST_CORRELATION)
    wins, count, left = won / effect, n / effect, max(0, most_votes - n)
    low, high = eprocess.bounds(wins, count - wins)
    asked = f"{_percent(threshold)} is asked"

    def would_pass(further: int) -> bool:
        # Even votes that come before any: three wins in a row promise nothing.
        rate = (wins + eprocess.PRIOR) / (count + 2 * eprocess.PRIOR)
        then = further / effect
        return eprocess.is_above(threshold, wins + rate * then, count - wins + (1 - rate) * then)

    def line(passes: bool | None, sentence: str, more: int = 0) -> GateLine:
        return GateLine(
            "not_worse", won / n if n else None, low, threshold, passes, n, f"{sentence}; {asked}.", more=more
        )

    if n and low >= threshold:
        return line(True, f"Wins surely at least {_floor(low)}")
    if high < threshold:
        return line(False, f"Wins surely at most {_ceiling(high)}")
    if not eprocess.is_above(threshold, wins + left, count - wins):
        return line(False, f"Not shown in {n:,} votes, and winning up to {most_votes:,} would not do")
    more = _until(would_pass, left)
    sofar = f"Wins surely {_floor(low)} so far" if n else "No votes yet"
    return line(None, f"{sofar}, about {more:,} more {'vote' if more == 1 else 'votes'}", more)


def _bounds(known: ByPrompt, is_all: bool) -> tuple[float, float]:
    """Lower and upper bound: exact where all is known, such that hold at any time before."""
    if is_all:
        return intervals.clustered_lower(known), intervals.clustered_upper(known)
    return eprocess.clustered_bounds(known)


def _known(said: Said, unknown: bool | None = None) -> dict[int, list[float]]:
    """What was said, 1 or 0, of each prompt; what was not is left out, or is `unknown`."""
    filled = {prompt: [unknown if each is None else each for each in group] for prompt, group in said.items()}
    return {prompt: [float(each) for each in group if each is not None] for prompt, group in filled.items()}


def _count(groups: Mapping[int, Sequence[object]]) -> int:
    return sum(map(len, groups.values()))


def _until(passes: Callable[[int], bool], most: int) -> int:
    """The first of some 120 numbers up to `most` that does, each about 4 % above the last, or `most`: nobody plans
    answers more exactly."""
    further = 1.0
    while further < most:
        if passes(math.ceil(further)):
            return math.ceil(further)
        further = max(further * 1.04, math.ceil(further) + 1)
    return most


def _most(more: Sequence[int | None]) -> int | None:
    """The largest, since one answer counts for all lines; None where any is not known."""
    numbers = [number for number in more if number is not None]
    return max(numbers, default=0) if len(numbers) == len(more) else None


def _answers(count: int) -> str:
    return "answer" if count == 1 else "answers"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def _floor(share: float) -> str:
    """A lower bound in whole percent, never rounded past the limit that it is read against."""
    return f"{math.floor(share * 100 + 1e-9)} %"


def _ceiling(share: float) -> str:
    """An upper bound in percent, to a tenth below ten."""
    tenths = math.ceil(share * 1000 - 1e-9) / 10
    return f"{tenths:g} %" if tenths < 10 else f"{math.ceil(share * 100 - 1e-9)} %"
