"""Processes of ours: started so that they do not outlive their parent, known again by pid and start time together."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

_SAME_START_S: Final = 2.0  # start times are counted from the kernel's boot time, which may be corrected by a second
_LOGS_KEPT: Final = 3


@dataclass(frozen=True, slots=True)
class Known:
    """How a process is known again: a pid alone may be somebody else's by now. `started` is in seconds since 1970."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Known:
        """The process that has this pid now. Raises psutil.NoSuchProcess."""
        return cls(pid, psutil.Process(pid).create_time())

    def find(self) -> psutil.Process | None:
        """The process, if it is still at work."""
        try:
            process = psutil.Process(self.pid)
            is_it = abs(process.create_time() - self.started) < _SAME_START_S
        except psutil.NoSuchProcess:
            return None
        return process if is_it and is_at_work(process) else None


def start(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    when_orphaned: signal.Signals = signal.SIGKILL,
    privileges: Sequence[str] = (),
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a process in its own session, its words going to the end of `log`.

    The kernel sends it `when_orphaned` when the thread that called this ends, however it ends (where `setpriv` of
    util-linux is there, as on every Debian). `privileges` are further options of setpriv.
    """
    prefix: list[str] = []
    if setpriv := shutil.which("setpriv"):
        prefix = [setpriv, f"--pdeathsig={when_orphaned.name.removeprefix('SIG')}", *privileges, "--"]
    with log.open("ab") as words:
        return subprocess.Popen(
            [*prefix, *command],
            cwd=cwd,
            env=environment,
            start_new_session=True,
            pass_fds=pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
        )


def with_descendants(processes: Iterable[psutil.Process]) -> set[psutil.Process]:
    """These processes and everything they started that still has a living chain of parents to them."""
    family: set[psutil.Process] = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            family |= {process, *process.children(recursive=True)}
    return family


def kill(processes: Iterable[psutil.Process], within_s: float = 5.0) -> None:
    """Kill processes and see them gone; a child of ours is left to be reaped by whoever holds it.

    psutil signals none whose pid has become another's.
    """
    doomed = list(processes)
    for process in doomed:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + within_s
    while any(map(is_at_work, doomed)) and time.monotonic() < deadline:
        time.sleep(0.02)


def is_at_work(process: psutil.Process) -> bool:
    """Whether it still runs; one that only waits to be reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def last_words(log: Path) -> str:
    """The last line of a log that says anything, at most 300 characters; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            # Parted as bytes: the name of a file may hold U+2028 and its like.
            lines = [line.decode(errors="replace") for line in file.read().splitlines()]
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def rotate(log: Path) -> None:
    """Put the log of the last time aside: x.log becomes x.log.1, and so on; the oldest goes."""
    for number in range(_LOGS_KEPT, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        newer = log.with_name(f"{log.name}.{number - 1}") if number > 1 else log
        with suppress(FileNotFoundError):
            newer.replace(older)
