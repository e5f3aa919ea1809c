"""The verdict of a sheet as a report tells it: what follows, for which candidate, and each line of the gate."""

from __future__ import annotations

from dataclasses import dataclass

from app.evaluation.deciding import SheetVerdict
from app.evaluation.gate_setting import KeptGate
from app.evaluation.gates import GateLine
from app.web.views.verdict import wording


@dataclass(frozen=True, slots=True)
class OutcomeLine:
    """A line of the gate in words: `of` is what the value is of, `state` its word, kind of colour and icon."""

    name: str
    sub: str
    value: str
    of: str
    bound: str
    asked: str
    state: tuple[str, str, str]
    sentence: str


@dataclass(frozen=True, slots=True)
class ReportOutcome:
    """What follows for the candidate. `gate` is None while none was set: the lines are those of the usual limits."""

    title: str
    kind: str
    candidate: str
    baseline: str
    gate: KeptGate | None
    lines: list[OutcomeLine]


def read(verdict: SheetVerdict) -> ReportOutcome | None:
    """The verdict in words; None where there is nothing to decide between."""
    decision, candidate = verdict.decision, verdict.candidate
    if decision is None or candidate is None:
        return None
    name = wording.called(candidate)
    if verdict.gate is None:
        title, kind = "Not decided yet: no gate was set", ""
    elif decision.kind == "ship":
        title, kind = f"Ship {name}", "keep"
    elif decision.kind == "train_more":
        title, kind = "Train more", "drop"
    else:
        title, kind = wording.needed(decision), "work"
    baseline = wording.called(verdict.baseline) if verdict.baseline else ""
    return ReportOutcome(title, kind, name, baseline, verdict.gate, [_line(line) for line in decision.lines])


def _line(line: GateLine) -> OutcomeLine:
    name, sub = wording.NAMES[line.key]
    value, of = wording.value(line)
    return OutcomeLine(
        name, line.category or sub, value, of, wording.bound(line) or "cannot tell", wording.asked(line),
        wording.state(line), line.sentence,
    )  # fmt: skip
