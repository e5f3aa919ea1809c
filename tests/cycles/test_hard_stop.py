"""No more money is given to runs than the cycle has."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app import jobs
from app.cycles import clock, hard_stop, ledger
from app.cycles.hard_stop import Allowance
from app.database import utc_now
from app.datasets.tables import DatasetVersion
from app.errors import Refused
from app.evaluation import sheets, suites
from app.launch import assessment
from app.settings import Settings
from app.training import runs
from app.training.limits import Limits
from app.training.recipe import Recipe
from app.training.tables import Checkpoint, TrainingRun
from tests.training.cast import frozen_version

HOUR = Decimal("2")
MEASURED: dict[str, Any] = {
    "load_s": 1.0, "texts": 4, "text_s": 0.1, "pictures": 12, "picture_s": 0.1, "step_s": [10.0] * 5,
    "warm_s": [10.0] * 3, "validation_s": 1.0, "sample_s": 1.0, "save_s": 1.0, "export_s": 1.0, "device": "x",
    "checkpoint_bytes": 10, "weights_bytes": 2, "export_bytes": 10, "undecodable": [], "captions_empty": 0,
    "tokens": {"limit": 77, "longest": 5, "over": 0, "examples": []}, "buckets": [[64, 64, 6]], "weights": [],
    "peak_bytes": 1, "memory_total_bytes": 10, "bucket_area_ratio": 1.0,
}  # fmt: skip


@pytest.fixture
def priced(settings: Settings) -> Settings:
    return settings.model_copy(update={"gpu_hour_price": HOUR, "budget": Decimal("10")})


@pytest.fixture
def version(session: Session, priced: Settings) -> DatasetVersion:
    """Ready for runs, in a cycle of 10 that began two hours ago."""
    clock.start_cycle(session, priced, None).started_at -= timedelta(hours=2)
    return frozen_version(session)


def recipe(seed: int, steps: int = 1500) -> Recipe:
    return runs.plan("models/nano", steps).model_copy(update={"seed": seed, "max_wall_clock_s": 86_400.0})


def asked(session: Session, version: DatasetVersion, seed: int, amount: str) -> TrainingRun:
    limits = Limits(86_400.0, Decimal(amount), HOUR)
    return runs.request_run(session, version, "models/nano", recipe(seed), None, limits)


def left(session: Session, settings: Settings) -> Decimal | None:
    return hard_stop.left(session, settings, recipe(99)).max_amount


def test_runs_under_way_have_their_money_reserved(session: Session, priced: Settings, version: DatasetVersion) -> None:
    kept = Decimal(0)
    for seed in range(2):
        known = assessment.assess(session, priced, version, recipe(seed, 250), None, None, MEASURED)
        run = assessment.start(session, version, known, None, None)
        sentence = next(one.sentence for one in known.findings if one.name == "Money")
        assert sentence.endswith(f"€{kept:,.2f} are reserved by other runs" if kept else "after it")
        kept += min(run.max_amount or Decimal(0), HOUR * Decimal(run.max_seconds or 0) / 3600)
        assert 0 < kept < 10 and left(session, priced) == pytest.approx(10 - kept)
    for seed in range(2, 9):
        known = assessment.assess(session, priced, version, recipe(seed), None, None, MEASURED)
        if not known.is_open:
            break
        assessment.start(session, version, known, None, None)
    assert sum(run.max_amount or 0 for run in runs.recent(session)) <= 10
    assert known.reason.startswith("Money: ") and "reserved by other runs" in known.reason


def test_what_is_on_the_bill_is_not_reserved_again(session: Session, priced: Settings, version: DatasetVersion) -> None:
    run = asked(session, version, 1, "6")
    job = jobs.get(session, run.job_id or 0)
    assert jobs.claim(session, job.id, "worker")
    runs.begin(session, run)
    session.refresh(job)
    job.claimed_at = utc_now() - timedelta(hours=1)
    assert runs.count_attempt(session, run, "first", 1800.0)
    ledger.record(session, job, 1800.0, priced)
    assert hard_stop.reserved(session, priced) == pytest.approx(Decimal(4), abs=Decimal("0.01"))
    assert left(session, priced) == pytest.approx(Decimal(4), abs=Decimal("0.01"))
    runs.end(session, run, "paused", "The disk is full.")
    assert hard_stop.reserved(session, priced) == 0


def test_time_may_cost_less_than_the_money_limit(session: Session, priced: Settings, version: DatasetVersion) -> None:
    run = asked(session, version, 1, "8")
    run.max_seconds = 3600.0
    assert left(session, priced) == 8
    run.max_amount, run.hour_price = None, None
    assert left(session, priced) == 8, "without a money limit its time has today's price"


def test_asked_twice_it_is_one_run(session: Session, priced: Settings, version: DatasetVersion) -> None:
    first = assessment.assess(session, priced, version, recipe(1))
    run = assessment.start(session, version, first, None, None)
    assert run.max_amount == 10 and left(session, priced) == 0
    again = assessment.assess(session, priced, version, recipe(1))
    assert again.is_open and assessment.start(session, version, again, None, None) is run
    other = assessment.assess(session, priced, version, recipe(2))
    with pytest.raises(Refused, match="Nothing is left"):
        assessment.start(session, version, other, None, None)


def test_a_run_that_begins_gets_what_is_really_left(
    session: Session, priced: Settings, version: DatasetVersion
) -> None:
    at_once = [asked(session, version, seed, "8") for seed in (1, 2, 3)]
    ledger.record(session, jobs.request(session, "captions.look", {}), 1800.0, priced)
    for run in at_once:
        runs.begin(session, run)
        hard_stop.lower(session, priced, run)
    assert [run.max_amount for run in at_once] == [8, 1, 0]
    assert [len(runs.notes(session, run.id)) for run in at_once] == [0, 1, 1]
    assert runs.notes(session, at_once[1].id)[0].sentence == (
        "Its money limit is €1.00 now: the cycle has no more left for it."
    )
    hard_stop.lower(session, priced, at_once[1])
    assert len(runs.notes(session, at_once[1].id)) == 1


def test_a_run_keeps_what_it_has_spent(session: Session, priced: Settings, version: DatasetVersion) -> None:
    run = asked(session, version, 1, "9")
    runs.begin(session, run)
    job = jobs.get(session, run.job_id or 0)
    assert runs.count_attempt(session, run, "first", 3600.0)
    ledger.record(session, job, 3600.0, priced)
    ledger.record(session, jobs.request(session, "captions.look", {}), 2 * 3600.0, priced)
    hard_stop.lower(session, priced, run)
    assert run.max_amount == 6, "4 are left, and it has spent 2 of its own"


def test_a_limit_is_raised_no_further_than_the_cycle_has(
    session: Session, priced: Settings, version: DatasetVersion
) -> None:
    run = asked(session, version, 1, "2")
    runs.begin(session, run)
    assert runs.count_attempt(session, run, "first", 3600.0)
    ledger.record(session, jobs.get(session, run.job_id or 0), 3600.0, priced)
    runs.end(session, run, "stopped", "Its money limit was reached.", "out_of_money")
    wanted = Limits(86_400.0, Decimal(20), HOUR)
    assert hard_stop.raised(session, priced, run, wanted).max_amount == 10
    assert hard_stop.raised(session, priced, run, Limits(86_400.0, Decimal(4), HOUR)).max_amount == 4
    asked(session, version, 2, "8")
    with pytest.raises(Refused, match=f"no money left for run {run.id}"):
        hard_stop.raised(session, priced, run, wanted)


def following(session: Session, run: TrainingRun) -> jobs.Job:
    """The drawing that follows a run which took an hour, and is over."""
    runs.begin(session, run)
    session.add(Checkpoint(run_id=run.id, step=100, folder="a", size_bytes=1))
    assert runs.count_attempt(session, run, "only", 3600.0)
    runs.end(session, run, "stopped", "Its money limit was reached.", "out_of_money")
    version = session.get_one(DatasetVersion, run.version_id)
    suite = suites.suite_for(session, version, Recipe.model_validate(run.recipe))
    return jobs.get(session, sheets.request_sheet(session, run, suite, within_run=True).job_id or 0)


def test_a_sheet_has_what_its_run_left(session: Session, priced: Settings, version: DatasetVersion) -> None:
    run = asked(session, version, 1, "3")
    job = following(session, run)
    allowed = hard_stop.for_sheet(session, priced, run, job)
    assert allowed == Allowance(1800.0, "the run’s money limit ended it")
    assert hard_stop.reserved(session, priced) == 1, "until it is drawn, the money is its"
    ledger.record(session, job, 1200.0, priced)
    assert hard_stop.for_sheet(session, priced, run, job).seconds == pytest.approx(600.0, abs=0.1)
    run.max_seconds = 3600.0 + 1200.0
    assert hard_stop.for_sheet(session, priced, run, job) == Allowance(0.0, "the run’s time limit ended it")
    job.state = "done"
    assert hard_stop.reserved(session, priced) == 0


def test_no_sheet_takes_what_the_cycle_has_not(session: Session, priced: Settings, version: DatasetVersion) -> None:
    run = asked(session, version, 1, "9")
    job = following(session, run)
    asked(session, version, 2, "8")
    assert jobs.claim(session, job.id, "worker")
    session.refresh(job)
    job.claimed_at = utc_now() - timedelta(seconds=900)
    known = hard_stop.for_sheet(session, priced, run, job)
    assert known.ends == "the cycle has no more money for it"
    assert known.seconds == pytest.approx(3600.0, abs=1), "10 less the 8 of the other run; its own attempt begins"
    job.arguments = {**job.arguments, "within_run": False}
    ledger.record(session, jobs.request(session, "captions.look", {}), 1800.0, priced)
    assert hard_stop.for_sheet(session, priced, run, job).seconds == pytest.approx(1800.0, abs=1)


def test_without_a_cycle_a_sheet_asked_for_by_hand_is_drawn_whole(session: Session, priced: Settings) -> None:
    run = asked(session, frozen_version(session), 1, "9")
    job = following(session, run)
    job.arguments = {**job.arguments, "within_run": False}
    assert hard_stop.for_sheet(session, priced, run, job) == Allowance()
