"""Checkpoints: complete or not there, and able to say what they are.

A checkpoint is written into a temporary folder beside its place, every file and folder is flushed to disk, then
`checkpoint.json` with the sizes and SHA-256 of all files, then the folder takes its name. Nothing older is touched.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import safetensors.torch
import torch

from workers import disk
from workers.families import metadata

SIDECAR = "checkpoint.json"
WEIGHTS = "weights"
STATE = "state.safetensors"
_LIBRARIES = ("torch", "diffusers", "transformers", "safetensors")


@dataclass(frozen=True)
class Saved:
    """A checkpoint that was just written."""

    folder: Path
    size_bytes: int


def save_checkpoint(
    out: Path,
    step: int,
    write_weights: Callable[[Path], None],
    state: Mapping[str, torch.Tensor],
    facts: Mapping[str, Any],
) -> Saved:
    """Write OUT/checkpoints/step-NNNNNN with `weights/`, `state.safetensors` and the sidecar holding `facts`.

    Raises `DiskFull` when the disk is full; checkpoints that were there before are left as they are.
    """
    folder = checkpoint_folder(out, step)
    with disk.replaced_whole(folder, sum(tensor.nbytes for tensor in state.values())) as temporary:
        write_weights(temporary / WEIGHTS)
        metadata.save(temporary / STATE, state, {"step": str(step)})
        files = {str(f.relative_to(temporary)): _file_facts(f) for f in disk.files(temporary)}
        sidecar = {
            "format": 1,
            "step": step,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            **facts,
            "libraries": {name: version(name) for name in _LIBRARIES},
            "files": files,
        }
        (temporary / SIDECAR).write_text(json.dumps(sidecar, indent=1))
    return Saved(folder, sum(f.stat().st_size for f in disk.files(folder)))


def checkpoint_folder(out: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return out / "checkpoints" / f"step-{step:06d}"


def latest_checkpoint(
    out: Path, facts: Mapping[str, type] = MappingProxyType({"step": int})
) -> tuple[Path | None, list[str]]:
    """The checkpoint with the highest step that a run can go on from, or None; and what is wrong with newer ones.

    Its sidecar has to tell the `facts`, each of its kind. Every byte of it is read: a disk that gives back something
    else than was saved does not say so.
    """
    faults: list[str] = []
    for folder in sorted((out / "checkpoints").glob("step-*"), reverse=True):
        if (fault := _fault(folder, facts)) is None:
            return folder, faults
        faults.append(f"The checkpoint {folder.name} {fault}.")
    return None, faults


def let_go_of_states(out: Path, keep: int, sound_step: int) -> None:
    """Delete what only resuming needs from all checkpoints but the newest `keep` and `sound_step`'s. Weights stay.

    The state is three times as large as the weights. The sidecar stops listing it before it is deleted, so that the
    checkpoint is complete at every moment. Called after a newer checkpoint is whole on disk.
    """
    whole = [folder for folder in sorted((out / "checkpoints").glob("step-*")) if (folder / STATE).exists()]
    for folder in whole[:-keep]:
        if folder == checkpoint_folder(out, sound_step):
            continue
        sidecar = read_sidecar(folder)
        sidecar["files"].pop(STATE, None)
        _rewrite(folder, sidecar)
        (folder / STATE).unlink()


def mark_exploded(out: Path, after_step: int) -> None:
    """Write into the sidecars of all checkpoints behind `after_step` that no run can go on from them."""
    for folder in sorted((out / "checkpoints").glob("step-*")):
        sidecar = read_sidecar(folder)
        if int(sidecar["step"]) > after_step:
            _rewrite(folder, {**sidecar, "has_exploded": True})


def is_complete(folder: Path) -> bool:
    """Whether the sidecar is there and every file it lists has the size it says."""
    try:
        files = read_sidecar(folder)["files"]
        return all((folder / name).stat().st_size == facts["size_bytes"] for name, facts in files.items())
    except (OSError, ValueError, KeyError):
        return False


def read_sidecar(folder: Path) -> dict[str, Any]:
    """What the checkpoint says of itself. Raises `OSError` or `ValueError` when it does not."""
    sidecar = json.loads((folder / SIDECAR).read_text())
    if not isinstance(sidecar, dict):
        raise ValueError(f"{folder / SIDECAR} is not a JSON object")
    return sidecar


def load_state(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors to resume from, on the CPU; `latest_checkpoint` has looked whether they are what was saved."""
    state: dict[str, torch.Tensor] = safetensors.torch.load_file(folder / STATE)
    # What helps the model to learn is called auxiliary since 30 November 2026; runs of before may go on.
    return {re.sub(r"(^|/)aids\.", r"\1auxiliary.", name): tensor for name, tensor in state.items()}


def _rewrite(folder: Path, sidecar: Mapping[str, Any]) -> None:
    temporary = folder / f".{SIDECAR}.{os.getpid()}"
    temporary.write_text(json.dumps(sidecar, indent=1))
    disk.flush(temporary)
    temporary.replace(folder / SIDECAR)
    disk.flush(folder)


def _fault(folder: Path, facts: Mapping[str, type]) -> str | None:
    """Why a run cannot go on from a checkpoint, said of it; None when nothing does."""
    if not is_complete(folder):
        return "is incomplete"
    sidecar = read_sidecar(folder)
    lacking = [name for name, kind in facts.items() if not isinstance(sidecar.get(name), kind)]
    if lacking:
        return f"is damaged: {SIDECAR} does not say its {lacking[0]}"
    if sidecar.get("has_exploded"):
        return "was saved when the loss had begun to explode"
    files = sidecar["files"]
    if STATE not in files:
        return "holds no state to go on from"
    for name, known in files.items():
        try:
            is_whole = disk.sha256(folder / name) == known["sha256"]
        except OSError:
            is_whole = False
        if not is_whole:
            return f"is damaged: {name} is not what was saved"
    return None


def _file_facts(file: Path) -> dict[str, Any]:
    return {"size_bytes": file.stat().st_size, "sha256": disk.sha256(file)}
