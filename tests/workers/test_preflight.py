"""Preflight by doing: what it measures, what it finds about pictures and captions, and how it ends when it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from app.datasets.manifest import ManifestRow, read_manifest, write_manifest
from app.training.recipe import Recipe, write_recipe
from workers.finetune.__main__ import main

MakeRecipe = Callable[..., Recipe]


def run(knobs: Recipe, manifest: Path, out: Path) -> int:
    out.mkdir(exist_ok=True)
    write_recipe(out.parent / "recipe.yaml", knobs)
    return main(["preflight", str(out.parent / "recipe.yaml"), str(manifest), str(out)])


def facts(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "preflight.json").read_text())
    return found


def test_it_measures_what_a_run_would_need(recipe: MakeRecipe, manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(recipe(), manifest, out) == 0
    found = facts(out)
    assert (len(found["warm_s"]), len(found["step_s"])) == (3, 5)
    seconds = ["load_s", "text_s", "picture_s", "sample_s", "validation_s", "save_s", "export_s", *[]]
    assert all(found[name] > 0 for name in seconds)
    assert found["peak_bytes"] > 0
    assert found["checkpoint_bytes"] > 3 * found["weights_bytes"] > 0
    assert found["export_bytes"] > found["weights_bytes"]
    assert (found["pictures"], found["texts"]) == (12, 5)
    assert found["buckets"] == [[16, 16, 8]]
    assert found["bucket_area_ratio"] == 1.0
    assert found["undecodable"] == []
    assert found["captions_empty"] == 0
    assert (found["tokens"]["limit"], found["tokens"]["longest"], found["tokens"]["over"]) == (16, 2, 0)
    assert {part["part"] for part in found["weights"]} == {"transformer", "text_encoder"}
    assert all(len(part["sha256"]) == 64 for part in found["weights"])
    kept = {path.name for path in out.iterdir()}
    assert kept <= {"preflight.json", "events.jsonl", "cache"}
    told = [json.loads(line)["kind"] for line in (out / "events.jsonl").read_text().splitlines()]
    assert (told[0], told[-1]) == ("sitting", "finished")


def test_the_largest_bucket_is_measured(recipe: MakeRecipe, manifest: Path, tmp_path: Path) -> None:
    rows = [
        ManifestRow(**{**vars(row), "width_px": 16, "height_px": 32 if number % 3 else 16})
        for number, row in enumerate(read_manifest(manifest))
    ]
    write_manifest(manifest, rows)
    assert run(recipe(buckets=True, resolution_px=32), manifest, tmp_path / "out") == 0
    found = facts(tmp_path / "out")
    assert len(found["buckets"]) == 2
    assert 0.9 < found["bucket_area_ratio"] < 1.0


def test_what_the_gate_asks_is_found(recipe: MakeRecipe, manifest: Path, tmp_path: Path) -> None:
    rows = read_manifest(manifest)
    long = ManifestRow(**{**vars(rows[0]), "caption": "red box " * 20})
    empty = ManifestRow(**{**vars(rows[1]), "caption": " "})
    write_manifest(manifest, [long, empty, *rows[2:]])
    assert run(recipe(), manifest, tmp_path / "out") == 0
    found = facts(tmp_path / "out")
    assert found["captions_empty"] == 1
    assert found["tokens"]["over"] == 1
    assert found["tokens"]["longest"] == 40
    assert found["tokens"]["examples"] == ["red box " * 20]


def test_a_picture_that_cannot_be_read_is_named_and_refused(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (manifest.parent / "red-4.png").write_bytes(b"no picture")
    assert run(recipe(), manifest, tmp_path / "out") == 3
    assert [one["file"] for one in facts(tmp_path / "out")["undecodable"]] == ["red-4.png"]
    assert "red-4.png" in capsys.readouterr().err.splitlines()[-1]


def test_too_little_memory_is_four_and_keeps_what_is_known(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lack(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("workers.finetune.preflight.training_passes", lack)
    assert run(recipe(), manifest, tmp_path / "out") == 4
    assert facts(tmp_path / "out")["buckets"] == [[16, 16, 8]]
    assert "step_s" not in facts(tmp_path / "out")


def test_a_stop_ends_it_and_nothing_is_measured(recipe: MakeRecipe, manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "stop").write_text("discard")
    assert run(recipe(), manifest, tmp_path / "out") == 0
    assert not (tmp_path / "out" / "preflight.json").exists()


def test_a_run_after_it_finds_what_was_encoded_and_learns_as_without_it(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path
) -> None:
    knobs = recipe(steps=2)
    assert run(knobs, manifest, tmp_path / "out") == 0
    losses = []
    for out in ("one", "out/run"):
        assert main([str(tmp_path / "recipe.yaml"), str(manifest), str(tmp_path / out)]) == 0
        events = [json.loads(line) for line in (tmp_path / out / "events.jsonl").read_text().splitlines()]
        losses.append([event["loss"] for event in events if event["kind"] == "validation"])
    assert losses[0] == losses[1]
