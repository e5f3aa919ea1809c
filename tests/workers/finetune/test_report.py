"""The event log: numbered whole lines, stop requests, one process at a time; and the summing up of steps."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from workers.errors import InputError
from workers.finetune.ranks import ALONE
from workers.finetune.report import EventLog, Progress


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]


def test_events_are_numbered_and_timed_in_utc(tmp_path: Path) -> None:
    with EventLog(tmp_path / "out") as log:
        log.tell("started", step=0, steps=10)
        log.tell("checkpoint", step=5, folder="checkpoints/step-000005")
    attempt, first, second = lines(tmp_path / "out")
    assert (attempt["seq"], attempt["kind"], attempt["resumed"], attempt["spent_s"]) == (1, "attempt", False, 0.0)
    assert (first["seq"], first["kind"], first["steps"]) == (2, "started", 10)
    assert (second["seq"], second["kind"]) == (3, "checkpoint")
    assert datetime.fromisoformat(first["at"]).utcoffset() == timedelta(0)


def test_an_event_is_on_disk_as_soon_as_it_is_told(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        log.tell("started", step=0)
        assert lines(tmp_path)[-1]["kind"] == "started"


def test_numbers_go_on_and_a_torn_line_is_cut_off(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        log.tell("started", step=0)
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"seq": 2, "kind": "st')
    with EventLog(tmp_path) as log:
        log.tell("started", step=0)
    assert [event["seq"] for event in lines(tmp_path)] == [1, 2, 3, 4]
    assert [event["kind"] for event in lines(tmp_path)] == ["attempt", "started"] * 2


def test_time_is_counted_over_all_attempts_and_not_between_them(tmp_path: Path) -> None:
    moments = ["10:00:00", "10:00:30", "12:00:00", "12:00:05"]
    told = [
        {"seq": seq, "at": f"2026-11-25T{at}+00:00", "kind": "attempt" if seq % 2 else "step"}
        for seq, at in enumerate(moments, start=1)
    ]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in told))
    with EventLog(tmp_path) as log:
        assert lines(tmp_path)[-1]["spent_s"] == 35.0
        assert lines(tmp_path)[-1]["resumed"] is True
        assert log.spent_s() > 35.0


@pytest.mark.parametrize(
    ("left", "told_seq", "first"),
    [(0, 7, 8), (2, 7, 8), (2, 2, 3), (2, 0, 3), (2, None, 3)],
    ids=["file gone", "file behind", "even", "nothing kept elsewhere", "said by nobody"],
)
def test_numbers_go_on_from_what_is_kept_elsewhere(tmp_path: Path, left: int, told_seq: int | None, first: int) -> None:
    if left:
        with EventLog(tmp_path) as log:
            log.tell("started", step=0)
    told = {} if told_seq is None else {"told_seq": told_seq}
    (tmp_path / "limits.json").write_text(json.dumps({"seconds": 100.0, **told}))
    with EventLog(tmp_path) as log:
        log.tell("started", step=0)
    attempt, started = lines(tmp_path)[-2:]
    assert (attempt["seq"], started["seq"], attempt["resumed"]) == (first, first + 1, True)


@pytest.mark.parametrize(
    "torn",
    ['{"seq": 3, "kind": "st', "\0" * 90, "\0" * 90 + '\n{"seq": 9, "kind": "step"}\n', "7\n"],
    ids=["half a line", "zeros", "zeros and more", "no event"],
)
def test_what_a_power_loss_tore_is_cut_off(tmp_path: Path, torn: str) -> None:
    with EventLog(tmp_path) as log:
        log.tell("started", step=0)
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write(torn)
    (tmp_path / "limits.json").write_text('{"seconds": 100.0, "told_seq": 5}')
    with EventLog(tmp_path) as log:
        log.tell("started", step=0)
    assert [event["seq"] for event in lines(tmp_path)] == [1, 2, 6, 7]


@pytest.mark.parametrize(("spent_s", "counted"), [(712.0, 712.0), (2.0, 35.0), (None, 35.0)])
def test_time_counts_as_it_is_billed_where_that_is_more(tmp_path: Path, spent_s: float | None, counted: float) -> None:
    told = [
        {"seq": 1, "at": "2026-11-25T10:00:00+00:00", "kind": "attempt"},
        {"seq": 2, "at": "2026-11-25T10:00:35+00:00", "kind": "step"},
    ]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in told))
    billed = {} if spent_s is None else {"spent_s": spent_s}
    (tmp_path / "limits.json").write_text(json.dumps({"seconds": 9000.0, **billed}))
    with EventLog(tmp_path) as log:
        assert lines(tmp_path)[-1]["spent_s"] == counted
        assert log.spent_s() >= counted


def test_limits_that_cannot_be_read_do_not_keep_a_run_from_saying_so(tmp_path: Path) -> None:
    (tmp_path / "limits.json").write_text("{")
    with EventLog(tmp_path) as log:
        log.tell("failed", sentence="The limits cannot be read.", cause="refused")
    assert [event["seq"] for event in lines(tmp_path)] == [1, 2]


def test_a_second_process_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with EventLog(tmp_path), pytest.raises(InputError, match="already training"):
        EventLog(tmp_path)
    with EventLog(tmp_path) as log:
        log.tell("started", step=0)


@pytest.mark.parametrize(
    ("text", "request_"), [("keep", "keep"), ("discard\n", "discard"), ("", "keep"), ("whatever", "keep")]
)
def test_the_stop_file_is_the_stop_request_until_finished_is_told(tmp_path: Path, text: str, request_: str) -> None:
    with EventLog(tmp_path) as log:
        assert log.stop_request() is None
        (tmp_path / "stop").write_text(text)
        assert log.stop_request() == request_
        log.tell("checkpoint", step=1)
        assert log.stop_request() == request_
        log.tell("finished", reason="stopped", step=1, kept=True)
        assert log.stop_request() is None


def test_progress_sums_up_the_steps_since_it_was_last_asked() -> None:
    progress = Progress()
    for timesteps in ([0.1, 0.3], [0.9, 1.0]):
        progress.begin()
        progress.end(torch.tensor([1.0, 3.0]), torch.tensor(timesteps), grad_norm=0.25)
        progress.rest()
    facts = progress.facts(2, 0.001, ALONE)
    assert facts["loss"] == 2.0
    assert facts["loss_by_band"] == [1.0, 3.0, None, 2.0]
    assert (facts["step"], facts["lr"], facts["grad_norm"]) == (2, 0.001, 0.25)
    assert isinstance(facts["images_per_s"], float)
    assert facts["images_per_s"] > 0
    progress.begin()
    progress.end(torch.tensor([5.0, 5.0]), torch.tensor([0.5, 0.5]), grad_norm=0.5)
    assert progress.facts(3, 0.001, ALONE)["loss"] == 5.0
