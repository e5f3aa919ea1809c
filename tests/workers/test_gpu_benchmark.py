"""The benchmark for a GPU, tried out on the CPU with toys, so that it works on the day that somebody has one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import gpu, gpu_captioner


def test_every_case_runs_in_small(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--tiny", "--steps", "1"]) == 0
    head, names, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("CPU, torch")
    assert "bare/s" in names
    assert len(rows) == len(gpu.CASES) == 6
    for line, case in zip(rows, gpu.CASES, strict=True):
        assert line.startswith(case.name)
        assert f" {case.method} " in line
        assert "cannot tell" in line


def test_without_a_gpu_it_says_so_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 1
    assert capsys.readouterr().out.count(".") == 1


def test_a_batch_too_large_for_the_card_is_halved(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[int] = []

    def fits_two(case: gpu.Case, device: torch.device) -> float:
        tried.append(case.batch)
        if case.batch > 2:
            raise torch.OutOfMemoryError
        return 1e9

    monkeypatch.setattr(gpu, "operations_of_a_step", fits_two)
    case = gpu.replace(gpu.toy(gpu.CASES[0]), batch=8)
    gpu.row(case, torch.device("cpu"), 1, 989e12, 1e12)
    assert tried == [8, 4, 2]
    assert " 2 " in capsys.readouterr().out


def test_the_models_are_photorooms_in_size() -> None:
    with torch.device("meta"):
        sizes = [sum(p.numel() for p in gpu.PRXTransformer2DModel(**case.sizes).parameters()) for case in gpu.CASES]
    assert all(1.15e9 < size < 1.25e9 for size in sizes)


def test_cards_are_found_by_name() -> None:
    assert gpu.sheet_rate("NVIDIA H100 80GB HBM3") == 989e12
    assert gpu.sheet_rate("NVIDIA H100 PCIe") == 756e12
    assert gpu.sheet_rate("NVIDIA Something Else") is None


def test_the_captioners_benchmark_runs_in_small(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_captioner.main(["--tiny"]) == 0
    head, names, *rows = [line for line in capsys.readouterr().out.splitlines() if line]
    assert head.startswith("CPU, torch") and "attention sdpa" in head
    assert "ours/bare" in names and [line.split()[0] for line in rows] == ["1", "2"]


def test_the_captioner_is_of_a_real_ones_size(tmp_path: Path) -> None:
    weights = gpu_captioner.full(tmp_path, torch.device("meta")).model.parameters()
    assert 3.5e9 < sum(part.numel() for part in weights) < 4.1e9
