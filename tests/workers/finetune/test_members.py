"""What a run is given to learn from: what no run begins with, and what is told of it with the first row named."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from app.datasets.manifest import ManifestRow, read_manifest, write_manifest
from app.training.recipe import Recipe
from workers.errors import InputError
from workers.finetune.train import train

CPU = torch.device("cpu")
MakeRecipe = Callable[..., Recipe]


def test_members_that_cannot_be_learned_from_are_refused(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    rows = read_manifest(manifest)
    write_manifest(manifest, [row for row in rows if row.split == "validation"])
    with pytest.raises(InputError, match="no members to learn from"):
        train(recipe(), manifest, tmp_path / "out", listener(), CPU, False)
    (manifest.parent / "broken.png").write_bytes(b"no picture")
    digest = hashlib.sha256(b"no picture").hexdigest()
    write_manifest(manifest, [*rows, ManifestRow("broken.png", "A box.", "train", "b", digest, 16, 16)])
    with pytest.raises(InputError, match=r"broken\.png cannot be read"):
        train(recipe(), manifest, tmp_path / "out", listener(), CPU, False)
    twin = replace(rows[0], split="validation")
    # A joiner and a mark that nobody sees.
    write_manifest(manifest, [*rows, twin, replace(rows[4], caption=" \u200b\ufeff")])
    with pytest.raises(InputError) as refused:
        train(recipe(), manifest, tmp_path / "out", listener(), CPU, False)
    assert f"One member is in both splits, so validation would say nothing; the first is {twin.file}." in str(
        refused.value
    )
    assert f"One caption is empty, and such pictures teach nothing; the first is that of {rows[4].file}." in str(
        refused.value
    )
    write_manifest(manifest, [replace(rows[0], sha256=rows[1].sha256), *rows[1:]])
    with pytest.raises(
        InputError, match=rf"{rows[0].file} is not the one in the manifest: its SHA-256 is {rows[0].sha256}"
    ):
        train(recipe(), manifest, tmp_path / "out", listener(), CPU, False)


def test_what_is_worth_knowing_of_the_members_is_told_with_a_row(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any
) -> None:
    rows = read_manifest(manifest)
    long, grouped = replace(rows[3], caption="red box " * 20), replace(rows[2], group=rows[0].group)
    write_manifest(manifest, [rows[0], rows[1], grouped, long, replace(rows[6], caption="blue box " * 30), *rows[7:]])
    report = listener()
    train(recipe(steps=2), manifest, tmp_path / "out", report, CPU, False)
    (started,) = report.facts("started")
    assert "2 captions have more than the 16 tokens that are read" in started["note"]
    assert f"The first is that of {long.file}, 40 tokens: red box red box" in started["note"]
    assert (
        f"One group is in both splits, so validation sees what was learned; the first is {rows[0].group}, with "
        in (started["note"])
    )
    assert f"{rows[0].file} and {grouped.file}." in started["note"]


def test_a_distilled_base_is_told_of_what_training_unlearns(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, tiny_base: Path, listener: Any
) -> None:
    base = tmp_path / "tiny-distilled"
    shutil.copytree(tiny_base, base)
    report = listener()
    train(recipe(steps=2, base=str(base)), manifest, tmp_path / "out", report, CPU, False)
    assert report.facts("started")[0]["note"].startswith("This base was distilled to draw in 8 steps without guidance")


def test_a_run_that_began_with_such_members_goes_on_and_is_told(
    recipe: MakeRecipe, manifest: Path, tmp_path: Path, listener: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = read_manifest(manifest)
    write_manifest(manifest, [*rows, replace(rows[0], split="validation")])
    with monkeypatch.context() as before:
        before.setattr("workers.finetune.train.faults", lambda _: [])
        train(recipe(steps=4, report_every=1), manifest, tmp_path / "out", listener(stop_at=2), CPU, False)
    again = listener()
    assert train(recipe(steps=4, report_every=1), manifest, tmp_path / "out", again, CPU, True) == "completed"
    assert "One member is in both splits" in again.facts("started")[0]["note"]
