"""A base by its name on a model hub, at one commit: which files a name stands for may change, a commit's never do."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.training.recipe import Recipe
from workers.errors import InputError

_COMMIT: Final = re.compile("[0-9a-f]{40}")


def located(base: str, revision: str = "") -> Path:
    """The folder of `base`: itself where it is one, else what the hub has of that name at the commit `revision`.

    Without a commit it is the hub's newest, or the newest that is on this machine while the hub cannot be asked; the
    folder's `commit_of` then says which. Raises `InputError`.
    """
    folder = Path(base)
    if folder.is_dir():
        return folder
    if folder.is_absolute() or base.count("/") != 1:
        raise InputError(f"The base model folder {base} is missing.")
    # It takes a second to import, and a base in a folder does without.
    from diffusers import DiffusionPipeline

    try:
        fetched = DiffusionPipeline.download(
            base,
            revision=revision or None,
            cache_dir=os.environ.get("HF_HUB_CACHE"),
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError) as error:
        at = f" at commit {revision}" if revision else ""
        raise InputError(f"The base model {base}{at} cannot be fetched: {' '.join(str(error).split())}") from error
    return Path(fetched)


def kept_to(recipe: Recipe, out: Path) -> str:
    """The commit of the base that the run in `out` keeps to: its recipe's, or else what its newest checkpoint tells of.

    Empty for a base in a folder, and before anything is known.
    """
    if recipe.base_revision:
        return recipe.base_revision
    for sidecar in sorted((out / "checkpoints").glob("step-*/checkpoint.json"), reverse=True):
        with suppress(OSError, ValueError, AttributeError):
            return str(json.loads(sidecar.read_text()).get("base_revision", ""))
    return ""


def commit_of(folder: Path | None) -> str:
    """The commit of a folder in a hub's cache on this machine, which is called by it; empty for any other folder."""
    is_fetched = folder is not None and folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name)
    return folder.name if folder is not None and is_fetched else ""
