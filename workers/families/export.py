"""Giving a trained model away: a folder that plain diffusers loads, a LoRA in two layouts, and where it all comes from.

Every safetensors file that training changed tells in its header what it was trained on, from and with; `packshot.json`
tells the same and the whole recipe; `README.md` is a model card with the licence of each part. None of them holds a
folder of this machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.datasets.manifest import RIGHTS, ManifestRow, rights_of
from app.launch.facts import LicensedPart
from app.training.recipe import Recipe
from workers.disk import replaced_whole
from workers.families import card, layouts, licences, lora, lora_merge, metadata, weights
from workers.families.registry import Family

FACTS = "packshot.json"
PHOTOS = "photos.jsonl"
_LIBRARIES = ("torch", "diffusers", "transformers", "peft", "safetensors")


@dataclass(frozen=True)
class Origin:
    """Where weights come from: the recipe, the members' hash (hex), how many steps were made, and the members."""

    recipe: Recipe
    dataset_hash: str
    step: int
    photos: Sequence[ManifestRow] = ()


def export(family: Family, saved: Path, model: Path, origin: Origin) -> None:
    """Write the pipeline with the `saved` weights (a checkpoint's folder, either kind) into the folder `model`.

    A LoRA is merged into it, and also written beside it: `lora/diffusers.safetensors` and `lora/comfyui.safetensors`
    in the folder that `model` is in. The family's own weights are afterwards what they were, see `weights.loaded`.
    Raises `Refusal` when the weights do not fit.
    """
    parts = licences.of(family, origin.recipe.base)
    facts = _told(family, parts, origin)
    if weights.is_lora(saved):
        model.mkdir(parents=True, exist_ok=True)
        with weights.loaded(family, saved):
            with TemporaryDirectory(dir=model) as merged:
                lora_merge.save_merged(family, Path(merged))
                family.export(Path(merged), model)
            _write_lora(family, model.parent / "lora", facts)
    else:
        family.export(saved, model)
    for file in (model / family.denoiser).glob("*.safetensors"):
        metadata.write(file, facts)
    (model / FACTS).write_text(json.dumps(_facts(facts, parts, origin), indent=1, ensure_ascii=False) + "\n")
    (model / "README.md").write_text(
        card.text(family.name, parts, facts, origin.recipe, rights_of(origin.photos)), encoding="utf-8"
    )
    if origin.photos:
        _write_photos(model / PHOTOS, origin.photos)


def _told(family: Family, parts: tuple[LicensedPart, ...], origin: Origin) -> dict[str, str]:
    """What each file says of itself, as safetensors' metadata wants it: text by name."""
    recipe = origin.recipe
    return {
        "made_with": "Packshot",
        "family": recipe.family,
        "method": recipe.method,
        **({"rank": str(recipe.lora_rank), "alpha": str(recipe.lora_rank)} if recipe.method == "lora" else {}),
        "base": public(recipe.base),
        **({"base_revision": family.base_revision} if family.base_revision else {}),
        "base_sha256": "" if family.folder is None else licences.sha256(family.folder / family.denoiser),
        "dataset_hash": origin.dataset_hash,
        "recipe_hash": recipe.recipe_hash(),
        "step": str(origin.step),
        "licence": licences.of_trained(parts, family.denoiser),
        "trained_words": "none",
    }


def public(value: str) -> str:
    """A base's name as it can be given away: a name on the hub, or the last part of a folder's path."""
    if not Path(value).is_absolute():
        return value
    # A hub's cache keeps MAKER/BASE in .../models--MAKER--BASE/snapshots/REVISION.
    cached = [part for part in Path(value).parts if part.startswith("models--")]
    return cached[-1].removeprefix("models--").replace("--", "/", 1) if cached else Path(value).name


def _facts(facts: Mapping[str, str], parts: tuple[LicensedPart, ...], origin: Origin) -> dict[str, Any]:
    knobs = origin.recipe.model_dump(mode="json")
    return {
        "format": 1,
        **facts,
        "step": origin.step,
        "licences": [asdict(part) for part in parts],
        "recipe": {key: public(value) if isinstance(value, str) else value for key, value in knobs.items()},
        "libraries": {name: version(name) for name in _LIBRARIES},
        **({"photos": rights_of(origin.photos)} if origin.photos else {}),
    }


def _write_photos(file: Path, rows: Sequence[ManifestRow]) -> None:
    """Whose each photo is, a line of JSON for each: neither the photos nor their captions."""
    names = ("sha256", "split", *RIGHTS)
    known = ({name: value for name in names if (value := getattr(row, name)) is not None} for row in rows)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in known), encoding="utf-8")


def _write_lora(family: Family, folder: Path, facts: Mapping[str, str]) -> None:
    with replaced_whole(folder) as temporary:
        lora.save(family, temporary, facts)
        diffusers = (temporary / lora.FILE).rename(temporary / "diffusers.safetensors")
        comfyui = layouts.comfyui(family.name, lora.read(diffusers), family.model)
        metadata.save(temporary / "comfyui.safetensors", comfyui, {"format": "pt", **facts})
