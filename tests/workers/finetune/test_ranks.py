"""One run in several processes: the same weights as in one, one writer, one end, and a failure that ends all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file
from torch.distributed import PrefixStore, TCPStore

from app.datasets.manifest import read_manifest
from app.training.recipe import Recipe, write_recipe
from tests.workers.kills import start
from tests.workers.pair import forked, run_together
from workers.finetune import process_group
from workers.finetune.__main__ import main
from workers.finetune.checkpoint import is_complete, latest_checkpoint, read_sidecar
from workers.finetune.ranks import Replicas

pytestmark = pytest.mark.slow  # all of them: the server they are forked from takes seconds

ROOT = Path(__file__).parents[3]
MakeRecipe = Callable[..., Recipe]
Command = Callable[..., list[str]]


@pytest.fixture
def knobs(recipe: MakeRecipe) -> MakeRecipe:
    """`knobs(steps=3, ...)`: a recipe whose steps are two micro-batches, so that two processes can share them."""

    def make(**changes: Any) -> Recipe:
        usual = {"steps": 4, "batch_size": 4, "micro_batch": 2, "optimiser": "adamw", "checkpoint_every": 2}
        return recipe(**{**usual, "validate_every": 2, "report_every": 1, "threads": 1, **changes})

    return make


@pytest.fixture
def command(tmp_path: Path, manifest: Path) -> Command:
    """`command(recipe, "name")`: the arguments that run a recipe into the folder of that name."""

    def arguments(recipe: Recipe, name: str, *more: str) -> list[str]:
        write_recipe(tmp_path / f"{name}.yaml", recipe)
        return [str(tmp_path / f"{name}.yaml"), str(manifest), str(tmp_path / name), *more]

    return arguments


def told(out: Path, kind: str | None = None) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    return [event for event in events if kind in (None, event["kind"])]


def wait_for_checkpoint(out: Path, after: int = 0, kind: str = "checkpoint") -> None:
    """Wait until a checkpoint of a step beyond `after` is told, or its samples, which come next."""
    deadline = time.monotonic() + 300.0
    while time.monotonic() < deadline:
        if (out / "events.jsonl").exists() and any(e["step"] > after for e in told_whole(out, kind)):
            return
        time.sleep(0.1)
    raise AssertionError("no checkpoint within five minutes")


def told_whole(out: Path, kind: str) -> list[dict[str, Any]]:
    """Like `told`, while somebody writes."""
    text = (out / "events.jsonl").read_text()
    events = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return [event for event in events if event["kind"] == kind]


def tensors(out: Path, step: int) -> dict[str, torch.Tensor]:
    folder = out / "checkpoints" / f"step-{step:06d}"
    (file,) = (folder / "weights").glob("*.safetensors")
    weights = load_file(file)
    return {**{f"average/{name}": t for name, t in weights.items()}, **load_file(folder / "state.safetensors")}


def furthest(one: Path, other: Path, step: int) -> float:
    """The largest difference of two checkpoints, as a share of the largest number of its tensor."""
    first, second = tensors(one, step), tensors(other, step)
    assert {n: (t.shape, t.dtype) for n, t in first.items()} == {n: (t.shape, t.dtype) for n, t in second.items()}
    return max(float((first[n] - second[n]).abs().max() / first[n].abs().max().clamp(min=1e-12)) for n in first)


def numbers(event: dict[str, Any]) -> list[float]:
    """What a step or a validation told of the learning, and not of the clock."""
    bands = [-1.0 if loss is None else loss for loss in event["loss_by_band"]]
    return [event["step"], event["loss"], event.get("grad_norm", 0.0), *bands]


# FSDP sums up the gradient's norm in another order, so where it clips, the last bit of every gradient may differ; Adam
# makes a whole step of gradients next to nothing, and weights that began at zero show it. Without clipping: no bit.
@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ({}, 0.0),
        ({"method": "lora", "optimiser": "muon", "micro_batch": 1}, 2e-6),
        ({"sharding": "full", "clip_norm": 1e3}, 0.0),
        ({"sharding": "full", "clip_norm": 0.5}, 2e-5),
    ],
)
def test_two_processes_learn_what_one_does(
    knobs: MakeRecipe, command: Command, tmp_path: Path, changes: dict[str, Any], most: float
) -> None:
    assert main(command(knobs(**changes), "one")) == 0
    assert run_together(command(knobs(**changes), "two"), of=2) == [0, 0]
    assert furthest(tmp_path / "one", tmp_path / "two", 4) <= most
    for kind in ("step", "validation"):
        ours, theirs = told(tmp_path / "one", kind), told(tmp_path / "two", kind)
        assert [numbers(event) for event in theirs] == [pytest.approx(numbers(event), rel=1e-4) for event in ours]
    ours, theirs = ([event["kind"] for event in told(tmp_path / n)] for n in ("one", "two"))
    assert theirs == ours
    config = "model/transformer/config.json"
    assert (tmp_path / "two" / config).read_text() == (tmp_path / "one" / config).read_text()


@pytest.mark.parametrize("sharding", ["none", "full"])
def test_a_run_goes_on_with_another_count_of_processes(
    knobs: MakeRecipe, command: Command, tmp_path: Path, sharding: str
) -> None:
    shared = knobs(clip_norm=1e3, sharding=sharding)
    assert main(command(shared, "one")) == 0
    assert run_together(command(shared, "two"), of=2) == [0, 0]
    for begun, gone_on in (("two", "fewer"), ("one", "more")):
        half = "checkpoints/step-000002"
        shutil.copytree(tmp_path / begun / half, tmp_path / gone_on / half)
    assert main(command(shared, "fewer", "--resume")) == 0
    assert run_together(command(shared, "more", "--resume"), of=2) == [0, 0]
    for name in ("fewer", "more"):
        assert [event["step"] for event in told(tmp_path / name, "started")] == [2]
        assert furthest(tmp_path / "one", tmp_path / name, 4) == 0.0


@pytest.mark.parametrize("sharding", ["none", "full"])
def test_only_the_first_writes_and_a_stop_ends_all_at_the_same_step(
    knobs: MakeRecipe, command: Command, tmp_path: Path, sharding: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "previews.json").write_text(json.dumps([{"prompt_id": 3, "text": "red box", "seed": 11}]))
    endless = knobs(steps=100_000, checkpoint_every=5, validate_every=5, sharding=sharding)

    def stop(_: list[int]) -> None:
        wait_for_checkpoint(out, kind="samples")
        (out / "stop").write_text("keep")

    assert run_together(command(endless, "out"), of=2, meanwhile=stop) == [0, 0]
    events = told(out)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    ended, saved = events[-1], latest_checkpoint(out)[0]
    assert (ended["kind"], ended["reason"], ended["kept"]) == ("finished", "stopped", True)
    assert saved is not None
    assert is_complete(saved)
    assert read_sidecar(saved)["step"] == ended["step"]
    assert (out / "samples" / "step-000005" / "3-11.png").is_file()
    assert (out / "model" / "model_index.json").is_file()
    assert (tmp_path / "words-1.txt").read_text() == ""


@pytest.mark.parametrize("sharding", ["none", "full"])
def test_a_preflight_measures_as_many_processes(
    knobs: MakeRecipe, command: Command, tmp_path: Path, sharding: str
) -> None:
    assert run_together(["preflight", *command(knobs(sharding=sharding), "out")], of=2) == [0, 0]
    facts = json.loads((tmp_path / "out" / "preflight.json").read_text())
    assert len(facts["step_s"]) == 5
    assert min(facts["validation_s"], facts["save_s"], facts["checkpoint_bytes"], facts["export_bytes"]) > 0
    assert not (tmp_path / "out" / "preflight").exists()


def test_too_many_processes_for_a_step_are_refused_in_a_sentence(
    knobs: MakeRecipe, command: Command, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="in micro-batches of 4 makes 2, which 3 processes cannot share evenly"):
        knobs(batch_size=8, micro_batch=4, processes=3)
    assert run_together(command(knobs(batch_size=6, micro_batch=2), "out"), of=2) == [3, 3]
    assert "makes 3, which 2 processes cannot share evenly" in (tmp_path / "words-0.txt").read_text()


@pytest.mark.parametrize("sharding", ["none", "full"])
def test_a_loss_that_explodes_ends_all_and_leaves_the_model_of_before(
    knobs: MakeRecipe, command: Command, tmp_path: Path, sharding: str
) -> None:
    hot = {"adamw_lr": 0.5, "clip_norm": 1e3, "steps": 60, "warmup_steps": 60, "constant_share": 1.0, "ema_decay": 0.0}
    recipe = knobs(**hot, batch_size=8, checkpoint_every=4, validate_every=4, sharding=sharding)
    assert run_together(command(recipe, "out"), of=2) == [6, 6]
    events = told(tmp_path / "out")
    assert [event["kind"] for event in events].count("failed") == 1
    assert (events[-1]["cause"], events[-1]["model_step"]) == ("diverged", events[-1]["good_step"])
    assert json.loads((tmp_path / "out/model/packshot.json").read_text())["step"] == events[-1]["good_step"] > 0
    looks = [[count for count, _ in event["products"]] for event in events if event["kind"] == "validation"]
    assert looks and all(counts == [1, 1, 1, 1] for counts in looks)


def test_what_one_process_cannot_work_on_ends_all_in_its_words(
    knobs: MakeRecipe, command: Command, manifest: Path, tmp_path: Path
) -> None:
    # Each process reads its part of the pictures: the second one meets the broken one.
    rows = read_manifest(manifest)
    (manifest.parent / rows[1].file).write_bytes(b"no picture")
    assert run_together(command(knobs(), "out"), of=2) == [3, 3]
    last = told(tmp_path / "out")[-1]
    assert (last["kind"], last["cause"]) == ("failed", "refused")
    assert f"{rows[1].file} is not the one in the manifest" in last["sentence"]
    assert len(told(tmp_path / "out", "failed")) == 1


def test_a_killed_process_ends_all_as_killed_and_the_run_goes_on(
    knobs: MakeRecipe, command: Command, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    # On a processor two threads of a small model are two processes.
    arguments = command(knobs(steps=100_000, checkpoint_every=5, validate_every=100_000, threads=2), "out")
    process = start(arguments, tmp_path / "log", has_own_group=True)
    first = process.pid or 0
    try:
        wait_for_checkpoint(out)
        (other,) = psutil.Process(first).children(recursive=True)
        assert os.getpgid(other.pid) == first
        other.kill()
        process.join(30.0)
        assert process.exitcode == -signal.SIGKILL
    finally:
        with suppress(ProcessLookupError):
            os.killpg(first, signal.SIGKILL)
    assert told(out, "failed") == []
    saved = latest_checkpoint(out)[0]
    assert saved is not None
    step = int(read_sidecar(saved)["step"])

    def end(pids: list[int]) -> None:
        wait_for_checkpoint(out, step)
        os.kill(pids[1], signal.SIGTERM)

    assert run_together([*arguments, "--resume"], of=2, meanwhile=end) == [0, 0]
    assert [event["step"] for event in told(out, "started")] == [0, step]
    assert told(out)[-1]["reason"] == "stopped"
    assert not (out / "stop").exists()


@pytest.mark.parametrize(
    ("changes", "device", "count"),
    [
        ({"threads": 2}, "cpu", 2),
        ({"threads": 3}, "cpu", 1),  # three cannot share two micro-batches
        ({"threads": 2}, "cuda", 1),
        ({"threads": 4, "processes": 2}, "cpu", 2),
    ],
)
def test_threads_of_a_small_model_on_a_processor_are_processes(
    knobs: MakeRecipe, monkeypatch: pytest.MonkeyPatch, changes: dict[str, int], device: str, count: int
) -> None:
    assert process_group.processes_of(knobs(**changes), torch.device(device)) == count
    monkeypatch.setattr(process_group, "SMALL_BYTES", 1000)
    assert process_group.processes_of(knobs(**changes), torch.device(device)) == changes.get("processes", 1)


def caught(left: str, words: str) -> None:
    """One of two processes, in long work, the other one about to end; what it tells goes into the file `words`."""
    process_group.GRACE_S = 0.5  # type: ignore[misc]
    store = PrefixStore("run", TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False))
    others = [subprocess.Popen(["sh", "-c", "sleep 1; exit 1"])]
    me = process_group._Several(Replicas(0, 2), torch.device("cpu"), store, others)
    me.tell_for_others = lambda sentence, cause: Path(words).write_text(f"{sentence} {cause}") and 5
    if left:
        store.set("failed", left)
    time.sleep(60)


@pytest.mark.parametrize(
    ("left", "said", "code"),
    [("", "", -signal.SIGKILL), ('["The disk is full.", "disk_full"]', "The disk is full. disk_full", 5)],
)
def test_one_that_is_caught_in_long_work_notices_that_another_ended(
    left: str, said: str, code: int, tmp_path: Path
) -> None:
    (tmp_path / "words").touch()
    process = forked(caught, left, str(tmp_path / "words"))
    process.join(50.0)
    assert ((tmp_path / "words").read_text(), process.exitcode) == (said, code)


def test_torchrun_starts_it_too(knobs: MakeRecipe, command: Command, tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    engine = [*torchrun, "-m", "workers.finetune", *command(knobs(steps=2), "out")]
    done = subprocess.run(engine, cwd=ROOT, env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"}, check=False)
    assert done.returncode == 0
    assert told(tmp_path / "out")[-1]["reason"] == "completed"
