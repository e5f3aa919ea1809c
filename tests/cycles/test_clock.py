"""The cycle's clock is read off jobs and decisions."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy.orm import Session

from app import jobs
from app.cycles import clock, ledger
from app.cycles.clock import CycleClock
from app.cycles.tables import Cycle
from app.jobs import Job
from app.review.tables import Decision
from app.settings import Settings
from tests import cast

HOUR = timedelta(hours=1)


@pytest.fixture
def priced(settings: Settings) -> Settings:
    return settings.model_copy(update={"gpu_hour_price": Decimal("4")})


@pytest.fixture
def cycle(session: Session, priced: Settings) -> Cycle:
    """A cycle of 24 hours and €80 that began ten hours ago."""
    begun = clock.start_cycle(session, priced, cast.catalog(session))
    begun.started_at -= 10 * HOUR
    session.flush()
    return begun


def did(
    session: Session, cycle: Cycle, kind: str, start_h: float, end_h: float | None, state: str | None = None
) -> Job:
    """A job of the cycle, in hours since it began; `end_h` None: it still runs."""
    job = jobs.request(session, kind, {})
    job.requested_at = job.started_at = job.claimed_at = cycle.started_at + start_h * HOUR
    job.state = state or ("running" if end_h is None else "done")
    job.ended_at = None if end_h is None else cycle.started_at + end_h * HOUR
    session.flush()
    return job


def read(session: Session, settings: Settings, at: datetime | None = None) -> CycleClock:
    found = clock.read(session, settings, at)
    assert found is not None
    return found


def test_no_cycle_no_clock(session: Session, settings: Settings) -> None:
    assert clock.read(session, settings) is None


def test_new_cycle_ends_the_one_before(session: Session, settings: Settings) -> None:
    first = clock.start_cycle(session, settings, None)
    second = clock.start_cycle(session, settings, None)
    assert (first.number, second.number) == (1, 2)
    assert first.ended_at is not None
    assert clock.current(session) is second


def test_time_left_and_over(session: Session, priced: Settings, cycle: Cycle) -> None:
    now = read(session, priced, cycle.started_at + 23.5 * HOUR)
    assert now.seconds_left == 1800
    assert now.is_short_of_time
    over = read(session, priced, cycle.started_at + 25 * HOUR)
    assert over.seconds_left == -3600
    assert over.share_gone == 1.0


def test_first_stage_comes_next(session: Session, priced: Settings, cycle: Cycle) -> None:
    now = read(session, priced)
    assert (now.stage.key, now.stage.state) == ("take_in", "next")
    assert [stage.state for stage in now.stages] == ["next"] + ["to come"] * 5
    assert now.pieces == ()


def test_a_cycle_over_photos_of_before_begins_with_their_review(session: Session, priced: Settings) -> None:
    pile, other = cast.catalog(session, "Old"), cast.catalog(session, "New")
    cast.red_kettle(session, pile)
    for catalog, key in ((pile, "review"), (other, "take_in"), (None, "take_in")):
        clock.start_cycle(session, priced, catalog)
        now = read(session, priced)
        assert (now.stage.key, now.stage.state) == (key, "next")
    cycle = clock.start_cycle(session, priced, pile)
    assert [stage.state for stage in read(session, priced).stages[:2]] == ["done", "done"]
    did(session, cycle, "intake.take_in", 0, 0.5)
    assert read(session, priced).stage.key == "caption", "what comes in now is waited for"


def test_stages_follow_the_jobs(session: Session, priced: Settings, cycle: Cycle) -> None:
    did(session, cycle, "intake.take_in", 0, 0.5)
    did(session, cycle, "signals.measure", 0.5, 0.75)
    now = read(session, priced)
    assert (now.stage.key, now.stage.state) == ("caption", "next")
    did(session, cycle, "captions.propose", 1, 2)
    did(session, cycle, "review.apply_rules", 2, 2.1)
    now = read(session, priced)
    assert (now.stage.key, now.stage.state) == ("review", "next")
    did(session, cycle, "dataset.freeze", 4, 4.1)
    now = read(session, priced)
    assert [stage.state for stage in now.stages] == ["done", "done", "done", "done", "next", "to come"]
    did(session, cycle, "run.train", 5, None)
    now = read(session, priced)
    assert (now.stage.key, now.stage.state) == ("train", "running")
    took = {piece.key: (piece.start, piece.width) for piece in now.pieces}
    assert took["take_in"] == pytest.approx((0, 0.75 / 24))
    assert took["caption"] == pytest.approx((1 / 24, 1 / 24))
    assert took["train"] == pytest.approx((5 / 24, 5 / 24), abs=1e-4)


def test_all_done_stays_at_compare(session: Session, priced: Settings, cycle: Cycle) -> None:
    for start, kind in enumerate(("intake.take_in", "captions.propose", "dataset.freeze", "run.train", "sheet.draw")):
        did(session, cycle, kind, start, start + 0.5)
    now = read(session, priced)
    assert (now.stage.key, now.stage.state) == ("compare", "done")


def test_failed_stage_says_so_until_it_is_done(session: Session, priced: Settings, cycle: Cycle) -> None:
    did(session, cycle, "run.train", 1, 2, state="failed")
    assert read(session, priced).stage.state == "failed"
    did(session, cycle, "run.train", 3, 4)
    assert read(session, priced).stage.key == "compare"


def test_cancelled_work_is_not_done(session: Session, priced: Settings, cycle: Cycle) -> None:
    did(session, cycle, "intake.take_in", 0, 1, state="cancelled")
    states = {stage.key: stage.state for stage in read(session, priced).stages}
    assert states["take_in"] == "to come" or states["take_in"] == "next"
    assert states["caption"] == "to come"


def test_review_lasts_from_the_first_to_the_last_decision(session: Session, priced: Settings, cycle: Cycle) -> None:
    ana, pile = cast.person(session), cast.catalog(session)
    for hour in (3.0, 5.0):
        photo = cast.image(session, pile)
        at = cycle.started_at + hour * HOUR
        session.add(Decision(image_id=photo.id, verdict="kept", person_id=ana.id, created_at=at))
    earlier = cycle.started_at - HOUR
    session.add(Decision(image_id=cast.image(session, pile).id, verdict="kept", person_id=ana.id, created_at=earlier))
    session.flush()
    (piece,) = read(session, priced).pieces
    assert piece.key == "review"
    assert (piece.start, piece.width) == pytest.approx((3 / 24, 2 / 24))


def test_work_before_the_cycle_does_not_count(session: Session, priced: Settings, cycle: Cycle) -> None:
    did(session, cycle, "intake.take_in", -2, -1)
    assert read(session, priced).pieces == ()


def test_piece_is_cut_at_the_end_of_the_day(session: Session, priced: Settings, cycle: Cycle) -> None:
    did(session, cycle, "run.train", 20, 30)
    (piece,) = read(session, priced, cycle.started_at + 31 * HOUR).pieces
    assert piece.start + piece.width == pytest.approx(1.0)


def test_money_left_counts_what_runs_now(session: Session, priced: Settings, cycle: Cycle) -> None:
    done = did(session, cycle, "run.train", 0, 2)
    ledger.record(session, done, 7200, priced)
    did(session, cycle, "sheet.draw", 9, None)
    now = read(session, priced, cycle.started_at + 10 * HOUR)
    assert now.money_left == pytest.approx(Decimal(80 - 8 - 4), abs=Decimal("0.01"))
    assert not now.is_short_of_money


def test_money_is_unknown_without_a_price(session: Session, settings: Settings, cycle: Cycle) -> None:
    did(session, cycle, "run.train", 9, None)
    now = read(session, settings)
    assert now.money_left is None
    assert not now.is_short_of_money
