"""The recipe: every knob of a fine-tune, with its range and one sentence that explains it, and a hash.

Two runs with the same recipe hash and the same dataset hash on the same device draw the same pictures.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]

# Knobs that decide when a run looks up, speaks or ends, but not what it learns until then: a run may be resumed
# under a recipe that differs in these.
_NOT_LEARNED = frozenset(
    {
        "name",
        "base_revision",  # a resumed run keeps to the commit that its checkpoints name
        "threads",
        "max_wall_clock_s",
        "checkpoint_every",
        "validate_every",
        "report_every",
        "patience",
        "sampling_steps",
        "guidance",
        "cache",
        "compile",
        "checkpointing",
        "processes",
        "sharding",
    }
)

# Knobs that recipes of before lack, and that do nothing unless they are turned: then only do they count, so that runs
# and preflights of before keep their hashes.
_CAME_LATER = frozenset({"patience", "base_revision", "enlarge_at_most", "route_to", "background_weight"})


class RecipeError(ValueError):
    """The file is no recipe; the message is one sentence that names the knobs at fault."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the run with sizes of its own: its number, the step it begins before (0-based), and the sizes."""

    number: int
    first_step: int
    resolution_px: int
    batch_size: int
    micro_batch: int


class Recipe(BaseModel):
    """One fine-tune, fully described. Frozen; unknown knobs are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1, max_length=80, description="What the team calls this recipe.")
    family: Literal["prx", "prx_pixel", "sd15", "sdxl", "sd3", "flux", "flux2"] = Field(
        description="The model family: how the base is loaded, trained and saved."
    )
    base: str = Field(min_length=1, description="The model to start from: a folder, or a name on the model hub.")
    base_revision: str = Field(
        default="",
        pattern=r"^([0-9a-f]{40})?$",
        description="The commit of a base on the model hub; empty: its newest, which the run then keeps to.",
    )
    method: Literal["full", "lora"] = Field(
        description="Which weights are trained: full trains all of the denoiser's, lora a small addition to them."
    )
    lora_rank: int = Field(
        default=16, ge=1, le=512, description="Width of the addition that lora trains; its alpha is always the same."
    )
    seed: int = Field(ge=0, lt=2**31, description="Fixes the order of pictures, the noise and the timesteps.")

    resolution_px: int = Field(
        ge=8, le=2048, multiple_of=8, description="Pictures are fitted into a square with this many pixels a side."
    )
    buckets: bool = Field(
        default=False, description="Keep pictures' proportions in a few sizes of about the same area, not in a square."
    )
    enlarge_at_most: float = Field(
        default=0.0,
        ge=0.0,
        le=64.0,
        description="Smaller pictures are enlarged so many times and no more, and framed by their border; 0: to fit.",
    )
    batch_size: int = Field(ge=1, le=4096, description="Pictures looked at in each step.")
    micro_batch: int = Field(
        default=0, ge=0, le=4096, description="Pictures on the device at once, a step summing up several; 0 means all."
    )
    steps: int = Field(ge=1, le=1_000_000, description="Steps in the whole run; the learning rate is planned for it.")
    caption_dropout: Share = Field(
        description="Share of captions replaced by nothing, so that guidance has something to compare with."
    )
    short_caption_share: Share = Field(
        default=0.0, description="Share of captions cut after their first sentence, so that short prompts work too."
    )
    cache: bool = Field(
        default=True, description="Keep encoded pictures and captions on disk, known by what they were made from."
    )

    optimiser: Literal["muon", "adamw", "adamw8bit", "prodigy"] = Field(
        description="Muon for the blocks' matrices and AdamW for the rest; AdamW; AdamW with its memory in 8 bits; "
        "or Prodigy, which finds its own learning rate."
    )
    muon_lr: float = Field(gt=0.0, le=1.0, description="Muon's peak learning rate; not used by AdamW alone.")
    adamw_lr: float = Field(gt=0.0, le=1.0, description="AdamW's peak learning rate.")
    adamw_beta1: float = Field(ge=0.0, lt=1.0, description="How slowly AdamW forgets the direction of past steps.")
    adamw_beta2: float = Field(ge=0.0, lt=1.0, description="How slowly AdamW forgets the size of past steps.")
    weight_decay: float = Field(ge=0.0, le=1.0, description="Pull of every trained weight towards zero.")
    warmup_steps: int = Field(ge=0, le=100_000, description="Steps over which the learning rate rises to its peak.")
    constant_share: Share = Field(
        description="Share of the run, warm-up included, after which the learning rate starts to fall in a line."
    )
    final_lr_share: Share = Field(description="What is left of the peak learning rate at the last step.")
    clip_norm: float = Field(gt=0.0, le=1000.0, description="Gradients longer than this are shortened to it.")
    ema_decay: float = Field(
        ge=0.0,
        lt=1.0,
        description="How slowly the averaged weights, which checkpoints hold, follow the trained ones; 0: at once.",
    )
    ema_every: int = Field(default=1, ge=1, le=1000, description="Steps between two updates of the averaged weights.")

    timestep_mean: float = Field(
        ge=-5.0, le=5.0, description="Centre of the logit-normal draw of timesteps; above 0 leans towards noise."
    )
    timestep_sd: float = Field(gt=0.0, le=5.0, description="Spread of the logit-normal draw of timesteps.")
    timestep_uniform_share: Share = Field(description="Share of timesteps drawn evenly from 0 to 1 instead.")
    timestep_shift: float = Field(
        default=1.0,
        ge=0.0,
        le=20.0,
        description="Above 1 leans towards noise, as drawing does; 0: as the base was taught.",
    )
    min_snr_gamma: float = Field(
        default=0.0, ge=0.0, le=100.0, description="Bound on the weight of nearly clean pictures (sd15, sdxl); 0: none."
    )
    background_weight: Share = Field(
        default=1.0,
        description="How much an error outside a photo’s mask counts, one on the product counting 1; needs masks.",
    )
    velocity_floor: float = Field(
        gt=0.0, le=1.0, description="Smallest timestep the error is divided by, so that nearly clean pictures count."
    )

    precision: Literal["fp32", "bf16-autocast"] = Field(
        description="Arithmetic of the forward pass; weights are kept and updated in fp32 either way."
    )
    checkpointing: Literal["none", "half", "full"] = Field(
        default="none", description="Blocks computed twice to save memory: none, every other one, or all."
    )
    compile: bool = Field(default=False, description="Compile the blocks first: slower to begin, faster afterwards.")
    route_share: Share = Field(
        default=0.0, description="Share of picture tokens that skip the middle blocks while training (TREAD); 0: none."
    )
    route_from: int = Field(default=2, ge=0, le=200, description="First block that routed tokens skip, from 0.")
    route_to: int = Field(
        default=0, ge=0, le=200, description="Last block that routed tokens skip, from 0; 0: the last but one."
    )
    teacher: str = Field(
        default="", description="Folder of a DINO model whose view of the picture a middle block learns (REPA)."
    )
    teacher_weight: float = Field(default=0.5, ge=0.0, le=10.0, description="Weight of the teacher's loss.")
    teacher_block: int = Field(default=8, ge=1, le=200, description="Which block learns from the teacher, from 1.")
    teacher_until: Share = Field(default=1.0, description="Share of the run after which the teacher is let go.")
    lpips: str = Field(default="", description="Folder of an LPIPS network: a perceptual loss for pixel models.")
    lpips_weight: float = Field(default=0.1, ge=0.0, le=10.0, description="Weight of the LPIPS loss.")
    dino: str = Field(default="", description="Folder of a DINO model: a perceptual loss for pixel models.")
    dino_weight: float = Field(default=0.01, ge=0.0, le=10.0, description="Weight of the DINO loss.")

    second_from: Share = Field(
        default=1.0, description="Share of the run after which the second stage begins; 1 means never."
    )
    second_resolution_px: int = Field(
        default=0, ge=0, le=2048, multiple_of=8, description="Resolution of the second stage."
    )
    second_batch_size: int = Field(default=0, ge=0, le=4096, description="Pictures in each step of the second stage.")

    threads: int = Field(
        ge=1,
        le=256,
        description="CPU threads the run may use; without an accelerator a small model’s are processes of their own "
        "where the micro-batches can be shared evenly.",
    )
    processes: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes, one per device, that share each step's pictures; each device costs.",
    )
    sharding: Literal["none", "full"] = Field(
        default="none",
        description="With several processes: each holds all weights, or a part of them and of what belongs to them.",
    )

    checkpoint_every: int = Field(ge=1, description="Steps between saved checkpoints; the last step is always saved.")
    validate_every: int = Field(ge=1, description="Steps between looks at the validation members; step 0 is one.")
    patience: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Validations in a row that are no better, beyond noise, after which the run stops; 0: it goes on.",
    )
    report_every: int = Field(ge=1, le=10_000, description="Steps summed up in one line of progress.")
    max_wall_clock_s: float = Field(
        gt=0.0, le=604_800.0, description="Hard limit in seconds, earlier attempts included; a checkpoint ends it."
    )

    sampling_steps: int = Field(ge=1, le=1000, description="Denoising steps when samples of this run are drawn.")
    guidance: float = Field(
        ge=1.0, le=30.0, description="How hard samples are pushed towards their prompt; 1 is not at all."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if self.warmup_steps > self.constant_share * self.steps:
            raise ValueError("warmup_steps must end before the learning rate starts to fall")
        for batch_size in (self.batch_size, self.second_batch_size or self.batch_size):
            if self.micro_batch and batch_size % self.micro_batch:
                raise ValueError(f"batch_size {batch_size} is not a multiple of micro_batch {self.micro_batch}")
        if self.second_from == 0.0:
            raise ValueError("second_from 0 leaves no first stage: give the sizes of the second as the run's own")
        if self.second_from < 1.0 and not self.second_resolution_px:
            raise ValueError("the second stage needs second_resolution_px")
        if 0 < self.route_to < self.route_from:
            raise ValueError("route_to is the last block that is skipped, so it cannot come before route_from")
        if 0.0 < self.enlarge_at_most < 1.0:
            raise ValueError("enlarge_at_most is at least 1, or 0 for no bound")
        if (self.lpips or self.dino) and self.family != "prx_pixel":
            raise ValueError("lpips and dino are losses for pixel models (prx_pixel) only")
        if self.min_snr_gamma and self.family not in ("sd15", "sdxl"):
            raise ValueError("min_snr_gamma is for sd15 and sdxl; the others learn velocities on a straight line")
        if (uneven := self.uneven_for(self.processes)) is not None:
            raise ValueError(uneven)
        if self.sharding == "full" and (self.method, self.optimiser, self.teacher) != ("full", "adamw", ""):
            raise ValueError("sharding full needs method full, optimiser adamw and no teacher")
        return self

    @property
    def needs_masks(self) -> bool:
        """Whether the members' masks weigh anything."""
        return self.background_weight < 1.0

    def uneven_for(self, processes: int) -> str | None:
        """Why so many processes cannot share each step's micro-batches evenly, or None when they can."""
        for stage in {self.stage(0), self.stage(self.steps - 1)}:
            count = stage.batch_size // stage.micro_batch
            if count % processes:
                return (
                    f"batch_size {stage.batch_size} in micro-batches of {stage.micro_batch} makes {count}, "
                    f"which {processes} processes cannot share evenly"
                )
        return None

    def stage(self, step: int) -> Stage:
        """Sizes in use in step `step` (0-based)."""
        second = math.ceil(self.second_from * self.steps)
        if step < second:
            return Stage(0, 0, self.resolution_px, self.batch_size, self.micro_batch or self.batch_size)
        batch_size = self.second_batch_size or self.batch_size
        return Stage(1, second, self.second_resolution_px, batch_size, self.micro_batch or batch_size)

    def recipe_hash(self) -> str:
        """SHA-256 (hex) of all knobs as canonical JSON, without later ones that are left as they are."""
        return _hash(self._hashed())

    def learning_hash(self, base_shift: float = 1.0) -> str:
        """SHA-256 (hex) of what decides what is learned: equal for runs that may resume one another.

        `base_shift` is the base's own timestep shift, see `new_meanings`.
        """
        learned = {name: value for name, value in self._hashed().items() if name not in _NOT_LEARNED}
        return _hash(learned | self.new_meanings(base_shift))

    def new_meanings(self, base_shift: float = 1.0) -> dict[str, str]:
        """What these knobs mean otherwise than before 30 November 2026, and since when: a key and a sentence for each.

        Such a run of before cannot be gone on with to the same end, so it is not the same learning. `base_shift` is
        the base's own timestep shift, which counts where the recipe leaves it to the base.
        """
        meanings = {}
        shift = self.timestep_shift or base_shift
        if self.family == "flux2" and self.timestep_shift == 0.0:
            meanings["training shift"] = (
                "FLUX.2 is trained with the shift it was taught with, not the one it draws with"
            )
        if self.timestep_uniform_share > 0.0 and shift != 1.0:
            meanings["even timesteps"] = "timesteps that are drawn evenly are not shifted"
        if self.family == "sdxl":
            meanings["sizes"] = "SDXL is told the size that each photo had"
        if self.dino:
            meanings["dino input"] = "DINO is shown answers between black and white only"
        return meanings

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """In which of the knobs that decide what is learned `other`, the knobs of a recipe, differs, in words."""
        mine = self.model_dump(mode="json")
        names = sorted((mine.keys() | other.keys()) - _NOT_LEARNED, key=[*mine, *other].index)
        theirs = completed(other)
        both = ((name, mine.get(name), theirs.get(name)) for name in names)
        return [f"{name} is {_plain(now)} and was {_plain(before)}" for name, now, before in both if now != before]

    def _hashed(self) -> dict[str, Any]:
        fields = Recipe.model_fields
        knobs = self.model_dump(mode="json")
        return {n: value for n, value in knobs.items() if n not in _CAME_LATER or value != fields[n].default}


def completed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The knobs of a recipe that an earlier version may have kept, later ones as they are when nobody turns them."""
    return {**{name: Recipe.model_fields[name].default for name in _CAME_LATER}, **values}


class _Loader(yaml.SafeLoader):
    """YAML as its standard has it: a knob that is there twice is an error, not the last of the two."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in names:
                raise yaml.constructor.ConstructorError(None, None, f"{name} is there twice", key.start_mark)
            names.add(name)
        return super().construct_mapping(node, deep)


def read_recipe(path: Path) -> Recipe:
    """The recipe in a YAML file. Raises `RecipeError` with one sentence that names each knob at fault."""
    try:
        values = _Loader(path.read_text(encoding="utf-8-sig")).get_single_data()
    except RecursionError as error:
        raise RecipeError(f"The recipe {path} cannot be read: it is nested too deeply.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"The recipe {path} cannot be read: {' '.join(str(error).split())}.") from error
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc'])) or 'recipe'}: {e['msg']}" for e in error.errors())
        raise RecipeError(f"The recipe {path.name} is refused: {'; '.join(faults)}.") from error


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Write the recipe as YAML, complete or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        yaml.safe_dump(recipe.model_dump(mode="json"), file, sort_keys=False, allow_unicode=True)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _plain(value: Any) -> str:
    return "empty" if value == "" else "unknown" if value is None else str(value)


def _hash(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
