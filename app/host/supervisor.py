"""Keeps processes running, starts a dead one again, and stops them all in order.

Everything it starts dies with it, even after `kill -9` (see `processes.start`).
"""

from __future__ import annotations

import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

import psutil

from app.host import processes, servers
from app.host.processes import Known

GRACE_S: Final = 6.0
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
LIVED_WELL_S: Final = 60.0
_STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def say(sentence: str) -> None:
    """Tell the person at the terminal, if there still is one."""
    with suppress(OSError, ValueError):
        print(sentence, flush=True)


class StopSignals:
    """While entered: SIGINT, SIGTERM and SIGHUP are counted instead of ending the process, and cut a wait short.

    A child's end cuts a wait short too. A signal that was ignored before (nohup) stays ignored.
    """

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        stopping = [number for number in _STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._note) for number in (*stopping, signal.SIGCHLD)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._reader.close()
        self._writer.close()

    def wait(self, seconds: float) -> None:
        """Wait for a signal, at most so long."""
        select.select([self._reader], [], [], max(0.0, seconds))
        with suppress(BlockingIOError):
            self._reader.recv(4096)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self.count += 1


@dataclass
class ManagedProcess:
    """A process that is kept running. One with a `server` is needed by the others, and is stopped after them."""

    name: str
    log: Path
    start: Callable[[], subprocess.Popen[bytes]]
    server: servers.Server | None = None
    process: subprocess.Popen[bytes] | None = None
    known: Known | None = None
    started_at: float = 0.0
    deaths: int = 0
    due_at: float | None = None


class Supervisor:
    """Keeps parts running. `note` is called with all parts after each change, to write down what runs."""

    def __init__(self, signals: StopSignals, note: Callable[[list[ManagedProcess]], None]) -> None:
        self.signals = signals
        self.parts: list[ManagedProcess] = []
        self._note = note

    def add(self, part: ManagedProcess) -> subprocess.Popen[bytes]:
        """Start a part, and keep it running from here on."""
        processes.rotate(part.log)
        self.parts.append(part)
        return self._start(part)

    def watch(self, is_enough: Callable[[], bool] = lambda: False, look_every_s: float = 5.0) -> None:
        """Look after the parts until a stop is asked for, or it is enough."""
        while not self.signals.count and not is_enough():
            for part in self.parts:
                self._look_after(part)
            due = [part.due_at - time.monotonic() for part in self.parts if part.due_at is not None]
            self.signals.wait(min(look_every_s, *due) if due else look_every_s)

    def stop(self, others: Callable[[], Iterable[psutil.Process]] = lambda: ()) -> None:
        """Stop everything: ask, wait up to 6 seconds or until another signal comes, kill what is left; servers last.

        `others` finds processes that belong here and descend from no part of ours.
        """
        asked, deadline = self.signals.count, time.monotonic() + GRACE_S
        ordinary = [part for part in self.parts if part.server is None]
        family: set[psutil.Process] = set()
        for part in ordinary:
            family |= processes.with_descendants(_found(part))
            if part.process is not None and part.process.poll() is None:
                part.process.send_signal(signal.SIGTERM)
        while any(_found(part) for part in ordinary) and time.monotonic() < deadline and self.signals.count <= asked:
            # A part may start a process while it ends, and a process whose parent is gone is no descendant any more.
            family |= processes.with_descendants(process for part in ordinary for process in _found(part))
            self.signals.wait(0.2)
        processes.kill({*family, *others()})
        patience_s = servers.STOPPED_WITHIN_S if self.signals.count <= asked else 2.0
        for part in reversed(self.parts):
            if part.server is not None and part.process is not None:
                servers.stop(part.process, part.server, patience_s)
            elif part.process is not None:
                part.process.wait()
        self.parts.clear()

    def _start(self, part: ManagedProcess) -> subprocess.Popen[bytes]:
        process = part.process = part.start()
        part.known = Known.of(process.pid)
        part.started_at, part.due_at = time.monotonic(), None
        self._note(self.parts)
        return process

    def _look_after(self, part: ManagedProcess) -> None:
        """Put a long log aside. Notice a part's end, and start it again.

        The pause before grows with each death, from half a second to 30.
        """
        processes.turn_over(part.log)
        now = time.monotonic()
        if part.due_at is not None:
            if now >= part.due_at:
                self._start(part)
            return
        if part.process is None or part.process.poll() is None:
            return
        part.deaths = 1 if now - part.started_at > LIVED_WELL_S else part.deaths + 1
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (part.deaths - 1))
        part.due_at, part.known = now + pause_s, None
        how = _how(part.process.returncode)
        who = f"The {part.name}" if part.server is None else part.name
        say(f"{who} {how}; it is started again in {pause_s:g} s. Its last words are in {part.log}.")
        self._note(self.parts)


def _found(part: ManagedProcess) -> list[psutil.Process]:
    process = part.known.find() if part.known else None
    return [process] if process else []


def _how(code: int) -> str:
    if code < 0:
        return f"was ended from outside ({signal.strsignal(-code)})"
    return f"ended by itself (exit code {code})"
