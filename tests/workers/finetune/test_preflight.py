"""Preflight by doing: what it measures, what it finds about pictures and captions, and how it ends when it cannot."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from app.datasets.manifest import ManifestRow, read_manifest, write_manifest
from app.training.recipe import Recipe, write_recipe
from tests.workers.families import tiny
from workers.finetune import preflight
from workers.finetune.__main__ import main
from workers.finetune.batches import Members
from workers.finetune.methods import memory as blocks
from workers.finetune.train_state import TrainState

MakeRecipe = Callable[..., Recipe]


def run(knobs: Recipe, manifest: Path, out: Path, *options: str) -> int:
    out.mkdir(exist_ok=True)
    write_recipe(out.parent / "recipe.yaml", knobs)
    return main(["preflight", str(out.parent / "recipe.yaml"), str(manifest), str(out), *options])


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
    assert (found["pictures_cached"], found["texts_cached"]) == (0, 0)
    assert found["buckets"] == [[16, 16, 8]]
    assert found["bucket_area_ratio"] == 1.0
    assert "compiled" not in found
    assert found["undecodable"] == []
    assert found["captions_empty"] == 0
    assert (found["tokens"]["limit"], found["tokens"]["longest"], found["tokens"]["over"]) == (16, 2, 0)
    assert {part["part"] for part in found["weights"]} == {"transformer", "text_encoder"}
    assert all(len(part["sha256"]) == 64 for part in found["weights"])
    kept = {path.name for path in out.iterdir()}
    assert kept <= {"preflight.json", "events.jsonl", "cache"}
    told = [json.loads(line)["kind"] for line in (out / "events.jsonl").read_text().splitlines()]
    assert (told[0], told[-1]) == ("attempt", "finished")


def test_it_goes_on_from_its_own_checkpoint_for_a_step(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    for name in ("update", "restore"):

        def watched(state: TrainState, given: Any, name: str = name, real: Any = getattr(TrainState, name)) -> Any:
            done.append(name)
            return real(state, given)

        monkeypatch.setattr(TrainState, name, watched)
    assert run(recipe(), manifest, tmp_path / "out") == 0
    assert done == ["update"] * 8 + ["restore", "update"]


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

    monkeypatch.setattr("workers.finetune.timing.forward_batches", lack)
    assert run(recipe(), manifest, tmp_path / "out") == 4
    assert facts(tmp_path / "out")["buckets"] == [[16, 16, 8]]
    assert "step_s" not in facts(tmp_path / "out")


def test_pictures_beyond_memory_are_read_for_the_steps_that_are_timed(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []

    def watched(self: Members, index: int, real: Any = Members._read) -> Any:
        reads.append(self._files[index])
        return real(self, index)

    monkeypatch.setattr(Members, "_read", watched)
    knobs = recipe(batch_size=8)
    assert run(knobs, manifest, tmp_path / "all") == 0
    assert len(reads) == 8
    reads.clear()
    # A quarter of the eight pictures of 16 x 16 px has room: six are read again in each of eight steps, and after.
    monkeypatch.setattr("workers.finetune.preflight.KEPT_IN_MEMORY_BYTES", 2 * 3 * 16 * 16)
    assert run(knobs, manifest, tmp_path / "quarter") == 0
    assert len(reads[8:]) >= 6 * 8
    assert len(set(reads[8:])) == 6


def test_a_picture_whose_bytes_are_others_is_named(recipe: MakeRecipe, manifest: Path, tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), "pink").save(manifest.parent / "red-4.png")
    assert run(recipe(), manifest, tmp_path / "out") == 3
    (broken,) = facts(tmp_path / "out")["undecodable"]
    assert (broken["file"], "not the one in the manifest" in broken["why"]) == ("red-4.png", True)


def test_small_pictures_and_odd_members_are_found(recipe: MakeRecipe, manifest: Path, tmp_path: Path) -> None:
    rows = read_manifest(manifest)
    write_manifest(manifest, [*rows, ManifestRow(**{**vars(rows[0]), "split": "validation"})])
    assert run(recipe(resolution_px=32, enlarge_at_most=1.334), manifest, tmp_path / "out") == 0
    found = facts(tmp_path / "out")
    assert found["remarks"][0].startswith("One member is in both splits")
    assert "13 pictures are smaller than three quarters" in found["remarks"][-1]
    assert found["text_bytes"] > 0


def test_a_stop_ends_it_and_nothing_is_measured(recipe: MakeRecipe, manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "stop").write_text("discard")
    assert run(recipe(), manifest, tmp_path / "out") == 0
    assert not (tmp_path / "out" / "preflight.json").exists()


@pytest.mark.filterwarnings("ignore:`LoraLoaderMixin` is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_what_an_earlier_run_encoded_is_counted_as_there(recipe: MakeRecipe, manifest: Path, tmp_path: Path) -> None:
    tiny.prx(tmp_path / "prx")
    knobs = recipe(family="prx", base=str(tmp_path / "prx"), steps=2, batch_size=2)
    cache = ("--cache", str(tmp_path / "cache"))
    assert run(knobs, manifest, tmp_path / "first", *cache) == 0
    assert main([str(tmp_path / "recipe.yaml"), str(manifest), str(tmp_path / "run"), *cache]) == 0
    # A member more, whose picture and caption were not met before.
    Image.new("RGB", (16, 16), "black").save(manifest.parent / "new.png")
    digest = hashlib.sha256((manifest.parent / "new.png").read_bytes()).hexdigest()
    new = ManifestRow("new.png", "new box. It shines.", "train", "new", digest, 16, 16)
    write_manifest(manifest, [*read_manifest(manifest), new])
    assert run(knobs, manifest, tmp_path / "second", *cache) == 0
    assert run(knobs.model_copy(update={"cache": False}), manifest, tmp_path / "third", *cache) == 0
    names = ("texts", "texts_cached", "pictures", "pictures_cached")
    assert [[facts(tmp_path / out)[name] for name in names] for out in ("first", "second", "third")] == [
        [5, 0, 12, 0],
        [6, 5, 13, 12],
        [6, 0, 13, 0],
    ]
    # The first sentence is a text of its own where some captions are cut after it.
    assert run(knobs.model_copy(update={"short_caption_share": 0.5}), manifest, tmp_path / "fourth", *cache) == 0
    assert facts(tmp_path / "fourth")["texts"] == 7
    first, second = (facts(tmp_path / out)["picture_s"] for out in ("first", "second"))
    assert second > first / 1000, "it was measured, not found"


def test_a_picture_is_counted_at_each_size_that_a_stage_shows_it_at(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path
) -> None:
    knobs = recipe(steps=2, second_from=0.5, second_resolution_px=32)
    assert run(knobs, manifest, tmp_path / "out") == 0
    assert facts(tmp_path / "out")["pictures"] == 8 + 4 + 8


def test_a_run_after_it_learns_as_without_it(recipe: MakeRecipe, manifest: Path, tmp_path: Path) -> None:
    knobs = recipe(steps=2)
    assert run(knobs, manifest, tmp_path / "out") == 0
    losses = []
    for out in ("one", "out/run"):
        assert main([str(tmp_path / "recipe.yaml"), str(manifest), str(tmp_path / out)]) == 0
        events = [json.loads(line) for line in (tmp_path / out / "events.jsonl").read_text().splitlines()]
        losses.append([event["loss"] for event in events if event["kind"] == "validation"])
    assert losses[0] == losses[1]


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    """The real compiler with nothing behind it, which takes a second where the usual one takes a minute."""
    seen, compile_ = Compiler(), torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: compile_(function, backend=seen))
    monkeypatch.setattr(blocks, "_wrapped", cache(blocks._wrapped.__wrapped__))  # nothing of it stays in its cache
    torch._dynamo.reset()
    return seen


@dataclass
class Compiler:
    """Takes what was traced as it is, counts how often it is asked and run; or breaks."""

    is_broken: bool = False
    asked: int = 0
    ran: int = 0

    def __call__(self, traced: torch.fx.GraphModule, _: list[torch.Tensor]) -> Callable[..., Any]:
        self.asked += 1
        if self.is_broken:
            raise RuntimeError("no C++ compiler\nis here")

        def run_traced(*inputs: Any) -> Any:
            self.ran += 1
            return traced(*inputs)

        return run_traced


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_steps_are_timed_as_they_are_and_compiled(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran_before: list[int] = []
    draw = preflight._sample_s
    monkeypatch.setattr(preflight, "_sample_s", lambda *given: ran_before.append(compiler.ran) or draw(*given))
    rows = [
        ManifestRow(**{**vars(row), "width_px": 16, "height_px": 32 if number % 3 else 16})
        for number, row in enumerate(read_manifest(manifest))
    ]
    write_manifest(manifest, rows)
    knobs = recipe(compile=True, buckets=True, resolution_px=32, batch_size=4, micro_batch=2)
    assert run(knobs, manifest, tmp_path / "out") == 0
    found = facts(tmp_path / "out")
    assert ran_before == [0], "the steps before were not compiled"
    assert compiler.asked > 0, found["compiled"]
    # Two blocks: at each of the two sizes two passes, then eight steps of two passes.
    assert compiler.ran == 2 * (2 * 2 + 8 * 2)
    both = found["compiled"]
    assert (len(found["warm_s"]), len(found["step_s"])) == (len(both["warm_s"]), len(both["step_s"])) == (3, 5)
    assert [size[:2] for size in both["sizes"]] == sorted(
        (bucket[:2] for bucket in found["buckets"]), key=lambda size: -size[0] * size[1]
    )
    assert both["sizes"][0][2] > 10 * both["step_s"][0], "the first one was compiled"
    assert both["peak_bytes"] > 0


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_a_compiler_that_breaks_costs_nothing_but_itself(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, compiler: Compiler
) -> None:
    compiler.is_broken = True
    assert run(recipe(compile=True), manifest, tmp_path / "out") == 0
    found = facts(tmp_path / "out")
    assert len(found["step_s"]) == 5 and found["export_bytes"] > 0
    assert list(found["compiled"]) == ["why_not"]
    assert found["compiled"]["why_not"].startswith("the compiler broke: ")
    assert "no C++ compiler is here" in found["compiled"]["why_not"]
