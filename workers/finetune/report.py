"""The loop's events: what it tells, to whom, and whether somebody asked it to stop.

The loop knows `Report` only. `EventLog` is the one that runs in production: a file that only ever grows, which
another process follows into the database.
"""

from __future__ import annotations

import fcntl
import json
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import psutil
import torch

from app.training import trainer_limits
from app.training.trainer_limits import TrainerLimits
from workers.errors import InputError
from workers.events import FILE, whole
from workers.finetune.loss import BandedLoss
from workers.finetune.ranks import Ranks

Kind = Literal["attempt", "phase", "started", "step", "validation", "samples", "checkpoint", "finished", "failed"]
StopRequest = Literal["keep", "discard"]


class Report(Protocol):
    """Who the loop talks to."""

    def tell(self, kind: Kind, **facts: object) -> None:
        """Take note of one event; `facts` are plain JSON values."""
        ...

    def stop_request(self) -> StopRequest | None:
        """`keep` to stop after a last checkpoint, `discard` to stop without one, None to go on."""
        ...

    def spent_s(self) -> float:
        """Seconds that the run has taken on the device so far: earlier attempts, and this one since it began."""
        ...


class EventLog:
    """Appends one JSON object per line to OUT/events.jsonl: `seq` from 1 upwards, `at` (UTC, ISO 8601), `kind`, facts.

    Lines are flushed one by one, and what a killed process or a power loss left torn is cut off before the next one.
    Numbers and seconds go on from what OUT/limits.json says of them where that is more. The stop request is the file
    OUT/stop, whose text is `keep` or `discard`; it is removed once `finished` is told. The open file is locked, so that
    two processes cannot train in one folder; the second gets a `InputError`. Use it as a context manager: leaving it
    closes the file.
    """

    def __init__(self, out: Path, began: float | None = None) -> None:
        """`began` is when this attempt did (`time.monotonic`), by default now: loading libraries is paid for too."""
        out.mkdir(parents=True, exist_ok=True)
        self._stop = out / "stop"
        self._file = (out / FILE).open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise InputError(f"Another process is already training in {out}.") from error
        self._file.seek(0)
        events, size_bytes = whole(self._file.read())
        self._file.truncate(size_bytes)
        known = _known_elsewhere(out)
        self._seq = max(int(events[-1]["seq"]) if events else 0, known.told_seq)
        self.is_completed = any(event["kind"] == "finished" and event["reason"] == "completed" for event in events)
        self._earlier_s = max(_spent_s(events), known.spent_s)
        self._began = time.monotonic() if began is None else began
        self.tell("attempt", resumed=self._seq > 0, pid=os.getpid(), spent_s=round(self._earlier_s, 3))

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def tell(self, kind: Kind, **facts: object) -> None:
        self._seq += 1
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = {"seq": self._seq, "at": at, "kind": kind, **facts}
        self._file.write(json.dumps(event, allow_nan=False).encode() + b"\n")
        self._file.flush()
        if kind == "finished":
            self._stop.unlink(missing_ok=True)
        print(_line(kind, facts), file=sys.stderr, flush=True)

    def stop_request(self) -> StopRequest | None:
        if not self._stop.exists():
            return None
        return "discard" if self._stop.read_text().strip() == "discard" else "keep"

    def spent_s(self) -> float:
        return self._earlier_s + time.monotonic() - self._began


class Silence:
    """The report of a process that is not a run's first one: it tells nothing and decides nothing."""

    is_completed = False

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def tell(self, kind: Kind, **facts: object) -> None:
        pass

    def stop_request(self) -> StopRequest | None:
        return None

    def spent_s(self) -> float:
        return 0.0


class Progress:
    """Sums up the steps since the last `step` event."""

    def __init__(self) -> None:
        self._waiting_since = self._begun = time.perf_counter()
        self._clear()

    def begin(self) -> None:
        """The batch has arrived: what passed since `rest` was spent waiting for it."""
        self._begun = time.perf_counter()
        self._data_wait_s += self._begun - self._waiting_since

    def end(self, errors: torch.Tensor, timesteps: torch.Tensor, grad_norm: float) -> None:
        """The weights are updated with these pictures: their errors float32 [B] under timesteps float32 [B]."""
        self._step_s.append(time.perf_counter() - self._begun)
        self._pictures += len(errors)
        self._losses.add(errors, timesteps)
        self._grad_norm = grad_norm

    def rest(self) -> None:
        """Whatever else the loop did in this round is done."""
        self._waiting_since = time.perf_counter()

    def facts(self, step: int, lr: float, ranks: Ranks) -> dict[str, object]:
        """The facts of a `step` event, of all processes together; counting starts anew."""
        self._losses.add_others(ranks)
        (pictures,) = ranks.totals([self._pictures])
        busy_s = sum(self._step_s) + self._data_wait_s
        facts: dict[str, object] = {
            "step": step,
            "loss": self._losses.mean(),
            "loss_by_band": self._losses.by_band(),
            "lr": lr,
            "images_per_s": pictures / busy_s,
            "data_wait_s": self._data_wait_s,
            "step_s": statistics.median(self._step_s),
            "grad_norm": self._grad_norm,
        }
        self._clear()
        return {name: _short(value) for name, value in facts.items()}

    def _clear(self) -> None:
        self._losses = BandedLoss()
        self._pictures = 0
        self._step_s: list[float] = []
        self._data_wait_s: float = 0.0
        self._grad_norm = 0.0


def memory(device: torch.device) -> dict[str, object]:
    """The most memory held since it was last asked, in bytes, and all there is: the device's, or main memory's."""
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return {"memory_bytes": peak, "memory_total_bytes": torch.cuda.get_device_properties(device).total_memory}
    return {"memory_bytes": psutil.Process().memory_info().rss, "memory_total_bytes": psutil.virtual_memory().total}


def _known_elsewhere(out: Path) -> TrainerLimits:
    """What whoever follows the run knows of it, or nothing where that cannot be read: the clock refuses it, aloud."""
    try:
        return trainer_limits.read(out)
    except ValueError:
        return TrainerLimits()


def _spent_s(events: Sequence[Mapping[str, Any]]) -> float:
    """Seconds from the first to the last event of each attempt, added up."""
    total, began = 0.0, None
    for number, event in enumerate(events):
        at = datetime.fromisoformat(event["at"])
        if began is None or event["kind"] == "attempt":
            began = at
        if number + 1 == len(events) or events[number + 1]["kind"] == "attempt":
            total += max(0.0, (at - began).total_seconds())
    return total


def _short(value: object) -> object:
    if isinstance(value, list):
        return [_short(item) for item in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _line(kind: str, facts: dict[str, object]) -> str:
    if kind == "step":
        loss, speed = cast(float, facts["loss"]), cast(float, facts["images_per_s"])
        return f"step {facts['step']}  loss {loss:.4f}  lr {facts['lr']:.2e}  {speed:.1f} images/s"
    details = "  ".join(f"{name} {value}" for name, value in facts.items() if not isinstance(value, (dict, list)))
    return f"{kind}  {details}"
