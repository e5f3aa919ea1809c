"""Preflights: a recipe tried on the device before it costs a run. Asked for, found again, recorded.

    queued -> running -> passed | refused | failed | cancelled

`refused`: it was measured, and something stands in the way; `failed`: it could not be measured. What was measured
holds for every recipe that differs only in knobs that neither time nor memory depend on: how long the run goes on, how
fast it learns, its seed. So the three lengths share one preflight, except that one without compiling says nothing of
a longer run that would try it. It holds on the device that it was measured on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import jobs
from app.database import utc_now
from app.datasets.tables import DatasetVersion
from app.errors import NotFound, Refused
from app.jobs import Job
from app.launch.checks import Finding
from app.launch.facts import may_be_same
from app.people import Person
from app.training.limits import Limits
from app.training.recipe import Recipe, completed
from app.training.tables import Preflight, TrainingRun

KIND: Final = "run.preflight"
FACTS: Final = "preflight.json"
NO_MONEY: Final = "Nothing is left of the cycle’s money to measure with. Begin a new cycle, or wait for the other runs."
End = Literal["passed", "refused", "failed", "cancelled"]

# Knobs that change neither what a step costs nor what a checkpoint weighs.
_NOT_MEASURED: Final = frozenset(
    {
        "name",
        "seed",
        "steps",
        "caption_dropout",
        "muon_lr",
        "adamw_lr",
        "adamw_beta1",
        "adamw_beta2",
        "weight_decay",
        "warmup_steps",
        "constant_share",
        "final_lr_share",
        "clip_norm",
        "ema_decay",
        "ema_every",
        "timestep_mean",
        "timestep_sd",
        "timestep_uniform_share",
        "timestep_shift",
        "min_snr_gamma",
        "velocity_floor",
        "teacher_weight",
        "teacher_until",
        "lpips_weight",
        "dino_weight",
        "checkpoint_every",
        "validate_every",
        "report_every",
        "patience",
        "max_wall_clock_s",
    }
)
_LOOKED_BACK: Final = 100
_HISTORY: Final = 200


@dataclass(frozen=True, slots=True)
class RequestedLimits:
    """The run to start when a preflight passes: its limits as a person set them; None leaves them to the cycle."""

    max_seconds: float | None = None
    max_amount: str | None = None


def request_preflight(
    session: Session,
    version: DatasetVersion,
    recipe: Recipe,
    person: Person | None = None,
    requested: RequestedLimits | None = None,
    limits: Limits | None = None,
) -> Preflight:
    """Ask for a recipe to be measured, or find the measuring under way. With a `requested` the run follows by itself.

    `limits`: what `app.cycles.hard_stop.left` tells that there is for the run. Raises Refused where that is no money,
    and for a version that is not frozen or teaches nothing.
    """
    if version.content_hash is None:
        raise Refused(f"Version {version.number} is not frozen yet. Wait until freezing is done, then measure.")
    if version.train_count == 0:
        raise Refused(f"Version {version.number} has no photos to learn from. Freeze a version with at least one.")
    # Two clicks at the same moment queue up here, so that the second one sees the first one's preflight.
    session.execute(select(DatasetVersion.id).where(DatasetVersion.id == version.id).with_for_update())
    under_way = session.scalars(
        select(Preflight).where(
            Preflight.version_id == version.id,
            Preflight.recipe_hash == recipe.recipe_hash(),
            Preflight.state.in_(("queued", "running")),
        )
    ).first()
    if under_way is not None:
        return under_way
    if limits is not None and limits.has_no_money:
        raise Refused(NO_MONEY)
    preflight = _new(version.id, recipe, person.id if person else None)
    session.add(preflight)
    session.flush()
    arguments: dict[str, Any] = {"preflight_id": preflight.id, "devices": recipe.processes}
    if requested is not None:
        arguments["start"] = {"max_seconds": requested.max_seconds, "max_amount": requested.max_amount}
    preflight.job_id = jobs.request(session, KIND, arguments, person).id
    session.flush()
    return preflight


def requested_of(arguments: Mapping[str, Any]) -> RequestedLimits | None:
    """The run that a preflight's job is to start."""
    asked = arguments.get("start")
    return None if asked is None else RequestedLimits(asked.get("max_seconds"), asked.get("max_amount"))


def add_tried(session: Session, parent: Preflight, recipe: Recipe) -> Preflight:
    """Another recipe, tried in the course of a preflight; its job is its parent's."""
    preflight = _new(parent.version_id, recipe, parent.created_by_id)
    preflight.state, preflight.job_id = "running", parent.job_id
    session.add(preflight)
    session.flush()
    return preflight


def get(session: Session, preflight_id: int) -> Preflight:
    """The preflight with this id. Raises NotFound."""
    preflight = session.get(Preflight, preflight_id)
    if preflight is None:
        raise NotFound(f"There is no preflight {preflight_id}.")
    return preflight


def find(session: Session, version_id: int, recipe: Recipe, device: str) -> Preflight | None:
    """The newest preflight whose measuring holds for this recipe on this device ("" while nobody knows which)."""
    rows = _alike(session, version_id, recipe)
    return next((row for row in rows if may_be_same(row.measured.get("device", ""), device)), None)


def measured_elsewhere(session: Session, version_id: int, recipe: Recipe, device: str) -> str:
    """The device that this recipe was last measured on, where that is not this one; else empty."""
    devices = (row.measured.get("device", "") for row in _alike(session, version_id, recipe))
    return next((name for name in devices if not may_be_same(name, device)), "")


def _alike(session: Session, version_id: int, recipe: Recipe) -> Iterator[Preflight]:
    """Preflights of such a recipe, newest first. One that could not be measured tells of its very own recipe only."""
    rows = session.scalars(
        select(Preflight)
        .where(Preflight.version_id == version_id, Preflight.base == recipe.base, Preflight.state != "cancelled")
        .order_by(Preflight.id.desc())
        .limit(_LOOKED_BACK)
    )
    wanted, own = measured_knobs(recipe.model_dump(mode="json")), recipe.recipe_hash()
    for row in rows:
        if row.recipe_hash == own or (row.state != "failed" and _holds(row, wanted)):
            yield row


def _holds(row: Preflight, wanted: Mapping[str, Any]) -> bool:
    known = measured_knobs(row.recipe)
    # One that tried compiling timed the steps as they are, too.
    return known == wanted or ("compiled" in row.measured and known == {**wanted, "compile": True})


def measured_knobs(values: Mapping[str, Any]) -> dict[str, Any]:
    """What of a recipe's knobs decides what is measured, also of one that an earlier version kept."""
    known = completed(values)
    # How slowly the average follows takes neither time nor memory, but a copy of the weights does.
    is_averaged = known["ema_decay"] > 0.0 or known["ema_every"] > 1
    return {n: value for n, value in known.items() if n not in _NOT_MEASURED} | {"is_averaged": is_averaged}


def begin(session: Session, preflight: Preflight) -> bool:
    """A worker has taken it. Returns False when it is over already."""
    if preflight.ended_at is not None:
        return False
    preflight.state = "running"
    session.flush()
    return True


def end(
    session: Session,
    preflight: Preflight,
    state: End,
    reason: str | None = None,
    measured: Mapping[str, Any] | None = None,
    findings: Sequence[Finding] = (),
) -> None:
    """Record what was found."""
    preflight.state, preflight.reason, preflight.ended_at = state, reason, utc_now()
    preflight.measured = dict(measured or {})
    preflight.findings = [finding.row() for finding in findings]
    session.flush()


def settle_lost(session: Session) -> int:
    """End preflights whose job ended without them. Returns how many."""
    lost = session.execute(
        select(Preflight, Job)
        .join(Job, Job.id == Preflight.job_id)
        .where(Preflight.ended_at.is_(None), Job.state.in_(("done", "failed", "cancelled")))
        .with_for_update(of=Preflight, skip_locked=True)
    ).all()
    for preflight, job in lost:
        state: End = "cancelled" if job.state == "cancelled" else "failed"
        end(session, preflight, state, job.failure or "Its job was stopped.")
    return len(lost)


def is_wanted(session: Session, preflight_id: int) -> bool:
    """Whether a process that measures it still has somebody to measure for."""
    preflight = session.get(Preflight, preflight_id)
    if preflight is None or preflight.ended_at is not None:
        return False
    job = session.get(Job, preflight.job_id) if preflight.job_id else None
    return job is not None and not job.is_over


def run_of(session: Session, preflight_id: int) -> TrainingRun | None:
    """The run that this preflight was for, once it was asked for."""
    query = select(TrainingRun).where(TrainingRun.preflight_id == preflight_id)
    return session.scalars(query.order_by(TrainingRun.id.desc())).first()


def history(session: Session) -> list[float]:
    """What runs that did all their steps took, in shares of what was estimated; the newest first."""
    rows = session.execute(
        select(TrainingRun.actual_s, TrainingRun.estimated_s)
        .where(TrainingRun.state == "completed", TrainingRun.step == TrainingRun.steps)
        .where(TrainingRun.estimated_s > 0, TrainingRun.actual_s > 0, TrainingRun.resumptions == 0)
        .order_by(TrainingRun.id.desc())
        .limit(_HISTORY)
    )
    return [float(actual) / float(estimated) for actual, estimated in rows if actual and estimated]


def known_weights(session: Session, base: str, before: int | None = None) -> dict[str, str] | None:
    """Hashes of the base's parts as the newest preflight (older than `before`) took them; None when none did."""
    query = select(Preflight.measured).where(Preflight.base == base, Preflight.measured.has_key("weights"))
    if before is not None:
        query = query.where(Preflight.id < before)
    measured = session.scalars(query.order_by(Preflight.id.desc())).first()
    return None if measured is None else {part["part"]: part["sha256"] for part in measured["weights"]}


def _new(version_id: int, recipe: Recipe, person_id: int | None) -> Preflight:
    return Preflight(
        version_id=version_id, base=recipe.base, recipe=recipe.model_dump(mode="json"),
        recipe_hash=recipe.recipe_hash(), state="queued", measured={}, findings=[], alternatives=[],
        created_by_id=person_id,
    )  # fmt: skip
