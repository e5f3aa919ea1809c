"""The verdict in words: three outcomes, one of them true, and each line of the gate."""

from __future__ import annotations

import math
from typing import Final

from app.evaluation.comparison import Column
from app.evaluation.deciding import SheetVerdict
from app.evaluation.gates import GateDecision, GateLine, LineKey
from app.web.formats import plural, share

NAMES: Final[dict[LineKey, tuple[str, str]]] = {
    "usable": ("Usable at first try", "would you publish it? yes"),
    "best_of": ("A usable one of all seeds", "prompts with one"),
    "category": ("Weakest category", ""),
    "hold_out": ("Hold-out prompts", "secret until they are opened"),
    "hard_fails": ("Marketplace hard fails", "packshots, house profile"),
    "copies": ("Copies of training photos", "as machines and people see them"),
    "copies_unseen": ("Copies not looked at", "somebody says of each"),
    "not_worse": ("Not worse than the baseline", "blind votes"),
}


def called(column: Column) -> str:
    """A candidate in a sentence: "step 3,000", "run 4, step 500", "the base"."""
    if column.step == 0:
        return "the base"
    label = column.label
    return f"step {label}" if "·" not in label else label.replace("Run", "run").replace(" · ", ", step ")


def needed(decision: GateDecision) -> str:
    """What is missing, as a title: "Need 38 more votes"."""
    votes, answers = decision.more_votes, decision.more_answers
    parts = [plural(votes, "more vote")] if votes else []
    parts += [plural(answers, "more answer")] if answers else []
    if parts:
        return f"Need {' and '.join(parts)}"
    return "Need more votes" if any(_is_asked(line) for line in decision.lines) else "Not decided yet"


def ship(verdict: SheetVerdict, decision: GateDecision) -> str:
    """What stands under "Ship"."""
    passed = sum(line.passes is True for line in decision.lines)
    if verdict.ships:
        return f"{'All' if passed > 1 else ''} {plural(passed, 'gate')} {'pass' if passed != 1 else 'passes'}.".strip()
    if verdict.gate is None:
        return "Not yet. No gate was set; a lead sets it before votes."
    if decision.kind == "train_more":
        failed = [line for line in decision.lines if line.passes is False]
        return f"No. {plural(len(failed), 'gate')} {'fails' if len(failed) == 1 else 'fail'}."
    rest = len(decision.lines) - passed
    passing = f"{plural(passed, 'gate')} {'passes' if passed == 1 else 'pass'}"
    return f"Not yet. {passing}; {rest} {'is' if rest == 1 else 'are'} open."


def need(decision: GateDecision) -> str:
    """What stands under "Need N more votes"."""
    waiting = [line for line in decision.lines if line.passes is None]
    if decision.kind == "train_more":
        return "No vote changes it: what fails is surely beyond its limit."
    if not waiting:
        return "Nothing is open."
    said = [f"{NAMES[line.key][0]}: {line.sentence[0].lower()}{line.sentence[1:]}" for line in waiting]
    return " ".join(said[:2]) + (f" And {len(said) - 2} more." if len(said) > 2 else "")


def train(decision: GateDecision) -> str:
    """What stands under "Train more"."""
    failed = [line for line in decision.lines if line.passes is False]
    if not failed:
        return "No reason to. Nothing has failed."
    return " ".join(f"{NAMES[line.key][0]}: {line.sentence[0].lower()}{line.sentence[1:]}" for line in failed)


def value(line: GateLine) -> tuple[str, str]:
    """What was seen, and what of: "84 %", "101 of 120"."""
    if line.value is None:
        return "not measured yet" if line.key in ("hard_fails", "copies", "copies_unseen") else "nothing yet", ""
    if line.key == "copies_unseen":
        return f"{line.value:.0f}", f"of {plural(line.n, 'picture')}"
    won = line.value * line.n
    count = f"{won:,.0f}" if abs(won - round(won)) < 1e-6 else f"{won:,.1f}"
    return share(line.value, 1 if 0 < line.value < 0.1 else 0), f"{count} of {line.n:,}"


def bound(line: GateLine) -> str:
    """What it surely is."""
    if line.value is None:
        return ""
    if line.key == "copies_unseen":
        return f"{line.bound:.0f} not looked at"
    word = "could be" if line.key == "category" else "at most" if line.is_upper else "surely"
    return f"{word} {_rounded(line.bound, line.is_upper)}"


def asked(line: GateLine) -> str:
    """What it has to be."""
    if line.key == "copies_unseen":
        return "0 not looked at"
    word = "could reach" if line.key == "category" else "at most" if line.is_upper else "at least"
    return f"{word} {line.threshold * 100:.3g} %"


def state(line: GateLine) -> tuple[str, str, str]:
    """How a line stands: words, the kind of its colour, its icon."""
    if line.passes is True:
        return "passes", "keep", "tick"
    if line.passes is False:
        return "fails", "drop", "cross"
    if line.key == "copies_unseen" and line.n:
        return f"{line.bound:.0f} to look at", "work", "cycle"
    if line.more:
        noun = "vote" if line.key == "not_worse" else "answer"
        return f"{plural(line.more, noun)} short", "work", "cycle"
    return "cannot tell yet", "work", "ask"


def _is_asked(line: GateLine) -> bool:
    return line.passes is None and line.key in ("usable", "best_of", "category", "hold_out", "not_worse")


def _rounded(bound: float, is_upper: bool) -> str:
    """A bound in percent, never rounded to the other side of what it is."""
    percent = bound * 100
    if is_upper:
        return f"{math.ceil(percent * 10 - 1e-9) / 10:g} %" if percent < 10 else f"{math.ceil(percent - 1e-9)} %"
    return f"{math.floor(percent + 1e-9)} %"
