"""The grid's benchmark, tried out on few photos, so that it works on the day that somebody measures."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from app.database import engine_for
from benchmarks import grid


def test_it_measures_every_act(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(grid, "TURNS", 2)
    monkeypatch.setattr(grid, "FILTERS", grid.FILTERS[-2:])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("create database grid"))
        try:
            own = engine_for(engine.url.set(database="grid").render_as_string(hide_password=False))
            grid.fill(own, 120)
            grid.report(own, 120)
            own.dispose()
        finally:
            connection.execute(text("drop database grid (force)"))
    measured = capsys.readouterr().out
    assert "grid page, file name" in measured
    assert "accept every suggestion, one act" in measured
