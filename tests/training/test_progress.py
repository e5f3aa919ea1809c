"""Curves, time and the end estimated."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from app.training import progress, run_events, runs
from tests.training.cast import BEGAN, news, one_run, take


def step(seq: int, number: int, loss: float | None = 0.5, **more: object) -> dict[str, object]:
    bands = [loss, loss, None, loss]
    return news(seq, "step", step=number, loss=loss, loss_by_band=bands, images_per_s=8.0, **more)


def test_curves_leave_gaps_where_nothing_was_measured(session: Session) -> None:
    run = one_run(session)
    told = [news(1, "started", step=0), step(2, 10), step(3, 20, None), step(4, 30, 0.25, memory_bytes=7)]
    run_events.record(session, run, told)
    curves = progress.curves(session, run)
    assert curves.steps == [10, 20, 30]
    assert [band.mean for band in curves.bands] == [[0.5, None, 0.25], [0.5, None, 0.25], [None] * 3, [0.5, None, 0.25]]
    assert curves.speed.mean == [8.0] * 3
    assert curves.memory.high == [None, None, 7.0]
    assert curves.last_seq == 4


def test_points_lie_on_three_axes(session: Session) -> None:
    run = one_run(session)
    told = [news(1, "attempt", resumed=False), news(5, "started", step=0), news(6, "validation", step=0, loss=0.9)]
    told = [one | {"seq": seq} for seq, one in enumerate([*told, step(9, 10), step(15, 20)], 1)]
    run_events.record(session, run, told)
    curves = progress.curves(session, run)
    assert (curves.steps, curves.seconds) == ([10, 20], [8.0, 14.0])
    assert curves.pictures == [10 * run.recipe["batch_size"], 20 * run.recipe["batch_size"]]
    assert curves.validation == [progress.Measured(0, 5.0, 0, 0.9)]


def test_pictures_of_a_second_stage_are_counted_with_its_batch() -> None:
    recipe = runs.plan(steps=100).model_copy(
        update={"batch_size": 32, "second_from": 0.5, "second_resolution_px": 128, "second_batch_size": 8}
    )
    assert [progress.pictures_seen(recipe, step) for step in (0, 50, 60, 100)] == [0, 1600, 1680, 2000]


def test_curves_are_cut_back_to_where_a_killed_trainer_went_on(session: Session) -> None:
    run = one_run(session)
    before = [news(1, "started", step=0), step(2, 10), step(3, 20), news(4, "validation", step=20, loss=3.0)]
    before.append(step(5, 30))
    after = [news(6, "started", step=10), step(7, 20, 0.1), news(8, "validation", step=20, loss=1.0)]
    run_events.record(session, run, before + after)
    curves = progress.curves(session, run)
    assert (curves.steps, curves.bands[0].mean) == ([10, 20], [0.5, 0.1])
    assert [one.loss for one in curves.validation] == [1.0]


def test_time_between_two_attempts_is_not_counted(session: Session) -> None:
    run = one_run(session)
    later = {**news(4, "started", step=10), "at": (BEGAN + timedelta(hours=5)).isoformat()}
    last = {**step(5, 20), "at": (BEGAN + timedelta(hours=5, seconds=7)).isoformat()}
    take(session, run)
    run_events.record(session, run, [news(1, "started", step=0), step(2, 10), step(3, 20), later, last])
    now = BEGAN + timedelta(hours=5, seconds=10)
    assert progress.spent_s(session, run, now) == pytest.approx(2 + 10)
    runs.end(session, run, "stopped", "Ana stopped it.")
    assert progress.spent_s(session, run, now) == pytest.approx(2 + 7)


def test_setting_up_counts_and_waiting_between_attempts_does_not(session: Session) -> None:
    run = one_run(session)
    take(session, run)

    def at(hours: float, one: dict[str, object]) -> dict[str, object]:
        return one | {"at": (BEGAN + timedelta(hours=hours)).isoformat()}

    first = [at(0, news(1, "attempt", resumed=False)), at(1, news(2, "started", step=0)), at(2, step(3, 10))]
    again = [at(7, news(4, "attempt", resumed=True)), at(8, news(5, "started", step=10)), at(9, step(6, 20))]
    run_events.record(session, run, [*first, *again])
    assert progress.spent_s(session, run, BEGAN + timedelta(hours=9.5)) == pytest.approx(4.5 * 3600)
    assert progress.curves(session, run).seconds == [2 * 3600, 4 * 3600]


def test_a_run_that_waits_for_a_worker_spends_nothing(session: Session) -> None:
    run = one_run(session)
    run_events.record(session, run, [news(1, "started", step=0), step(2, 10)])
    run.state = "queued"
    assert progress.spent_s(session, run, BEGAN + timedelta(hours=5)) == 1.0


def test_the_night_before_a_run_went_on_is_neither_time_nor_a_hang(session: Session) -> None:
    run = one_run(session)
    take(session, run)
    before = [news(1, "attempt", resumed=False), news(2, "started", step=0), *(step(i, i * 10) for i in range(3, 8))]
    run_events.record(session, run, [*before, news(8, "failed", cause="broken", sentence="It broke.")])
    runs.end(session, run, "failed", "It broke.", "broken")
    morning = BEGAN + timedelta(hours=12)
    runs.resume(session, run)
    take(session, run, morning)
    now = morning + timedelta(seconds=6)
    assert progress.spent_s(session, run, now) == 7, "the new trainer has not told anything yet"
    doing = progress.phase(session, run)
    assert doing is not None and doing.name == "start"
    assert progress.expected_end(session, run) is None
    again = {**news(9, "attempt", resumed=True), "at": (morning + timedelta(seconds=3)).isoformat()}
    run_events.record(session, run, [again])
    assert progress.spent_s(session, run, now) == 7 + 3
    assert progress.expected_end(session, run) is None, "the pace of last night says nothing of today"


def test_a_trainer_that_a_worker_saw_end_does_not_work_on(session: Session) -> None:
    run = one_run(session)
    take(session, run)
    run_events.record(session, run, [news(1, "attempt", resumed=False), news(2, "started", step=0), step(3, 10)])
    later = BEGAN + timedelta(hours=1)
    assert progress.spent_s(session, run, later) == 3599, "told by nobody, it may still be at work"
    runs.note(session, run, "begun_again", "The trainer was ended from outside. It was begun again from step 0.")
    assert progress.spent_s(session, run, later) == 2
    doing = progress.phase(session, run)
    assert doing is not None and doing.name == "start"


def test_a_paused_run_that_is_discarded_starts_no_trainer(session: Session) -> None:
    run = one_run(session)
    take(session, run)
    run_events.record(session, run, [news(1, "attempt", resumed=False), news(2, "started", step=0), step(3, 10)])
    runs.end(session, run, "paused", "The disk is full.", "disk_full")
    runs.stop(session, run, keep=False)
    assert (progress.spent_s(session, run, BEGAN + timedelta(hours=9)), progress.phase(session, run)) == (2, None)


def test_what_a_trainer_does_before_its_first_step(session: Session) -> None:
    run = one_run(session)
    take(session, run)
    told = [
        news(1, "attempt", resumed=False), news(2, "phase", phase="load", done=0, total=None),
        news(3, "phase", phase="encode", done=0, total=340), news(4, "phase", phase="encode", done=212, total=340),
    ]  # fmt: skip
    run_events.record(session, run, told)
    doing = progress.phase(session, run)
    assert doing == progress.Phase("encode", 212, 340, BEGAN + timedelta(seconds=3), BEGAN + timedelta(seconds=4))
    run_events.record(session, run, [news(5, "started", step=0), step(6, 10)])
    assert progress.phase(session, run) is None
    run_events.record(session, run, [news(7, "phase", phase="save", done=None, total=None)])
    saving = progress.phase(session, run)
    assert saving is not None and saving.name == "save"
    runs.end(session, run, "failed", "The trainer was ended from outside (Killed).")
    assert progress.phase(session, run) is None


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
    estimated = progress.forecast(readings(*[2.0] * 5), steps=100)
    assert estimated is not None
    assert estimated.earliest == estimated.ends_at == estimated.latest == BEGAN + timedelta(seconds=200)


def test_an_uneven_run_says_how_uneven() -> None:
    estimated = progress.forecast(readings(1.0, 3.0, 1.0, 3.0, 2.0), steps=100)
    assert estimated is not None
    assert estimated.earliest < estimated.ends_at < estimated.latest
    assert estimated.seconds_a_step == pytest.approx(2.0)


def test_nothing_is_estimated_from_two_readings() -> None:
    assert progress.forecast(readings(2.0, 2.0), steps=100) is None
    assert progress.forecast([], steps=100) is None


def test_the_end_is_measured_in_the_present_attempt(session: Session) -> None:
    run = one_run(session, steps=1000)
    take(session, run)
    slow = [
        news(1, "started", step=0),
        *({**step(i, i * 10), "at": (BEGAN + timedelta(hours=i)).isoformat()} for i in range(2, 8)),
    ]
    again = BEGAN + timedelta(days=2)
    fast = [
        {**news(8, "started", step=70), "at": again.isoformat()},
        *({**step(9 + i, 80 + 10 * i), "at": (again + timedelta(seconds=10 * i)).isoformat()} for i in range(60)),
    ]
    run_events.record(session, run, [*slow, *fast])
    estimated = progress.expected_end(session, run)
    assert estimated is not None
    assert estimated.seconds_a_step == pytest.approx(1.0)
    assert estimated.ends_at == again + timedelta(seconds=1000 - 80)


def test_the_last_lines_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "trainer.log"
    assert progress.last_lines(log) == []
    log.write_bytes(b"\xff odd\n" + b"\n".join(b"line %d" % i for i in range(9000)))
    assert progress.last_lines(log, 2) == ["line 8998", "line 8999"]
    log.write_text("a\u2028b\x85c\x0bd\r\nlast\n")
    assert progress.last_lines(log) == ["a\u2028b\x85c\x0bd", "last"] == progress.log_behind(log, 0).lines


def test_a_log_is_told_from_where_one_stopped_reading(tmp_path: Path) -> None:
    log = tmp_path / "trainer.log"
    assert progress.log_behind(log, 0) == progress.Tail([], 0)
    log.write_bytes(b"one\ntwo\nthr")
    tail = progress.log_behind(log, 0)
    assert tail == progress.Tail(["one", "two"], 8)
    log.write_bytes(b"one\ntwo\nthree\n")
    assert progress.log_behind(log, tail.offset) == progress.Tail(["three"], 14)
    assert progress.log_behind(log, 999).lines == ["one", "two", "three"]
    log.write_bytes(b"\xff\n" + b"a line\n" * 50_000)
    assert len(progress.log_behind(log, 0).lines) == 200


def test_milestones_leave_out_all_steps_but_the_newest_and_signs_of_life(session: Session) -> None:
    run = one_run(session)
    signs = [news(10 + i, "phase", phase="train", done=8, total=100) for i in range(60)]
    told = [news(1, "started", step=0), *(step(i, i) for i in range(2, 9)), news(9, "validation", step=8, loss=1.0)]
    run_events.record(session, run, [*told, *signs])
    assert [(event.kind, event.seq) for event in progress.milestones(session, run.id)] == [
        ("validation", 9), ("step", 8), ("started", 1),
    ]  # fmt: skip
