"""What the launch page shows: three choices, the recipe that follows, what was measured, checks, what is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from sqlalchemy.orm import Session

from app import jobs
from app.cycles import clock
from app.database import utc_now
from app.datasets import reading
from app.datasets.reading import VersionRow
from app.jobs import Job
from app.launch import assessment, checks, devices, members, preflights
from app.launch.assessment import Assessment
from app.launch.estimate import steps_that_fit
from app.launch.facts import PRESETS, BaseFacts, DataFacts, DeviceFacts, Preset
from app.launch.plan import Knob, Plan, plan, written
from app.settings import Settings
from app.storage import Storage
from app.training import progress, runs
from app.training.recipe import Recipe
from app.training.tables import Preflight
from app.units import duration
from app.web.formats import job_name, money, plural
from app.web.views import waiting
from app.web.views.launch import drawer, wording
from app.web.views.launch.drawer import FieldGroup
from app.web.views.launch.form import Asked, known_bases
from app.web.views.launch.plot import Plot, plot
from app.web.views.launch.wording import BudgetBar, Fact
from app.web.views.waiting import Wait

VERSIONS: Final = 8
WORDS: Final[dict[Preset, str]] = {"quick": "Quick", "balanced": "Balanced", "best": "Best"}


@dataclass(frozen=True)
class Choice:
    """One thing to choose. `off` ones cannot be taken."""

    value: Any
    title: str
    note: str
    is_on: bool
    is_off: bool = False
    moment: datetime | None = None


@dataclass(frozen=True)
class Other:
    """An alternative: what it changes, what was measured of it, and the address that takes it ("" where it fails)."""

    words: str
    measured: str
    href: str


@dataclass(frozen=True)
class LaunchView:
    """The whole page. `state` is one of: empty, unmeasured, waiting, measured, too_large, refused, failed."""

    asked: Asked
    versions: list[Choice]
    bases: list[Choice]
    lengths: list[Choice]
    plan: Plan | None
    shown: list[Knob]
    groups: list[FieldGroup]
    state: str
    preflight: Preflight | None
    elsewhere: str  # why what was measured does not hold, in a sentence
    job: Job | None
    waits: Wait | None
    facts: list[Fact]
    assessment: Assessment | None
    counted: str
    others: list[Other]
    plot: Plot | None
    bars: list[BudgetBar]
    cycle: int | None
    costs: tuple[str, str] | None  # expected, and its range
    end_reserve: str
    stop_time: str
    stop_money: str
    currency: str
    faults: Mapping[str, str]
    log: list[str]
    long_captions: list[str]  # a few of those that the encoder does not read to their end
    why_not: str  # why the main button is not lit


def view(
    session: Session, config: Settings, files: Storage, asked: Asked, faults: Mapping[str, str] | None = None
) -> LaunchView:
    """The page for what is asked. `faults` are of fields that were sent."""
    versions = trainable(session)
    chosen = next((row for row in versions if row.version.id == asked.version_id), versions[0] if versions else None)
    offered = known_bases(config)
    base = next((facts for facts in offered if facts.name == asked.base), offered[0])
    asked = replace(asked, version_id=chosen.version.id if chosen else None, base=base.name)
    if chosen is None:
        return _empty(asked, config)
    device = devices.known(config)
    data = members.facts(session, chosen.version)
    asked, planned = _planned(asked, base, data, device)
    return _Page(session, config, files, asked, chosen, base, data, device, planned, dict(faults or {})).view(
        versions, offered
    )


def trainable(session: Session) -> list[VersionRow]:
    """Frozen versions with something to learn from, the newest first."""
    return [
        row for row in reading.versions(session) if row.version.content_hash is not None and row.version.train_count > 0
    ]


def _planned(asked: Asked, base: BaseFacts, data: DataFacts, device: DeviceFacts) -> tuple[Asked, Plan]:
    """The plan, and what is asked without the fields that were left as the page showed them.

    What a person typed stays, also where it is what would have been derived: another choice may derive something else.
    """
    if asked.typed_before is not None:
        before = dict(parse_qsl(asked.typed_before))
        shown = {knob.name: written(knob.value) for knob in plan(base, data, device, asked.preset, before).knobs}
        typed = {name: value for name, value in asked.changes.items() if name in before or shown.get(name) != value}
        asked = replace(asked, changes=typed, typed_before=None)
    return asked, plan(base, data, device, asked.preset, asked.changes)


def _empty(asked: Asked, config: Settings) -> LaunchView:
    return LaunchView(
        asked, [], [], [], None, [], [], "empty", None, "", None, None, [], None, "", [], None, [], None, None, "", "",
        "", config.currency, {}, [], [], "no version is frozen yet",
    )  # fmt: skip


@dataclass(frozen=True)
class _Page:
    """The page of one version, base and plan, put together."""

    session: Session
    config: Settings
    files: Storage
    asked: Asked
    chosen: VersionRow
    base: BaseFacts
    data: DataFacts
    device: DeviceFacts
    planned: Plan
    faults: dict[str, str]

    def view(self, versions: list[VersionRow], offered: list[BaseFacts]) -> LaunchView:
        """All of it."""
        recipe, on = self.planned.recipe, (self.chosen.version.id, self.planned.recipe, self.device.name)
        preflight = preflights.find(self.session, *on)
        elsewhere = "" if preflight else preflights.measured_elsewhere(self.session, *on)
        requested, faults = wording.requested_of(self.asked.time, self.asked.money)
        known = assessment.assess(
            self.session,
            self.config,
            self.chosen.version,
            recipe,
            self.base,
            preflight,
            None,
            requested,
            self._busy(preflight),
        )
        state = self._state(preflight, known)
        job = jobs.get(self.session, preflight.job_id) if preflight and preflight.job_id else None
        estimated, now_clock = known.estimate, clock.read(self.session, self.config)
        price = known.limits.hour_price
        return LaunchView(
            asked=self.asked,
            versions=self._versions(versions),
            bases=[self._base(facts) for facts in offered],
            lengths=[self._length(preset, preflight) for preset in PRESETS],
            plan=self.planned,
            shown=drawer.shown(self.planned),
            groups=drawer.groups(self.planned, self.asked.changes),
            state=state,
            preflight=preflight,
            elsewhere=wording.elsewhere(elsewhere, self.device.name),
            job=job,
            waits=_waits(self.session, preflight),
            facts=wording.facts(preflight, recipe) if estimated else [],
            assessment=known,
            counted=checks.counted(known.findings),
            others=self._others(preflight, known, recipe),
            plot=plot(estimated, known.limits.hard_stop()[0], utc_now()) if estimated else None,
            bars=wording.bars(now_clock, known, price),
            cycle=now_clock.number if now_clock else None,
            costs=wording.costs(known, price, self.config.currency),
            end_reserve=wording.end_reserve(known, price, self.config.currency),
            stop_time=self.asked.time or (wording.hours(known.limits.max_seconds) if estimated else ""),
            stop_money=self.asked.money or wording.amount_of(known.limits.max_amount if estimated else None),
            currency=self.config.currency,
            faults={**faults, **self.faults},
            log=self._log(preflight) if state == "failed" else [],
            long_captions=(preflight.measured.get("tokens", {}).get("examples", []) if preflight else []),
            why_not=self._why_not(state, known, faults),
        )

    def _state(self, preflight: Preflight | None, known: Assessment) -> str:
        if preflight is None:
            return "unmeasured"
        if preflight.state in ("queued", "running"):
            return "waiting"
        if known.estimate is not None:
            return "measured"
        if preflight.state == "refused" and "weights" in preflight.measured:
            return "too_large"
        return preflight.state

    def _why_not(self, state: str, known: Assessment, faults: Mapping[str, str]) -> str:
        if self.planned.fault or faults or self.faults:
            return self.planned.fault or "A field is not understood."
        if state == "waiting":
            return "It is being measured; that has to end first."
        return known.reason

    def _busy(self, preflight: Preflight | None) -> str:
        job = runs.device_job(self.session, utc_now())
        if job is None or (preflight is not None and preflight.job_id == job.id):
            return ""
        return f"{job_name(job).lower()}, job {job.id}"

    def _versions(self, versions: list[VersionRow]) -> list[Choice]:
        newest = versions[:VERSIONS]
        shown = newest if self.chosen in newest else [self.chosen, *newest[:-1]]
        return [
            Choice(
                row.version.id, f"{row.catalog_name}, version {row.version.number}",
                f"{plural(row.version.train_count, 'photo')}, {row.version.validation_count:,} held out",
                row is self.chosen, moment=row.version.frozen_at,
            )
            for row in shown
        ]  # fmt: skip

    def _base(self, base: BaseFacts) -> Choice:
        names = {part.licence for part in base.parts}
        licences = f"{len(names)} licences, see checks" if len(names) > 1 else next(iter(names), "licence not told")
        few = f" · distilled to {base.few_steps} steps" if base.few_steps else ""
        note = base.fault or f"{base.resolution_px} px{few} · {licences}"
        name = Path(base.name).name if base.name.startswith("/") else base.name
        return Choice(base.name, f"{base.title} · {name}", note, base.name == self.base.name, bool(base.fault))

    def _length(self, preset: Preset, preflight: Preflight | None) -> Choice:
        """A length with its steps and, where it was measured, its time and money."""
        changes = {name: value for name, value in self.asked.changes.items() if name != "steps"}
        recipe = plan(self.base, self.data, self.device, preset, changes).recipe
        known = assessment.assess(self.session, self.config, self.chosen.version, recipe, self.base, preflight)
        note = plural(recipe.steps, "step")
        if known.estimate is not None:
            _, seconds, _ = known.estimate.in_all
            note += f" · {duration(seconds)}"
            if known.limits.hour_price:
                note += f" · {money(known.estimate.money(known.limits.hour_price)[1], self.config.currency)}"
        is_late = any(finding.state == "failed" and finding.name in ("Time", "Money") for finding in known.findings)
        note += ": more than is left" if is_late else ""
        return Choice(preset, WORDS[preset], note, preset == self.asked.preset and "steps" not in self.asked.changes)

    def _others(self, preflight: Preflight | None, known: Assessment, recipe: Recipe) -> list[Other]:
        """Measured alternatives: those the preflight tried, and fewer steps where the run would end too late."""
        others = []
        for row in preflight.alternatives if preflight and known.estimate is None else []:
            href = self.asked.address(changes=row["changes"]) if row["state"] == "fits" else ""
            figures = (
                f"{row['step_s']:.2g} s a step, {duration(row['seconds'])} in all" if row.get("step_s") else "fits"
            )
            others.append(Other(row["words"], figures if href else "does not fit either", href))
        late = any(finding.state == "failed" and finding.name in ("Time", "Money") for finding in known.findings)
        available_s = known.left.available_s
        if late and preflight is not None and known.estimate is not None and available_s is not None:
            fewer = steps_that_fit(
                preflight.measured, recipe, available_s, assessment.drawn(recipe), preflights.history(self.session)
            )
            if fewer:
                href = self.asked.address(changes={**self.asked.changes, "steps": str(fewer)})
                others.append(Other(f"{fewer:,} steps instead of {recipe.steps:,}", "ends in time", href))
        return others

    def _log(self, preflight: Preflight | None) -> list[str]:
        folder = self.files.root / "preflights" / str(preflight.id if preflight else 0)
        return progress.last_lines(folder / runs.LOG)


def _waits(session: Session, preflight: Preflight | None) -> Wait | None:
    """Why nothing happens although the preflight is asked for."""
    is_queued = preflight is not None and preflight.state == "queued"
    return waiting.for_worker(session, utc_now()) if is_queued else None
