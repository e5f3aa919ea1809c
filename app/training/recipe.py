"""The recipe: every knob of a fine-tune, with its range and one sentence that explains it, and a hash.

Two runs with the same recipe hash and the same dataset hash on the same device draw the same pictures.
"""

from __future__ import annotations

import hashlib
import json
import os
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
        "threads",
        "max_wall_clock_s",
        "checkpoint_every",
        "validate_every",
        "report_every",
        "sampling_steps",
        "guidance",
    }
)


class RecipeError(ValueError):
    """The file is no recipe; the message is one sentence that names the knobs at fault."""


class Recipe(BaseModel):
    """One fine-tune, fully described. Frozen; unknown knobs are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1, max_length=80, description="What the team calls this recipe.")
    family: Literal["prx_pixel"] = Field(description="The model family: how the base is loaded, trained and saved.")
    base: str = Field(min_length=1, description="The model to start from: a folder, or a name on the model hub.")
    method: Literal["full"] = Field(description="Which weights are trained: full trains all of the denoiser's.")
    seed: int = Field(ge=0, lt=2**31, description="Fixes the order of pictures, the noise and the timesteps.")

    resolution_px: int = Field(
        ge=8, le=2048, multiple_of=8, description="Pictures are fitted into a square with this many pixels a side."
    )
    batch_size: int = Field(ge=1, le=4096, description="Pictures looked at in each step.")
    steps: int = Field(ge=1, le=1_000_000, description="Steps in the whole run; the learning rate is planned for it.")
    caption_dropout: Share = Field(
        description="Share of captions replaced by nothing, so that guidance has something to compare with."
    )

    optimiser: Literal["muon", "adamw"] = Field(
        description="Muon for the matrices of the blocks and AdamW for the rest, or AdamW for everything."
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
        ge=0.0, lt=1.0, description="How slowly the averaged weights, which checkpoints hold, follow the trained ones."
    )

    timestep_mean: float = Field(
        ge=-5.0, le=5.0, description="Centre of the logit-normal draw of timesteps; above 0 leans towards noise."
    )
    timestep_sd: float = Field(gt=0.0, le=5.0, description="Spread of the logit-normal draw of timesteps.")
    timestep_uniform_share: Share = Field(description="Share of timesteps drawn evenly from 0 to 1 instead.")
    velocity_floor: float = Field(
        gt=0.0, le=1.0, description="Smallest timestep the error is divided by, so that nearly clean pictures count."
    )

    precision: Literal["fp32", "bf16-autocast"] = Field(
        description="Arithmetic of the forward pass; weights are kept and updated in fp32 either way."
    )
    threads: int = Field(ge=1, le=256, description="CPU threads the run may use.")

    checkpoint_every: int = Field(ge=1, description="Steps between saved checkpoints; the last step is always saved.")
    validate_every: int = Field(ge=1, description="Steps between looks at the validation members; step 0 is one.")
    report_every: int = Field(ge=1, le=10_000, description="Steps summed up in one line of progress.")
    max_wall_clock_s: float = Field(
        gt=0.0, le=604_800.0, description="Hard limit in seconds, earlier sittings included; a checkpoint ends it."
    )

    sampling_steps: int = Field(ge=1, le=1000, description="Denoising steps when samples of this run are drawn.")
    guidance: float = Field(
        ge=1.0, le=30.0, description="How hard samples are pushed towards their prompt; 1 is not at all."
    )

    @model_validator(mode="after")
    def _warmup_fits(self) -> Recipe:
        if self.warmup_steps > self.constant_share * self.steps:
            raise ValueError("warmup_steps must end before the learning rate starts to fall")
        return self

    def recipe_hash(self) -> str:
        """SHA-256 (hex) of all knobs as canonical JSON."""
        return _hash(self.model_dump(mode="json"))

    def learning_hash(self) -> str:
        """SHA-256 (hex) of the knobs that decide what is learned: equal for runs that may resume one another."""
        return _hash(self.model_dump(mode="json", exclude=set(_NOT_LEARNED)))


def read_recipe(path: Path) -> Recipe:
    """The recipe in a YAML file. Raises `RecipeError` with one sentence that names each knob at fault."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
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


def _hash(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
