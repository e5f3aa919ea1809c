"""The watch over a trainer: a hang, a slow-down and a late end are seen from its news and a clock alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from workers.trainer.watchdog import Remark, Watch, WatchPlan

BEGAN = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
PLAN = WatchPlan(steps=1000, limit_s=100_000.0, binding="time")


class Story:
    """A trainer's news told on a clock that only moves when told."""

    def __init__(self, plan: WatchPlan = PLAN) -> None:
        self.now, self.step = 0.0, 0
        self.watch = Watch(plan, self.now)
        self.remarks: list[Remark] = []

    def tell(self, after_s: float, kind: str, **facts: Any) -> None:
        self.now += after_s
        event = {"seq": 1, "at": (BEGAN + timedelta(seconds=self.now)).isoformat(), "kind": kind, **facts}
        self.remarks += self.watch.hear([event], self.now)

    def steps(self, count: int, step_s: float, **facts: Any) -> None:
        for _ in range(count):
            self.step += 1
            self.tell(step_s, "step", step=self.step, step_s=step_s, **facts)

    def is_hung_after(self, seconds: float) -> bool:
        return self.watch.is_hung(self.now + seconds)


@pytest.fixture
def story() -> Story:
    return Story()


def test_before_its_first_news_a_trainer_gets_five_minutes(story: Story) -> None:
    assert not story.is_hung_after(299)
    assert story.is_hung_after(301)


def test_a_quick_trainer_may_be_silent_for_a_minute(story: Story) -> None:
    story.steps(5, 0.2)
    assert not story.is_hung_after(60)
    assert story.is_hung_after(61)
    assert "told nothing for 1 m 01 s in the phase “train”" in story.watch.hang(story.now + 61)


def test_a_slow_trainer_may_be_silent_for_twenty_of_its_reports(story: Story) -> None:
    story.steps(5, 30.0)
    assert not story.is_hung_after(599)
    assert story.is_hung_after(601)


def test_each_phase_has_a_habit_of_its_own(story: Story) -> None:
    story.steps(5, 30.0)
    for done in range(3):
        story.tell(5, "phase", phase="encode", done=done, total=3)
    assert story.watch.phase == "encode"
    assert story.is_hung_after(101), "encoding tells something every 5 s"
    assert not story.is_hung_after(99)


def test_a_save_keeps_its_five_minutes_however_often_it_tells_of_bytes(story: Story) -> None:
    for _ in range(3):
        story.steps(5, 30.0)
        for _ in range(4):
            story.tell(5, "phase", phase="save", done=0, total=None)
        assert not story.is_hung_after(299)
        assert story.is_hung_after(301)
        story.tell(5, "checkpoint", step=story.step)


def test_a_phase_that_begins_at_once_does_not_make_the_one_before_look_talkative(story: Story) -> None:
    for _ in range(5):
        story.steps(1, 30.0)
        for phase in ("save", "sample"):
            story.tell(0, "phase", phase=phase, done=0, total=None)
            story.tell(1, "checkpoint" if phase == "save" else "samples", step=story.step)
    story.steps(1, 30.0)
    assert not story.is_hung_after(599)


def test_another_attempt_begins_without_habits(story: Story) -> None:
    story.steps(5, 0.2)
    story.tell(9000, "attempt", resumed=True, pid=1, spent_s=1.0)
    story.tell(1, "phase", phase="load", done=0, total=1)
    story.tell(5, "phase", phase="load", done=1, total=1)
    assert not story.is_hung_after(60), "the pause between two attempts is no habit"
    assert story.is_hung_after(101)


def test_steady_steps_are_not_remarked_on(story: Story) -> None:
    story.steps(3, 9.0)  # warming up
    story.steps(200, 0.5)
    story.steps(2, 5.0)  # a hiccup
    story.steps(50, 0.6)
    assert story.remarks == []


def test_twice_as_slow_is_said_once_with_what_explains_it(story: Story) -> None:
    story.steps(40, 0.5)
    story.steps(20, 1.2, memory_bytes=79 << 30, memory_total_bytes=80 << 30)
    (remark,) = story.remarks
    assert remark.kind == "slow"
    assert remark.sentence.startswith("Steps take 1.2 s, 2.4 times their usual 0.5 s. Its memory is nearly full")
    assert "the last step is done in 19 m" in remark.sentence
    story.steps(100, 0.5)
    story.steps(20, 1.2, data_wait_s=0.8)
    assert "waits for pictures 40% of the time" in story.remarks[-1].sentence
    assert len(story.remarks) == 2


def test_a_slowness_that_nothing_explains_is_said_to_be_so(story: Story) -> None:
    story.steps(40, 0.5)
    story.steps(10, 1.5, data_wait_s=0.0, memory_bytes=1, memory_total_bytes=None)
    assert "cannot tell" in story.remarks[0].sentence


def test_the_second_stage_has_a_pace_of_its_own() -> None:
    story = Story(WatchPlan(1000, 100_000.0, "time", second_stage_from=40))
    story.steps(40, 0.5)
    story.steps(60, 2.0)
    assert story.remarks == []


def test_an_end_behind_the_hard_stop_is_estimated_once() -> None:
    story = Story(WatchPlan(1000, 600.0, "money", spent_s=100.0))
    story.steps(60, 1.0)
    (remark,) = story.remarks
    assert remark.kind == "late"
    assert "after 18 m on the device; the money limit ends the run at 10 m, at about step 501 of 1,000" in (
        remark.sentence
    )


def test_an_end_before_the_hard_stop_is_no_news() -> None:
    story = Story(WatchPlan(1000, 1200.0, "time", spent_s=100.0))
    story.steps(60, 1.0)
    assert story.remarks == []
