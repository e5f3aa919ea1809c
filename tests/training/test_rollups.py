"""Metric points in few rows: a long run in a few thousand, with the spikes kept and cut back with the run."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from app import jobs
from app.training import progress, rollups, run_events, runs
from app.training.tables import RunRollup, TrainingRun
from tests.training.cast import BEGAN, news, one_run

MANY = 3 * rollups.MOST_SINGLE


def step(seq: int, number: int, loss: float = 0.5) -> dict[str, object]:
    return news(seq, "step", step=number, loss=loss, loss_by_band=[loss, None, loss, loss], images_per_s=number % 7)


def tell(session: Session, run: TrainingRun, events: list[dict[str, object]], portion: int = 500) -> None:
    """As a worker does: a few at a time."""
    for begin in range(0, len(events), portion):
        run_events.record(session, run, events[begin : begin + portion])


def count(session: Session, run: TrainingRun) -> int:
    return session.scalar(select(func.count()).where(RunRollup.run_id == run.id)) or 0


def test_rollups_change_no_curve(session: Session) -> None:
    run = one_run(session, steps=MANY)
    tell(session, run, [news(1, "started", step=0), *(step(n + 1, n, n % 13) for n in range(1, MANY + 1))])
    assert count(session, run) > 50
    quick = progress.curves(session, run, points=100)
    session.execute(delete(RunRollup).where(RunRollup.run_id == run.id))
    slow = progress.curves(session, run, points=100)
    assert len(quick.steps) <= 100
    assert quick.steps_a_point == slow.steps_a_point == MANY // 100
    # A rollup lies where it ends, so a point may take in up to a rollup more or less.
    assert len(slow.steps) - len(quick.steps) <= 1
    assert quick.bands[0].high[0] == slow.bands[0].high[0] == 12
    means = [value for value in quick.bands[0].mean if value is not None]
    assert sum(means) / len(means) == pytest.approx(6.0, abs=0.05)


def test_a_spike_of_one_step_survives(session: Session) -> None:
    run = one_run(session, steps=MANY)
    spike = {100: 50.0, 101: 0.001}
    tell(session, run, [news(1, "started", step=0), *(step(n + 1, n, spike.get(n, 0.5)) for n in range(1, MANY + 1))])
    band = progress.curves(session, run, points=60).bands[0]
    assert max(value or 0 for value in band.high) == 50.0
    assert min(value or 9 for value in band.low) == 0.001


def test_a_band_that_was_never_told_stays_empty(session: Session) -> None:
    run = one_run(session, steps=MANY)
    tell(session, run, [news(1, "started", step=0), *(step(n + 1, n) for n in range(1, MANY + 1))])
    assert set(progress.curves(session, run).bands[1].mean) == {None}


@pytest.mark.parametrize("back_to", [0, 37, 1000, MANY - 100])
def test_a_start_from_an_earlier_step_cuts_rollups_back(session: Session, back_to: int) -> None:
    run = one_run(session, steps=2 * MANY)
    tell(session, run, [news(1, "started", step=0), *(step(n + 1, n, 9.0) for n in range(1, MANY + 1))])
    tell(session, run, [news(MANY + 2, "started", step=back_to)])
    curves = progress.curves(session, run, points=MANY)
    assert curves.steps[-1:] == ([back_to] if back_to else [])
    again = [step(MANY + 2 + n, back_to + n, 1.0) for n in range(1, 6)]
    tell(session, run, again)
    curves = progress.curves(session, run, points=MANY)
    assert curves.steps == sorted(set(curves.steps))
    assert curves.steps[-5:] == [back_to + n for n in range(1, 6)]
    assert curves.bands[0].high[-5:] == [1.0] * 5
    assert set(curves.bands[0].high[:-5]) <= {9.0}


def test_the_end_of_a_long_run_is_estimated_from_its_rollups(session: Session) -> None:
    run = one_run(session, steps=2 * MANY)
    jobs.claim(session, run.job_id or 0, "worker")
    jobs.get(session, run.job_id or 0).started_at = BEGAN
    runs.begin(session, run)
    tell(session, run, [news(1, "started", step=0), *(step(n + 1, n) for n in range(1, MANY + 1))])
    estimated = progress.expected_end(session, run)
    assert estimated is not None
    assert estimated.seconds_a_step == pytest.approx(1.0)
    assert estimated.ends_at == BEGAN + timedelta(seconds=2 * MANY + 1)
    assert estimated.reaches(MANY + 60) == BEGAN + timedelta(seconds=MANY + 61)


def test_a_long_run_is_drawn_from_few_rows(session: Session) -> None:
    """How quick it is at 100,000 points, `benchmarks/run_page.py` tells."""
    count_told = 24_000
    run = one_run(session, steps=count_told)
    session.execute(
        text(
            "insert into run_event (run_id, seq, kind, at, data) select :run_id, n, 'step', now(), jsonb_build_object("
            "'step', n, 'loss', 1, 'loss_by_band', jsonb_build_array(1, 2, 3, 4), 'images_per_s', 9, 'memory_bytes', 1)"
            " from generate_series(1, :count) n"
        ),
        {"run_id": run.id, "count": count_told},
    )
    rollups.roll_up(session, run.id)
    # Sixteen in a row up to LONG, then ever more: a point of the curves would hold as many.
    expected = rollups.LONG / rollups.LENGTH + rollups.POINTS * math.log(count_told / rollups.LONG)
    assert count(session, run) == pytest.approx(expected, rel=0.1)
    curves = progress.curves(session, run)
    assert 500 < len(curves.steps) <= progress.POINTS
    assert curves.steps[-1] == count_told
    assert curves.bands[2].mean[-1] == 3.0
