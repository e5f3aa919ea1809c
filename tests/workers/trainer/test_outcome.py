"""What an end means, in cases that no fake trainer can play: the kernel's kills, models that do not load."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.training.limits import Limits
from workers.trainer.outcome import RunSnapshot, TrainerEnd, is_loadable, judge

SNAPSHOT = RunSnapshot("running", None, 30, 100, 20, None, Limits(3600.0))
MODEL = Path(__file__).resolve().parents[3] / "models" / "nano"


def test_a_kill_by_the_kernel_for_want_of_memory_is_out_of_memory(tmp_path: Path) -> None:
    verdict = judge(SNAPSHOT, "step", {}, TrainerEnd(-9, is_kernel_short=True), tmp_path)
    assert verdict is not None
    assert (verdict.state, verdict.cause) == ("failed", "out_of_memory")
    assert "because main memory ran out" in verdict.reason


def test_a_run_that_completes_while_it_is_stopped_is_completed(tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(MODEL)
    stopping = RunSnapshot("stopping", "Ana stopped it.", 100, 100, 100, None, Limits(3600.0))
    verdict = judge(stopping, "finished", {"reason": "completed"}, TrainerEnd(0), tmp_path)
    assert verdict is not None
    assert verdict.state == "completed"
    assert verdict.reason.endswith("Its first test pictures are drawn next, in its sheet.")


def test_a_disk_that_fills_while_a_run_is_stopped_stops_it(tmp_path: Path) -> None:
    stopping = RunSnapshot("stopping", "Ana stopped it.", 30, 100, 20, None, Limits(3600.0))
    told = {"sentence": "The disk is full.", "cause": "disk_full"}
    verdict = judge(stopping, "failed", told, TrainerEnd(5), tmp_path)
    assert verdict is not None
    assert (verdict.state, verdict.reason) == (
        "stopped", "Ana stopped it. The disk is full. The checkpoint of step 20 is kept.",
    )  # fmt: skip


def test_a_run_that_its_worker_interrupts_has_no_verdict(tmp_path: Path) -> None:
    for kind, told in (("finished", {"reason": "stopped"}), ("step", {})):
        assert judge(SNAPSHOT, kind, told, TrainerEnd(0, is_worker_stopping=True), tmp_path) is None


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda model: None, None),
        (lambda model: (model / "model_index.json").unlink(), "its model_index.json is not there or cannot be read"),
        (lambda model: (model / "a" / "w.safetensors").unlink(), "it has no weights"),
        (lambda model: (model / "a" / "w.safetensors").write_bytes(b"\xff" * 20), "a/w.safetensors is not whole"),
        (lambda model: (model / "a" / "w.safetensors").write_bytes(b""), "a/w.safetensors is not whole"),
    ],
)
def test_a_model_is_loadable_when_it_is_whole(tmp_path: Path, spoil: object, fault: str | None) -> None:
    header = b'{"__metadata__":{"by":"us"},"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'
    (tmp_path / "a").mkdir()
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "a" / "w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"1234")
    assert callable(spoil)
    spoil(tmp_path)
    assert is_loadable(tmp_path) == fault


def test_the_shipped_model_is_loadable() -> None:
    assert is_loadable(MODEL) is None


def test_a_run_that_stopped_learning_has_stopped_and_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(MODEL)
    facts = {"reason": "no_better", "looks": 3, "than_step": 0, "model_step": 20}
    verdict = judge(SNAPSHOT, "finished", facts, TrainerEnd(0), tmp_path)
    assert verdict is not None
    assert (verdict.state, verdict.cause) == ("stopped", "no_better")
    assert verdict.reason == (
        "It stopped learning: no better for 3 validations, beyond noise, than the base. "
        "The finished model is that of step 20."
    )
    nothing = judge(SNAPSHOT, "finished", {**facts, "looks": 1, "model_step": 0}, TrainerEnd(0), tmp_path)
    assert nothing is not None and nothing.reason.endswith("No checkpoint was saved.")


def test_a_stopped_run_whose_model_is_not_whole_has_failed(tmp_path: Path) -> None:
    facts = {"reason": "no_better", "looks": 3, "than_step": 0, "model_step": 20}
    verdict = judge(SNAPSHOT, "finished", facts, TrainerEnd(0), tmp_path)
    assert verdict is not None and (verdict.state, verdict.cause) == ("failed", "broken")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            {"good_step": 20, "model_step": 20},
            "the last good one, and the finished model is written from it.",
        ),
        ({"good_step": 20, "model_step": 0}, "step 20 is the last good one."),
        ({"good_step": 0, "model_step": 0}, "No checkpoint was saved before that."),
        ({}, "It exploded."),  # as engines before told it
    ],
)
def test_a_diverged_run_says_which_checkpoint_is_good(tmp_path: Path, facts: dict[str, int], words: str) -> None:
    told = {"cause": "diverged", "sentence": "It exploded.", **facts}
    verdict = judge(SNAPSHOT, "failed", told, TrainerEnd(6), tmp_path)
    assert verdict is not None and (verdict.state, verdict.cause) == ("failed", "diverged")
    assert verdict.reason.endswith(words)
