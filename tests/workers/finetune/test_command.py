"""`python -m workers.finetune` from outside: exit codes, one sentence, events, stop by file and by signal."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from app.training.recipe import Recipe, write_recipe
from tests.waiting import until
from tests.workers.kills import start
from workers.families.prx_pixel import load
from workers.finetune.__main__ import main

MakeRecipe = Callable[..., Recipe]


def events(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]


@pytest.fixture
def command(tmp_path: Path, manifest: Path) -> Callable[..., list[str]]:
    """The arguments that run a recipe on the members into OUT."""

    def arguments(knobs: Recipe, *more: str) -> list[str]:
        write_recipe(tmp_path / "recipe.yaml", knobs)
        return [str(tmp_path / "recipe.yaml"), str(manifest), str(tmp_path / "out"), *more]

    return arguments


def test_a_run_ends_with_zero_and_a_model(
    recipe: MakeRecipe, command: Callable[..., list[str]], tmp_path: Path
) -> None:
    assert main(command(recipe(steps=2))) == 0
    told = events(tmp_path / "out")
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
    assert (told[-1]["kind"], told[-1]["reason"]) == ("finished", "completed")
    assert (tmp_path / "out" / "model" / "model_index.json").is_file()


def test_a_folder_with_a_run_is_only_gone_on_with(
    recipe: MakeRecipe, command: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    knobs = recipe(steps=50, report_every=1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "stop").write_text("keep")
    assert main(command(knobs)) == 0
    before = events(tmp_path / "out")
    assert (before[-1]["reason"], before[-1]["step"], before[-1]["kept"]) == ("stopped", 0, False)
    assert main(command(knobs)) == 3
    assert "already holds a run" in capsys.readouterr().err
    assert events(tmp_path / "out") == before
    (tmp_path / "out" / "stop").write_text("discard")
    assert main(command(knobs, "--resume")) == 0
    after = events(tmp_path / "out")[len(before) :]
    assert after[0]["seq"] == len(before) + 1
    assert (after[0]["kind"], after[0]["resumed"]) == ("attempt", True)
    assert (after[-1]["reason"], after[-1]["kept"]) == ("stopped", False)


def test_resuming_before_the_first_checkpoint_starts_at_the_beginning(
    recipe: MakeRecipe, command: Callable[..., list[str]], tmp_path: Path
) -> None:
    assert main(command(recipe(steps=2), "--resume")) == 0
    started = next(event for event in events(tmp_path / "out") if event["kind"] == "started")
    assert started["step"] == 0


def test_refused_input_is_three_and_one_sentence(
    recipe: MakeRecipe, command: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(recipe(base=str(tmp_path / "gone")))) == 3
    told = events(tmp_path / "out")
    assert told[-1]["kind"] == "failed"
    assert capsys.readouterr().err.splitlines()[-1] == told[-1]["sentence"]


def test_a_file_in_the_place_of_the_folder_is_three(
    recipe: MakeRecipe, command: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("notes")
    assert main(command(recipe())) == 3
    assert capsys.readouterr().err == f"The folder {tmp_path / 'out'} cannot be made: File exists.\n"
    assert (tmp_path / "out").read_text() == "notes"


def test_a_recipe_that_is_none_is_three(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "gone.yaml"), "m", str(tmp_path / "out")]) == 3
    assert "gone.yaml" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_loss_that_breaks_down_is_six_with_its_cause(
    recipe: MakeRecipe, command: Callable[..., list[str]], tiny_base: Path, tmp_path: Path
) -> None:
    family = load(str(tiny_base), torch.device("cpu"))
    with torch.no_grad():
        next(family.model.parameters()).fill_(torch.nan)
    family.save_weights(tmp_path / "weights")
    family.export(tmp_path / "weights", tmp_path / "broken")
    assert main(command(recipe(base=str(tmp_path / "broken")))) == 6
    told = events(tmp_path / "out")[-1]
    assert (told["kind"], told["cause"]) == ("failed", "diverged")
    assert "became nan at step 1, with a learning rate of" in str(told["sentence"])


@pytest.mark.parametrize(
    ("error", "code", "cause"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), 4, "out_of_memory"),
        (OSError(errno.ENOSPC, "No space left on device"), 5, "disk_full"),
    ],
)
def test_what_the_machine_lacks_is_told_by_its_cause(
    recipe: MakeRecipe,
    command: Callable[..., list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    code: int,
    cause: str,
) -> None:
    def lack(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("workers.finetune.train.forward_batches", lack)
    assert main(command(recipe())) == code
    assert events(tmp_path / "out")[-1]["cause"] == cause


def test_a_finished_run_is_not_gone_on_with(
    recipe: MakeRecipe, command: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(recipe(steps=2))) == 0
    assert main(command(recipe(steps=2), "--resume")) == 3
    assert "nothing is left to train" in capsys.readouterr().err


def test_a_fault_of_the_program_is_told_and_not_hidden(
    recipe: MakeRecipe, command: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("workers.finetune.train.load_family", broken)
    with pytest.raises(ZeroDivisionError):
        main(command(recipe()))
    assert events(tmp_path / "out")[-1]["sentence"] == "The training program broke: ZeroDivisionError: by nothing"


@pytest.mark.slow
def test_sigterm_keeps_what_was_learned_and_a_kill_can_be_resumed(
    recipe: MakeRecipe, command: Callable[..., list[str]], tmp_path: Path
) -> None:
    knobs = recipe(steps=100_000, checkpoint_every=5, validate_every=100_000, report_every=1)
    arguments = command(knobs, "--resume")
    for sign, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 0)):
        log = tmp_path / f"{sign.name}.log"
        process = start(arguments, log)
        until(lambda log=log: log.exists() and "\ncheckpoint" in log.read_text(), "a checkpoint")
        os.kill(process.pid or 0, sign)
        process.join(60.0)
        assert process.exitcode == code, log.read_text()
    told = events(tmp_path / "out")
    resumed = [event for event in told if event["kind"] == "started"][1]
    assert int(str(resumed["step"])) >= 5
    assert (told[-1]["kind"], told[-1]["reason"], told[-1]["kept"]) == ("finished", "stopped", True)
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
