"""What the end of a trainer means for its run: one true state, its cause in a word, and a sentence. No database."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from app.training import runs
from app.training.causes import CAUSE_OF_EXIT, CAUSES, Cause
from app.training.limits import Limits
from app.units import duration

_WORDS: Final[dict[Cause, str]] = {
    "out_of_memory": "The device has too little memory for this recipe.",
    "diverged": "The loss exploded.",
    "disk_full": "The disk is full.",
}
PAUSED: Final = "The run is paused and its clock stands still: until it goes on, neither time nor money counts."
_LENGTH_BYTES: Final = 8  # of the header's size, at the start of a safetensors file


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and why, in a sentence and in a word."""

    state: runs.End
    reason: str
    cause: Cause | None = None


@dataclass(frozen=True)
class TrainerEnd:
    """What the worker knows of the end of a trainer."""

    exit_code: int | None  # negative for a signal; None when this worker did not start it
    words: Sequence[str] = ()  # the last lines of its log
    hang: str | None = None  # a sentence, when the worker ended it because it hung
    is_past_limit: bool = False  # the worker ended it because it went on behind the hard stop
    is_kernel_short: bool = False  # the kernel ended something for want of main memory while it lived
    is_worker_stopping: bool = False


@dataclass(frozen=True)
class RunSnapshot:
    """How the run stands when its trainer is gone: what was asked of it, how far it is, what is kept."""

    state: str
    reason: str | None
    step: int
    steps: int
    saved_step: int | None  # of the newest checkpoint
    sampled_step: int | None  # of the newest test pictures
    limits: Limits

    @property
    def kept(self) -> str:
        """A sentence about what is left of it."""
        if self.saved_step is None:
            return "It ended before its first checkpoint."
        return f"The checkpoint of step {self.saved_step:,} is kept."


def judge(
    snapshot: RunSnapshot, kind: str | None, facts: Mapping[str, Any], ended: TrainerEnd, out: Path
) -> Outcome | None:
    """The end of a run; `kind` and `facts` are its last event. None when it is only interrupted by its worker's end."""
    is_finished = kind == "finished"
    if snapshot.state == "discarded":
        return Outcome("discarded", snapshot.reason or "Discarded.")
    if kind == "failed":
        return _told_to_have_failed(snapshot, facts, ended)
    if is_finished and facts["reason"] == "completed":
        return _completed(snapshot, out)
    if is_finished and facts["reason"] in ("out_of_time", "out_of_money"):
        return _at_the_limit(snapshot, facts["reason"], "")
    if is_finished and facts["reason"] == "no_better":
        return _learned(snapshot, facts, out)
    if snapshot.state == "stopping":
        return Outcome("stopped", f"{snapshot.reason or 'Stopped.'} {snapshot.kept}")
    if ended.hang is not None:
        return Outcome("failed", f"{ended.hang} It was ended by force. {snapshot.kept}", "hung")
    if ended.is_past_limit:
        binding = snapshot.limits.hard_stop()[1]
        by_force = " The trainer did not end by itself and was ended."
        return _at_the_limit(snapshot, "out_of_money" if binding == "money" else "out_of_time", by_force)
    if ended.is_worker_stopping:
        return None
    if is_finished:
        return Outcome("stopped", f"The trainer was asked to stop from outside. {snapshot.kept}")
    return _died(snapshot, ended)


def is_loadable(model: Path) -> str | None:
    """What is wrong with a finished model, in words; None when its index is there and all its weights read whole."""
    try:
        json.loads((model / "model_index.json").read_text())
    except (OSError, ValueError):
        return "its model_index.json is not there or cannot be read"
    weights = sorted(model.rglob("*.safetensors"))
    if not weights:
        return "it has no weights"
    for file in weights:
        try:
            with file.open("rb") as opened:
                length = int.from_bytes(opened.read(_LENGTH_BYTES), "little")
                header = json.loads(opened.read(length))
            ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
            is_whole = file.stat().st_size == _LENGTH_BYTES + length + max(ends, default=0)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, MemoryError, OverflowError):
            is_whole = False
        if not is_whole:
            return f"{file.relative_to(model)} is not whole"
    return None


def _completed(snapshot: RunSnapshot, out: Path) -> Outcome:
    fault = is_loadable(out / "model")
    if fault is not None:
        return Outcome("failed", f"The trainer says that it completed, but {fault}. {snapshot.kept}", "broken")
    if snapshot.sampled_step is not None:
        pictures = f"Test pictures of step {snapshot.sampled_step:,} are there, and its sheet is drawn next."
    else:
        pictures = "Its first test pictures are drawn next, in its sheet."
    return Outcome("completed", f"All {snapshot.steps:,} steps are done and the model is whole. {pictures}")


def _learned(snapshot: RunSnapshot, facts: Mapping[str, Any], out: Path) -> Outcome:
    """Its patience is at an end: that is what it was told to do, so it is no failure."""
    looks, model_step = int(facts["looks"]), int(facts["model_step"])
    looked = f"{looks} validations" if looks != 1 else "1 validation"
    before = f"step {facts['than_step']:,}" if facts["than_step"] else "the base"
    why = f"It stopped learning: no better for {looked}, beyond noise, than {before}."
    if not model_step:
        return Outcome("stopped", f"{why} No checkpoint was saved.", "no_better")
    fault = is_loadable(out / "model")
    if fault is not None:
        return Outcome("failed", f"{why} Its model should be whole, but {fault}. {snapshot.kept}", "broken")
    return Outcome("stopped", f"{why} The finished model is that of step {model_step:,}.", "no_better")


def _at_the_limit(snapshot: RunSnapshot, cause: Literal["out_of_time", "out_of_money"], how: str) -> Outcome:
    seconds, _ = snapshot.limits.hard_stop()
    limit = "money limit" if cause == "out_of_money" else "time limit"
    if snapshot.saved_step is None:
        kept = "It was not enough to learn anything that could be kept."
    else:
        kept = f"What it learned until step {snapshot.saved_step:,} is kept."
    return Outcome(
        "stopped",
        f"Its {limit} of {duration(seconds)} on the device was reached at step {snapshot.step:,} of "
        f"{snapshot.steps:,}.{how} {kept}",
        cause,
    )


def _told_to_have_failed(snapshot: RunSnapshot, facts: Mapping[str, Any], ended: TrainerEnd) -> Outcome:
    cause: Cause = facts["cause"] if facts.get("cause") in CAUSES else CAUSE_OF_EXIT.get(ended.exit_code or 1, "broken")
    if cause == "diverged" and "good_step" in facts:
        return Outcome("failed", f"{facts['sentence']} {_salvaged(facts)}", cause)
    return _failed(snapshot, cause, str(facts["sentence"]))


def _salvaged(facts: Mapping[str, Any]) -> str:
    if not facts["good_step"]:
        return "No checkpoint was saved before that."
    good = f"The checkpoint of step {facts['good_step']:,} is the last good one"
    return f"{good}, and the finished model is written from it." if facts.get("model_step") else f"{good}."


def _failed(snapshot: RunSnapshot, cause: Cause, sentence: str) -> Outcome:
    """A failure that the engine saw. A full disk only pauses the run."""
    if cause != "disk_full":
        return Outcome("failed", sentence, cause)
    if snapshot.state == "stopping":
        return Outcome("stopped", f"{snapshot.reason or 'Stopped.'} {sentence} {snapshot.kept}")
    return Outcome("paused", f"{sentence} {PAUSED} {snapshot.kept}", cause)


def _died(snapshot: RunSnapshot, ended: TrainerEnd) -> Outcome:
    """A trainer that ended without telling why."""
    code = ended.exit_code
    if code is None:
        why = "The trainer is gone and its last worker with it, so nobody saw why."
        return Outcome("failed", f"{why} {snapshot.kept}", "lost")
    if code < 0:
        if ended.is_kernel_short:
            why = "The kernel ended the trainer because main memory ran out."
            return Outcome("failed", f"{why} {snapshot.kept}", "out_of_memory")
        hint = " Running out of main memory is the usual cause." if -code == signal.SIGKILL else ""
        why = f"The trainer was ended from outside ({signal.strsignal(-code)}).{hint}"
        return Outcome("failed", f"{why} {snapshot.kept}", "killed")
    cause = CAUSE_OF_EXIT.get(code, "broken")
    if cause == "refused" and ended.words:
        return Outcome("failed", ended.words[-1], cause)
    if cause in _WORDS:
        return _failed(snapshot, cause, _WORDS[cause])
    return Outcome(
        "failed",
        f"The trainer ended without telling why (exit code {code}); its last words are in its log. {snapshot.kept}",
        cause,
    )
