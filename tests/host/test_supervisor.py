"""Keeping processes running: restarts with pauses, an end in order, and nothing ended that is not ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from app.host import processes, supervisor
from app.host.processes import Known
from app.host.state import HostState, end_left_over, host_state, trainers, write_down
from app.host.supervisor import ManagedProcess, StopSignals, Supervisor
from tests.waiting import until

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)
PARENT = "import subprocess, time; subprocess.Popen(['sleep', '60'], start_new_session=True); time.sleep(60)"


@pytest.fixture
def signals() -> Iterator[StopSignals]:
    with StopSignals() as signals:
        yield signals


@pytest.fixture
def keeper(signals: StopSignals) -> Iterator[Supervisor]:
    keeper = Supervisor(signals, note=lambda parts: None)
    yield keeper
    keeper.stop()


def part(folder: Path, *command: str, name: str = "sleeper") -> ManagedProcess:
    log = folder / f"{name}.log"
    return ManagedProcess(name, log, partial(processes.start, command, log))


def script(folder: Path, text: str) -> ManagedProcess:
    return part(folder, sys.executable, "-c", text)


def test_a_part_that_ends_is_started_again_and_it_is_said(
    keeper: Supervisor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sleeper = part(tmp_path, "sleep", "60")
    first = keeper.add(sleeper)
    first.kill()
    keeper.watch(lambda: sleeper.process is not first, look_every_s=0.1)
    assert sleeper.known is not None
    assert sleeper.known.find() is not None
    assert capsys.readouterr().out == (
        "The sleeper was ended from outside (Killed); it is started again in 0.5 s. "
        f"Its last words are in {tmp_path / 'sleeper.log'}.\n"
    )


def test_pauses_grow_while_a_part_keeps_dying(
    keeper: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE_S", 0.04)
    failing = part(tmp_path, "false")
    keeper.add(failing)
    keeper.watch(lambda: failing.deaths == 4)
    said = capsys.readouterr().out.splitlines()
    assert [line.partition("again in ")[2].partition(" s.")[0] for line in said] == ["0.01", "0.02", "0.04", "0.04"]
    assert said[0].startswith("The sleeper ended by itself (exit code 1)")


def test_stopping_asks_first_and_ends_the_deaf_by_force(
    keeper: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "GRACE_S", 0.5)
    deaf = keeper.add(script(tmp_path, STUBBORN))
    polite = keeper.add(part(tmp_path, "sleep", "60", name="polite"))
    until(lambda: "deaf" in (tmp_path / "sleeper.log").read_text(), "the deaf one listening")
    keeper.stop()
    assert (deaf.returncode, polite.returncode) == (-signal.SIGKILL, -signal.SIGTERM)


def test_stopping_ends_what_a_part_started_in_a_session_of_its_own(keeper: Supervisor, tmp_path: Path) -> None:
    parent = psutil.Process(keeper.add(script(tmp_path, PARENT)).pid)
    until(lambda: parent.children(), "the parent's child")
    (child,) = parent.children()
    keeper.stop()
    assert not processes.is_at_work(child)


def test_another_signal_hurries_the_end(
    keeper: Supervisor, signals: StopSignals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "GRACE_S", 60.0)
    deaf = keeper.add(script(tmp_path, STUBBORN))
    until(lambda: "deaf" in (tmp_path / "sleeper.log").read_text(), "the deaf one listening")
    signals.count = 1
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    keeper.stop()
    assert (deaf.returncode, signals.count) == (-signal.SIGKILL, 2)


def test_a_signal_cuts_a_wait_short(signals: StopSignals) -> None:
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    signals.wait(60)
    assert signals.count == 1


def test_an_ignored_hangup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.count == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def told(part: Known, gone: Known) -> HostState:
    return HostState(gone, "2026-01-01T00:00:00+00:00", "http://127.0.0.1:1", "", "", True, {"web app": part})


def test_what_a_killed_supervisor_left_is_ended_by_the_next(tmp_path: Path) -> None:
    gone = Known(os.getpid(), 1.0)
    with subprocess.Popen(["sleep", "60"]) as left, subprocess.Popen(["sleep", "60"]) as bystander:
        write_down(tmp_path, told(Known(bystander.pid, 1.0), gone))
        end_left_over(tmp_path)
        assert bystander.poll() is None
        write_down(tmp_path, told(Known.of(left.pid), gone))
        end_left_over(tmp_path)
        assert left.wait(5) == -signal.SIGKILL
        assert host_state(tmp_path) is None
        bystander.kill()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"supervisor": 7}', '{"supervisor": {"pid": 1}, "parts": {}}'])
def test_a_torn_record_is_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "up.json").write_text(text)
    assert host_state(tmp_path) is None
    end_left_over(tmp_path)


def test_trainers_are_known_by_their_records(tmp_path: Path) -> None:
    for run_id, text in ((1, "{"), (2, '{"host": "here", "pid": 1, "started": 1.0}'), (3, "[]")):
        (tmp_path / "runs" / str(run_id)).mkdir(parents=True)
        (tmp_path / "runs" / str(run_id) / "trainer.json").write_text(text)
    assert trainers(tmp_path) == []
    me = Known.of(os.getpid())
    (tmp_path / "runs" / "3" / "trainer.json").write_text(f'{{"pid": {me.pid}, "started": {me.started}}}')
    assert [one.pid for one in trainers(tmp_path)] == [os.getpid()]


def test_a_long_log_is_put_aside_while_its_process_goes_on_writing(tmp_path: Path) -> None:
    """And never more than a few are kept."""
    log = tmp_path / "sleeper.log"
    with log.open("ab") as words:
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=words)
    assert child.stdin is not None
    for number in range(6):
        child.stdin.write(b"%d" % number * 50)
        child.stdin.flush()
        until(lambda: log.stat().st_size == 50, "the words are there")
        assert not processes.turn_over(log, 50)
        assert processes.turn_over(log, 49)
        assert (tmp_path / "sleeper.log.1").read_bytes() == b"%d" % number * 50
    child.stdin.close()
    child.wait()
    assert sorted(path.name for path in tmp_path.glob("*.log*")) == [f"sleeper.log{n}" for n in ("", ".1", ".2", ".3")]
    assert log.read_bytes() == b""


def test_the_supervisor_looks_at_the_logs(keeper: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.turn_over, "__defaults__", (10,))
    sleeper = part(tmp_path, "sleep", "60")
    keeper.add(sleeper)
    sleeper.log.write_bytes(b"x" * 11)
    keeper.watch(lambda: (tmp_path / "sleeper.log.1").exists(), look_every_s=0.01)
    assert sleeper.log.read_bytes() == b""
