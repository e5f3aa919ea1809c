"""What differs between models, in words: knobs of their recipes, photos of their datasets, who wrote captions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.training.recipe import Recipe, completed

# Knobs that say where and how fast a run works, not what it makes.
_QUIET: Final = frozenset(
    {"name", "threads", "max_wall_clock_s", "report_every", "cache", "compile", "checkpointing", "processes"}
) | {"sharding"}
_NAMES: Final = {
    "lora_rank": "LoRA rank",
    "adamw_lr": "AdamW learning rate",
    "muon_lr": "Muon learning rate",
    "adamw_beta1": "AdamW beta 1",
    "adamw_beta2": "AdamW beta 2",
    "ema_decay": "EMA decay",
    "ema_every": "EMA every",
    "resolution_px": "resolution",
    "second_resolution_px": "second resolution",
    "batch_size": "batch",
    "min_snr_gamma": "min-SNR gamma",
    "base_revision": "commit of the base",
    "short_caption_share": "short captions",
    "lpips": "LPIPS network",
    "dino": "DINO network",
}
_MADE: Final = {
    "added": "added",
    "removed": "removed",
    "mended": "mended",
    "recaptioned": "with another caption",
    "moved": "moved between splits",
    "repeated": "shown more or less often",
}


@dataclass(frozen=True, slots=True)
class KnobChange:
    """A knob of two recipes that differs: its name and values as people read them, and how much that is, or ""."""

    name: str
    before: str
    after: str
    how: str


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[KnobChange]:
    """The knobs of two recipes that differ, in the recipe's order; knobs that only say how fast it works left out."""
    old, new = completed(before), completed(after)
    return [
        KnobChange(name_of(knob), value_of(knob, old.get(knob)), value_of(knob, new.get(knob)), _how(knob, old, new))
        for knob in Recipe.model_fields
        if knob not in _QUIET and old.get(knob) != new.get(knob)
    ]


def same_count(before: Mapping[str, Any], after: Mapping[str, Any]) -> int:
    """How many knobs of two recipes are the same."""
    return len(Recipe.model_fields.keys() - _QUIET) - len(changed(before, after))


def among(recipes: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """What differs among recipes of runs, a sentence for each knob: "Steps: 200 in run 3; 400 in runs 4 and 5."

    `recipes` are what each run is called, "3", and its knobs.
    """
    sentences = []
    for knob in (knob for knob in Recipe.model_fields if knob not in _QUIET):
        runs_by_value: dict[str, list[str]] = {}
        for run, recipe in recipes:
            runs_by_value.setdefault(value_of(knob, completed(recipe).get(knob)), []).append(run)
        if len(runs_by_value) > 1:
            parts = (
                f"{value} in {'run' if len(runs) == 1 else 'runs'} {listed(runs)}"
                for value, runs in runs_by_value.items()
            )
            sentences.append(f"{_upper(name_of(knob))}: {'; '.join(parts)}.")
    return sentences


def photos(counts: Mapping[str, int], newer: str, older: str) -> str:
    """What a dataset version has otherwise than another: "Version 2 against version 1: 412 photos added, 96 removed."

    `counts` are those of `app.datasets.comparing.VersionChanges`, by kind.
    """
    parts = [f"{counts[kind]:,} {words}" for kind, words in _MADE.items() if counts.get(kind)]
    if not parts:
        return f"{newer} and {older} hold the same photos with the same captions."
    return f"{newer} against {older}, in photos: {listed(parts)}."


def captions(writers: Sequence[tuple[str, str, int]]) -> str:
    """Who wrote a version's captions, in shares: "80 % people, 20 % captioner facts". Pairs of kind, name and count."""
    total = sum(count for *_, count in writers)
    by_writer: dict[str, int] = {}
    for kind, name, count in writers:
        words = {"person": "people", "given": "given with the photos"}.get(kind, f"captioner {name}".strip())
        by_writer[words] = by_writer.get(words, 0) + count
    shares = sorted(by_writer.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{_share(count / total)} {words}" for words, count in shares) if total else "no captions"


def recipe_line(recipe: Mapping[str, Any]) -> str:
    """A recipe in a line: "lora rank 16, 400 steps, batch 8, AdamW 1e-04"."""
    rank = f" rank {recipe['lora_rank']}" if recipe["method"] == "lora" else ""
    rate = (
        ""
        if recipe["optimiser"] == "prodigy"
        else f" {float(recipe['muon_lr' if recipe['optimiser'] == 'muon' else 'adamw_lr']):g}"
    )
    steps, batch = f"{recipe['steps']:,} steps", f"batch {recipe['batch_size']}"
    return f"{recipe['method']}{rank}, {steps}, {batch}, {recipe['optimiser']}{rate}"


def name_of(knob: str) -> str:
    """A knob as people read it."""
    return _NAMES.get(knob, knob.replace("_", " "))


def value_of(knob: str, value: Any) -> str:
    """A knob's value as people read it: shares in percent, switches on or off."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value in ("", None):
        return "none"
    if isinstance(value, float) and (knob.endswith("_share") or knob == "caption_dropout"):
        return f"{value * 100:g} %"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)


def listed(words: Sequence[str]) -> str:
    """ "3", "4" and "5" as "3, 4 and 5"."""
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _how(knob: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """How much a change of a number is: "double", "half", "1.5 times as much", "20 % less"."""
    old, new = before.get(knob), after.get(knob)
    if knob == "seed":
        return "another draw"
    if not all(isinstance(value, int | float) and not isinstance(value, bool) and value > 0 for value in (old, new)):
        return ""
    ratio = float(new) / float(old)  # type: ignore[arg-type]
    if ratio in (2.0, 0.5):
        return "double" if ratio == 2.0 else "half"
    return f"{ratio:.3g} times as much" if ratio > 1 else f"{_share(1 - ratio)} less"


def _share(share: float) -> str:
    return f"{share * 100:.0f} %" if share == 0 or share >= 0.01 else "under 1 %"


def _upper(words: str) -> str:
    return words[:1].upper() + words[1:]
