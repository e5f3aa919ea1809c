"""Runs the training engine as a process of its own, and follows its events into the database.

The trainer is in its own session and keeps all it knows on disk, so it outlives the worker that started it. What it is
known by lies in `trainer.json` in the run's folder until its attempt is settled: pid and start time on this host, the
job it was started for, and the fencing token of whoever follows it. A worker that comes back finds it there and goes on
following, if its claim is of the same job and not an older one. Every write to the database carries the token.
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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import psutil
from sqlalchemy import Engine

from app.database import transaction
from app.errors import DiskFull
from app.host import processes
from app.host.devices import DeviceAllocation
from app.host.processes import Known
from app.jobs import Claim
from app.settings import PROJECT
from app.storage import Storage, atomic_file
from app.training import runs, silence
from workers import events
from workers.devices import memory

log = logging.getLogger(__name__)

_RECORD: Final = "trainer.json"
_MARK: Final = "TRAINS_IN"
"""Set for the trainer and inherited by all it starts, so that they are found whatever sessions they are in."""

# Trainers that another worker follows now. Kept, so that they are reaped when this process ends and not before.
_handed_over: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Patience:
    """Seconds to wait for a trainer before something is done about it."""

    keep_s: float | None = None  # asked to stop and keep; None: what the run's page promises, else as to discard
    discard_s: float = 30.0
    terminated_s: float = 20.0
    released_s: float = 60.0  # for the device's memory, once its processes are gone
    least_silence_s: float = silence.LEAST_S
    first_silence_s: float = silence.FIRST_S
    poll_s: float = 0.1


@dataclass(frozen=True)
class Record:
    """How a trainer is known again. `started` is in seconds since 1970; job 0 is nobody's.

    What the run's event file held before is an earlier trainer's: up to event `after_seq`, `after_byte` bytes of it.
    """

    host: str
    pid: int
    started: float
    job_id: int = 0
    token: int = 0
    after_seq: int = 0
    after_byte: int = 0

    @property
    def attempt(self) -> str:
        """A name for this trainer's life that no other has."""
        return f"{self.host}:{self.pid}:{self.started:.2f}"

    def process(self) -> psutil.Process | None:
        """The process, if it is still at work on this host."""
        return Known(self.pid, self.started).find() if self.host == socket.gethostname() else None

    def follows(self, claim: Claim) -> bool:
        """Whether `claim` is of the job this trainer was started for, and no older than who followed it last."""
        return self.job_id == claim.job_id and self.token <= claim.token


def options(storage: Storage) -> list[str]:
    """What every engine of ours is told on its command line of the files around it."""
    return ["--cache", str(storage.cache_folder), "--leave-free", str(storage.reserve_bytes)]


def read_record(out: Path) -> Record | None:
    """What is written down of the last trainer in `out`, alive or not; None when its attempt is settled."""
    try:
        return Record(**json.loads((out / _RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def forget_record(out: Path) -> None:
    """The last trainer's attempt is settled: nobody needs to know it again."""
    (out / _RECORD).unlink(missing_ok=True)


class Trainer:
    """A running trainer: this worker's child, or one that an earlier worker started."""

    def __init__(
        self, process: psutil.Process, out: Path, record: Record, child: subprocess.Popen[bytes] | None = None
    ) -> None:
        self.out = out
        self.record = record
        self._process = process
        self._child = child
        self._family: set[psutil.Process] = {process}

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        out: Path,
        threads: int,
        claim: Claim | None = None,
        allocation: DeviceAllocation | None = None,
        after_seq: int = 0,
    ) -> Trainer:
        """Start the engine on `allocation`, in its own session, its words going to the log in `out`.

        `after_seq`: the last event that an earlier trainer told.
        """
        allocation = allocation or DeviceAllocation()
        out.mkdir(parents=True, exist_ok=True)
        (out / "stop").unlink(missing_ok=True)
        kept_bytes = events.cut(out)
        with (out / runs.LOG).open("ab") as words:
            child = subprocess.Popen(
                command, cwd=PROJECT, env=_environment(threads, out, allocation), start_new_session=True,
                pass_fds=allocation.descriptors,
                stdin=subprocess.DEVNULL, stdout=words, stderr=words,
            )  # fmt: skip
        process = psutil.Process(child.pid)
        record = Record(
            socket.gethostname(), child.pid, process.create_time(), after_seq=after_seq, after_byte=kept_bytes
        )
        trainer = cls(process, out, record, child)
        try:
            trainer.write_down(claim)
        except BaseException:
            # One that nobody could find again must not go on.
            trainer.send(signal.SIGKILL)
            child.wait()
            raise
        return trainer

    @classmethod
    def find(cls, out: Path, claim: Claim | None = None) -> Trainer | None:
        """The trainer at work in `out`, if it is the one that `claim` may follow; any for None."""
        record = read_record(out)
        process = record.process() if record else None
        if record is None or process is None or (claim is not None and not record.follows(claim)):
            return None
        return cls(process, out, record)

    def write_down(self, claim: Claim | None) -> None:
        """Note who follows it now, so that no older claim takes it."""
        if claim is not None:
            self.record = replace(self.record, job_id=claim.job_id, token=claim.token)
        with atomic_file(self.out / _RECORD) as file:
            file.write(json.dumps(asdict(self.record)).encode())

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

    def lived_s(self) -> float:
        """Seconds since it was started."""
        return max(0.0, time.time() - self.record.started)

    def exit_code(self) -> int | None:
        """How it ended: negative for a signal, None when this worker did not start it."""
        return None if self._child is None else self._child.returncode

    def ask_to_stop(self, keep: bool) -> None:
        """Ask by the stop file; the trainer looks at it between pieces of work, in every phase.

        On a full disk nothing can be asked; the signals that follow still can.
        """
        with suppress(DiskFull), atomic_file(self.out / "stop") as file:
            file.write(b"keep" if keep else b"discard")

    def ask_to_draw(self) -> None:
        """Ask for a checkpoint and its samples, which the trainer makes between two steps. On a full disk it is not."""
        with suppress(DiskFull), atomic_file(self.out / "draw"):
            pass

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the trainer and everything it started, in whatever session that is."""
        self._family |= self._all()
        for process in self._family:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def clear_away(self, within_s: float = 60.0) -> bool:
        """After its end: end what it left behind, and wait until all of it and its device memory are gone.

        Returns False when the device still shows memory of it after `within_s` seconds.
        """
        self._family |= self._all()
        processes.kill(self._family)
        return memory.wait_until_released({process.pid for process in self._family}, within_s)

    def hand_over(self) -> None:
        """Another worker follows it from here, if it is still at work: leave it alone."""
        if self._child is not None and self._child.poll() is None:
            _handed_over.append(self._child)

    def _all(self) -> set[psutil.Process]:
        """What descends from it or carries its mark, itself included."""
        return processes.with_descendants([self._process]) | _marked(self.out)


class Ending:
    """Ends a trainer step by step, without waiting: asks, then terminates, then kills."""

    def __init__(self, trainer: Trainer, patience: Patience) -> None:
        self._trainer = trainer
        self._patience = patience
        self._asked: bool | None = None
        self._deadline = 0.0
        self._left: list[signal.Signals] = []
        self.is_forced = False

    def press(self, keep: bool, within_s: float | None = None) -> None:
        """Do what is due by now. Called again and again until the trainer is gone.

        It has `within_s` seconds from the first call on (None: as its patience says); SIGTERM then asks once more, and
        SIGKILL ends it.
        """
        if self._asked is not keep:
            self._trainer.ask_to_stop(keep)
            self._asked = keep
            self._left = [signal.SIGTERM, signal.SIGKILL]
            usual_s = self._patience.discard_s if not keep or self._patience.keep_s is None else self._patience.keep_s
            self._deadline = time.monotonic() + (usual_s if within_s is None else within_s)
        elif self._left and time.monotonic() >= self._deadline:
            number = self._left.pop(0)
            self.is_forced = number is signal.SIGKILL
            self._trainer.send(number)
            self._deadline = time.monotonic() + self._patience.terminated_s


def end_unrecorded(out: Path) -> None:
    """End what still works in `out` though no trainer is known there.

    Its worker was killed in the moment between starting it and writing it down, or it was left by a trainer that died.
    """
    left = _marked(out)
    if left:
        log.warning("%s: ending %s processes that nobody knows", out, len(left))
        processes.kill(left)


def end(trainer: Trainer, keep: bool, patience: Patience, within_s: float | None = None) -> None:
    """End a trainer that nobody follows, and wait until all of it is gone; `within_s` as in `Ending.press`."""
    ending = Ending(trainer, patience)
    while not trainer.wait(patience.poll_s):
        ending.press(keep, within_s)
    trainer.clear_away(patience.released_s)


def end_strays(engine: Engine, storage: Storage, patience: Patience) -> int:
    """End trainers on this host whose run is over or whose job nobody will take up again. Returns how many.

    Called when a gpu worker starts and before each run, so that no trainer outlives its run for long. One whose job is
    under way is another worker's, or will be found by the next one.
    """
    ended = 0
    for path in sorted(storage.root.glob(f"runs/*/{_RECORD}")):
        trainer = Trainer.find(path.parent)
        with transaction(engine) as session:
            is_wanted, keep = runs.wants_trainer(session, int(path.parent.name))
        if trainer is not None and not is_wanted:
            log.warning("run %s is over but its trainer is not: ending it", path.parent.name)
            end(trainer, keep, patience)
            forget_record(path.parent)
            ended += 1
    return ended


def _marked(out: Path) -> set[psutil.Process]:
    """All processes that carry the mark of a trainer in `out`."""
    marked: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(_MARK) == str(out):
                marked.add(process)
    return marked


def _environment(threads: int, out: Path, allocation: DeviceAllocation) -> dict[str, str]:
    """The trainer knows no database: what this worker knows of one stays here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PACKSHOT_")}
    shown = {} if allocation.visible is None else {"CUDA_VISIBLE_DEVICES": allocation.visible}
    return {**kept, **shown, "OMP_NUM_THREADS": str(threads), _MARK: str(out)}
