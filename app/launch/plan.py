"""From three choices to a whole recipe, with a reason for every knob that was derived. Pure: facts in, recipe out.

What nobody chose follows from the base (family, size, resolution), the photos, the device and how far to go; see
`derive`. The recipe never depends on the clock, so the same choices give the same hash, and what a preflight measured
for it stays true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from pydantic import ValidationError

from app.launch.defaults import LABELS
from app.launch.derive import derive
from app.launch.facts import BaseFacts, DataFacts, DeviceFacts, Preset
from app.training.recipe import Recipe

# The base is a choice of its own, and its commit and its family follow from it.
_CHOSEN: Final = frozenset({"base", "base_revision", "family"})


@dataclass(frozen=True, slots=True)
class Knob:
    """One knob of the recipe: its value, and why it is what it is. `is_changed`: a person set it, be it to the same."""

    name: str
    label: str
    value: Any
    reason: str
    is_changed: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A recipe, the reasons for all its knobs, and what is wrong with changes that were not taken, by knob."""

    recipe: Recipe
    knobs: tuple[Knob, ...]
    faults: Mapping[str, str]

    @property
    def fault(self) -> str:
        """All faults in one sentence; empty without any."""
        reasons = "; ".join(f"{LABELS.get(name, name)}: {fault}" for name, fault in self.faults.items())
        return f"The recipe is refused: {reasons}." if reasons else ""

    def knob(self, name: str) -> Knob:
        """The knob of this name."""
        return next(knob for knob in self.knobs if knob.name == name)


def plan(
    base: BaseFacts,
    data: DataFacts,
    device: DeviceFacts,
    preset: Preset = "balanced",
    changes: Mapping[str, Any] | None = None,
) -> Plan:
    """The recipe for these facts. `changes` are a person's values by knob, as typed.

    Changed knobs that the recipe refuses leave the derived recipe as it is and are named in the plan's faults.
    """
    changes = {name: value for name, value in (changes or {}).items() if name not in _CHOSEN}
    faults = {name: "there is no such knob" for name in changes if name not in Recipe.model_fields}
    wanted, fault = _asked_steps(changes)
    values, reasons = derive(base, data, device, preset, wanted, _asked_method(changes))
    derived = Recipe.model_validate(values)
    if fault:
        faults["steps"] = fault
    known = {name: value for name, value in changes.items() if name in Recipe.model_fields and name not in faults}
    recipe, refused = _changed(derived, known)
    faults |= refused
    return Plan(recipe, _knobs(recipe, derived, reasons, known), faults)


def changed(recipe: Recipe, derived: Recipe) -> dict[str, Any]:
    """The knobs in which a recipe differs from the derived one."""
    ours = derived.model_dump()
    return {name: value for name, value in recipe.model_dump().items() if value != ours[name]}


def _asked_steps(changes: Mapping[str, Any]) -> tuple[int | None, str]:
    """A number of steps that a person asked for: everything that has its share of the run follows it."""
    if "steps" not in changes:
        return None, ""
    try:
        steps = int(str(changes["steps"]).replace(",", ""))
    except ValueError:
        return None, "a whole number is needed"
    return (steps, "") if 1 <= steps <= 1_000_000 else (None, "between 1 and 1,000,000")


def _asked_method(changes: Mapping[str, Any]) -> str | None:
    method = str(changes.get("method", ""))
    return method if method in ("full", "lora") else None


def _changed(derived: Recipe, changes: Mapping[str, Any]) -> tuple[Recipe, dict[str, str]]:
    """The derived recipe with the changes; or as it was, and the faults by knob."""
    typed = {name: value for name, value in changes.items() if name != "steps"}
    try:
        return Recipe.model_validate({**derived.model_dump(), **typed}), {}
    except ValidationError as error:
        faults: dict[str, str] = {}
        for detail in error.errors():
            # A fault between two knobs has no place of its own; its words name them.
            name = str(detail["loc"][0]) if detail["loc"] else next((n for n in typed if n in detail["msg"]), "name")
            faults[name] = _plain(detail)
        return derived, faults


def _plain(error: Mapping[str, Any]) -> str:
    """What is wrong with a value, in words of the trade rather than of the program."""
    bounds = error.get("ctx", {})
    known = {
        "int_parsing": "a whole number is needed",
        "int_from_float": "a whole number is needed",
        "float_parsing": "a number is needed",
        "finite_number": "a number is needed",
        "bool_parsing": "yes or no is needed",
        "literal_error": f"one of {bounds.get('expected')} is needed",
        "greater_than": f"more than {bounds.get('gt')} is needed",
        "greater_than_equal": f"at least {bounds.get('ge')} is needed",
        "less_than": f"less than {bounds.get('lt')} is needed",
        "less_than_equal": f"at most {bounds.get('le')} is allowed",
        "multiple_of": f"a multiple of {bounds.get('multiple_of')} is needed",
    }
    words = str(known.get(str(error["type"]), error["msg"])).removeprefix("Value error, ")
    return words[:1].lower() + words[1:]


def _knobs(recipe: Recipe, derived: Recipe, reasons: Mapping[str, str], changes: Mapping[str, Any]) -> tuple[Knob, ...]:
    knobs = []
    for name in Recipe.model_fields:
        value, ours = getattr(recipe, name), getattr(derived, name)
        is_changed = value != ours or name in changes
        # The number of steps and the method are what the others were derived from, so they are the same.
        is_same = name in changes and name not in ("steps", "method")
        reason = "set by you to what would be derived" if is_same else reasons[name]
        reason = f"changed by you; it was {written(ours)}" if value != ours else reason
        knobs.append(Knob(name, LABELS[name], value, reason, is_changed))
    return tuple(knobs)


def written(value: Any) -> str:
    """A knob's value as a page and a field write it, and as it is read back: 1e-4, 2000, true."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{Decimal(repr(value)):e}" if 0 < abs(value) < 1e-3 else repr(value).removesuffix(".0")
    return str(value)
