"""What the machine tells of its devices: whose memory they hold, and what the kernel ended for want of memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.host import devices
from workers.devices import memory


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `nvidia-smi` that says what is in a file."""
    said = tmp_path / "said"
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\ncat {said} && rm {said}.once 2>/dev/null && rm {said} && touch {said}\nexit 0\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    said.write_text("")
    return said


def test_without_a_driver_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices.memory_holders() == set()
    assert memory.wait_until_released({1, 2}, 0.0)


def test_a_process_is_gone_when_its_device_memory_is(driver: Path) -> None:
    driver.write_text("4711\n4712\n[Insufficient Permissions]\n")
    assert devices.memory_holders() == {4711, 4712}
    assert memory.wait_until_released({1}, 0.0)
    assert not memory.wait_until_released({4711, 5}, 0.3)
    Path(f"{driver}.once").touch()
    assert memory.wait_until_released({4712}, 10.0), "told once, then no more"


@pytest.mark.parametrize(
    ("own", "file", "text"),
    [
        ("0::/pod/x\n", "pod/x/memory.events", "low 0\noom 2\noom_kill 2\n"),
        ("0::/\n", "memory.events", "oom_kill 2\n"),
        ("4:memory:/pod/x\n0::/\n", "memory/pod/x/memory.oom_control", "under_oom 0\noom_kill 2\n"),
        ("4:cpu,memory:/pod/x\n", "memory/memory.oom_control", "oom_kill_disable 0\noom_kill 2\n"),
    ],
)
def test_the_kernel_counts_what_it_ended_for_want_of_memory(tmp_path: Path, own: str, file: str, text: str) -> None:
    (tmp_path / "own").write_text(own)
    counts = tmp_path / "groups" / file
    counts.parent.mkdir(parents=True)
    counts.write_text(text)
    assert memory.out_of_memory_kills(tmp_path / "own", tmp_path / "groups") == 2


def test_where_nothing_is_counted_it_cannot_be_told(tmp_path: Path) -> None:
    assert memory.out_of_memory_kills(tmp_path / "none", tmp_path) is None
