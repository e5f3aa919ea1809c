"""A base from a model hub: the commit that was asked for, told afterwards, and kept to when its name moves on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from app.training.recipe import Recipe
from workers.devices.model_cache import ModelCache
from workers.errors import InputError
from workers.families.fetch import commit_of, kept_to, located
from workers.families.registry import load_family
from workers.finetune.checkpoint import read_sidecar
from workers.finetune.train import train

CPU = torch.device("cpu")
FIRST, SECOND = "1" * 40, "2" * 40


@pytest.fixture
def hub(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the hub's client keeps of `shop/base` on this machine, offline: two commits, the first one the newest."""
    cache = tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    repository = cache / "models--shop--base"
    shutil.copytree(tiny_base, repository / "snapshots" / FIRST)
    shutil.copytree(tiny_base, repository / "snapshots" / SECOND)
    move(cache, FIRST)
    return cache


def move(cache: Path, commit: str) -> None:
    """The name stands for another commit from now on."""
    refs = cache / "models--shop--base" / "refs"
    refs.mkdir(exist_ok=True)
    (refs / "main").write_text(commit)


def test_a_commit_that_is_asked_for_is_loaded_and_told(hub: Path) -> None:
    assert load_family("prx_pixel", "shop/base", CPU).base_revision == FIRST
    pinned = load_family("prx_pixel", "shop/base", CPU, revision=SECOND)
    assert (pinned.base_revision, pinned.folder) == (SECOND, hub / "models--shop--base" / "snapshots" / SECOND)


def test_a_sheet_draws_with_the_commit_of_its_run(hub: Path) -> None:
    models = ModelCache(1)
    first = models.family("prx_pixel", "shop/base", revision=FIRST)
    assert models.family("prx_pixel", "shop/base", revision=FIRST) is first
    assert models.family("prx_pixel", "shop/base", revision=SECOND).base_revision == SECOND


def test_a_folder_has_no_commit(tiny_base: Path, tmp_path: Path) -> None:
    assert located(str(tiny_base), SECOND) == tiny_base
    assert [commit_of(folder) for folder in (None, tiny_base, tmp_path / "snapshots" / "abc")] == ["", "", ""]


@pytest.mark.parametrize(("base", "revision"), [("shop/base", "3" * 40), ("shop/gone", "")])
def test_what_cannot_be_fetched_is_named_with_its_commit(hub: Path, base: str, revision: str) -> None:
    with pytest.raises(InputError, match=f"The base model {base}{' at commit 3' if revision else ''}.* cannot be"):
        located(base, revision)


@pytest.mark.parametrize("base", ["/nowhere/base", "nowhere", "a/b/c"])
def test_a_missing_folder_is_no_name_on_a_hub(base: str) -> None:
    with pytest.raises(InputError, match=r"folder .* is missing"):
        located(base)


def test_a_run_keeps_to_the_commit_that_it_began_from(
    hub: Path, recipe: Callable[..., Recipe], manifest: Path, tmp_path: Path, listener: Any
) -> None:
    out, knobs = tmp_path / "out", recipe(base="shop/base", steps=4, report_every=1)
    train(knobs, manifest, out, listener(stop_at=2), CPU, False)
    assert read_sidecar(out / "checkpoints" / "step-000002")["base_revision"] == FIRST
    assert (kept_to(knobs, out), kept_to(knobs, tmp_path)) == (FIRST, "")
    move(hub, SECOND)
    other = knobs.model_copy(update={"base_revision": SECOND})
    with pytest.raises(InputError, match=f"base_revision is {SECOND} and was {FIRST}"):
        train(other, manifest, out, listener(), CPU, True)
    again = listener()
    train(knobs, manifest, out, again, CPU, True)
    assert again.facts("started")[0]["base_revision"] == FIRST
    exported = json.loads((out / "model" / "packshot.json").read_text())
    assert exported["base_revision"] == FIRST
    assert f"at commit `{FIRST}`" in (out / "model" / "README.md").read_text()
