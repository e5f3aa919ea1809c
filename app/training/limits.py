"""A run's hard stop in time and money, what was estimated of it, and how soon it stops when asked. No database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

Binding = Literal["time", "money"]

_HOUR_S: Final = 3600
# Stands for what was not measured yet: a step, a save, the finished model. The engine looks for a stop between pieces
# of work in every phase, so before the first step only such a piece has to end.
_UNKNOWN_S: Final = {"step_s": 10.0, "save_s": 30.0, "export_s": 20.0}
_ANSWER_S: Final = 3.0  # until the worker and the engine have looked


@dataclass(frozen=True, slots=True)
class Limits:
    """The hard stop of one run: seconds on the device over all its attempts, and the money they may cost.

    Money binds only where an hour has a price (`hour_price`: of all the run's devices, in the settings' currency).
    """

    max_seconds: float
    max_amount: Decimal | None = None
    hour_price: Decimal | None = None

    @property
    def has_no_money(self) -> bool:
        """Whether money binds and there is none."""
        return self.max_amount is not None and self.max_amount <= 0

    def hard_stop(self) -> tuple[float, Binding]:
        """Seconds on the device after which the run is ended, and whether time or money decides them."""
        if self.max_amount is None or not self.hour_price:
            return self.max_seconds, "time"
        bought_s = float(self.max_amount / self.hour_price * _HOUR_S)
        return (bought_s, "money") if bought_s < self.max_seconds else (self.max_seconds, "time")


@dataclass(frozen=True, slots=True)
class LaunchEstimate:
    """What was said at the launch: seconds on the device, their range, from what, and the preflight if any."""

    seconds: float
    low_s: float
    high_s: float
    basis: str
    preflight_id: int | None = None


def pace_after(pace: Mapping[str, Any], kind: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a run's pace after one more event: in seconds.

    `step_s` is the newest step, `save_s` the longest save, `sample_s` the newest test picture.
    """
    known = dict(pace)
    if kind == "step" and facts.get("step_s"):
        known["step_s"] = float(facts["step_s"])
    if kind == "checkpoint":
        known["save_s"] = max(float(facts["seconds"]), float(known.get("save_s", 0.0)))
    if kind == "samples" and facts.get("files"):
        known["sample_s"] = float(facts["seconds"]) / len(facts["files"])
    return known


def bound_s(pace: Mapping[str, Any]) -> float:
    """Seconds within which a trainer has stopped and kept: two steps, the longest save, and writing the model."""
    known = {name: float(pace.get(name, unknown)) for name, unknown in _UNKNOWN_S.items()}
    return _ANSWER_S + 2 * known["step_s"] + known["save_s"] + known["export_s"]
