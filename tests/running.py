"""`packshot up` as a real process, for tests that start it, look at it, and end it in all the ways there are."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from app.host.state import HostState, host_state
from tests.waiting import until

PROJECT = Path(__file__).resolve().parent.parent
STOPS_WITHIN_S = 15.0  # 10 promised, and a loaded machine


class Up:
    """A running `packshot up`, what it said, and everything that belongs to its data folder."""

    def __init__(self, data_dir: Path, process: subprocess.Popen[bytes], output: Path) -> None:
        self.data_dir = data_dir
        self.process = process
        self.output = output

    @property
    def said(self) -> str:
        return self.output.read_text()

    @property
    def state(self) -> HostState:
        found = host_state(self.data_dir)
        assert found is not None
        return found

    def pid(self, part: str) -> int:
        """The pid of a part that runs; 0 while it is down."""
        known = self.state.parts[part]
        return known.pid if known else 0

    def link(self) -> str:
        found = re.search(r"http://\S+/links/\S+", self.said)
        assert found, self.said
        return found.group()

    def family(self) -> list[psutil.Process]:
        """Everything alive that works on the data folder, whoever its parent is."""
        return [one for one in psutil.process_iter() if self._is_ours(one)]

    def end(self, number: signal.Signals) -> tuple[int, float]:
        """Send a signal and wait for the end: exit code and seconds."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(60), time.monotonic() - began

    def _is_ours(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            is_told = process.environ().get("PACKSHOT_DATA_DIR") == str(self.data_dir)
            return is_told or any(str(self.data_dir) in word for word in process.cmdline())
        return False


def packshot(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a `packshot` command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        cwd=PROJECT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@contextmanager
def up(data_dir: Path, *options: str, **environment: str) -> Iterator[Up]:
    """`packshot up` on a free port, ready for sign-ins. Killed with all that is left of it when the block ends."""
    with started(data_dir, *options, **environment) as one:
        until(lambda: "/links/" in one.said or one.process.poll() is not None, "packshot up is ready")
        assert one.process.poll() is None, one.said
        yield one


@contextmanager
def started(data_dir: Path, *options: str, **environment: str) -> Iterator[Up]:
    """`packshot up` that has just been started."""
    output = data_dir.parent / f"{data_dir.name}.output"
    command = [sys.executable, "-m", "app.cli", "up", "--data", str(data_dir), "--port", "0", "--no-browser", *options]
    with output.open("wb") as words:
        process = subprocess.Popen(
            command, cwd=PROJECT, env={**os.environ, **environment}, stdout=words, stderr=words, start_new_session=True
        )
    one = Up(data_dir, process, output)
    try:
        yield one
    finally:
        process.kill()
        process.wait()
        left = one.family()
        for each in left:
            with suppress(psutil.Error):
                each.kill()
        psutil.wait_procs(left, timeout=10)
