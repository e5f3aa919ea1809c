"""Bytes that move are heard of, others are not; files written piece by piece are those of the library."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from app.errors import DiskFull
from app.training.recipe import Recipe
from workers import disk
from workers.families import metadata, pipelines
from workers.families.prx_pixel import load
from workers.finetune.__main__ import why
from workers.finetune.cache import TensorCache
from workers.finetune.train import train

CPU = torch.device("cpu")


@pytest.fixture
def heard() -> list[int]:
    return []


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_PIECE_BYTES", 4)
    monkeypatch.setattr(disk, "_WAITING_BYTES", 12)


@pytest.mark.usefixtures("small_pieces")
def test_each_piece_is_heard_once_it_has_moved(tmp_path: Path, heard: list[int]) -> None:
    file = tmp_path / "one"
    with disk.heard(lambda: heard.append(file.stat().st_size)):
        disk.write(file, [b"0123456789", b"ab"])
        assert len(heard) == 4
        disk.copy(file, tmp_path / "other")
        disk.flush(file)
        disk.sha256(file)
    assert (tmp_path / "other").read_bytes() == b"0123456789ab"
    assert len(heard) == 4 + 6 + 1 + 3
    disk.sha256(file)
    assert len(heard) == 14, "outside the block nobody listens"


@pytest.mark.usefixtures("small_pieces")
def test_written_bytes_do_not_all_wait_for_the_last_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(os.fstat(handle).st_size))
    disk.write(tmp_path / "one", [b"x" * 40])
    assert flushed == [12, 24, 36]


@pytest.mark.usefixtures("small_pieces")
def test_a_disk_that_hangs_is_not_covered_up(tmp_path: Path, heard: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(_: int) -> None:
        raise TimeoutError(f"after {len(heard)} pieces")

    monkeypatch.setattr(os, "fsync", hang)
    with pytest.raises(TimeoutError, match="after 2 pieces"), disk.heard(lambda: heard.append(1)):
        disk.write(tmp_path / "one", [b"x" * 40])


def test_a_file_is_byte_for_byte_the_librarys(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors = {
        "wide": torch.randn(3, 5),
        "a/step": torch.tensor(7.0),
        "double": torch.randn(2).double(),
        "narrow": torch.randn(4, 3).bfloat16(),
        "bytes": torch.arange(5).to(torch.uint8),
        "none": torch.zeros(0, 3),
        "turned": torch.randn(3, 4).t(),
    }
    metadata.save(tmp_path / "ours", tensors, {"format": "pt"})
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    safetensors.torch.save_file(whole, tmp_path / "theirs", metadata={"format": "pt"})
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize("size", ["10GB", "20KB"])
def test_a_denoiser_is_saved_as_diffusers_saves_it(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setattr(pipelines, "_SHARD_SIZE", size)
    family = load(str(tiny_base), CPU)
    family.save_weights(tmp_path / "ours")
    family.model.save_pretrained(tmp_path / "theirs", max_shard_size=size)
    ours, theirs = ({f.name: f.read_bytes() for f in (tmp_path / who).iterdir()} for who in ("ours", "theirs"))
    assert (len(ours) > 2) == (size == "20KB")
    assert ours.keys() == theirs.keys()
    assert all(ours[name] == theirs[name] for name in ours if name != "config.json")
    before = {name: tensor.clone() for name, tensor in family.model.state_dict().items()}
    family.load_weights(tmp_path / "ours")
    assert all(torch.equal(before[name], tensor) for name, tensor in family.model.state_dict().items())


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_run_gives_signs_of_life_while_it_saves_and_while_it_exports(
    recipe: Callable[..., Recipe],
    manifest: Path,
    tmp_path: Path,
    listener: Any,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    monkeypatch.setattr(disk, "_PIECE_BYTES", 1 << 12)
    monkeypatch.setattr("workers.finetune.clock.SIGN_OF_LIFE_S", 0.0)
    report = listener()
    train(recipe(steps=2, method=method, lora_rank=4), manifest, tmp_path / "out", report, CPU, resume=False)
    told = [facts.get("phase", kind) for kind, facts in report.events]
    before = told.index("checkpoint")
    assert told[before - 8 : before] == ["save"] * 8
    assert told[-9:] == ["export"] * 8 + ["finished"]


@pytest.mark.usefixtures("small_pieces")
def test_what_is_written_leaves_the_reserve_and_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [100]
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1000, 0, free[0]))  # type: ignore[attr-defined]
    target = tmp_path / "model"
    with disk.leaving_free(60):
        with disk.replaced_whole(target, 40) as temporary:
            disk.write(temporary / "a", [b"old"])
        with pytest.raises(DiskFull), disk.replaced_whole(target, 41):
            raise AssertionError("begun in spite of its size")

        def parts() -> Iterator[bytes]:
            yield b"x" * 12
            free[0] = 59
            yield b"x" * 12

        with pytest.raises(DiskFull, match="stay free"), disk.replaced_whole(target) as temporary:
            disk.write(temporary / "a", parts())
        with pytest.raises(DiskFull):
            TensorCache(tmp_path / "cache").put("ab", {"x": torch.zeros(1)})
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a"]
    assert (target / "a").read_bytes() == b"old"
    free[0] = 1
    disk.write(tmp_path / "b", [b"x" * 100])  # outside of the block nothing is to be left


def test_a_run_on_a_disk_with_its_reserve_only_is_paused_and_says_why(tmp_path: Path) -> None:
    error = DiskFull.below_reserve(tmp_path, 5 << 20, 1 << 30)
    sentence, cause = why(error, tmp_path)
    assert cause == "disk_full"
    assert "5 MB left for this, and 1,024 MB stay free for the database" in sentence
