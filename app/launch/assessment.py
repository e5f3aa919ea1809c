"""What is known before a run, put together for the page and the worker alike: estimate, checks, limits, and the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import Any, Final

from sqlalchemy.orm import Session

from app.cycles import clock, hard_stop
from app.datasets.tables import DatasetVersion
from app.evaluation import sheets, suites
from app.launch import bases, checks, devices, members, preflights
from app.launch.checks import Finding, Left, RunSite
from app.launch.estimate import Estimate, PictureCounts, estimate
from app.launch.facts import BaseFacts
from app.launch.pace import as_launched
from app.launch.plan import Plan, changed, plan, written
from app.launch.preflights import RequestedLimits
from app.people import Person
from app.settings import Settings
from app.storage import free_on
from app.training import runs
from app.training.limits import Limits
from app.training.recipe import Recipe
from app.training.tables import Preflight, TrainingRun

_CENT: Final = Decimal("0.01")
_MARGIN: Final = 1.25
"""Where nobody sets a hard stop, a run may take a quarter more than the most that is expected of it."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is estimated of a run: the estimate (None before a preflight), the checks, and what there is for it.

    `recipe` is the one that a run would get: where compiling was not shown to pay, it does without.
    """

    recipe: Recipe
    estimate: Estimate | None
    findings: list[Finding]
    left: Left
    limits: Limits

    @property
    def is_open(self) -> bool:
        """Whether nothing stands in the way."""
        return checks.is_open(self.findings)

    @property
    def reason(self) -> str:
        """What stands in the way, in a sentence; empty when nothing does."""
        return next(
            (f"{finding.name}: {finding.sentence}." for finding in self.findings if finding.state == "failed"), ""
        )


def assess(
    session: Session,
    settings: Settings,
    version: DatasetVersion,
    recipe: Recipe,
    base: BaseFacts | None = None,
    preflight: Preflight | None = None,
    measured: Mapping[str, Any] | None = None,
    requested: RequestedLimits | None = None,
    busy: str = "",
) -> Assessment:
    """What is known of a run before it is asked for. `measured` stands for the preflight's while that is not kept."""
    base = base or bases.read(recipe.base)
    known = measured if measured is not None else (preflight.measured if preflight else None)
    estimated = None
    if known and "step_s" in known:
        estimated = estimate(known, recipe, drawn(recipe), preflights.history(session))
    launched = as_launched(recipe, known)
    twin = runs.under_way(session, version, launched)
    limits = limits_for(session, settings, recipe, requested, estimated, twin)
    device = devices.known(settings)
    place = RunSite(
        free_bytes=max(0, free_on(settings.data_dir.resolve()) - settings.disk_reserve_bytes),
        device=device.name,
        devices=device.count if device.has_gpu else None,
        busy=busy,
        known_weights=preflights.known_weights(session, recipe.base, preflight.id if preflight else None),
    )
    left = left_of(session, settings, limits, twin)
    counted = members.counted(session, version)
    findings = checks.findings(recipe, base, counted, place, left, known, estimated)
    return Assessment(launched, estimated, findings, left, limits)


def drawn(recipe: Recipe) -> PictureCounts:
    """What is drawn for such a run: previews while it goes on, and its sheet afterwards."""
    return PictureCounts(suites.PREVIEWS, sheets.picture_count(recipe))


def limits_for(
    session: Session,
    settings: Settings,
    recipe: Recipe,
    requested: RequestedLimits | None,
    estimated: Estimate | None,
    twin: TrainingRun | None,
) -> Limits:
    """The hard stop: what the cycle has left, or less where a person set less or the estimate asks for less.

    `twin`: the very run that is asked for, where it is under way; what it has reserved is its own.
    """
    left = hard_stop.left(session, settings, recipe, twin)
    seconds, amount = left.max_seconds, left.max_amount
    if requested is not None and requested.max_seconds is not None:
        seconds = min(seconds, requested.max_seconds)
    elif estimated is not None and estimated.in_all[1] < seconds:
        seconds = min(seconds, max(60.0, _MARGIN * estimated.in_all[2]))
    asked = None
    if requested is not None and requested.max_amount is not None:
        asked = Decimal(requested.max_amount)
    elif estimated is not None and left.hour_price:
        asked = (Decimal(_MARGIN) * estimated.money(left.hour_price)[2]).quantize(_CENT, ROUND_UP)
    if asked is not None:
        amount = asked if amount is None else min(amount, asked)
    return Limits(seconds, amount, left.hour_price)


def left_of(session: Session, settings: Settings, limits: Limits, twin: TrainingRun | None) -> Left:
    """What the cycle has left in time and money that no other run has reserved, beside a run's own limits."""
    now, price = clock.read(session, settings), limits.hour_price
    if now is None:
        return Left(None, None, price, settings.currency, limits)
    if now.money_left is None or not price:
        return Left(now.seconds_left, None, price, settings.currency, limits)
    kept = hard_stop.reserved(session, settings, twin)
    return Left(now.seconds_left, now.money_left - kept, price, settings.currency, limits, kept)


def start(
    session: Session,
    version: DatasetVersion,
    known: Assessment,
    preflight: Preflight | None,
    person: Person | None,
) -> TrainingRun:
    """Ask for the run that the assessment is of, with its limits and what was estimated of it."""
    estimated = None
    if known.estimate is not None:
        estimated = known.estimate.estimated(preflight.id if preflight else None)
    return runs.request_run(session, version, known.recipe.base, known.recipe, person, known.limits, estimated)


def planned(
    session: Session,
    settings: Settings,
    version: DatasetVersion,
    base: str,
    changes: Mapping[str, Any] | None = None,
) -> Plan:
    """The balanced plan for a version and a base on the device at hand, with a person's changes."""
    device = devices.known(settings)
    return plan(bases.read(runs.named(base)), members.facts(session, version), device, "balanced", changes)


def on_top(
    session: Session, settings: Settings, version: DatasetVersion, recipe: Recipe, more: Mapping[str, Any]
) -> tuple[Recipe, dict[str, str]]:
    """A recipe with `more` changes on top of those that a person made, and all of them as a page's address has them."""
    chosen = {"steps": recipe.steps, "method": recipe.method}
    derived = planned(session, settings, version, recipe.base, chosen).recipe
    changes = {**chosen, **changed(recipe, derived), **more}
    changes = {name: value for name, value in changes.items() if name != "name"}
    changed_recipe = planned(session, settings, version, recipe.base, changes).recipe
    return changed_recipe, {name: written(value) for name, value in changes.items()}
