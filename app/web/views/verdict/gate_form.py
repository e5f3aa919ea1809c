"""The form that sets a sheet's gate: limits in percent as people type them, and why it is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy.orm import Session

from app.evaluation import columns, gate_setting
from app.evaluation.gate_setting import KeptGate
from app.evaluation.gates import GateLimits
from app.evaluation.tables import Sheet
from app.people import Person

FIELDS: Final = (
    ("usable", "Usable at first try, surely at least"),
    ("best_of", "Prompts with a usable picture, surely at least"),
    ("category", "Weakest category, could reach"),
    ("hold_out", "Hold-out prompts usable, surely at least"),
    ("hard_fails", "Packshots against a hard rule, surely at most"),
    ("copies", "Copies of training photos, surely at most"),
    ("margin", "Wins against the baseline, below half by at most"),
)


@dataclass(frozen=True)
class GateField:
    """A limit in percent, as it was typed; empty asks for nothing."""

    name: str
    label: str
    value: str


@dataclass(frozen=True)
class GateFormView:
    """The form. `failure` says why what was typed was not kept; `answers` is how many votes and answers are in."""

    fields: list[GateField]
    most_votes: str
    baselines: list[tuple[str, str]]
    baseline: str
    note: str
    answers: int
    expected_id: int
    failure: str = ""


def shown(session: Session, sheet: Sheet, gate: KeptGate | None) -> GateFormView:
    """The form as the gate is, or as it is proposed."""
    limits = gate.limits if gate else gate_setting.usual()
    baseline = gate.baseline_id if gate else gate_setting.proposed_baseline(session, sheet)
    typed = {name: _percent(getattr(limits, name)) for name, _ in FIELDS}
    typed |= {"most_votes": str(limits.most_votes), "baseline": str(baseline or "")}
    return _form(session, sheet, typed, gate.id if gate else 0)


def taken(session: Session, sheet: Sheet, me: Person, sent: Mapping[str, Any]) -> GateFormView | None:
    """Set the gate as it was sent; None where it is kept, else the form with what is wrong, and nothing lost.

    Raises what `gate_setting.put` raises.
    """
    typed = {key: str(value) for key, value in sent.items()}
    expected = int(typed.get("expected_id", "0")) if typed.get("expected_id", "0").isdecimal() else 0
    try:
        limits = _limits(typed)
    except ValueError as error:
        return _form(session, sheet, typed, expected, str(error))
    chosen = typed.get("baseline", "")
    note = typed.get("note", "").strip()
    if gate_setting.answers_in(session, sheet) and not note and not _is_same(session, sheet, limits, chosen):
        return _form(session, sheet, typed, expected, "Votes are in already, so say why the gate is changed.")
    if len(note) > gate_setting.NOTE_MOST:
        return _form(session, sheet, typed, expected, f"A note has at most {gate_setting.NOTE_MOST} characters.")
    baseline_id = int(chosen) if chosen.isdecimal() and len(chosen) < 19 else None
    gate_setting.put(session, sheet, me, limits, baseline_id, note, expected or None)
    return None


def _is_same(session: Session, sheet: Sheet, limits: GateLimits, chosen: str) -> bool:
    there = gate_setting.current(session, sheet)
    return there is not None and (there.limits, str(there.baseline_id or "")) == (limits, chosen)


def _limits(typed: Mapping[str, str]) -> GateLimits:
    """Raises ValueError with a sentence for what is no limit."""
    values: dict[str, Any] = {}
    for name, label in FIELDS:
        text = typed.get(name, "").strip().removesuffix("%").strip().replace(",", ".")
        try:
            values[name] = float(text) / 100 if text else None
        except ValueError:
            raise ValueError(f"“{label}” has to be a number of percent, or empty.") from None
    text = typed.get("most_votes", "").strip().replace(",", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 8):
        raise ValueError("Votes that are worth asking for have to be a whole number, 20 or more.")
    try:
        return GateLimits(**values, most_votes=int(text))
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
        label = dict(FIELDS).get(field, "Votes that are worth asking for")
        most = "below 50 %" if field == "margin" else "above 0 and below 100 %"
        asked = "20 to 100,000" if field == "most_votes" else most
        raise ValueError(f"“{label}” has to be {asked}.") from None


def _form(session: Session, sheet: Sheet, typed: Mapping[str, str], expected: int, failure: str = "") -> GateFormView:
    own = columns.drawn_columns(session, sheet)
    many = len({checkpoint.run_id for checkpoint in own}) > 1
    return GateFormView(
        fields=[GateField(name, label, typed.get(name, "")) for name, label in FIELDS],
        most_votes=typed.get("most_votes", ""),
        baselines=[
            (str(c.id), ("Base" if c.step == 0 else f"Step {c.step:,}") + (f" of run {c.run_id}" if many else ""))
            for c in own
        ],
        baseline=typed.get("baseline", ""), note=typed.get("note", ""),
        answers=gate_setting.answers_in(session, sheet), expected_id=expected, failure=failure,
    )  # fmt: skip


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:g}"
