"""The recipe on the launch page: a dozen lines worth a look, and the expert drawer with every knob in its group."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args, get_origin

from app.launch.plan import Knob, Plan, written
from app.training.recipe import Recipe

_GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Run": ("name", "seed", "steps", "method", "lora_rank", "checkpoint_every", "validate_every", "patience",
            "report_every", "max_wall_clock_s", "sampling_steps", "guidance"),
    "Photos and captions": ("resolution_px", "buckets", "enlarge_at_most", "batch_size", "micro_batch",
                            "caption_dropout", "short_caption_share", "cache"),
    "Learning": ("optimiser", "adamw_lr", "muon_lr", "adamw_beta1", "adamw_beta2", "weight_decay", "warmup_steps",
                 "constant_share", "final_lr_share", "clip_norm", "ema_decay", "ema_every"),
    "Noise and loss": ("timestep_mean", "timestep_sd", "timestep_uniform_share", "timestep_shift", "min_snr_gamma",
                       "background_weight", "velocity_floor"),
    "Device": ("precision", "checkpointing", "compile", "threads", "processes", "sharding"),
    "Additions": ("route_share", "route_from", "route_to", "teacher", "teacher_weight", "teacher_block",
                  "teacher_until", "lpips", "lpips_weight", "dino", "dino_weight", "second_from",
                  "second_resolution_px", "second_batch_size"),
}  # fmt: skip


FOLDERS: Final = ("teacher", "lpips", "dino")
"""Knobs that name a folder of the server, which a run reads: one of the settings' `teacher_models`."""

_OPTIMISERS: Final = {"muon": "Muon", "adamw": "AdamW", "adamw8bit": "AdamW, 8 bits", "prodigy": "Prodigy"}


@dataclass(frozen=True)
class Field:
    """A knob as a field: what stands in it, what it would be, what may be chosen, and what is wrong with it."""

    knob: Knob
    typed: str
    derived: str
    options: tuple[str, ...]
    what: str
    failure: str


@dataclass(frozen=True)
class FieldGroup:
    """Fields that belong together."""

    name: str
    fields: list[Field]


def groups(plan: Plan, typed: Mapping[str, str], teachers: Sequence[str] = ()) -> list[FieldGroup]:
    """Every knob but the base, its commit and its family, with what was typed. `teachers`: folders to learn from."""
    return [
        FieldGroup(name, [_field(plan.knob(knob), typed, plan.faults.get(knob, ""), teachers) for knob in knobs])
        for name, knobs in _GROUPS.items()
    ]


def shown(plan: Plan) -> list[Knob]:
    """The lines worth a look before a launch, their values in words."""
    recipe = plan.recipe

    def line(name: str, value: str, label: str = "", reason: str = "") -> Knob:
        knob = plan.knob(name)
        return replace(knob, value=value, label=label or knob.label, reason=reason or knob.reason)

    rate = "adamw_lr" if recipe.optimiser != "muon" else "muon_lr"
    times = recipe.batch_size // recipe.micro_batch if recipe.micro_batch else 1
    batch = f"{recipe.batch_size}" if times == 1 else f"{recipe.batch_size}, {times} × {recipe.micro_batch}"
    stages = f", then {recipe.second_resolution_px} px" if recipe.second_from < 1 else ""
    knobs = [
        line("steps", f"{recipe.steps:,}"),
        line("batch_size", batch),
        line(rate, written(getattr(recipe, rate)), "Learning rate"),
        line("optimiser", _OPTIMISERS[recipe.optimiser]),
        line("method", "all weights") if recipe.method == "full" else line("lora_rank", f"{recipe.lora_rank}"),
        line("resolution_px", f"{recipe.resolution_px} px{', buckets' if recipe.buckets else ''}{stages}"),
        line("caption_dropout", f"{recipe.caption_dropout * 100:g} %"),
        line("short_caption_share", f"{recipe.short_caption_share * 100:g} %"),
        line("ema_decay", f"EMA {recipe.ema_decay:g}"),
        line("checkpoint_every", f"{recipe.checkpoint_every:,} steps"),
        line("precision", {"fp32": "fp32", "bf16-autocast": "bf16 autocast"}[recipe.precision]),
        line("timestep_mean", "even" if recipe.timestep_uniform_share == 1 else "logit-normal", "Timesteps"),
        line("clip_norm", f"{recipe.clip_norm:g}"),
        line("seed", f"{recipe.seed}"),
    ]  # fmt: skip
    if recipe.compile:
        knobs.append(line("compile", "where it pays"))
    if recipe.patience:
        knobs.append(line("patience", f"{recipe.patience} validations"))
    seen = {knob.name for knob in knobs}
    return knobs + [knob for knob in plan.knobs if knob.is_changed and knob.name not in seen]


def _field(knob: Knob, typed: Mapping[str, str], failure: str, teachers: Sequence[str]) -> Field:
    info = Recipe.model_fields[knob.name]
    value = written(knob.value)
    options = ("", *teachers) if knob.name in FOLDERS else _options(info.annotation)
    return Field(knob, typed.get(knob.name, value), value, options, info.description or "", failure)


def _options(kind: Any) -> tuple[str, ...]:
    if kind is bool:
        return ("true", "false")
    if get_origin(kind) is Literal:
        return tuple(str(option) for option in get_args(kind))
    assert not isinstance(kind, types.UnionType)  # noqa: S101 - no knob may be one of several kinds
    return ()
