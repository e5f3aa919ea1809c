"""The benchmarks of grid, map and similar photos on few photos, so that they work on the day somebody measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, text

from app.catalog import look_codes
from app.database import Base, engine_for
from app.settings import Settings
from benchmarks import grid, similar
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
            grid.measure(own, [120, 600], is_filled=False)
            made = indexed(own)
            touch(own)
            assert indexed(own) == made, "made-up rows are indexed as the triggers would"
            map_benchmark.lay_out(own, 600)
            packed = map_benchmark.served(own, Settings())
            own.dispose()
        finally:
            connection.execute(text("drop database grid (force)"))
    measured = capsys.readouterr().out
    assert "grid page, file name" in measured
    assert "5 times as many photos" in measured
    assert "page, what it asks of the database" in measured
    assert np.frombuffer(packed, "<u4", 1).tolist() == [600]


def indexed(engine: Engine) -> list[str]:
    """What filters ask of each photo."""
    with engine.connect() as connection:
        return [
            row
            for table in ("photo_index", "photo_text")
            for row in connection.scalars(text(f"select {table}::text from {table} order by image_id"))  # noqa: S608
        ]


def touch(engine: Engine) -> None:
    """Have the triggers look at every row."""
    with engine.begin() as connection:
        connection.execute(text("update photo_text set caption_id = null"))  # or no caption would be looked at
        for table, key in (("image", "id"), ("signals", "image_id"), ("caption", "id"), ("decision", "id")):
            connection.execute(text(f"update {table} set {key} = {key}"))  # noqa: S608


def test_it_measures_similar_photos(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(similar, "TURNS", 3)
    monkeypatch.setattr(similar, "_memory", lambda *_: None)  # another process, which takes seconds to start
    monkeypatch.setattr(look_codes, "CODED_FROM", 0)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("create database alike"))
        try:
            own = engine_for(engine.url.set(database="alike").render_as_string(hide_password=False))
            Base.metadata.create_all(own)
            similar.report(own, 3_000, tmp_path)
            own.dispose()
        finally:
            connection.execute(text("drop database alike (force)"))
    measured = capsys.readouterr().out
    assert measured.count("by codes") == measured.count("by HNSW") == len(similar.FILTERS)
    assert similar.mixed(np.eye(20, 30, dtype=np.float32), 50).shape == (50, 30)
