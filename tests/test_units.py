"""How times and sizes are written."""

from __future__ import annotations

import pytest

from app.units import bytes_, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (22080, "6 h 08 m"), (2880, "48 m"), (-720, "12 m"), (403, "6 m 43 s"), (245, "4 m 05 s"), (120, "2 m"),
        (59.6, "1 m"), (40.4, "40 s"), (0.44, "0.4 s"), (0.96, "1 s"), (0.04, "0 s"), (3_600_000, "1,000 h 00 m"),
    ],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [(900, "900 B"), (1_536_000, "1.5 MB"), (2_412_000_000, "2.4 GB"), (3.2e14, "320.0 TB"), (150_000, "150 kB")],
)
def test_sizes(size: float, words: str) -> None:
    assert bytes_(size) == words
