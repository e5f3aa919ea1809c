"""Curves, time and the end foretold."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.training import progress, runs
from app.training.tables import RunEvent
from tests.training.cast import BEGAN, news, one_run


def step(seq: int, number: int, loss: float = 0.5) -> dict[str, object]:
    return news(seq, "step", step=number, loss=loss, loss_by_band=[loss, loss, None, loss], images_per_s=8.0)


def test_curves_leave_out_bands_that_were_not_measured(session: Session) -> None:
    run = one_run(session)
    runs.record_events(session, run, [news(1, "started", step=0), step(2, 10), step(3, 20, 0.25)])
    curves = progress.curves(session, run)
    assert curves.bands == [[(10, 0.5), (20, 0.25)], [(10, 0.5), (20, 0.25)], [], [(10, 0.5), (20, 0.25)]]
    assert curves.speed == [(10, 8.0), (20, 8.0)]
    assert curves.last_seq == 3


def test_curves_are_cut_back_to_where_a_killed_trainer_went_on(session: Session) -> None:
    run = one_run(session)
    before = [news(1, "started", step=0), step(2, 10), step(3, 20), news(4, "validation", step=20, loss=3.0)]
    before.append(step(5, 30))
    after = [news(6, "started", step=10), step(7, 20, 0.1), news(8, "validation", step=20, loss=1.0)]
    runs.record_events(session, run, before + after)
    curves = progress.curves(session, run)
    assert curves.bands[0] == [(10, 0.5), (20, 0.1)]
    assert curves.validation == [(20, 1.0)]


def test_a_hundred_thousand_steps_stay_short_and_quick(session: Session) -> None:
    run = one_run(session)
    band = {"loss_by_band": [1.0, 2.0, 3.0, 4.0], "images_per_s": 9.0}
    rows = [
        {"run_id": run.id, "seq": i, "kind": "step", "at": BEGAN, "data": {"step": i * 10, "loss": 1.0, **band}}
        for i in range(1, 10_001)
    ]
    session.execute(insert(RunEvent), rows)
    started = time.perf_counter()
    curves = progress.curves(session, run)
    seconds = time.perf_counter() - started
    assert all(1 < len(points) <= progress.POINTS for points in [*curves.bands, curves.speed])
    assert curves.bands[2][-1] == (100_000, 3.0)
    assert seconds < 2.0


def test_time_between_two_sittings_is_not_counted(session: Session) -> None:
    run = one_run(session)
    later = {**news(4, "started", step=10), "at": (BEGAN + timedelta(hours=5)).isoformat()}
    last = {**step(5, 20), "at": (BEGAN + timedelta(hours=5, seconds=7)).isoformat()}
    runs.record_events(session, run, [news(1, "started", step=0), step(2, 10), step(3, 20), later, last])
    now = BEGAN + timedelta(hours=5, seconds=10)
    assert progress.spent_s(session, run, now) == pytest.approx(2 + 10)
    runs.end(session, run, "stopped", "Ana stopped it.")
    assert progress.spent_s(session, run, now) == pytest.approx(2 + 7)


def test_a_run_without_news_has_spent_nothing(session: Session) -> None:
    run = one_run(session)
    assert progress.spent_s(session, run, BEGAN) == 0
    assert progress.expected_end(session, run) is None


def readings(*paces_s: float) -> list[tuple[int, datetime]]:
    moments = [BEGAN]
    for pace in paces_s:
        moments.append(moments[-1] + timedelta(seconds=10 * pace))
    return [(10 * i, moment) for i, moment in enumerate(moments)]


def test_a_steady_run_ends_when_its_pace_says() -> None:
    foretold = progress.forecast(readings(*[2.0] * 5), steps=100)
    assert foretold is not None
    assert foretold.earliest == foretold.ends_at == foretold.latest == BEGAN + timedelta(seconds=200)


def test_an_uneven_run_says_how_uneven() -> None:
    foretold = progress.forecast(readings(1.0, 3.0, 1.0, 3.0, 2.0), steps=100)
    assert foretold is not None
    assert foretold.earliest < foretold.ends_at < foretold.latest
    assert foretold.seconds_a_step == pytest.approx(2.0)


def test_nothing_is_foretold_from_two_readings() -> None:
    assert progress.forecast(readings(2.0, 2.0), steps=100) is None
    assert progress.forecast([], steps=100) is None


def test_the_end_is_measured_in_the_present_sitting(session: Session) -> None:
    run = one_run(session, steps=1000)
    runs.begin(session, run)
    slow = [
        news(1, "started", step=0),
        *({**step(i, i * 10), "at": (BEGAN + timedelta(hours=i)).isoformat()} for i in range(2, 8)),
    ]
    again = BEGAN + timedelta(days=2)
    fast = [
        {**news(8, "started", step=70), "at": again.isoformat()},
        *({**step(9 + i, 80 + 10 * i), "at": (again + timedelta(seconds=10 * i)).isoformat()} for i in range(60)),
    ]
    runs.record_events(session, run, [*slow, *fast])
    foretold = progress.expected_end(session, run)
    assert foretold is not None
    assert foretold.seconds_a_step == pytest.approx(1.0)
    assert foretold.ends_at == again + timedelta(seconds=1000 - 80)


def test_the_last_lines_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "trainer.log"
    assert progress.last_lines(log) == []
    log.write_bytes(b"\xff odd\n" + b"\n".join(b"line %d" % i for i in range(9000)))
    assert progress.last_lines(log, 2) == ["line 8998", "line 8999"]
