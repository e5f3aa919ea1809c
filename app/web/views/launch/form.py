"""The launch page's address and form, understood: what is asked, and the plan and the limits that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from app.datasets import reading
from app.errors import Refused
from app.launch import assessment, bases, devices, members
from app.launch.assessment import Assessment
from app.launch.facts import PRESETS, BaseFacts, Preset
from app.launch.plan import Plan, plan
from app.launch.preflights import RequestedLimits
from app.settings import PROJECT, Settings
from app.training import runs
from app.training.recipe import Recipe
from app.training.tables import Preflight
from app.web.views.launch import wording

_NOT_KNOBS: Final = frozenset({"base", "base_revision", "family"})


@dataclass(frozen=True)
class Asked:
    """What the page's address asks for: the three choices, and a person's knobs and limits as typed.

    `typed_before` comes with a form that sends every field: the knobs that were typed when it was shown, as an address
    has them. Those are a person's; of the others, only what differs from what was shown.
    """

    version_id: int | None
    base: str
    preset: Preset
    changes: Mapping[str, str]
    money: str = ""
    time: str = ""
    measuring: int | None = None
    typed_before: str | None = None

    @property
    def typed(self) -> str:
        """The typed knobs as an address has them."""
        return urlencode(self.changes)

    def address(self, **other: Any) -> str:
        """The page's address with other choices: `far`, `base`, `version_id`, or `changes` as a whole."""
        parameters: dict[str, Any] = {"version_id": self.version_id, "base": self.base, "preset": self.preset}
        parameters |= {name: value for name, value in other.items() if name != "changes"}
        changes = other.get("changes", self.changes)
        return "/runs/new?" + urlencode({name: value for name, value in {**parameters, **changes}.items() if value})


def known_bases(config: Settings) -> list[BaseFacts]:
    """The bases to choose from: the settings' one first."""
    return bases.offered(config.base_model, [PROJECT / "models", config.data_dir.resolve() / "models"])


def planned_for(session: Session, config: Settings, asked: Asked) -> Plan:
    """The plan for a version and a base that are known to exist."""
    version = reading.get(session, asked.version_id or 0).version
    device = devices.known(config)
    return plan(bases.read(asked.base), members.facts(session, version), device, asked.preset, asked.changes)


def asked_in(fields: Mapping[str, Any], config: Settings) -> Asked:
    """What an address or a form asks for. Raises Refused for choices that do not exist."""
    values = {name: str(value).strip() for name, value in fields.items() if isinstance(value, str) and value.strip()}
    base = runs.named(values.get("base", config.base_model))
    known = [facts.name for facts in known_bases(config)]
    if base not in known:
        raise Refused(f"{base} is not a base of this Packshot; known are {', '.join(known)}.")
    changes = {name: values[name] for name in Recipe.model_fields if name in values and name not in _NOT_KNOBS}
    if "exact" in values:
        changes["steps"] = values["exact"]
    preset = values.get("preset", "balanced")
    return Asked(
        _number(values.get("version_id")), base, next((choice for choice in PRESETS if choice == preset), "balanced"),
        changes, values.get("max_amount", ""), values.get("max_time", ""), _number(values.get("measuring")),
        str(fields["typed_before"]) if "typed_before" in fields else None,
    )  # fmt: skip


def understood(
    session: Session, config: Settings, form: Mapping[str, Any]
) -> tuple[Asked, Plan, RequestedLimits | None, dict[str, str]]:
    """What a form asks for, the plan of it, its limits, and what is wrong by field. Raises Refused as `asked_in`."""
    asked = asked_in(form, config)
    requested, faults = wording.requested_of(asked.time, asked.money)
    return asked, planned_for(session, config, asked), requested, faults


def open_assessment(
    session: Session,
    config: Settings,
    planned: Plan,
    asked: Asked,
    requested: RequestedLimits | None = None,
    preflight: Preflight | None = None,
) -> Assessment:
    """The assessment of a run. Raises Refused where a check failed."""
    version = reading.get(session, asked.version_id or 0).version
    known = assessment.assess(session, config, version, planned.recipe, None, preflight, None, requested)
    if not known.is_open:
        raise Refused(known.reason)
    return known


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None
