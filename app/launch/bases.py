"""Base models that lie on this machine, and what their folders say of them. Reads small files only, never weights.

A folder is a base when it holds a diffusers pipeline: `model_index.json` and a folder for each part. Weights are
counted from the headers of their safetensors files.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from app.launch import distilled
from app.launch.defaults import STARTS
from app.launch.facts import BaseFacts
from app.launch.licences import of_folder
from app.settings import PROJECT
from app.training import runs
from app.training.recipe import Recipe, read_recipe

# The pipeline classes that can be fine-tuned, their family, and the name of the part that is trained.
PIPELINES: Final[dict[str, tuple[str, str]]] = {
    "PRXPipeline": ("prx", "transformer"),
    "PRXPixelPipeline": ("prx_pixel", "transformer"),
    "StableDiffusionPipeline": ("sd15", "unet"),
    "StableDiffusionXLPipeline": ("sdxl", "unet"),
    "StableDiffusion3Pipeline": ("sd3", "transformer"),
    "FluxPipeline": ("flux", "transformer"),
    "Flux2KleinPipeline": ("flux2", "transformer"),
}
# FLUX packs two by two latents into a token; its own size is no field of its files.
_PACKED: Final = 2
_FLUX_PX: Final = 1024
_LONGEST_HEADER_BYTES: Final = 100_000_000
_COMMIT: Final = re.compile("[0-9a-f]{40}")


def offered(settings_base: str, folders: Iterable[Path]) -> list[BaseFacts]:
    """The bases to choose from: the settings' one, the shipped one, and every pipeline folder in `folders`.

    One that cannot be trained is there too, with the reason.
    """
    names = [runs.named(settings_base), nano().base]
    for folder in folders:
        names += sorted(runs.named(str(index.parent)) for index in folder.glob("*/model_index.json"))
    return [read(name) for name in dict.fromkeys(names)]


def read(name: str) -> BaseFacts:
    """What the base of this name is; its `fault` says why it cannot be trained, where it cannot."""
    folder, revision = PROJECT / name, ""
    if not folder.is_dir() and (fetched := _fetched(name)) is not None:
        folder, revision = fetched, fetched.name
    if not folder.is_dir():
        words = f"{name} is not on this machine, so nothing is known of it. Fetch it, or put its folder under models/"
        return BaseFacts(name, name, "prx", 512, 0, 0, False, 0, fault=words)
    try:
        stamp = max(path.stat().st_mtime_ns for path in (folder, folder / "model_index.json"))
        return replace(_read(name, folder, stamp), revision=revision)
    except (OSError, ValueError, KeyError, TypeError) as error:
        words = f"{name} holds no pipeline that can be read: {' '.join(str(error).split())[:200]}"
        return BaseFacts(name, folder.name, "prx", 512, 0, 0, False, 0, fault=words)


def _fetched(name: str) -> Path | None:
    """Where a model hub's own cache on this machine keeps the base of this name, in a folder called by its commit.

    None when it is not there.
    """
    if name.count("/") != 1 or name.startswith("/"):
        return None
    home = os.environ.get("HF_HOME", str(Path.home() / ".cache" / "huggingface"))
    kept = Path(os.environ.get("HF_HUB_CACHE", str(Path(home) / "hub"))) / f"models--{name.replace('/', '--')}"
    try:
        commit = (kept / "refs" / "main").read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return kept / "snapshots" / commit if _COMMIT.fullmatch(commit) else None


@lru_cache(maxsize=1)
def nano() -> Recipe:
    """The recipe that was tried on the shipped base."""
    return read_recipe(runs.NANO_RECIPE)


@lru_cache(maxsize=64)
def _read(name: str, folder: Path, stamp: int) -> BaseFacts:
    """`stamp` changes with the folder, so that a folder is read again when it was written anew."""
    kind = str(_json(folder / "model_index.json")["_class_name"])
    if kind not in PIPELINES:
        words = f"It is a {kind}; Packshot fine-tunes {', '.join(sorted(PIPELINES))}."
        return BaseFacts(name, folder.name, "prx", 512, 0, 0, False, 0, fault=words)
    family, part = PIPELINES[kind]
    config = _json(folder / part / "config.json")
    is_pixel = family == "prx_pixel"
    reduction = 1 if is_pixel else _reduction(folder)
    weights = sorted((folder / part).glob("*.safetensors"))
    parameters = sum(_count(file) for file in weights)
    return BaseFacts(
        name=name,
        title=f"{STARTS[family].title}, {_size(parameters)}",
        family=family,
        resolution_px=_resolution(folder, family, config, reduction),
        parameters=parameters,
        token_px=_token_px(family, config, reduction),
        is_pixel=is_pixel,
        size_bytes=sum(file.stat().st_size for file in folder.rglob("*.safetensors")),
        parts=of_folder(folder, name),
        template=_template(name, family, parameters),
        few_steps=distilled.steps_of(folder, name, family),
        fault="" if weights else f"{name} has no safetensors weights in its folder {part}.",
    )


def _template(name: str, family: str, parameters: int) -> Recipe | None:
    """The nano recipe fits the shipped base and what was taught from it: pixel models of a few million weights."""
    known = nano()
    if family == known.family and (name == known.base or parameters == _nano_parameters()):
        return known
    return None


@lru_cache(maxsize=1)
def _nano_parameters() -> int:
    part = PIPELINES["PRXPixelPipeline"][1]
    return sum(_count(file) for file in (PROJECT / nano().base / part).glob("*.safetensors"))


def _resolution(folder: Path, family: str, config: dict[str, Any], reduction: int) -> int:
    """The size a side that the base draws by itself, in pixels."""
    if family in ("prx", "prx_pixel"):
        return int(_json(folder / "model_index.json").get("default_sample_size") or 512)
    if family in ("flux", "flux2"):
        return _FLUX_PX
    return int(config["sample_size"]) * reduction


def _token_px(family: str, config: dict[str, Any], reduction: int) -> int:
    if family in ("sd15", "sdxl"):
        return 0
    patch = _PACKED if family in ("flux", "flux2") else int(config["patch_size"])
    return patch * reduction


def _reduction(folder: Path) -> int:
    """Pixels along a side of one latent: each further block of the autoencoder halves the picture."""
    config = _json(folder / "vae" / "config.json")
    blocks = config.get("block_out_channels") or config["encoder_block_out_channels"]
    return int(2 ** (len(blocks) - 1))


def _size(parameters: int) -> str:
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.1f}M"


def _count(file: Path) -> int:
    """Weights in a safetensors file, from its header alone: eight bytes of length, then JSON with each shape."""
    with file.open("rb") as reader:
        length = int.from_bytes(reader.read(8), "little")
        if length > _LONGEST_HEADER_BYTES:
            raise ValueError(f"{file.name} is no safetensors file")
        header = json.loads(reader.read(length))
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def _json(file: Path) -> dict[str, Any]:
    document = json.loads(file.read_text(encoding="utf-8-sig"))
    if not isinstance(document, dict):
        raise ValueError(f"{file.name} is not a JSON object")
    return document
