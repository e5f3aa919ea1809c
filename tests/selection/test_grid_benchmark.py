"""The benchmarks of grid, map and similar photos on few photos, so that they work on the day somebody measures."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import Engine, text

from app.catalog import embeddings
from app.database import engine_for, transaction
from app.settings import Settings
from benchmarks import grid, similar
from benchmarks import map as map_benchmark


def test_it_measures_every_act(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(grid, "TURNS", 2)
    monkeypatch.setattr(map_benchmark, "TURNS", 2)
    monkeypatch.setattr(similar, "TURNS", 2)
    monkeypatch.setattr(grid, "FILTERS", grid.FILTERS[-2:])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("create database grid"))
        try:
            own = engine_for(engine.url.set(database="grid").render_as_string(hide_password=False))
            grid.fill(own, 120)
            grid.report(own, 120)
            map_benchmark.lay_out(own, 120)
            packed = map_benchmark.served(own, Settings())
            with transaction(own) as session:
                session.execute(text("delete from embedding"))
            monkeypatch.setattr(embeddings, "EXACT_AT_MOST", 0)
            similar.report(own, 120)
            own.dispose()
        finally:
            connection.execute(text("drop database grid (force)"))
    measured = capsys.readouterr().out
    assert "grid page, file name" in measured
    assert "page, what it asks of the database" in measured
    assert "signs, ranked again" in measured
    assert np.frombuffer(packed, "<u4", 1).tolist() == [120]
