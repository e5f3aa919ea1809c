"""Runs the training engine as a process of its own, and follows its news into the database.

The trainer is in its own session and keeps all it knows on disk, so it outlives the worker that started it. Its pid and
start time lie in `trainer.json` in the run's folder for as long as it lives; a worker that comes back finds it there
and goes on following. Every write to the database carries the job's fencing token.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psutil
from sqlalchemy import Engine

from app.database import transaction
from app.storage import Storage, atomic_file
from app.training import runs

log = logging.getLogger(__name__)

_RECORD: Final = "trainer.json"
_SAME_START_S: Final = 2.0  # the kernel's boot time, which start times are counted from, may be corrected by a second

# Trainers that another worker follows now. Kept, so that they are reaped when this process ends and not before.
_handed_over: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Patience:
    """Seconds to wait for a trainer that was asked to stop, before it is ended by force."""

    keep_s: float = 180.0  # a step, a checkpoint and the finished model
    discard_s: float = 30.0
    terminated_s: float = 20.0
    poll_s: float = 0.5


@dataclass(frozen=True)
class _Record:
    """How a trainer is known again."""

    host: str
    pid: int
    started: float


class Trainer:
    """A running trainer: this worker's child, or one that an earlier worker started."""

    def __init__(self, process: psutil.Process, out: Path, child: subprocess.Popen[bytes] | None = None) -> None:
        self.out = out
        self.started = process.create_time()
        self._process = process
        self._child = child

    @classmethod
    def start(cls, command: Sequence[str], out: Path, threads: int) -> Trainer:
        """Start the engine in its own session, its words going to the log in `out`."""
        out.mkdir(parents=True, exist_ok=True)
        (out / "stop").unlink(missing_ok=True)
        with (out / runs.LOG).open("ab") as words:
            child = subprocess.Popen(
                command, cwd=runs.PROJECT, env=_environment(threads), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=words, stderr=words,
            )  # fmt: skip
        process = psutil.Process(child.pid)
        with atomic_file(out / _RECORD) as file:
            record = _Record(socket.gethostname(), child.pid, process.create_time())
            file.write(json.dumps(asdict(record)).encode())
        return cls(process, out, child)

    @classmethod
    def find(cls, out: Path) -> Trainer | None:
        """The trainer at work in `out`, known by its pid and start time together; or None."""
        try:
            record = _Record(**json.loads((out / _RECORD).read_text()))
            process = psutil.Process(record.pid)
            is_it = abs(process.create_time() - record.started) < _SAME_START_S
            is_alive = process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, TypeError, psutil.NoSuchProcess):
            return None
        return cls(process, out) if record.host == socket.gethostname() and is_it and is_alive else None

    def wait(self, seconds: float) -> bool:
        """Wait at most so long for its end; whether it has ended."""
        try:
            if self._child is not None:
                self._child.wait(seconds)
            else:
                self._process.wait(seconds)
        except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
            return False
        return True

    def exit_code(self) -> int | None:
        """How it ended: negative for a signal, None when this worker did not start it."""
        return None if self._child is None else self._child.returncode

    def ask_to_stop(self, keep: bool) -> None:
        """Ask by the stop file; the trainer looks at it after each step."""
        with atomic_file(self.out / "stop") as file:
            file.write(b"keep" if keep else b"discard")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the trainer and everything it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def clear_away(self) -> None:
        """After its end: end what it left behind in its group, and forget its record."""
        self.send(signal.SIGKILL)
        (self.out / _RECORD).unlink(missing_ok=True)

    def hand_over(self) -> None:
        """Another worker follows it from here, if it is still at work: leave it alone."""
        if self._child is not None and self._child.poll() is None:
            _handed_over.append(self._child)


class Ending:
    """Ends a trainer step by step, without waiting: asks, then terminates, then kills."""

    def __init__(self, trainer: Trainer, patience: Patience) -> None:
        self._trainer = trainer
        self._patience = patience
        self._asked: bool | None = None
        self._deadline = 0.0
        self._left: list[signal.Signals] = []

    def press(self, keep: bool) -> None:
        """Do what is due by now. Called again and again until the trainer is gone."""
        if self._asked is not keep:
            self._trainer.ask_to_stop(keep)
            self._asked = keep
            self._left = [signal.SIGTERM, signal.SIGKILL]
            self._deadline = time.monotonic() + (self._patience.keep_s if keep else self._patience.discard_s)
        elif self._left and time.monotonic() >= self._deadline:
            self._trainer.send(self._left.pop(0))
            self._deadline = time.monotonic() + self._patience.terminated_s


class News:
    """The whole lines of an events.jsonl that were not read yet."""

    def __init__(self, out: Path) -> None:
        self._path = out / "events.jsonl"
        self._offset = 0

    def read(self) -> list[dict[str, Any]]:
        """The new events, oldest first. A line that is still being written waits for its end."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]


def end_strays(engine: Engine, storage: Storage, patience: Patience) -> int:
    """End trainers on this host whose run is over or whose job nobody will take up again. Returns how many.

    Called when a gpu worker starts and before each run, so that no trainer outlives its run for long.
    """
    ended = 0
    for record in sorted(storage.root.glob(f"runs/*/{_RECORD}")):
        trainer = Trainer.find(record.parent)
        with transaction(engine) as session:
            is_wanted, keep = runs.wants_trainer(session, int(record.parent.name))
        if trainer is not None and not is_wanted:
            log.warning("run %s is over but its trainer is not: ending it", record.parent.name)
            ending = Ending(trainer, patience)
            while not trainer.wait(patience.poll_s):
                ending.press(keep)
            trainer.clear_away()
            ended += 1
    return ended


def _environment(threads: int) -> dict[str, str]:
    """The trainer knows no database: what this worker knows of one stays here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PACKSHOT_")}
    return {**kept, "OMP_NUM_THREADS": str(threads)}
