"""Events as they lie in a run's folder: half lines, torn lines, and what a crash leaves."""

from __future__ import annotations

from pathlib import Path

from workers import events
from workers.events import EventReader


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    reader = EventReader(tmp_path)
    assert reader.read() == []
    (tmp_path / "events.jsonl").write_text('{"seq": 1}\n{"seq"')
    assert reader.read() == [{"seq": 1}]
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write(": 2}\n\0\0\0\n[3]\n")
    assert reader.read() == [{"seq": 2}], "what a power loss leaves is no event"


def test_a_run_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"seq": 1, "kind": "sitting", "pid": 7}\n')
    assert EventReader(tmp_path).read() == [{"seq": 1, "kind": "attempt", "pid": 7}]


def test_what_a_crash_leaves_is_cut_off(tmp_path: Path) -> None:
    assert events.cut(tmp_path) == 0
    (tmp_path / "events.jsonl").write_text('{"seq": 1}\n{"seq": 2}\n{"se')
    assert events.cut(tmp_path) == 22
    assert (tmp_path / "events.jsonl").read_text() == '{"seq": 1}\n{"seq": 2}\n'
