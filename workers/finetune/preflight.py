"""Preflight by doing: load, real steps at the largest size, one sample, one checkpoint, and what the checks ask about.

Nothing is multiplied with constants of somebody else's machine. What was found is in OUT/preflight.json, whole or not
at all, and is written early too: where the steps do not fit in memory, what was known before is there.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch

from app.datasets.manifest import ManifestRow
from app.training.recipe import Recipe, Stage
from workers.errors import InputError
from workers.families import licences, weights
from workers.families.export import Origin, export
from workers.families.registry import Family
from workers.finetune.batches import KEPT_IN_MEMORY_BYTES, Members, Texts, captions_of, picture_name, text_name
from workers.finetune.cache import TensorCache, identity
from workers.finetune.checkpoint import SIDECAR, WEIGHTS, checkpoint_folder, load_state, save_checkpoint
from workers.finetune.clock import Clock, RunEnded
from workers.finetune.forward import validation_errors
from workers.finetune.loop_state import Preview, draw_previews, read_previews
from workers.finetune.members import faults, fitted, notes, read_rows, validation_rows
from workers.finetune.pictures import read_fitted, read_fitted_mask
from workers.finetune.ranks import ALONE, Ranks
from workers.finetune.report import Report, memory
from workers.finetune.timing import WARM, Steps, timed
from workers.finetune.train import load_base
from workers.finetune.train_state import make_train_state

FACTS: Final = "preflight.json"
EXAMPLES = 5
_PROBED = 8


def preflight(
    recipe: Recipe,
    manifest: Path,
    out: Path,
    report: Report,
    device: torch.device,
    cache: Path,
    ranks: Ranks = ALONE,
) -> dict[str, Any]:
    """Measure what a run of `recipe` would need; the facts, as they stand in OUT/preflight.json.

    Several processes measure a run of so many.

    Stopped by a person, it tells so and measures no further. Raises `InputError` when a run could not begin, and
    torch's own error when a step does not fit in memory.
    """
    try:
        return _preflight(recipe, manifest, out, report, device, cache, ranks)
    except RunEnded as ended:
        report.tell("finished", reason=ended.reason, step=0, kept=False, elapsed_s=round(report.spent_s(), 3))
        return {}


def _preflight(
    recipe: Recipe, manifest: Path, out: Path, report: Report, device: torch.device, cache: Path, ranks: Ranks
) -> dict[str, Any]:
    torch.set_num_threads(max(1, recipe.threads // ranks.world_size))
    clock = Clock(recipe, out, report, ranks)
    clock.begin("load")
    rows = read_rows(manifest)
    began = time.perf_counter()
    family = load_base(recipe, device)
    facts: dict[str, Any] = {"device": _device_name(device), "load_s": time.perf_counter() - began}
    facts |= _checked(rows, manifest.parent, recipe, family, clock)
    if ranks.is_main:
        _write(out, facts)
    if facts["undecodable"]:
        first = facts["undecodable"][0]
        raise InputError(f"{len(facts['undecodable'])} pictures cannot be read; the first is {first['file']}.")
    facts |= _measure(rows, manifest.parent, recipe, family, clock, out, device, cache, ranks)
    if ranks.is_main:
        _write(out, facts)
    report.tell("finished", reason="completed", step=0, kept=False, elapsed_s=round(report.spent_s(), 3))
    return facts


def _checked(rows: list[ManifestRow], folder: Path, recipe: Recipe, family: Family, clock: Clock) -> dict[str, Any]:
    """What the pictures, captions and weights are like."""
    undecodable = []
    for done, row in enumerate(rows):
        try:
            read_fitted(folder / row.file, (16, 16), row.sha256)
            if row.mask and recipe.needs_masks and row.split == "train":
                read_fitted_mask(folder / row.mask, (16, 16), (row.width_px, row.height_px))
        except InputError as refusal:
            undecodable.append({"file": row.file, "why": str(refusal)})
        clock.look("decode", done + 1, len(rows))
    captions = [row.caption for row in rows if row.caption.strip()]
    counts, limit = family.token_counts(captions) if captions else ([], 0)
    in_sizes = fitted([row for row in rows if row.split == "train"], recipe.resolution_px, recipe, family)
    over = [caption for caption, count in zip(captions, counts, strict=True) if count > limit]
    licence = {part.name.replace(" ", "_"): part.licence for part in licences.of(family, recipe.base)}
    return {
        "undecodable": undecodable,
        "captions_empty": len(rows) - len(captions),
        "remarks": [*faults(rows), *notes(rows, recipe, family)],
        "tokens": {"limit": limit, "longest": max(counts, default=0), "over": len(over), "examples": over[:EXAMPLES]},
        "buckets": [[*size, in_sizes.count(size)] for size in sorted(set(in_sizes))],
        "weights": [
            {
                "part": part.name,
                "sha256": identity([part]),
                "size_bytes": _size_bytes(part),
                "licence": licence.get(part.name),
            }
            for part in _parts(family)
        ],
    }


def _measure(
    rows: list[ManifestRow],
    folder: Path,
    recipe: Recipe,
    family: Family,
    clock: Clock,
    out: Path,
    device: torch.device,
    cache: Path,
    ranks: Ranks,
) -> dict[str, Any]:
    """Encode a few members, take real steps at the largest size, validate, draw, save, go on from it and export.

    Compiled steps come last, so that nothing else is lost where they cannot be taken.
    """
    learned, held_out = [row for row in rows if row.split == "train"], validation_rows(rows)
    clock.begin("encode", _PROBED)
    probe = _largest(learned, recipe, family)
    memory(device)
    each = _each_size(learned, recipe, family) if recipe.compile else []
    shown = [*probe, *(row for _, examples in each for row in examples)]
    captions = captions_of(shown, [], recipe)
    texts, text_s = timed(lambda: Texts(captions, family, None, clock.looking("encode")), device)
    of = partial(
        Members, folder=folder, family=family, texts=texts, has_buckets=recipe.buckets,
        needs_pictures=bool(recipe.teacher), enlarge_at_most=recipe.enlarge_at_most, needs_masks=recipe.needs_masks,
    )  # fmt: skip
    room = _room_bytes(learned, probe, recipe, family)
    members = of(probe, resolution_px=_resolution(recipe), room_bytes=room)
    to_compile = [(stage, of(examples, resolution_px=stage.resolution_px)) for stage, examples in each]
    is_encoded, look = bool(family.autoencoder_files) and recipe.cache, clock.looking("encode")
    # Without the cache: what is found there says nothing of how long the others take.
    _, picture_s = timed(lambda: members.encode(None, look) if is_encoded else members.decode(look), device)
    for _, stage_members in to_compile:
        stage_members.encode(None, look) if is_encoded else stage_members.decode(look)
    family.free_encoders()
    train_state, auxiliary = make_train_state(family, recipe, ranks)
    steps = Steps(recipe, family, train_state, auxiliary, members, clock, device, ranks)
    seconds = steps.plain()
    facts = {
        **_to_encode(learned, held_out, recipe, family, TensorCache(cache)),
        "text_s": text_s / len(texts.captions),
        "text_bytes": texts.mean_bytes,
        "picture_s": picture_s / len(probe) / ranks.world_size,
        "picture_bytes": members.mean_bytes,
        "warm_s": seconds[:WARM],
        "step_s": seconds[WARM:],
        "bucket_area_ratio": _area_ratio(learned, recipe, family),
    }
    with train_state.averaged():
        facts |= _validation_s(
            members, recipe, family, min(len(held_out), len(probe)), len(held_out) / ranks.world_size, device
        )
        facts["sample_s"] = _sample_s(recipe, family, clock, out, device)
    used = memory(device)
    facts |= {"peak_bytes": used["memory_bytes"], "memory_total_bytes": used["memory_total_bytes"]}
    facts |= _saves(steps, out)
    return facts | ({"compiled": steps.compiled(to_compile)} if recipe.compile else {})


def _to_encode(
    learned: list[ManifestRow], held_out: list[ManifestRow], recipe: Recipe, family: Family, cache: TensorCache
) -> dict[str, int]:
    """How many captions and pictures a run encodes, in all its stages, and how many of them are in the cache."""
    captions = captions_of(learned, held_out, recipe)
    shown = {
        (row.sha256, size)
        for px, rows in ((recipe.resolution_px, [*learned, *held_out]), (_last_resolution(recipe), learned))
        for row, size in zip(rows, fitted(rows, px, recipe, family), strict=True)
    }
    known = {"texts": len(captions), "texts_cached": 0, "pictures": len(shown), "pictures_cached": 0}
    if recipe.cache:
        made_by = identity(family.encoder_files)
        known["texts_cached"] = sum(cache.has(text_name(family, made_by, caption)) for caption in captions)
    if recipe.cache and family.autoencoder_files:
        made_by = identity(family.autoencoder_files)
        known["pictures_cached"] = sum(
            cache.has(picture_name(family, made_by, *picture, recipe.enlarge_at_most)) for picture in shown
        )
    return known


def _each_size(rows: list[ManifestRow], recipe: Recipe, family: Family) -> list[tuple[Stage, list[ManifestRow]]]:
    """For each stage a member of each size it shows, the largest first."""
    by_stage = []
    for stage in sorted({recipe.stage(0), recipe.stage(recipe.steps - 1)}, key=lambda stage: -stage.resolution_px):
        row_of = dict(zip(fitted(rows, stage.resolution_px, recipe, family), rows, strict=True))
        by_stage.append((stage, [row_of[size] for size in sorted(row_of, key=lambda size: -size[0] * size[1])]))
    return by_stage


def _validation_s(
    members: Members, recipe: Recipe, family: Family, probed: int, count: float, device: torch.device
) -> dict[str, float]:
    """Seconds of one validation of `count` members, from a part of it."""
    if count == 0:
        return {"validation_s": 0.0}
    done = 0

    def validate() -> None:
        nonlocal done
        for errors, _, _ in validation_errors(family, members, recipe):
            done += len(errors)
            if done >= 4 * max(1, probed):
                break

    _, seconds = timed(validate, device)
    return {"validation_s": seconds / done * 4 * count}


def _sample_s(recipe: Recipe, family: Family, clock: Clock, out: Path, device: torch.device) -> float:
    """Seconds of one picture, drawn as the run will draw them."""
    clock.look("sample", 0, 1)
    previews = read_previews(out)[:1] or [Preview(0, "product on a white background", recipe.seed)]
    _, seconds = timed(lambda: draw_previews(family, recipe, previews), device)
    family.free_encoders()
    return seconds


def _saves(steps: Steps, out: Path) -> dict[str, Any]:
    """Seconds and bytes of one checkpoint, written, gone on from for a step, and exported. Nothing of it stays."""
    clock, family, ranks, folder = steps.clock, steps.family, steps.ranks, out / "preflight"
    clock.look("save", 0, 1)
    state, collected_s = timed(steps.train_state.state, steps.device)
    try:
        with ranks.as_loaded(family.model):
            facts = _written(steps, state, folder) if ranks.is_main else {"save_s": 0.0}
        ranks.wait()
        # A run that was stopped or broke off begins like this. Where that fails it has to show before the run.
        steps.after(load_state(checkpoint_folder(folder, 0)))
        ranks.wait()
    finally:
        if ranks.is_main:
            shutil.rmtree(folder, ignore_errors=True)
    return facts | {"save_s": facts["save_s"] + collected_s}


def _written(steps: Steps, state: Mapping[str, torch.Tensor], folder: Path) -> dict[str, Any]:
    """Seconds and bytes of what the first process writes."""
    recipe, family, clock, device = steps.recipe, steps.family, steps.clock, steps.device
    with clock.moving("save"):
        saved, save_s = timed(
            lambda: save_checkpoint(folder, 0, partial(weights.save, family), state, {"recipe_hash": ""}), device
        )
    origin = Origin(recipe, "", 0)
    with clock.moving("export"):
        _, export_s = timed(lambda: export(family, saved.folder / WEIGHTS, folder / "model", origin), device)
    return {
        "save_s": save_s,
        "checkpoint_bytes": saved.size_bytes,
        "weights_bytes": _size_bytes(saved.folder / WEIGHTS),
        "export_s": export_s,
        "export_bytes": _size_bytes(folder / "model"),
    }


def _room_bytes(learned: list[ManifestRow], probe: list[ManifestRow], recipe: Recipe, family: Family) -> float:
    """Memory for the probe's pictures: the share of them that a run holds of all that it learns from.

    What it does not hold it reads again for each step that shows it, and so does the probe. Latents are small and come
    out of the cache; the probe has none, so they are all held.
    """
    is_encoded = bool(family.autoencoder_files) and recipe.cache
    if is_encoded and not recipe.teacher:
        return KEPT_IN_MEMORY_BYTES

    def picture_bytes(rows: list[ManifestRow]) -> int:
        of_pixels = [4 if row.mask and recipe.needs_masks else 3 for row in rows]
        shown = fitted(rows, _resolution(recipe), recipe, family)
        return sum(n * width * height for n, (width, height) in zip(of_pixels, shown, strict=True))

    # Latents, where there are any, take their room first: four bytes for a number, about one for a pixel.
    of_latents = picture_bytes(learned) / 3 if is_encoded else 0.0
    held = min(1.0, max(0.0, KEPT_IN_MEMORY_BYTES - of_latents) / picture_bytes(learned))
    return picture_bytes(probe) * (held + is_encoded / 3)


def _largest(rows: list[ManifestRow], recipe: Recipe, family: Family) -> list[ManifestRow]:
    """A few members of the size with the most pixels."""
    areas = [width * height for width, height in fitted(rows, _resolution(recipe), recipe, family)]
    return [row for row, area in zip(rows, areas, strict=True) if area == max(areas)][:_PROBED]


def _area_ratio(rows: list[ManifestRow], recipe: Recipe, family: Family) -> float:
    """Mean pixels of a member over the pixels of the largest size in use."""
    areas = [width * height for width, height in fitted(rows, _resolution(recipe), recipe, family)]
    return sum(areas) / len(areas) / max(areas)


def _resolution(recipe: Recipe) -> int:
    return max(recipe.resolution_px, _last_resolution(recipe))


def _last_resolution(recipe: Recipe) -> int:
    return recipe.stage(recipe.steps - 1).resolution_px


def _parts(family: Family) -> list[Path]:
    folder = getattr(family, "folder", None)
    return [] if folder is None else sorted({file.parent for file in Path(folder).rglob("*.safetensors")})


def _size_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and file.name != SIDECAR)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def _write(out: Path, facts: dict[str, Any]) -> None:
    temporary = out / f".{FACTS}.{os.getpid()}"
    temporary.write_text(json.dumps(facts))
    temporary.replace(out / FACTS)
