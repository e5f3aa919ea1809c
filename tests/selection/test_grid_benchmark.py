"""The benchmarks of grid and map, tried out on few photos, so that they work on the day that somebody measures."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import Engine, text

from app.database import engine_for
from app.settings import Settings
from benchmarks import grid
from benchmarks import map as map_benchmark


def test_it_measures_every_act(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(grid, "TURNS", 2)
    monkeypatch.setattr(map_benchmark, "TURNS", 2)
    monkeypatch.setattr(grid, "FILTERS", grid.FILTERS[-2:])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("create database grid"))
        try:
            own = engine_for(engine.url.set(database="grid").render_as_string(hide_password=False))
            grid.fill(own, 120)
            grid.report(own, 120)
            map_benchmark.lay_out(own, 120)
            packed = map_benchmark.served(own, Settings())
            own.dispose()
        finally:
            connection.execute(text("drop database grid (force)"))
    measured = capsys.readouterr().out
    assert "grid page, file name" in measured
    assert "accept every suggestion, one act" in measured
    assert "page, what it asks of the database" in measured
    assert np.frombuffer(packed, "<u4", 1).tolist() == [120]
