"""Checkpoints: whole or not there, whatever happens while they are written."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from app.errors import DiskFull
from workers import disk
from workers.disk import clear_leftovers, replaced_whole
from workers.finetune.checkpoint import (
    is_complete,
    latest_checkpoint,
    load_state,
    read_sidecar,
    save_checkpoint,
)


def write(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text("{}")


def save(out: Path, step: int, write_weights: Callable[[Path], None] = write) -> Path:
    state = {"weights/w": torch.full((3,), float(step))}
    return save_checkpoint(out, step, write_weights, state, {"recipe_hash": "r"}).folder


def names(out: Path) -> list[str]:
    return sorted(folder.name for folder in (out / "checkpoints").iterdir())


def test_a_checkpoint_says_what_it_is(tmp_path: Path) -> None:
    folder = save(tmp_path, 500)
    assert folder == tmp_path / "checkpoints" / "step-000500"
    sidecar = read_sidecar(folder)
    assert (sidecar["step"], sidecar["recipe_hash"]) == (500, "r")
    assert set(sidecar["files"]) == {"weights/config.json", "state.safetensors"}
    assert {"torch", "diffusers"} <= sidecar["libraries"].keys()
    assert load_state(folder)["weights/w"].tolist() == [500.0] * 3


def test_the_latest_is_the_highest_complete_one(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path)[0] is None
    older = save(tmp_path, 150)
    newer = save(tmp_path, 1000)
    assert latest_checkpoint(tmp_path)[0] == newer
    (newer / "weights" / "config.json").write_text("")
    assert latest_checkpoint(tmp_path)[0] == older


@pytest.mark.parametrize("fault", ["no sidecar", "torn sidecar", "sidecar without files", "missing file"])
def test_incomplete_ones_are_passed_over(tmp_path: Path, fault: str) -> None:
    older, newer = save(tmp_path, 1), save(tmp_path, 2)
    match fault:
        case "no sidecar":
            (newer / "checkpoint.json").unlink()
        case "torn sidecar":
            (newer / "checkpoint.json").write_text('{"files": {')
        case "sidecar without files":
            (newer / "checkpoint.json").write_text("[]")
        case "missing file":
            (newer / "state.safetensors").unlink()
    assert not is_complete(newer)
    assert latest_checkpoint(tmp_path)[0] == older


def test_a_process_killed_inside_a_save_leaves_the_older_one(tmp_path: Path) -> None:
    older = save(tmp_path, 1)

    def die_half_way(folder: Path) -> None:
        write(folder)
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        save(tmp_path, 2, die_half_way)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert len(names(tmp_path)) == 2
    assert latest_checkpoint(tmp_path)[0] == older
    clear_leftovers(tmp_path)
    assert names(tmp_path) == ["step-000001"]
    assert latest_checkpoint(tmp_path)[0] != save(tmp_path, 2)


def leave(folder: Path, content: str) -> None:
    """A folder that a killed process left behind, or one that it had finished."""
    folder.mkdir(parents=True)
    (folder / "v").write_text(content)


@pytest.mark.parametrize("name", ["model", "lora", "checkpoints/step-000002"])
@pytest.mark.parametrize("is_in_place", [True, False])
def test_leftovers_of_killed_processes_are_put_right(tmp_path: Path, name: str, is_in_place: bool) -> None:
    folder = tmp_path / name
    leave(folder.with_name(f".{folder.name}.77.old"), "the one before")
    leave(folder.with_name(f".{folder.name}.77.new"), "half")
    leave(folder.with_name(f".{folder.name}.78.new"), "another half")
    if is_in_place:
        leave(folder, "whole")
    clear_leftovers(tmp_path)
    assert [one.name for one in folder.parent.iterdir()] == [folder.name]
    assert (folder / "v").read_text() == ("whole" if is_in_place else "the one before")


def test_leftovers_of_the_same_process_number_stop_no_save(tmp_path: Path) -> None:
    model = tmp_path / "model"
    for name in ("model", f".model.{os.getpid()}.new", f".model.{os.getpid()}.old"):
        leave(tmp_path / name, "left")
    with replaced_whole(model) as temporary:
        (temporary / "w").write_text("new")
    assert [one.name for one in tmp_path.iterdir()] == ["model"]
    assert [one.name for one in model.iterdir()] == ["w"]


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_an_error_at_the_last_moment_leaves_the_older_one_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    older = save(tmp_path, 1)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os if call == "fsync" else Path, call, fail)
    with pytest.raises(OSError, match="Input/output"):
        save(tmp_path, 2)
    assert names(tmp_path) == ["step-000001"]
    assert latest_checkpoint(tmp_path)[0] == older


def test_a_full_disk_is_refused_in_words(tmp_path: Path) -> None:
    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    save(tmp_path, 1)
    with pytest.raises(DiskFull, match="The disk is full"):
        save(tmp_path, 2, full)
    assert names(tmp_path) == ["step-000001"]


@pytest.mark.parametrize("name", ["state.safetensors", "weights/config.json"])
@pytest.mark.parametrize("fault", ["bytes", "unreadable", "size"])
def test_a_damaged_one_is_passed_over_and_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fault: str
) -> None:
    older, newer = save(tmp_path, 1), save(tmp_path, 2)
    content = bytearray((newer / name).read_bytes())
    content[-1] ^= 1
    (newer / name).write_bytes(content if fault == "bytes" else content[:-1] if fault == "size" else content)
    if fault == "unreadable":
        read = disk.sha256

        def broken(file: Path) -> str:
            if file == newer / name:
                raise OSError(errno.EIO, "Input/output error")
            return read(file)

        monkeypatch.setattr(disk, "sha256", broken)
    what = "is incomplete" if fault == "size" else f"is damaged: {name} is not what was saved"
    assert latest_checkpoint(tmp_path) == (older, [f"The checkpoint step-000002 {what}."])


def test_a_state_that_was_about_to_be_deleted_is_not_gone_on_from(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    sidecar = read_sidecar(folder)
    del sidecar["files"]["state.safetensors"]
    (folder / "checkpoint.json").write_text(json.dumps(sidecar))
    assert latest_checkpoint(tmp_path) == (None, ["The checkpoint step-000001 holds no state to go on from."])


def test_a_folder_is_replaced_only_when_the_new_one_is_whole(tmp_path: Path) -> None:
    model = tmp_path / "model"
    with replaced_whole(model) as temporary:
        (temporary / "v").write_text("1")
    with pytest.raises(RuntimeError), replaced_whole(model) as temporary:
        (temporary / "v").write_text("2")
        raise RuntimeError
    assert (model / "v").read_text() == "1"
    with replaced_whole(model) as temporary:
        (temporary / "v").write_text("3")
    assert (model / "v").read_text() == "3"
    assert [folder.name for folder in tmp_path.iterdir()] == ["model"]


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    with replaced_whole(model) as temporary:
        (temporary / "v").write_text("1")
    rename = Path.rename

    def only_the_old(path: Path, target: Path) -> Path:
        if path.name.endswith(".new"):
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", only_the_old)
    with pytest.raises(OSError, match="Input/output"), replaced_whole(model) as temporary:
        (temporary / "v").write_text("2")
    assert (model / "v").read_text() == "1"
