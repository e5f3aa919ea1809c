"""The ledger: what attempts cost."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy.orm import Session

from app import jobs
from app.cycles import clock, ledger, report
from app.cycles.ledger import Cost
from app.database import utc_now
from app.settings import Settings
from app.training import runs
from app.training.limits import Limits
from tests import cast
from tests.training.cast import frozen_version


@pytest.fixture
def priced(settings: Settings) -> Settings:
    return settings.model_copy(update={"gpu_hour_price": Decimal("3.60")})


def test_hour_of_the_device_has_its_price(priced: Settings, settings: Settings) -> None:
    assert ledger.price("gpu", 1800, 1, priced) == Decimal("1.80")
    assert ledger.price("cpu", 1800, 1, priced) == 0
    assert ledger.price("gpu", 1800, 1, settings) is None


def test_attempts_add_up(session: Session, priced: Settings) -> None:
    cycle = clock.start_cycle(session, priced, None)
    train = jobs.request(session, "run.train", {})
    freeze = jobs.request(session, "dataset.freeze", {})
    for job, seconds in ((train, 1000.0), (train, 500.0), (freeze, 60.0)):
        assert ledger.record(session, job, seconds, priced) is not None
    assert ledger.spent(session, cycle) == Decimal("1.5")
    costs = ledger.by_kind(session, cycle)
    assert costs["run.train"] == Cost(1500.0, 1500.0, Decimal("1.5000"))
    assert costs["dataset.freeze"] == Cost(60.0, 0.0, Decimal("0.0000"))


def test_each_device_of_a_run_has_its_price(session: Session, priced: Settings) -> None:
    cycle = clock.start_cycle(session, priced, None)
    alone, together = (jobs.request(session, "run.train", {"run_id": 1, "devices": count}) for count in (1, 4))
    for job in (alone, together):
        ledger.record(session, job, 1000.0, priced)
        assert jobs.claim(session, job.id, "worker") is not None
    assert ledger.by_kind(session, cycle)["run.train"] == Cost(2000.0, 5000.0, Decimal("5.0000"))
    for job in (alone, together):
        job.claimed_at = utc_now() - timedelta(seconds=1500)
    cycle.started_at -= timedelta(hours=1)
    session.flush()
    now = ledger.running(session, cycle, priced)["run.train"]
    assert (round(now.seconds), round(now.device_seconds), round(now.amount or 0, 1)) == (1000, 2500, Decimal("2.5"))


def test_time_in_the_queue_costs_nothing(session: Session, priced: Settings) -> None:
    cycle = clock.start_cycle(session, priced, None)
    cycle.started_at -= timedelta(hours=9)
    job = jobs.request(session, "run.train", {})
    began = utc_now() - timedelta(hours=8)
    first = jobs.claim(session, job.id, "worker")
    session.refresh(job)
    job.started_at = job.claimed_at = began
    entry = ledger.record(session, job, 600.0, priced)
    assert entry is not None and first is not None
    entry.at = began + timedelta(seconds=600)
    jobs.give_back(session, first, "The worker was told to stop.")
    assert jobs.claim(session, job.id, "another worker") is not None
    session.refresh(job)
    assert job.started_at == began
    assert ledger.running(session, cycle, priced)["run.train"].seconds < 60
    job.claimed_at = utc_now() - timedelta(seconds=1000)
    ledger.record(session, job, 400.0, priced)
    assert 600 <= ledger.running(session, cycle, priced)["run.train"].seconds < 660, "less its own attempts only"


def test_run_costs_what_an_hour_cost_when_it_was_launched(session: Session, priced: Settings) -> None:
    cycle = clock.start_cycle(session, priced, None)
    cycle.started_at -= timedelta(hours=1)
    recipe = runs.plan("models/nano", 100)
    run = runs.request_run(
        session, frozen_version(session), "models/nano", recipe, None, Limits(36_000, Decimal("3.60"), Decimal("7.20"))
    )
    seconds, binding = runs.limits_of(run).hard_stop()
    assert (seconds, binding) == (1800.0, "money")
    dear = priced.model_copy(update={"gpu_hour_price": Decimal("36")})
    train = jobs.get(session, run.job_id or 0)
    entry = ledger.record(session, train, seconds, dear)
    assert entry is not None and entry.amount == run.max_amount
    assert jobs.claim(session, train.id, "worker") is not None
    session.refresh(train)
    train.claimed_at = utc_now() - timedelta(seconds=1800 + 900)
    session.flush()
    assert round(ledger.running(session, cycle, dear)["run.train"].amount or 0, 1) == Decimal("1.8")
    measured = ledger.record(session, jobs.request(session, "run.preflight", {"run_id": run.id}), 100.0, dear)
    assert measured is not None and measured.amount == Decimal("1"), "everything else costs what an hour costs today"


def test_without_a_price_seconds_are_kept(session: Session, settings: Settings) -> None:
    cycle = clock.start_cycle(session, settings, None)
    entry = ledger.record(session, jobs.request(session, "run.train", {}), 90.0, settings)
    assert entry is not None and entry.amount is None
    assert ledger.spent(session, cycle) == 0
    assert ledger.by_kind(session, cycle)["run.train"] == Cost(90.0, 90.0, None)


def test_without_a_cycle_nothing_is_written(session: Session, priced: Settings) -> None:
    assert ledger.record(session, jobs.request(session, "run.train", {}), 90.0, priced) is None


def test_past_cycles_keep_their_ledger(session: Session, priced: Settings) -> None:
    pile = cast.catalog(session, "Autumn")
    clock.start_cycle(session, priced, pile)
    ledger.record(session, jobs.request(session, "run.train", {}), 1000.0, priced)
    clock.start_cycle(session, priced, pile)
    (past,) = report.past(session)
    assert (past.number, past.catalog, past.spent) == (1, "Autumn", Decimal("1.0000"))


def test_report_counts_photos_by_verdict(session: Session) -> None:
    assert report.read(session, None).photos == 0
    pile = cast.catalog(session)
    cast.red_kettle(session, pile)
    cast.blurred_shoe(session, pile)
    found = report.read(session, pile.id)
    assert (found.photos, found.unseen, found.kept) == (2, 2, 0)
    assert found.version is None and found.run is None and found.sheet is None
