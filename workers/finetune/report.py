"""The loop's news: what it tells, to whom, and whether somebody asked it to stop.

The loop knows `Report` only. `EventLog` is the one that runs in production: a file that only ever grows, which
another process follows into the database.
"""

from __future__ import annotations

import fcntl
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol, cast

import torch

from workers.finetune.loss import BandedLoss
from workers.refusals import Refusal

Kind = Literal["started", "step", "validation", "checkpoint", "finished", "failed"]
StopRequest = Literal["keep", "discard"]


class Report(Protocol):
    """Who the loop talks to."""

    def tell(self, kind: Kind, **facts: object) -> None:
        """Take note of one event; `facts` are plain JSON values."""
        ...

    def stop_request(self) -> StopRequest | None:
        """`keep` to stop after a last checkpoint, `discard` to stop without one, None to go on."""
        ...


class EventLog:
    """Appends one JSON object per line to OUT/events.jsonl: `seq` from 1 upwards, `at` (UTC, ISO 8601), `kind`, facts.

    Lines are flushed one by one and a torn last line, left by a killed process, is cut off before the next one. The
    stop request is the file OUT/stop, whose text is `keep` or `discard`; it is removed once `finished` is told. The
    open file is locked, so that two processes cannot train in one folder; the second gets a `Refusal`. Use it as a
    context manager: leaving it closes the file.
    """

    def __init__(self, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._stop = out / "stop"
        self._file = (out / "events.jsonl").open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise Refusal(f"Another process is already training in {out}.") from error
        self._file.seek(0)
        written = self._file.read()
        whole = written[: written.rfind(b"\n") + 1]
        self._file.truncate(len(whole))
        self._seq = int(json.loads(whole.splitlines()[-1])["seq"]) if whole else 0

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


class Progress:
    """Sums up the steps since the last `step` event."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._waiting_since = self._begun = time.perf_counter()
        self._clear()

    def begin(self) -> None:
        """The batch has arrived: what passed since `rest` was spent waiting for it."""
        self._begun = time.perf_counter()
        self._data_wait_s += self._begun - self._waiting_since

    def end(self, errors: torch.Tensor, timesteps: torch.Tensor, grad_norm: float) -> None:
        """The weights are updated with this batch."""
        self._step_s += time.perf_counter() - self._begun
        self._steps += 1
        self._losses.add(errors, timesteps)
        self._grad_norm = grad_norm

    def rest(self) -> None:
        """Whatever else the loop did in this round is done."""
        self._waiting_since = time.perf_counter()

    def facts(self, step: int, lr: float) -> dict[str, object]:
        """The facts of a `step` event; counting starts anew."""
        busy_s = self._step_s + self._data_wait_s
        facts: dict[str, object] = {
            "step": step,
            "loss": self._losses.mean(),
            "loss_by_band": self._losses.by_band(),
            "lr": lr,
            "images_per_s": self._steps * self._batch_size / busy_s,
            "data_wait_s": self._data_wait_s,
            "grad_norm": self._grad_norm,
        }
        self._clear()
        return {name: _short(value) for name, value in facts.items()}

    def _clear(self) -> None:
        self._losses = BandedLoss()
        self._steps = 0
        self._step_s: float = 0.0
        self._data_wait_s: float = 0.0
        self._grad_norm = 0.0


def _short(value: object) -> object:
    if isinstance(value, list):
        return [_short(item) for item in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _line(kind: str, facts: dict[str, object]) -> str:
    if kind == "step":
        loss, speed = cast(float, facts["loss"]), cast(float, facts["images_per_s"])
        return f"step {facts['step']}  loss {loss:.4f}  lr {facts['lr']:.2e}  {speed:.1f} images/s"
    told = "  ".join(f"{name} {value}" for name, value in facts.items() if not isinstance(value, (dict, list)))
    return f"{kind}  {told}"
