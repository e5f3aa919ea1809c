"""The model card of an export: how to draw with it, what it was made from, and the licence of each part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.launch.facts import LicensedPart
from app.training.recipe import Recipe

# So many credits are named in the card; all of them are in `packshot.json`.
NAMED_AT_MOST: Final = 50
# What drawing with each family has to be told besides prompt, steps and guidance, to draw as Packshot does.
_OPTIONS = {
    "prx": ", skip_text_cleaning=True, use_resolution_binning=False",
    "prx_pixel": ", use_resolution_binning=False",
}
_WORDS = (
    "\nCaptions were learned with their words as they are written. diffusers' PRX pipeline lower-cases prompts and "
    "deletes brackets,\narticle numbers, Chinese and Japanese unless it is told `skip_text_cleaning=True`.\n"
)


def text(
    family: str, parts: Sequence[LicensedPart], facts: Mapping[str, str], recipe: Recipe, photos: Mapping[str, Any]
) -> str:
    """The card's Markdown. `facts` are what the weights' files carry, `photos` is `manifest.rights_of` the members."""
    rows = "\n".join(f"| {part.name} | {part.licence} | {part.binds or 'nothing further'} |" for part in parts)
    is_free = bool(parts) and all(part.licence == "Apache-2.0" for part in parts)
    base = facts["base"]
    # A name on the hub, as against a folder, is linked to from the new model's page.
    base_line = f"base_model: {base}" if base.count("/") == 1 and not base.startswith("models/") else "tags: [packshot]"
    call = f'"...", num_inference_steps={recipe.sampling_steps}, guidance_scale={recipe.guidance}'
    commit = f" at commit `{facts['base_revision']}`" if "base_revision" in facts else ""
    method = f"a LoRA of rank {facts['rank']}, merged" if facts["method"] == "lora" else "all weights of the denoiser"
    return f"""---
license: {"apache-2.0" if is_free else "other"}
library_name: diffusers
pipeline_tag: text-to-image
{base_line}
---

# {recipe.name}

A text-to-image model, fine-tuned with Packshot from `{base}`: {method}, {facts["step"]} steps.

    from diffusers import DiffusionPipeline
    pipeline = DiffusionPipeline.from_pretrained("THIS FOLDER")
    pipeline({call}{_OPTIONS.get(family, "")}).images[0]
{_WORDS if family == "prx" else ""}
## Licences

A fine-tune carries the licences of everything in it. Known when this was written; read them before giving the model
away.

| part | licence | what it binds to |
|---|---|---|
{rows}
{_photos(photos)}
## Made from

| | |
|---|---|
| base | `{base}`{commit}, weights SHA-256 `{facts["base_sha256"]}` |
| dataset version | SHA-256 `{facts["dataset_hash"]}` |
| recipe | SHA-256 `{facts["recipe_hash"]}`, in full in `packshot.json` |
| trained words | {facts["trained_words"]} |
"""


def _photos(photos: Mapping[str, Any]) -> str:
    """Whose photos the model learned from; nothing where there are none to tell of."""
    if not photos["photos"]:
        return ""
    rows = "\n".join(f"| {_cell(licence)} | {count:,} |" for licence, count in photos["licences"].items())
    named = photos["credits"]
    more = f" and {len(named) - NAMED_AT_MOST:,} more" if len(named) > NAMED_AT_MOST else ""
    credit = f"\nCredits: {'; '.join(map(_cell, named[:NAMED_AT_MOST]))}{more}.\n" if named else ""
    opted_out = photos["opted_out"]
    out = f"\n{opted_out:,} of them were opted out of training and taken all the same.\n" if opted_out else ""
    return f"""
## Photos

Learned from {photos["photos"]:,} photos; `photos.jsonl` tells of each its source, licence, credit and opt-out.

| licence | photos |
|---|---|
{rows}
{credit}{out}"""


def _cell(text: str) -> str:
    """Text of strangers in a table of Markdown: it begins no cell, no line and no tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")
