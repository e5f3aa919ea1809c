"""A run's hard stop, how it is raised, and what going on means."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy.orm import Session

from app import jobs
from app.cycles import clock, hard_stop
from app.datasets.tables import DatasetVersion
from app.errors import Conflict, Refused
from app.settings import Settings
from app.training import run_events, runs
from app.training.causes import CAUSES
from app.training.limits import LaunchEstimate, Limits, bound_s
from app.training.recipe import Recipe
from app.training.tables import Preflight, TrainingRun
from tests import cast
from tests.training.cast import frozen_version, news, one_run


def limited(session: Session, limits: Limits | None) -> TrainingRun:
    version = frozen_version(session)
    return runs.request_run(session, version, "models/nano", runs.plan("models/nano", 100), None, limits)


def at_the_limit(session: Session, step: int = 60) -> TrainingRun:
    run = limited(session, Limits(100.0))
    runs.begin(session, run)
    run.step = step
    assert runs.count_attempt(session, run, "here:1:1.0", 101.0)
    runs.end(session, run, "stopped", "Its time is used up.", "out_of_time")
    return run


@pytest.mark.parametrize(
    ("limits", "stop"),
    [
        (Limits(3600.0), (3600.0, "time")),
        (Limits(3600.0, Decimal(2), Decimal(4)), (1800.0, "money")),
        (Limits(3600.0, Decimal(8), Decimal(4)), (3600.0, "time")),
        (Limits(3600.0, Decimal(8), None), (3600.0, "time")),
        (Limits(3600.0, Decimal(0), Decimal(4)), (0.0, "money")),
    ],
)
def test_what_runs_out_first_is_the_hard_stop(limits: Limits, stop: tuple[float, str]) -> None:
    assert limits.hard_stop() == stop


def test_a_run_keeps_the_limit_and_the_forecast_of_its_launch(session: Session) -> None:
    version = frozen_version(session)
    recipe = runs.plan("models/nano", 100)
    measured = {"step_s": [1.0, 1.5, 1.2], "save_s": 4.0, "export_s": 2.0, "sample_s": 0.5}
    preflight = Preflight(
        version_id=version.id, base="models/nano", recipe={}, recipe_hash="", measured=measured, findings=[],
        alternatives=[],
    )  # fmt: skip
    session.add(preflight)
    session.flush()
    estimated = LaunchEstimate(120.0, 100.0, 150.0, "from 5 steps measured on this device", preflight.id)
    limits = Limits(600.0, Decimal("1.5"), Decimal(3))
    run = runs.request_run(session, version, "models/nano", recipe, None, limits, estimated)
    assert runs.limits_of(run) == limits
    assert (run.estimated_s, run.estimated_low_s, run.estimated_high_s, run.preflight_id) == (
        120,
        100,
        150,
        preflight.id,
    )
    assert runs.stop_bound_s(run) == 3.0 + 2 * 1.5 + 4.0 + 2.0


def test_without_limits_the_recipe_has_the_last_word(session: Session) -> None:
    run = limited(session, None)
    assert runs.limits_of(run) == Limits(runs.plan("models/nano").max_wall_clock_s)


def test_nothing_is_launched_with_nothing_left(session: Session) -> None:
    with pytest.raises(Refused, match="Nothing is left"):
        limited(session, Limits(100.0, Decimal(0), Decimal(3)))


def test_the_cycle_leaves_its_time_and_money(session: Session, settings: Settings) -> None:
    recipe = runs.plan("models/nano").model_copy(update={"max_wall_clock_s": 500_000.0})
    priced = settings.model_copy(update={"gpu_hour_price": Decimal(2), "budget": Decimal(10), "cycle_hours": 1})
    assert hard_stop.left(session, priced, recipe) == Limits(500_000.0, None, Decimal(2))
    clock.start_cycle(session, priced, None)
    left = hard_stop.left(session, priced, recipe)
    assert 3590 < left.max_seconds <= 3600
    assert (left.max_amount, left.hour_price) == (Decimal(10), Decimal(2))
    assert hard_stop.left(session, settings, recipe).max_amount is None, "money is not counted without a price"
    wide = recipe.model_copy(update={"processes": 8})
    assert hard_stop.left(session, priced, wide).hard_stop() == (2250.0, "money"), "each device costs"


def test_the_bound_follows_what_was_seen(session: Session) -> None:
    run = one_run(session)
    runs.begin(session, run)
    assert runs.stop_bound_s(run) == bound_s({})
    told = [
        news(1, "started", step=0),
        news(2, "step", step=1, step_s=0.5, memory_bytes=70),
        news(3, "checkpoint", step=1, folder="checkpoints/step-000001", size_bytes=1, seconds=6.0),
        news(4, "step", step=2, step_s=0.25, memory_bytes=60),
        news(5, "checkpoint", step=2, folder="checkpoints/step-000002", size_bytes=1, seconds=2.0),
    ]
    run_events.record(session, run, told)
    assert run.peak_bytes == 70
    assert runs.stop_bound_s(run) == 3.0 + 2 * 0.25 + 6.0 + 20.0
    runs.stop(session, run, keep=True)
    run_events.record(session, run, [news(6, "step", step=3, step_s=9.0)])
    assert runs.stop_bound_s(run) == 3.0 + 2 * 0.25 + 6.0 + 20.0, "what was promised stays promised"


def test_a_attempt_is_counted_once(session: Session) -> None:
    run = one_run(session)
    assert runs.count_attempt(session, run, "here:7:1.5", 10.0)
    assert not runs.count_attempt(session, run, "here:7:1.5", 12.0)
    assert runs.count_attempt(session, run, "here:8:9.5", 5.0)
    assert run.actual_s == 15.0


def test_a_run_at_its_limit_goes_on_with_a_higher_one(session: Session) -> None:
    run, ana = at_the_limit(session), cast.person(session, "Ana", "owner")
    with pytest.raises(Conflict, match=r"time limit of run \d+ is used up"):
        runs.resume(session, run, ana)
    with pytest.raises(Refused, match="nothing would be trained"):
        runs.extend(session, run, Limits(102.0), ana)
    runs.extend(session, run, Limits(500.0), ana)
    assert (run.state, run.cause, run.max_seconds) == ("queued", None, 500.0)
    assert jobs.get(session, run.job_id or 0).requested_by_id == ana.id
    assert [one.kind for one in runs.notes(session, run.id)] == ["extended", "resumed"]
    assert all("Ana" in one.sentence for one in runs.notes(session, run.id))


def test_what_has_no_steps_left_does_not_go_on(session: Session) -> None:
    run = at_the_limit(session, step=100)
    with pytest.raises(Conflict, match="no steps left"):
        runs.extend(session, run, Limits(500.0))


def test_a_run_that_a_person_stopped_does_not_go_on(session: Session) -> None:
    run = one_run(session)
    runs.stop(session, run, keep=True)
    with pytest.raises(Conflict, match="only a run that failed"):
        runs.resume(session, run)


def test_a_paused_run_is_one_with_the_next_click_and_can_be_stopped(session: Session) -> None:
    run = one_run(session)
    runs.begin(session, run)
    first_job = run.job_id
    runs.end(session, run, "paused", "The disk is full.", "disk_full")
    recipe = Recipe.model_validate(run.recipe)
    version = session.get_one(DatasetVersion, run.version_id)
    assert runs.request_run(session, version, run.base, recipe) is run
    runs.stop(session, run, keep=False)
    assert (run.state, run.ended_at) == ("discarded", None)
    assert run.job_id != first_job, "only a worker deletes files"


def test_every_cause_has_a_next_action() -> None:
    assert set(runs.NEXT_ACTIONS) == set(CAUSES)
