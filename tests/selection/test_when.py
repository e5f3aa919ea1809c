"""Dates in the filter language: how they are typed, kept and said."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from app.selection import when
from app.selection.kinds import NotUnderstood
from app.selection.query import parse
from app.selection.when import Period
from app.selection.wording import sentence


@pytest.mark.parametrize(
    ("typed", "written", "said"),
    [
        ("taken:2026-11-30", "taken:2026-11-30", "taken in on 2026-11-30"),
        ("taken:2026-2", "taken:2026-02-01..2026-02-28", "taken in from 2026-02-01 to 2026-02-28"),
        ("decided:2026", "decided:2026-01-01..2026-12-31", "decided from 2026-01-01 to 2026-12-31"),
        ("taken:2026-11..2026-12-5", "taken:2026-11-01..2026-12-05", "taken in from 2026-11-01 to 2026-12-05"),
        ("taken:>2026-11", "taken:>2026-11-30", "taken in after 2026-11-30"),
        ("captioned:<2026-11", "captioned:<2026-11-01", "captioned before 2026-11-01"),
        ("decided:TODAY", "decided:today", "decided today"),
        ("taken:week", "taken:week", "taken in within the last 7 days"),
        ("decided:none", "decided:none", "never decided"),
        ("-decided:week", "-decided:week", "not decided within the last 7 days"),
        ("decider:ana,none", "decider:ana,none", "decided by ana or nobody"),
        ("size:>2.5", "size:>2.5", "more than 2.5 MB large"),
    ],
)
def test_how_it_is_typed_kept_and_said(typed: str, written: str, said: str) -> None:
    chosen = parse(typed, 1)
    assert chosen.query == written
    assert parse(written, 1) == chosen
    assert sentence(chosen, 2) == f"2 photos {said}."


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("taken:2026-02-30", "is not a date"),
        ("taken:2026-13", "is not a date"),
        ("taken:30.11.2026", "is not a date"),
        ("taken:0000", "is not a date"),
        ("decided:ana", "decider:ana"),
        ("taken:2026-12..2026-11", "behind the last one"),
        ("taken:2026 taken:2025", "is given twice"),
        ("taken:today,week", "takes one range"),
    ],
)
def test_what_is_no_date_is_refused(typed: str, why: str) -> None:
    with pytest.raises(NotUnderstood, match=why):
        parse(typed, 1)


def test_lately_moves_on_with_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(when, "utc_now", lambda: datetime(2026, 11, 30, 23, 59, tzinfo=UTC))
    assert Period(name="week").bounds == (datetime(2026, 11, 24, tzinfo=UTC), None)
    assert Period(name="today").bounds == (datetime(2026, 11, 30, tzinfo=UTC), None)
    assert Period(date(2026, 11, 1), date(2026, 11, 2)).bounds[1] == datetime(2026, 11, 3, tzinfo=UTC)
